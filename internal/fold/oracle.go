package fold

import (
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// Oracle folds one partition from its start, record by record, in a plain loop
// and without the engine: what the engine's outputs and states are held
// against. It belongs to one goroutine.
type Oracle struct {
	fold      *Fold
	partition int32
	next      int64 // the offset expected next, or -1 before the first
	states    map[string]*state
	out       engine.Outputs
	fates     [participant.FateCount]int64
}

// NewOracle returns the oracle of a partition of which nothing was read yet.
func NewOracle(f *Fold, partition int32) *Oracle {
	return &Oracle{fold: f, partition: partition, next: -1, states: map[string]*state{}}
}

// NewOracleAt returns the oracle of a partition whose records up to next were
// folded before; Seed gives it the states that they led to.
func NewOracleAt(f *Fold, partition int32, next int64) *Oracle {
	o := NewOracle(f, partition)
	o.next = next
	return o
}

// Seed puts a participant's encoded state in place, before anything is fed.
func (o *Oracle) Seed(who string, value []byte) error {
	of, err := o.fold.Load(value)
	if err != nil {
		return fmt.Errorf("seed partition %d: state of %q: %w", o.partition, who, err)
	}
	o.states[who] = of.(*state)
	return nil
}

// Skip gives up the records before to that are not there.
func (o *Oracle) Skip(to int64) { o.next = max(o.next, to) }

// Feed folds the partition's next record and returns what it causes, in order;
// the list is valid until the next call. A record of another partition, or one
// that does not follow the last, is an error, and the oracle is as it was.
func (o *Oracle) Feed(r *wire.Record) ([]engine.Output, error) {
	if r.Partition != o.partition {
		return nil, fmt.Errorf("fold partition %d: got a record of partition %d", o.partition, r.Partition)
	}
	if o.next >= 0 && r.Offset != o.next {
		return nil, fmt.Errorf("fold partition %d: offset %d follows %d: records are missing or repeated",
			o.partition, r.Offset, o.next-1)
	}
	o.next = r.Offset + 1
	o.out.Reset()
	var of engine.State
	if key := o.fold.Key(r); key != nil {
		s, ok := o.states[string(key)]
		if !ok {
			s = o.fold.fresh()
			o.states[string(key)] = s
		}
		of = s
	}
	o.fold.Apply(of, r, &o.out)
	for fate, n := range o.out.Fates {
		o.fates[fate] += n
	}
	return o.out.List, nil
}

// Next returns the offset after the last record, or -1 before the first.
func (o *Oracle) Next() int64 { return o.next }

// Fates returns how many records met which fate.
func (o *Oracle) Fates() [participant.FateCount]int64 { return o.fates }

// State returns a participant's history, or nil for one without any. It is the
// oracle's own: it changes with the next record.
func (o *Oracle) State(who string) *participant.History {
	if s := o.states[who]; s != nil {
		return s.History
	}
	return nil
}

// States yields the encoded state of every participant of whom an event was
// accepted, by name. The bytes are valid for one step.
func (o *Oracle) States() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		var b []byte
		for _, who := range slices.Sorted(maps.Keys(o.states)) {
			if o.states[who].Fresh() {
				continue
			}
			b = o.fold.Encode(b[:0], o.states[who])
			if !yield(who, b) {
				return
			}
		}
	}
}
