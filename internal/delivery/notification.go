package delivery

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/veltrix/veltrix/internal/wire"
)

// Op is what a record does with its notification.
type Op string

// The operations.
const (
	Send    Op = "send"
	Update  Op = "update"
	Retract Op = "retract"
)

// Policy is what a class wants where the outcome of an attempt is unknown.
type Policy string

// The policies: Resend may give two copies and never none; Drop may give none
// and never two.
const (
	Resend Policy = "resend"
	Drop   Policy = "drop"
)

// InboxChannel is the name of the channel that is the inbox itself.
const InboxChannel = "inbox"

// Limits of one record; a longer list is malformed.
const (
	channelsMax    = 16
	participantMax = 1024 // bytes
)

// Notification is one revision of a notification, as the notifications topic
// carries it.
type Notification struct {
	ID          string   `json:"notification"` // 32 hexadecimal digits
	Revision    int      `json:"revision"`     // from 1
	Op          Op       `json:"op"`
	Participant string   `json:"participant"`
	Class       string   `json:"class"`
	Rule        string   `json:"rule"`
	Name        string   `json:"name"`
	Title       string   `json:"title"`
	Body        string   `json:"body"`
	Channels    []string `json:"channels"`
	// Expires is zero for a notification that does not expire by itself.
	Expires   time.Time `json:"expires,omitzero"`
	OnUnknown Policy    `json:"on_unknown"`
	HoldMS    int64     `json:"hold_ms"`
	Critical  bool      `json:"critical,omitempty"` // passes mutes, quiet hours and the allowance
	EventType string    `json:"event_type"`
	EventTime time.Time `json:"event_time,omitzero"`
	// DigestOf is set of a digest: the start of its window, ms since the Unix epoch.
	DigestOf int64 `json:"digest_of,omitempty"`

	// Arrival is when the causing record arrived (the record's ce_time).
	Arrival time.Time `json:"-"`
	// Recorded is when this revision was written to the log.
	Recorded    time.Time `json:"-"`
	TraceParent string    `json:"-"`
	// Source is the position of the causing record, as "partition/offset".
	Source string `json:"-"`
}

// visible is when outside channels may see it: at the end of its class's hold.
func (n *Notification) visible() time.Time {
	return n.Recorded.Add(time.Duration(n.HoldMS) * time.Millisecond)
}

// Parked is one notification's delivery to one target, set aside until due.
type Parked struct {
	Notification Notification
	Partition    int32
	Channel      string
	Target       string
	// Attempt is the one to be made, from 1.
	Attempt   int
	NotBefore time.Time
	// InboxOffset is the notification's place in the inbox, 0 where unknown.
	InboxOffset int64
}

// Headers of parked records.
const (
	HeaderNotBefore = "veltrix-not-before" // ms since the Unix epoch
	HeaderChannel   = "veltrix-channel"
	HeaderTarget    = "veltrix-target"
	HeaderAttempt   = "veltrix-attempt"
	HeaderRecorded  = "veltrix-recorded" // ms since the Unix epoch
	HeaderInbox     = "veltrix-inbox-offset"
	headerTime      = "ce_time"
	headerTrace     = "ce_traceparent"
	headerPartition = "veltrix-source-partition"
	headerOffset    = "veltrix-source-offset"
)

// Decode reads a record of the notifications topic. Its error says what is
// wrong with the record; reading it again will not help.
func Decode(rec *wire.Record) (Notification, error) {
	var n Notification
	if err := json.Unmarshal(rec.Value, &n); err != nil {
		return n, fmt.Errorf("parse the notification: %w", err)
	}
	n.Recorded = time.UnixMicro(rec.Timestamp).UTC()
	n.TraceParent = string(rec.Header(headerTrace))
	if p, o := rec.Header(headerPartition), rec.Header(headerOffset); p != nil && o != nil {
		n.Source = string(p) + "/" + string(o)
	}
	n.Arrival = n.Recorded
	if v := rec.Header(headerTime); v != nil {
		at, err := time.Parse(time.RFC3339Nano, string(v))
		if err != nil {
			return n, fmt.Errorf("parse ce_time: %w", err)
		}
		n.Arrival = at.UTC()
	}
	if v := rec.Header(HeaderRecorded); v != nil {
		ms, err := strconv.ParseInt(string(v), 10, 64)
		if err != nil {
			return n, fmt.Errorf("parse %s: %w", HeaderRecorded, err)
		}
		n.Recorded = time.UnixMilli(ms).UTC()
	}
	return n, n.check(string(rec.Key))
}

