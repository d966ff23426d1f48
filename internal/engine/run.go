package engine

import (
	"bytes"
	"fmt"
	"slices"
)

// run is consecutive records of one partition on their way through a batch or
// a replay.
type run struct {
	p       *partition
	epoch   uint64 // the ownership it was polled under
	from    int64
	to      int64 // the offset after the last record
	records []Record
	owner   []int32  // parallel to records: its place in touched, or alone
	touched []touch  // participants, in the order of their first records
	asked   []*entry // entries whose load this run asked for
	accept  []int64  // positions at which what is asked for may be read
	stamp   Stamp    // at to, once folded
	written arena    // what changed, encoded
	changes []change // parallel to written.values
}

// touch is a participant that a run has records of.
type touch struct {
	entry   *entry
	records int32 // how many
}

// alone is the owner of a record that needs no state.
const alone = -1

// change is what becomes known of a participant when its new value is written.
type change struct {
	end    int // of the value, in the arena's memory
	digest uint64
	bytes  int
}

func newRun(p *partition) *run {
	return &run{p: p, epoch: p.epoch, from: p.position, to: p.position, stamp: p.stamp}
}

// add appends records up to the first that does not follow the one before, and
// returns that one's offset.
func (r *run) add(records []Record) (next int64, ok bool) {
	n := 0
	for n < len(records) && records[n].Offset == r.to {
		n++
		r.to++
	}
	if r.records == nil {
		r.records = records[:n:n] // the usual case: one poll filled the batch
	} else {
		r.records = append(r.records, records[:n]...)
	}
	if n < len(records) {
		return records[n].Offset, false
	}
	return r.to, true
}

// prepare finds the records' participants; it returns the keys that have to be
// loaded.
func (m *Machine) prepare(r *run) []string {
	of := m.cache.of(r.p.id)
	r.owner = m.reuse.owners(len(r.records))
	var keys []string
	// What is asked for has no unacknowledged change, so it reads the same
	// before and after each move that is under way now. The answer may come
	// after the acknowledgement of a move that it was read before.
	r.accept = append(r.accept[:0], r.p.meta.Applied)
	for i := range r.p.flushes {
		r.accept = append(r.accept, r.p.flushes[i].To)
	}
	for i := range r.records {
		key := m.fold.Key(&r.records[i])
		if key == nil {
			r.owner[i] = alone
			continue
		}
		e := of[string(key)]
		if e == nil {
			e = m.cache.add(of, r.p.id, string(key)) // its own memory: a fetch is much longer
			r.asked = append(r.asked, e)
			keys = append(keys, e.key)
			m.counts.Misses++
		} else {
			m.counts.Hits++
		}
		if e.touch >= len(r.touched) || r.touched[e.touch].entry != e {
			e.touch = len(r.touched)
			r.touched = append(r.touched, touch{entry: e})
		}
		r.owner[i] = int32(e.touch)
		r.touched[e.touch].records++
	}
	return keys
}

// sorted returns the places of the run's records, participant by participant, and
// behind them of those that need no state; each in the log's order.
func (r *run) sorted(order []int32) []int32 {
	order = slices.Grow(order[:0], len(r.records))[:len(r.records)]
	next := make([]int32, len(r.touched)+1)
	for i := range r.touched {
		next[i+1] = next[i] + r.touched[i].records
	}
	for i, owner := range r.owner {
		if owner == alone {
			owner = int32(len(r.touched))
		}
		order[next[owner]] = int32(i)
		next[owner]++
	}
	return order
}

// fill puts loaded values into the entries that the run asked for. The
// position they were read with must be one that this machine put there: what
// Redis had acknowledged when they were asked for, or the target of a move that
// was under way.
func (m *Machine) fill(r *run, got LoadResult) error {
	p := r.p
	ours := Meta{Exists: true, Token: m.token, Generation: p.meta.Generation, Applied: got.Meta.Applied}
	if !got.Meta.Intact || !got.Meta.Same(ours) || !slices.Contains(r.accept, got.Meta.Applied) {
		return fmt.Errorf("partition %d: redis is at offset %d (intact: %t) of token %q, expected %d", p.id, got.Meta.Applied, got.Meta.Intact, got.Meta.Token, p.meta.Applied)
	}
	for i, e := range r.asked {
		value := got.Values[i]
		if value != nil {
			state, err := m.fold.Load(value)
			if err != nil {
				return fmt.Errorf("partition %d: state of %q: %w", p.id, e.key, err)
			}
			e.state, e.digest = state, valueDigest(e.key, value)
			m.cache.resize(e, state.Bytes())
		}
	}
	r.asked = nil
	return nil
}

