package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// chores says when each partition's values are looked through next.
type chores map[int32]due

type due struct{ scrub, save time.Time }

// chore begins at most one scan.
func (l *Loop) chore(ctx context.Context, now time.Time) {
	snapshot := l.cfg.Snapshot
	if l.snapshots == nil {
		snapshot = 0
	}
	if l.chores == nil {
		l.chores = chores{}
	}
	if next := l.chores.next(now, l.machine.Status(), l.cfg.Scrub, snapshot); next != nil {
		l.step(ctx, *next)
	}
}

// next returns the scan to begin now, of partitions in ascending order: of those that are due, the one that has
// waited longest, because with short intervals more become due than can be
// begun. The first of a partition comes at a random time within its interval,
// so that a deployment's partitions do not all stand still at once. An interval
// of 0 is never.
func (c chores) next(now time.Time, status []Status, scrub, snapshot time.Duration) *Scrub {
	maps.DeleteFunc(c, func(id int32, _ due) bool {
		_, owned := slices.BinarySearchFunc(status, id, func(s Status, id int32) int { return int(s.Partition - id) })
		return !owned
	})
	var next *Scrub
	var since time.Time
	for _, s := range status {
		d, ok := c[s.Partition]
		if !ok {
			d = due{first(now, scrub), first(now, snapshot)}
		}
		if now.After(d.save) && s.Saved == s.Position { // nothing has happened since
			d.save = now.Add(snapshot)
		}
		c[s.Partition] = d
		save := snapshot > 0 && now.After(d.save)
		look := scrub > 0 && now.After(d.scrub)
		at := d.save
		if look && (!save || d.scrub.Before(at)) {
			at = d.scrub
		}
		if (look || save) && s.Phase == ready.String() && (next == nil || at.Before(since)) {
			next, since = &Scrub{s.Partition, save}, at
		}
	}
	if next != nil {
		d := c[next.Partition]
		d.scrub = now.Add(scrub)
		if next.Save {
			d.save = now.Add(snapshot)
		}
		c[next.Partition] = d
	}
	return next
}

func first(now time.Time, interval time.Duration) time.Time {
	return now.Add(rand.N(max(interval, 1)))
}

// copies are the snapshots that scans are filling, by ownership epoch.
type copies struct {
	mu sync.Mutex
	by map[uint64]SnapshotWriter
}

func (c *copies) put(epoch uint64, w SnapshotWriter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = map[uint64]SnapshotWriter{}
	}
	c.by[epoch] = w
}

func (c *copies) take(epoch uint64) SnapshotWriter {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.by[epoch]
	delete(c.by, epoch)
	return w
}

// abort drops what nobody will finish.
func (c *copies) abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.by {
		w.Abort()
	}
	clear(c.by)
}

// snapshot performs the effects about all values of a partition.
func (l *Loop) snapshot(ctx context.Context, e Effect) {
	switch e := e.(type) {
	case FindSnapshot:
		l.async.Go(func() {
			l.until(ctx, slog.Any("partition", e.Partition), "look for a snapshot", func() (Input, error) {
				s, found, err := l.snapshots.Find(ctx, e.Partition, l.machine.token, e.NotAfter)
				if err != nil || !found {
					return SnapshotFound{e.Partition, e.Epoch, nil}, err
				}
				return SnapshotFound{e.Partition, e.Epoch, &s}, nil
			})
		})
	case Restore:
		l.async.Go(func() {
			l.until(ctx, slog.Any("partition", e.Partition), "restore a snapshot", func() (Input, error) { return l.restore(ctx, e) })
		})
	case Scan:
		l.async.Go(func() { l.inbox.Put(l.scan(ctx, e)) })
	case Save:
		w := l.copies.take(e.Epoch)
		l.async.Go(func() { l.inbox.Put(l.save(ctx, w, e)) })
	case Discard:
		if w := l.copies.take(e.Epoch); w != nil {
			w.Abort()
		}
	}
}

