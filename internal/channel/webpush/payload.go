package webpush

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/veltrix/veltrix/internal/channel/push"
	"github.com/veltrix/veltrix/internal/delivery"
)

const (
	// recordSize is of the whole encrypted body, which is padded to it: its
	// length tells nothing. Services must take 4,096 bytes, but Mozilla's
	// answers 413 above some 3,000 for Firefox on Android, which it reaches
	// through Google's service, in base64.
	recordSize = 2048
	// payloadMax leaves room for the header (salt, record size, key: 86 bytes),
	// the delimiter and the cipher's tag (16).
	payloadMax = recordSize - 86 - 1 - 16
	ellipsis   = "…"
)

// payload is what the service worker gets.
type payload struct {
	Notification string      `json:"notification"` // the card's tag
	Revision     int         `json:"revision"`
	Op           delivery.Op `json:"op"`
	Class        string      `json:"class"`
	Title        string      `json:"title"`
	Body         string      `json:"body"`
	InboxOffset  int64       `json:"inbox_offset,omitempty"`
	EventType    string      `json:"event_type,omitempty"`
	EventTime    time.Time   `json:"event_time,omitzero"`
	Expires      time.Time   `json:"expires,omitzero"`
	// Truncated says that the inbox has more of the text.
	Truncated bool `json:"truncated,omitempty"`
}

var errTooLong = errors.New("too long for a push, even without its text")

// encode returns the payload's JSON, in at most payloadMax bytes: the body is
// cut first, then the title.
func encode(a delivery.Attempt) ([]byte, error) {
	n := a.Notification
	p := payload{
		Notification: n.ID, Revision: n.Revision, Op: a.Op, Class: n.Class, Title: n.Title, Body: n.Body,
		InboxOffset: a.InboxOffset, EventType: n.EventType, EventTime: n.EventTime, Expires: n.Expires,
	}
	for {
		var text bytes.Buffer
		enc := json.NewEncoder(&text)
		enc.SetEscapeHTML(false) // six bytes for one, and no page reads it
		if err := enc.Encode(p); err != nil {
			return nil, err
		}
		out := bytes.TrimSuffix(text.Bytes(), []byte("\n"))
		over := len(out) - payloadMax
		switch {
		case over <= 0:
			return out, nil
		case !p.Truncated:
			p.Truncated = true // its own bytes count from now on
		case p.Body != "" && p.Body != ellipsis:
			p.Body = shorten(p.Body, over)
		case p.Title != "" && p.Title != ellipsis:
			p.Title = shorten(p.Title, over)
		default:
			return nil, errTooLong
		}
	}
}

// shorten takes at least over bytes off a text's end, at a rune's boundary,
// with an ellipsis in their place. Text that JSON escapes gets shorter than it
// would have to be.
func shorten(text string, over int) string {
	bare, had := strings.CutSuffix(text, ellipsis)
	if !had {
		over += len(ellipsis)
	}
	at := max(len(bare)-over, 0)
	for at > 0 && !utf8.RuneStart(bare[at]) {
		at--
	}
	return bare[:at] + ellipsis
}

// topic is the same for all revisions of a notification, so that a later one
// replaces an earlier one that the push service still keeps. It is 32
// characters of base64url, as RFC 8030 wants it, and says nothing by itself.
func topic(notification string) string {
	sum := sha256.Sum256([]byte(notification))
	return base64.RawURLEncoding.EncodeToString(sum[:24])
}

// TTL is how long the push service keeps the message for a browser that is
// away, in seconds: until the notification expires, at most four weeks.
func TTL(n *delivery.Notification, now time.Time) int {
	left := push.KeepMax
	if !n.Expires.IsZero() {
		left = min(max(n.Expires.Sub(now), 0), push.KeepMax)
	}
	return int(left / time.Second)
}
