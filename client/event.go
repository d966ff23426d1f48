package client

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"
)

// Event is one thing that happened to a participant. docs/ingest.md has the
// rules for each attribute; what breaks them is refused by the gateway, with an
// EventError.
type Event struct {
	// ID is, with Source, the event's identity. Empty: 128 random bits, as 32
	// hexadecimal digits.
	ID string
	// Source says who counts the ids. Empty: Options.Source.
	Source string
	// Type names the entry of the rules file.
	Type string
	// Participant is who it happened to, in 1 to 256 bytes of UTF-8.
	Participant string
	// Time is when it happened, to the microsecond; what is finer is cut off.
	// Zero: the moment of the hand-over.
	Time time.Time
	// Sequence is the source's own count; empty: none.
	Sequence string
	// TraceParent is W3C's, carried through to the notifications; empty: none.
	TraceParent string
	// Data becomes JSON, once: an object with the fields that the rules declare.
	// What is JSON already is a json.RawMessage.
	Data any
}

// envelope is a structured CloudEvent.
type envelope struct {
	SpecVersion  string `json:"specversion"`
	ID           string `json:"id"`
	Source       string `json:"source"`
	Type         string `json:"type"`
	Time         string `json:"time"`
	PartitionKey string `json:"partitionkey"`
	Sequence     string `json:"sequence,omitempty"`
	TraceParent  string `json:"traceparent,omitempty"`
	Data         any    `json:"data,omitempty"`
}

// newID returns 128 random bits as text.
func newID() string {
	random := make([]byte, 16)
	_, _ = rand.Read(random) // documented never to fail
	return hex.EncodeToString(random)
}

// Stamp returns the event with what it lacks: an id, the source of the options,
// the time of now. Hand-over does the same; stamp an event first where you keep
// it, to hand it over again with the same identity.
func (c *Client) Stamp(e Event) Event {
	if e.ID == "" {
		e.ID = newID()
	}
	if e.Source == "" {
		e.Source = c.o.Source
	}
	if e.Time.IsZero() {
		e.Time = c.now()
	}
	e.Time = e.Time.UTC().Truncate(time.Microsecond)
	return e
}

// now returns ascending times: two events of one microsecond would otherwise be
// ordered by the hashes of their identities. A clock that is set back by more
// than a second is followed, or a mistake of the clock would last.
func (c *Client) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := time.Now().UTC().Truncate(time.Microsecond)
	if ahead := c.newest.Sub(t); ahead >= 0 && ahead < time.Second {
		t = c.newest.Add(time.Microsecond)
	}
	c.newest = t
	return t
}

// line writes a stamped event as the bytes that every attempt sends.
func (e *Event) line() ([]byte, error) {
	// The encoder would replace what is not UTF-8, and make two ids one.
	for _, a := range [...]struct{ name, value string }{
		{"id", e.ID},
		{"source", e.Source},
		{"type", e.Type},
		{"participant", e.Participant},
		{"sequence", e.Sequence},
		{"trace parent", e.TraceParent},
	} {
		if !utf8.ValidString(a.value) {
			return nil, fmt.Errorf("event %q: its %s is not UTF-8: encode it before", e.ID, a.name)
		}
	}
	var line bytes.Buffer
	to := json.NewEncoder(&line)
	to.SetEscapeHTML(false)
	err := to.Encode(envelope{
		"1.0", e.ID, e.Source, e.Type, e.Time.Format(time.RFC3339Nano), e.Participant, e.Sequence, e.TraceParent, e.Data,
	})
	if err != nil {
		return nil, fmt.Errorf("event %q: write its data as JSON: %w", e.ID, err)
	}
	return line.Bytes(), nil // with the line's end
}
