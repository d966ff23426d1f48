package rules

import (
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/veltrix/veltrix/internal/participant"
)

// channelNames are the ways to a participant that a class may list.
var channelNames = []string{"inbox", "webhook", "webpush", "fcm", "apns"}

// The bounds and defaults of a class.
const (
	expiresDefault = 24 * time.Hour
	expiresMax     = 30 * 24 * time.Hour
	holdMax        = 5 * time.Minute
)

func (r *reader) classes(n *yaml.Node) map[string]*participant.Class {
	out := make(map[string]*participant.Class)
	if n == nil {
		return out
	}
	for _, e := range r.entries(n, "classes") {
		if name, ok := r.name(e.key, "class", plainName); ok {
			out[name] = r.class(name, e)
		}
	}
	if len(out) > classesMax {
		r.note(n, "%d classes, at most %d are allowed", len(out), classesMax)
	}
	return out
}

func (r *reader) class(name string, e entry) *participant.Class {
	c := &participant.Class{Name: name, ExpiresMs: expiresDefault.Milliseconds(), ResendUnknown: true}
	what := "class `" + name + "`"
	m := r.fields(e.value, what, "channels", "expires", "on_unknown", "hold", "critical")
	for _, item := range r.items(m["channels"], "channels") {
		channel, ok := r.choice(item, "channel", channelNames...)
		switch {
		case !ok:
		case slices.Contains(c.Channels, channel):
			r.note(item, "channel `%s` stands twice in %s", channel, what)
		default:
			c.Channels = append(c.Channels, channel)
		}
	}
	if n := m["channels"]; n == nil || n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		r.note(e.key, "%s has no channels: write channels: [inbox]", what)
	}
	if n := m["expires"]; n != nil {
		c.ExpiresMs, _ = r.duration(n, "expires", time.Millisecond, expiresMax)
	}
	if n := m["hold"]; n != nil {
		c.HoldMs, _ = r.duration(n, "hold", time.Millisecond, holdMax)
	}
	if n := m["critical"]; n != nil {
		c.Critical, _ = r.boolean(n, "critical")
	}
	if n := m["on_unknown"]; n != nil {
		policy, _ := r.choice(n, "on_unknown", "resend", "drop")
		c.ResendUnknown = policy != "drop"
	}
	return c
}

// The bounds of reordering: a day is more than any upstream's queue should
// hold, and a tail is folded again as a whole.
const (
	graceMax    = 24 * time.Hour
	maxTailMost = 4096
	ringMost    = 1024
)

func (r *reader) order(n *yaml.Node) participant.Order {
	o := participant.Order{
		Grace: participant.DefaultGrace, MaxAhead: participant.DefaultMaxAhead,
		MaxTail: participant.DefaultMaxTail, Ring: participant.DefaultRing,
	}
	if n == nil {
		return o
	}
	m := r.fields(n, "order", "grace", "max_ahead", "max_tail", "ring")
	if n := m["grace"]; n != nil {
		o.Grace, _ = r.duration(n, "grace", time.Microsecond, graceMax)
	}
	if n := m["max_ahead"]; n != nil {
		o.MaxAhead, _ = r.duration(n, "max_ahead", time.Microsecond, graceMax)
	}
	if n := m["max_tail"]; n != nil {
		tail, _ := r.integer(n, "max_tail", 1, maxTailMost)
		o.MaxTail = int(tail)
	}
	if n := m["ring"]; n != nil {
		ring, _ := r.integer(n, "ring", 0, ringMost)
		o.Ring = int(ring)
	}
	return o
}

// The bounds of a record's value: below, no contract fits; above, no broker
// takes it by default.
const (
	eventBytesLeast = 256
	eventBytesMost  = 1 << 20
)

func (r *reader) limits(n *yaml.Node) int {
	bytes := int64(participant.DefaultEventBytesMax)
	if n == nil {
		return int(bytes)
	}
	if n := r.fields(n, "limits", "event_bytes")["event_bytes"]; n != nil {
		bytes, _ = r.integer(n, "event_bytes", eventBytesLeast, eventBytesMost)
	}
	return int(bytes)
}