// restore stages a snapshot's values and then lets them become the
// partition's. What a failed attempt has staged goes away by itself.
func (l *Loop) restore(ctx context.Context, e Restore) (Input, error) {
	began := time.Now()
	generation, err := l.store.Stage(ctx, e.Partition, "", nil)
	if err != nil {
		return nil, err
	}
	n := 0
	err = l.snapshots.Read(ctx, e.Partition, e.Snapshot, func(values []KeyValue) error {
		n += len(values)
		_, err := l.store.Stage(ctx, e.Partition, generation, values)
		return err
	})
	if errors.Is(err, ErrSnapshotBroken) {
		l.cfg.Log.Warn("a snapshot is not whole any more", "partition", e.Partition, "offset", e.Snapshot.Offset, "error", err)
		select { // whoever overwrites it needs a moment to finish
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
		return SnapshotUnusable{e.Partition, e.Epoch}, nil
	}
	if err != nil {
		return nil, err
	}
	s := e.Snapshot
	meta, err := l.store.Init(ctx, e.Partition, e.Old, Meta{
		Token: s.Token, Generation: generation, Start: s.Start, Applied: s.Offset, Chain: s.Chain, Digest: s.Digest,
	})
	if err == nil {
		l.cfg.Log.Info("a snapshot is restored", "partition", e.Partition, "offset", s.Offset, "participants", n, "took", time.Since(began))
	}
	return MetaRead{e.Partition, e.Epoch, meta}, err
}

// scan reads all values. It is tried once: the partition stands still for it.
func (l *Loop) scan(ctx context.Context, e Scan) Scanned {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.ScanTimeout)
	defer cancel()
	out := Scanned{Partition: e.Partition, Epoch: e.Epoch}
	var w SnapshotWriter
	if e.Save {
		if w, out.Err = l.snapshots.Write(ctx, e.Partition); out.Err != nil {
			return l.scanFailed(e, out)
		}
		l.copies.put(e.Epoch, w)
	}
	seen := map[string]struct{}{} // a scan may return a participant twice
	out.Err = l.store.Scan(ctx, e.Partition, e.Meta.Generation, func(values []KeyValue) error {
		fresh := values[:0]
		for _, v := range values {
			if _, again := seen[v.Key]; again {
				continue
			}
			seen[v.Key] = struct{}{}
			out.Digest += valueDigest(v.Key, v.Value)
			fresh = append(fresh, v)
		}
		if w == nil {
			return nil
		}
		return w.Add(ctx, fresh)
	})
	out.Participants = int64(len(seen))
	if errors.Is(out.Err, ErrDamaged) {
		l.cfg.Log.Warn("what Redis holds is not what was put there", "partition", e.Partition, "error", out.Err)
		out.Damaged, out.Err = true, nil
	}
	if out.Err == nil {
		out.Meta, out.Err = l.store.Meta(ctx, e.Partition)
	}
	if out.Err != nil {
		return l.scanFailed(e, out)
	}
	return out
}

func (l *Loop) scanFailed(e Scan, out Scanned) Scanned {
	l.cfg.Log.Warn("the values of a partition cannot be looked through", "partition", e.Partition, "snapshot", e.Save, "error", out.Err)
	return out
}

func (l *Loop) save(ctx context.Context, w SnapshotWriter, e Save) Saved {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.ScanTimeout)
	defer cancel()
	defer w.Abort()
	began := time.Now()
	s, err := w.Finish(ctx, e.Snapshot)
	if err != nil {
		l.cfg.Log.Warn("a snapshot is not taken", "partition", e.Partition, "error", err)
	} else {
		l.cfg.Log.Info("a snapshot is taken", "partition", e.Partition, "offset", s.Offset, "participants", s.Participants, "took", time.Since(began))
	}
	return Saved{e.Partition, e.Epoch, s, err}
}

// replayEvery is how often a replay says how far it is.
const replayEvery = 5 * time.Second

// replays follow what is folded again, for the log: from the first piece that
// is asked for until the partition is ready.
type replays map[int32]*progress

type progress struct {
	began, said time.Time
	from        int64
}

// begin says where a replay begins. It is asked for piece by piece.
func (r replays) begin(log *slog.Logger, e Replay) {
	if r[e.Partition] == nil {
		now := time.Now()
		r[e.Partition] = &progress{now, now, e.From}
		log.Info("folding again", "partition", e.Partition, "offset", e.From, "of", e.To)
	}
}

// end says that a replay ended, where there was one.
func (r replays) end(log *slog.Logger, s Status) {
	if at := r[s.Partition]; at != nil {
		log.Info("folded again", "partition", s.Partition, "offset", s.Position, "records", s.Position-at.from, "took", time.Since(at.began).Round(time.Millisecond))
		delete(r, s.Partition)
	}
}

// tell says how far the long ones are, and forgets those that were given up.
func (r replays) tell(log *slog.Logger, now time.Time, m *Machine) {
	if len(r) == 0 {
		return
	}
	left := replays{}
	for _, s := range m.Status() {
		at := r[s.Partition]
		if at == nil || s.Phase != replaying.String() {
			continue
		}
		left[s.Partition] = at
		if now.Sub(at.said) < replayEvery {
			continue
		}
		at.said = now
		rate := float64(s.Position-at.from) / now.Sub(at.began).Seconds()
		rest := "not known"
		if rate > 0 {
			rest = time.Duration(float64(s.Target-s.Position) / rate * float64(time.Second)).Round(time.Second).String()
		}
		log.Info("folding again", "partition", s.Partition, "offset", s.Position, "of", s.Target, "rate", fmt.Sprintf("%.0f/s", rate), "left", rest)
	}
	maps.DeleteFunc(r, func(id int32, _ *progress) bool { return left[id] == nil })
}
