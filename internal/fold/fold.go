// Package fold joins the core, the wire formats and a program of rules to the
// function that the engine drives.
//
// The invariant: what a record causes depends on the records before it in its
// partition, on the rules and on the number of partitions, and on nothing else.
// Every record has exactly one fate, and every fate but applied has exactly one
// output that shows it.
package fold

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// Fold implements engine.Fold. It is safe for concurrent use.
type Fold struct {
	fold       *participant.Fold
	program    participant.Program
	schema     *participant.Schema
	partitions int32
}

var _ engine.Fold = (*Fold)(nil)

// New returns the fold of a program over a source topic with so many
// partitions.
func New(p participant.Program, partitions int32) *Fold {
	return &Fold{
		fold:       participant.NewFold(p),
		program:    p,
		schema:     p.Schema(),
		partitions: partitions,
	}
}

// Schema returns the schema of the fold's program.
func (f *Fold) Schema() *participant.Schema { return f.schema }

// memory is what one record's fold leaves to the next one's.
type memory struct {
	event   participant.Event
	outcome participant.Outcome
}

// textsUsual is room for an event's texts, of nearly every event.
const textsUsual = 512

func memoryOf(out *engine.Outputs) *memory {
	m, ok := out.Memory.(*memory)
	if !ok {
		m = &memory{event: participant.Event{Texts: make([]byte, 0, textsUsual)}}
		out.Memory = m
	}
	return m
}

// Key implements engine.Fold.
func (f *Fold) Key(r *engine.Record) []byte {
	if !wire.NamesParticipant(r.Key) || wire.PartitionFor(r.Key, f.partitions) != r.Partition {
		return nil
	}
	return r.Key
}

// state is a participant as the engine keeps one: the history, and the offset
// after the last event that entered it.
type state struct {
	*participant.History
	asOf int64
	// sequences begin anew whenever the state is loaded: only a gauge of the
	// sources, never an input.
	sequences participant.Sequences
}

// Bytes implements engine.State.
func (s *state) Bytes() int { return s.History.Bytes() + s.sequences.Bytes() }

func (f *Fold) fresh() *state { return &state{History: participant.NewHistory(f.schema)} }

// New implements engine.Fold.
func (f *Fold) New() engine.State { return f.fresh() }

// Clone implements engine.Fold.
func (f *Fold) Clone(s, over engine.State) engine.State {
	st := s.(*state)
	c, ok := over.(*state)
	if !ok {
		c = &state{History: new(participant.History)}
	}
	c.Become(st.History)
	c.asOf, c.sequences = st.asOf, st.sequences.Clone()
	return c
}

// Encode implements engine.Fold.
func (f *Fold) Encode(dst []byte, s engine.State) []byte {
	st := s.(*state)
	return wire.AppendStored(dst, st.asOf, st.History, f.schema)
}

// Load implements engine.Fold.
func (f *Fold) Load(b []byte) (engine.State, error) {
	asOf, h, err := wire.DecodeStored(b, f.schema)
	if err != nil {
		return nil, err
	}
	return &state{History: h, asOf: asOf}, nil
}

// Apply implements engine.Fold.
func (f *Fold) Apply(s engine.State, r *engine.Record, out *engine.Outputs) {
	m := memoryOf(out)
	switch rejection := wire.DecodeEvent(r, f.schema, &m.event); {
	case rejection != nil:
		f.reject(r, &m.event, rejection, out)
	case s == nil: // it has a key, which belongs elsewhere
		out.Fates[participant.Rerouted]++
		out.List = append(out.List, reroute(r, wire.PartitionFor(r.Key, f.partitions)))
	default:
		f.apply(s.(*state), r, m, out)
	}
}

func (f *Fold) apply(s *state, r *engine.Record, m *memory, out *engine.Outputs) {
	e, o := &m.event, &m.outcome
	behind := int64(0)
	if !s.Fresh() {
		behind = s.Newest - e.Time
	}
	f.fold.Apply(s.History, e, o)
	if o.Fate == participant.Applied || o.Fate == participant.Late {
		f.seen(s, e, behind, &out.Seen)
	}
	if rejection := o.Rejection(); rejection != nil {
		f.reject(r, e, rejection, out)
		return
	}
	s.asOf = r.Offset + 1
	out.Fates[participant.Applied]++
	for _, rule := range o.Held {
		out.Seen.Held[rule]++
	}
	for i := range o.Notifications {
		n := &o.Notifications[i]
		out.Ops[n.Op]++
		key, value, headers := wire.Notification(f.schema.Hunt, e, n, f.program.Template(n.Key))
		out.List = append(out.List, engine.Output{
			Topic:     engine.Notifications,
			Partition: r.Partition,
			Key:       key,
			Value:     value,
			Headers:   headers,
		})
	}
}

// seen notes what an event that is no copy says of its source.
func (f *Fold) seen(s *state, e *participant.Event, behind int64, seen *engine.Seen) {
	if behind > 0 {
		seen.LateBy = append(seen.LateBy, behind)
	}
	if b := s.sequences.Note(e.Source, e.Sequence); b != participant.NoBreak {
		seen.Breaks = append(seen.Breaks, engine.Break{Source: strings.Clone(e.Source), Break: b})
	}
	if seen.Held == nil {
		seen.Held = make([]int64, len(f.schema.Rules))
	}
}

func (f *Fold) reject(r *engine.Record, e *participant.Event, rejection *participant.Rejection, out *engine.Outputs) {
	out.Fates[rejection.Fate]++
	key, value, headers := wire.Rejected(f.schema.Hunt, r, e, rejection)
	out.List = append(out.List, engine.Output{
		Topic:     engine.Rejected,
		Partition: r.Partition,
		Key:       bytes.Clone(key), // it is the record's own
		Value:     value,
		Headers:   headers,
	})
}

// reroute copies a record to the partition where it belongs: as it is, with a
// header that says where it was. Identity makes it count once there, however
// often it is sent.
func reroute(r *engine.Record, partition int32) engine.Output {
	headers := make([]wire.Header, 0, len(r.Headers)+1)
	for _, h := range r.Headers {
		headers = append(headers, wire.Header{Key: h.Key, Value: bytes.Clone(h.Value)})
	}
	from := strconv.AppendInt(nil, int64(r.Partition), 10)
	from = append(from, '/')
	from = strconv.AppendInt(from, r.Offset, 10)
	return engine.Output{
		Topic:     engine.Events,
		Partition: partition,
		Key:       bytes.Clone(r.Key),
		Value:     bytes.Clone(r.Value),
		Headers:   slices.Clip(append(headers, wire.Header{Key: wire.HeaderReroutedFrom, Value: from})),
	}
}
