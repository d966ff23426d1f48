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
	items   []Item
	entries []*entry // parallel to items; nil where no state is needed
	asked   []*entry // entries whose load this run asked for
	accept  []int64  // positions at which what is asked for may be read
	touched []*entry // entries with an overlay, in the order of first touch
	stamp   Stamp    // at to, once folded
	written arena    // what changed, encoded
	digests []uint64 // parallel to written.values
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

// prepare decodes the records and finds their participants; it returns the
// keys that have to be loaded.
func (m *Machine) prepare(r *run) []string {
	of := m.cache.of(r.p.id)
	r.items = m.reuse.decoded(len(r.records))
	r.entries = make([]*entry, len(r.records))
	var keys []string
	// What is asked for has no unacknowledged change, so it reads the same
	// before and after each move that is under way now. The answer may come
	// after the acknowledgement of a move that it was read before.
	r.accept = append(r.accept[:0], r.p.meta.Applied)
	for i := range r.p.flushes {
		r.accept = append(r.accept, r.p.flushes[i].To)
	}
	for i := range r.records {
		item := &r.items[i]
		if m.fold.Decode(&r.records[i], item); item.Key == "" {
			continue
		}
		e := of[item.Key]
		if e == nil {
			e = m.cache.add(of, r.p.id, item.Key)
			r.asked = append(r.asked, e)
			keys = append(keys, e.key)
			m.counts.Misses++
		} else {
			m.counts.Hits++
		}
		r.entries[i] = e
	}
	return keys
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
			m.cache.resize(e)
		}
	}
	r.asked = nil
	return nil
}

// foldRun folds the records into overlays, encodes what changed, and leaves
// the stamp at the run's end.
func (m *Machine) foldRun(r *run, out *Outputs) {
	for i := range r.records {
		var s State
		if e := r.entries[i]; e != nil {
			if e.overlay == nil {
				if e.state == nil {
					e.overlay = m.fold.New()
				} else {
					e.overlay = m.fold.Clone(e.state, m.reuse.state())
				}
				r.touched = append(r.touched, e)
			}
			s = e.overlay
		}
		m.fold.Apply(s, &r.records[i], &r.items[i], out)
		r.stamp.Chain = chain(r.stamp.Chain, &r.records[i])
	}
	m.reuse.keepItems(r.items)
	r.items = nil
	m.encodeRun(r)
}

// encodeRun encodes each touched participant once. One that came out as it
// went in is not written.
func (m *Machine) encodeRun(r *run) {
	a, start := m.reuse.arena(), 0
	ends := a.encode(m.fold, r.touched)
	for i, e := range r.touched {
		value := a.memory[start:ends[i]:ends[i]]
		start = ends[i]
		if e.state == nil && bytes.Equal(value, m.empty) {
			continue
		}
		digest := valueDigest(e.key, value)
		if e.state != nil && digest == e.digest {
			continue
		}
		r.stamp.Digest += digest
		if e.state != nil {
			r.stamp.Digest -= e.digest
		}
		a.values = append(a.values, KeyValue{e.key, value})
		r.digests = append(r.digests, digest)
	}
	r.written = a
}

// merge makes a run's overlays the state, and moves Redis.
func (m *Machine) merge(r *run) {
	p, next := r.p, 0
	for _, e := range r.touched {
		over := e.overlay
		if next < len(r.written.values) && r.written.values[next].Key == e.key {
			over, e.state = e.state, e.overlay
			e.digest, e.dirtyTo = r.digests[next], r.to
			next++
			m.cache.resize(e)
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
	for _, e := range r.touched {
		m.reuse.keepState(e.overlay)
		e.overlay = nil
	}
	if m.owned(r.p.id, r.epoch) == nil {
		return // the cache of that ownership is gone already
	}
	for _, e := range r.asked {
		m.cache.remove(e)
	}
}
