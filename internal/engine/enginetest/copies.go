package enginetest

import (
	"fmt"
	"maps"
	"slices"

	"github.com/veltrix/veltrix/internal/engine"
)

// copied is a snapshot of a partition, complete.
type copied struct {
	engine.Snapshot
	values map[string][]byte
}

// scanning is what a process has read of a partition's values.
type scanning struct {
	bucket int // to be read next
	digest uint64
	values map[string][]byte
}

// findSnapshot is the snapshots' Find.
func (w *world) findSnapshot(p int32, token string, notAfter int64) *engine.Snapshot {
	var best *engine.Snapshot
	for _, c := range w.snapshots[p] {
		if c.Token == token && c.Offset <= notAfter && (best == nil || c.Offset > best.Offset) {
			best = &c.Snapshot
		}
	}
	return best
}

// restore reads a snapshot, stages it and lets it become the partition's view.
func (w *world) restore(e engine.Restore) (engine.Input, error) {
	i := slices.IndexFunc(w.snapshots[e.Partition], func(c *copied) bool { return c.ID == e.Snapshot.ID })
	if i < 0 || w.chance(20, "snapshot broken when it is read") {
		return engine.SnapshotUnusable{Partition: e.Partition, Epoch: e.Epoch}, nil
	}
	c := w.snapshots[e.Partition][i]
	generation, err := w.stage("", nil)
	if err != nil {
		return nil, err
	}
	for _, key := range slices.Sorted(maps.Keys(c.values)) {
		if _, err := w.stage(generation, []engine.KeyValue{{Key: key, Value: c.values[key]}}); err != nil {
			return nil, err
		}
	}
	meta := w.init(e.Partition, e.Old, engine.Meta{
		Token: c.Token, Generation: generation, Start: c.Start, Applied: c.Offset, Chain: c.Chain, Digest: c.Digest,
	})
	return engine.MetaRead{Partition: e.Partition, Epoch: e.Epoch, Meta: meta}, w.checkView(e.Partition)
}

// scan reads one bucket of a partition, and answers after the last one. The
// values may be moved between two buckets.
func (pr *process) scan(e engine.Scan, done func(engine.Input)) {
	w := pr.w
	if w.chance(60, "scan failed") {
		done(engine.Scanned{Partition: e.Partition, Epoch: e.Epoch, Err: fmt.Errorf("redis is away")})
		return
	}
	s := pr.scans[e.Epoch]
	if s == nil {
		s = &scanning{values: map[string][]byte{}}
		pr.scans[e.Epoch] = s
	}
	for _, kv := range w.scan(e.Partition, e.Meta.Generation, s.bucket) {
		s.values[kv.Key] = kv.Value
		s.digest += engine.ValueDigest(kv.Key, kv.Value)
	}
	if s.bucket++; s.bucket < buckets {
		return // the rest is another step
	}
	if !e.Save {
		delete(pr.scans, e.Epoch)
	}
	done(engine.Scanned{
		Partition: e.Partition, Epoch: e.Epoch, Meta: w.metaOf(e.Partition), Digest: s.digest, Participants: int64(len(s.values)),
	})
}

// save makes a scan's values a snapshot, and checks them against the oracle.
func (pr *process) save(e engine.Save, done func(engine.Input)) error {
	w, s := pr.w, pr.scans[e.Epoch]
	delete(pr.scans, e.Epoch)
	if w.chance(30, "snapshot not finished") {
		done(engine.Saved{Partition: e.Partition, Epoch: e.Epoch, Err: fmt.Errorf("produce failed")})
		return nil
	}
	w.saves++
	c := &copied{e.Snapshot, s.values}
	c.ID = fmt.Sprint("s", w.saves)
	if !w.tainted[e.Partition] && e.Snapshot.Offset <= int64(len(w.logs[e.Partition].records)) {
		want := w.fold(e.Partition, c.Offset).history[c.Offset]
		if len(want) != len(c.values) {
			return fmt.Errorf("I5: a snapshot of partition %d at %d has %d participants, the oracle %d", e.Partition, c.Offset, len(c.values), len(want))
		}
		for key, state := range want {
			if got := string(c.values[key]); got != state {
				return fmt.Errorf("I5: a snapshot of partition %d at %d: %s is %x, the oracle says %x", e.Partition, c.Offset, key, got, state)
			}
		}
	}
	// Two are kept, as there are two places.
	kept := w.snapshots[e.Partition]
	w.snapshots[e.Partition] = append(slices.Clone(kept[max(0, len(kept)-1):]), c)
	done(engine.Saved{Partition: e.Partition, Epoch: e.Epoch, Snapshot: c.Snapshot})
	return nil
}

// retain lets retention remove what the older of two snapshots makes needless,
// but nothing that has not been committed.
func (s *sim) retain(p int) {
	w := s.w
	if kept := w.snapshots[p]; len(kept) == 2 && w.changed[p] == "" {
		to := min(kept[0].Offset, kept[1].Offset)
		if w.offsets[p].set && to <= w.offsets[p].offset && to > w.logs[p].start {
			w.count("retention")
			w.logs[p].start = to
		}
	}
}

// loseCopy lets a later, unfinished write take the place of a snapshot, as
// long as the other one still meets the log.
func (s *sim) loseCopy(p int) {
	w := s.w
	if kept := w.snapshots[p]; len(kept) == 2 {
		i := w.pick(2)
		if kept[1-i].Offset >= w.logs[p].start {
			w.count("snapshot overwritten")
			w.snapshots[p] = []*copied{kept[1-i]}
		}
	}
}
