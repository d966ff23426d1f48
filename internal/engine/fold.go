package engine

import (
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// Record is one record of the source topic.
type Record = wire.Record

// State is one participant's state, owned by the engine between calls.
type State interface {
	// Bytes estimates the memory held, for the cache's budget.
	Bytes() int
}

// Fold is the deterministic function that the engine drives: the same records
// in the same order give the same outputs and the same encoded states, on any
// machine and at any time. It is safe for concurrent use.
type Fold interface {
	// Key names the participant whose state Apply needs, in the record's memory.
	// It is nil where the record's fate does not depend on any state.
	Key(r *Record) []byte
	// New returns the state of a participant who has no events.
	New() State
	// Clone returns a copy of s that Apply may change without touching s. It may
	// reuse the memory of over, a state that nobody has any more, or nil.
	Clone(s, over State) State
	// Apply folds one record into s, in place (nil where Key is), and appends its
	// outputs and counts its fate in out. It never fails: what cannot be decoded
	// is rejected. Neither s nor out keeps anything of the record's memory.
	Apply(s State, r *Record, out *Outputs)
	// Encode appends the state's bytes to dst: equal states, equal bytes.
	Encode(dst []byte, s State) []byte
	// Load is the inverse of Encode.
	Load(b []byte) (State, error)
}

// Topic names one of the topics that the fold writes.
type Topic uint8

// The topics of outputs. Notifications and Rejected are written inside the
// transaction, to the partition of the record that caused them. Events is a
// reroute: written outside of it, acknowledged before it ends.
const (
	Notifications Topic = iota
	Rejected
	Events
)

// Output is one record to produce.
type Output struct {
	Topic     Topic
	Partition int32
	Key       []byte
	Value     []byte
	Headers   []wire.Header
}

// Outputs collects what a batch produces, in the order of its causes.
type Outputs struct {
	List  []Output
	Fates [participant.FateCount]int64
	Ops   [participant.OpCount]int64 // notifications by operation
	Seen  Seen
	// Memory is the fold's own, from one call to the next.
	Memory any
}

// Seen is what a batch's events say to whoever counts. It decides nothing.
type Seen struct {
	// LateBy has, of each event that did not come in order, how far it was behind
	// its participant's newest one, in µs: it still counted, or was late.
	LateBy []int64
	// Held counts the events that had effect by each rule, by its place in
	// Schema.Rules.
	Held []int64
	// Breaks are the places where a source's own count of its events did not go
	// on by one.
	Breaks []Break
}

// Break is a sequence that did not go on by one.
type Break struct {
	Source string
	Break  participant.Break
}

// Reset empties o and keeps its memory.
func (o *Outputs) Reset() {
	clear(o.List)
	clear(o.Seen.Breaks)
	clear(o.Seen.Held)
	o.List = o.List[:0]
	o.Seen = Seen{o.Seen.LateBy[:0], o.Seen.Held, o.Seen.Breaks[:0]}
	o.Fates, o.Ops = [participant.FateCount]int64{}, [participant.OpCount]int64{}
}
