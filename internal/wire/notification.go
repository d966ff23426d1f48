package wire

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/veltrix/veltrix/internal/participant"
)

// NotificationType is the CloudEvents type of notification records.
const NotificationType = "veltrix.notification.v1"

// NotificationRecord is a record of the notifications topic. It says all that
// a notifier needs, which therefore reads no rules.
type NotificationRecord struct {
	ID          string     `json:"notification"` // 32 hexadecimal digits
	Revision    uint32     `json:"revision"`     // from 1
	Op          string     `json:"op"`           // send, update or retract
	Participant string     `json:"participant"`
	Class       string     `json:"class"`
	Rule        string     `json:"rule"`
	Name        string     `json:"name"`
	Title       string     `json:"title"` // empty in a retraction, as the body
	Body        string     `json:"body"`
	Channels    []string   `json:"channels"` // in order
	Expires     *time.Time `json:"expires"`  // nil: never by itself
	OnUnknown   string     `json:"on_unknown"`
	HoldMs      int64      `json:"hold_ms"`
	Critical    bool       `json:"critical"` // pushed whatever the participant muted
	EventType   string     `json:"event_type"`
	EventTime   time.Time  `json:"event_time"` // of the event that justified it

	// From the headers.
	Hunt        string    `json:"-"`
	Time        time.Time `json:"-"` // when the causing record arrived
	TraceParent string    `json:"-"`
	Cause       Cause     `json:"-"`
}

// Cause names the record whose arrival produced an output. ID and Source are
// empty where the record did not say them.
type Cause struct {
	ID, Source string
	Partition  int32
	Offset     int64
}

// Notification writes a notification that the arrival of cause produced, as the
// template's class delivers it. The record belongs on the cause's partition.
func Notification(hunt string, cause *participant.Event, n *participant.Notification, t *participant.Template) (key, value []byte, headers []Header) {
	d := draft{
		b:       make([]byte, 0, 640+len(n.Title)+len(n.Body)+3*len(n.Participant)),
		headers: make([]Header, 0, outputHeaders),
		ends:    make([]int, 0, outputHeaders),
	}
	d.b = strconv.AppendUint(append(appendID(d.b, n.ID), '.'), uint64(n.Revision), 10)
	d.output(hunt, NotificationType, cause)
	d.text(HeaderOp, n.Op.String())
	at := len(d.b)
	d.b = append(d.b, n.Participant...)
	body := len(d.b)
	d.b = appendNotification(d.b, cause.Arrival.Time, n, t)
	return d.b[at:body:body], d.b[body:], d.sealed()
}

func appendID(b []byte, id participant.Identity) []byte {
	for _, half := range [2]uint64{id.Hi, id.Lo} {
		for shift := 60; shift >= 0; shift -= 4 {
			b = append(b, hexDigits[half>>shift&15])
		}
	}
	return b
}

func appendNotification(b []byte, arrival int64, n *participant.Notification, t *participant.Template) []byte {
	b = append(b, `{"notification":"`...)
	b = appendID(b, n.ID)
	b = append(b, `","revision":`...)
	b = strconv.AppendUint(b, uint64(n.Revision), 10)
	b = appendMember(b, "op", n.Op.String())
	b = appendMember(b, "participant", n.Participant)
	b = appendMember(b, "class", t.Class.Name)
	b = appendMember(b, "rule", t.Rule)
	b = appendMember(b, "name", t.Name)
	b = appendMember(b, "title", n.Title)
	b = appendMember(b, "body", n.Body)
	b = append(b, `,"channels":[`...)
	for i, channel := range t.Class.Channels {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendQuoted(b, channel)
	}
	b = append(b, ']')
	if t.Class.ExpiresMs > 0 {
		b = append(b, `,"expires":"`...)
		b = append(appendTime(b, arrival+t.Class.ExpiresMs*1000), '"')
	}
	unknown := "drop"
	if t.Class.ResendUnknown {
		unknown = "resend"
	}
	b = appendMember(b, "on_unknown", unknown)
	b = append(b, `,"hold_ms":`...)
	b = strconv.AppendInt(b, t.Class.HoldMs, 10)
	if t.Class.Critical {
		b = append(b, `,"critical":true`...)
	}
	b = appendMember(b, "event_type", n.EventType)
	b = append(b, `,"event_time":"`...)
	return append(appendTime(b, n.EventTime), '"', '}')
}

// appendMember appends a comma and one member of an object. The name needs no
// escapes.
func appendMember(b []byte, name, value string) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return appendQuoted(b, value)
}

// DecodeNotification reads a record of the notifications topic. What it returns
// outlives the record.
func DecodeNotification(r *Record) (*NotificationRecord, error) {
	var n NotificationRecord
	if err := json.Unmarshal(r.Value, &n); err != nil {
		return nil, fmt.Errorf("decode notification: %w", err)
	}
	if id, err := hex.DecodeString(n.ID); err != nil || len(id) != 16 {
		return nil, fmt.Errorf("decode notification: its ID %q is not 32 hexadecimal digits", n.ID)
	}
	if _, ok := participant.OpByName(n.Op); !ok {
		return nil, fmt.Errorf("decode notification: its operation %q is none of send, update, retract", n.Op)
	}
	if n.Revision == 0 || n.Participant == "" {
		return nil, errors.New("decode notification: it has no revision or no participant")
	}
	if string(r.Key) != n.Participant {
		return nil, fmt.Errorf("decode notification: it is for %q and its key is %q", n.Participant, r.Key)
	}
	h, err := decodeHeaders(r, NotificationType)
	if err != nil {
		return nil, fmt.Errorf("decode notification: %w", err)
	}
	n.Hunt, n.Time, n.TraceParent, n.Cause = h.hunt, h.time, h.traceParent, h.cause
	return &n, nil
}