// foldRun folds the records into overlays, encodes what changed, and leaves
// the stamp at the run's end. It does so participant by participant, because
// what is decoded, copied, folded and encoded at once is fetched from memory
// once; no state depends on another one, and the outputs are put into their
// causes' order.
func (m *Machine) foldRun(r *run, out *Outputs) {
	r.written = m.reuse.arena()
	begin := len(out.List)
	out.Memory = m.memory
	m.folded = slices.Grow(m.folded[:0], len(r.records))[:len(r.records)]
	m.order = r.sorted(m.order)
	next := 0
	for at := range r.touched {
		t := &r.touched[at]
		if t.entry.state == nil {
			t.entry.overlay = m.fold.New()
		} else {
			t.entry.overlay = m.fold.Clone(t.entry.state, m.reuse.state())
		}
		for range t.records {
			m.foldRecord(t.entry.overlay, r, next, out)
			next++
		}
		m.encode(r, t.entry)
		if at == sampled {
			r.written.expect(sampled, len(r.touched))
		}
	}
	for ; next < len(m.order); next++ {
		m.foldRecord(nil, r, next, out)
	}
	start := 0
	for i := range r.changes {
		end := r.changes[i].end
		r.written.values[i].Value = r.written.memory[start:end:end]
		start = end
	}
	m.sorted = m.sorted[:0]
	for _, f := range m.folded {
		r.stamp.Chain = link(r.stamp.Chain, f.hash)
		m.sorted = append(m.sorted, out.List[f.from:f.to]...)
	}
	copy(out.List[begin:], m.sorted)
	clear(m.sorted)
	m.reuse.keepOwners(r.owner)
	r.owner, m.memory = nil, out.Memory
}

// foldRecord folds the record that is next in the order.
func (m *Machine) foldRecord(s State, r *run, next int, out *Outputs) {
	m.warm(r, next)
	begin, at := len(out.List), m.order[next]
	m.fold.Apply(s, &r.records[at], out)
	m.folded[at] = folded{recordHash(&r.records[at]), begin, len(out.List)}
}

// warm has the following records fetched from memory while the next one is
// folded: their bytes were last seen when they were polled, in another order. The
// sum is what keeps it from being left out.
func (m *Machine) warm(r *run, next int) {
	if next+2 < len(m.order) {
		m.warmth += uint8(r.records[m.order[next+2]].Offset)
	}
	if next+1 == len(m.order) {
		return
	}
	record := &r.records[m.order[next+1]]
	for i := 0; i < len(record.Value); i += cacheLine {
		m.warmth += record.Value[i]
	}
}

// cacheLine is a usual one, in bytes.
const cacheLine = 64

// folded is what a record's fold leaves behind until the run's end: its outputs,
// as a part of the batch's, in the order in which records were folded.
type folded struct {
	hash     uint64
	from, to int
}

// encode writes a participant's new state behind the others of the run. One that
// came out as it went in is not written.
func (m *Machine) encode(r *run, e *entry) {
	a := &r.written
	start := len(a.memory)
	a.memory = m.fold.Encode(a.memory, e.overlay)
	value := a.memory[start:]
	digest := valueDigest(e.key, value)
	if e.state == nil && bytes.Equal(value, m.empty) || e.state != nil && digest == e.digest {
		a.memory = a.memory[:start]
		return
	}
	r.stamp.Digest += digest
	if e.state != nil {
		r.stamp.Digest -= e.digest
	}
	a.values = append(a.values, KeyValue{Key: e.key})
	r.changes = append(r.changes, change{len(a.memory), digest, e.overlay.Bytes()})
}

// merge makes a run's overlays the state, and moves Redis.
func (m *Machine) merge(r *run) {
	p, next := r.p, 0
	for _, t := range r.touched {
		e := t.entry
		over := e.overlay
		if next < len(r.changes) && r.written.values[next].Key == e.key {
			over, e.state = e.state, e.overlay
			e.digest, e.dirtyTo = r.changes[next].digest, r.to
			m.cache.resize(e, r.changes[next].bytes)
			next++
		}
		e.overlay = nil
		m.reuse.keepState(over)
		m.cache.touch(e)
	}
	p.position, p.stamp = r.to, r.stamp
	p.flushes = append(p.flushes, Move{
		Token: m.token, Generation: p.meta.Generation, From: r.from, To: r.to,
		Chain: r.stamp.Chain, Digest: r.stamp.Digest, Values: r.written.values, memory: r.written.memory,
	})
	if len(p.flushes) == 1 {
		m.emit(Flush{p.id, p.epoch, p.flushes[0]})
	}
}

// discard drops a run's overlays, and the entries that were never loaded.
func (m *Machine) discard(r *run) {
	for _, t := range r.touched {
		m.reuse.keepState(t.entry.overlay)
		t.entry.overlay = nil
	}
	if m.owned(r.p.id, r.epoch) == nil {
		return // the cache of that ownership is gone already
	}
	for _, e := range r.asked {
		m.cache.remove(e)
	}
}