func (n *Notification) check(key string) error {
	if id, err := hex.DecodeString(n.ID); err != nil || len(id) != 16 {
		return fmt.Errorf("notification ID %q is not 32 hexadecimal digits", n.ID)
	}
	switch {
	case n.Revision < 1:
		return fmt.Errorf("revision %d is below 1", n.Revision)
	case n.Op != Send && n.Op != Update && n.Op != Retract:
		return fmt.Errorf("operation %q is none of send, update, retract", n.Op)
	case n.Participant == "" || len(n.Participant) > participantMax:
		return fmt.Errorf("participant of %d bytes; 1 to %d are allowed", len(n.Participant), participantMax)
	case key != "" && key != n.Participant:
		return fmt.Errorf("the record's key %q is not its participant %q", key, n.Participant)
	case n.OnUnknown != Resend && n.OnUnknown != Drop:
		return fmt.Errorf("on_unknown %q is neither resend nor drop", n.OnUnknown)
	case n.HoldMS < 0:
		return errors.New("hold_ms is negative")
	case len(n.Channels) > channelsMax:
		return fmt.Errorf("%d channels; at most %d are allowed", len(n.Channels), channelsMax)
	}
	return nil
}

// DecodeParked reads a record of a retry topic.
func DecodeParked(rec *wire.Record) (Parked, error) {
	n, err := Decode(rec)
	if err != nil {
		return Parked{}, err
	}
	p := Parked{
		Notification: n, Partition: rec.Partition,
		Channel: string(rec.Header(HeaderChannel)), Target: string(rec.Header(HeaderTarget)),
	}
	due, err := strconv.ParseInt(string(rec.Header(HeaderNotBefore)), 10, 64)
	if err != nil {
		return p, fmt.Errorf("parse %s: %w", HeaderNotBefore, err)
	}
	p.NotBefore = time.UnixMilli(due).UTC()
	if p.Attempt, err = strconv.Atoi(string(rec.Header(HeaderAttempt))); err != nil {
		return p, fmt.Errorf("parse %s: %w", HeaderAttempt, err)
	}
	if v := rec.Header(HeaderInbox); v != nil {
		if p.InboxOffset, err = strconv.ParseInt(string(v), 10, 64); err != nil {
			return p, fmt.Errorf("parse %s: %w", HeaderInbox, err)
		}
	}
	if p.Channel == "" || p.Attempt < 1 {
		return p, errors.New("a parked record needs a channel and an attempt from 1")
	}
	return p, nil
}

// Encode writes a parked delivery as a record of a retry topic.
func (p *Parked) Encode() (wire.Record, error) {
	value, err := json.Marshal(&p.Notification)
	if err != nil {
		return wire.Record{}, fmt.Errorf("encode the parked notification: %w", err)
	}
	n := &p.Notification
	rec := wire.Record{Partition: p.Partition, Key: []byte(n.Participant), Value: value}
	add := func(key, value string) {
		rec.Headers = append(rec.Headers, wire.Header{Key: key, Value: []byte(value)})
	}
	add("ce_specversion", "1.0")
	add("ce_id", fmt.Sprintf("%s.%d.%s.%d", n.ID, n.Revision, p.Channel, p.Attempt))
	add("ce_source", "/veltrix/notifier")
	add("ce_type", "veltrix.notification.parked.v1")
	add(headerTime, n.Arrival.UTC().Format(time.RFC3339Nano))
	add("content-type", "application/json")
	if n.TraceParent != "" {
		add(headerTrace, n.TraceParent)
	}
	add(HeaderNotBefore, strconv.FormatInt(ceilMS(p.NotBefore), 10))
	add(HeaderChannel, p.Channel)
	add(HeaderTarget, p.Target)
	add(HeaderAttempt, strconv.Itoa(p.Attempt))
	add(HeaderRecorded, strconv.FormatInt(n.Recorded.UnixMilli(), 10))
	add(HeaderInbox, strconv.FormatInt(p.InboxOffset, 10))
	return rec, nil
}

// ceilMS rounds up, so that what comes back is never early.
func ceilMS(t time.Time) int64 { return t.Add(time.Millisecond - time.Nanosecond).UnixMilli() }
