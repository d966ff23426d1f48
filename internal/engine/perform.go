package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"
)

// perform does one effect. What belongs to the session is done here and now,
// because its order matters; reads and writes of one partition's view run
// beside it and answer through the inbox.
func (l *Loop) perform(ctx context.Context, e Effect) {
	switch e := e.(type) {
	case Pause:
		l.session.Pause(e.Partition)
	case Resume:
		l.session.Resume(e.Partition)
		l.ready(e.Partition)
	case Begin, Produce, Release, End, Rewind:
		l.transact(ctx, e)
	case Load:
		l.load(ctx, e.Requests)
	case ReadMeta, ReadCommitted, Init, Replay, LoadReplay, Flush, MarkInitialized:
		l.beside(ctx, e)
	case ReadMetas:
		l.async.Go(func() { l.readMetas(ctx, e.Each) })
	case FindSnapshot, Restore, Scan, Save, Discard:
		l.snapshot(ctx, e)
	case Refuse:
		s := l.status(e.Partition)
		l.cfg.Log.Error("partition refused", "partition", e.Partition, "offset", max(s.Position, s.Target), "applied", s.Applied,
			"reason", e.Refusal.Reason, "cause", e.Refusal.Sentence, "fix", e.Refusal.Fix)
	case Restart:
		l.err = errors.New(e.Reason)
	default:
		panic(fmt.Sprintf("engine: unknown effect %T", e))
	}
}

// ready says where a partition begins, once for each ownership: pauses for a
// scan are no news.
func (l *Loop) ready(partition int32) {
	if l.said[partition] && l.replays[partition] == nil {
		return
	}
	s := l.status(partition)
	l.replays.end(l.cfg.Log, s)
	if !l.said[partition] {
		l.said[partition] = true
		l.cfg.Log.Info("partition ready", "partition", partition, "offset", s.Position)
	}
}

func (l *Loop) status(partition int32) Status {
	for _, s := range l.machine.Status() {
		if s.Partition == partition {
			return s
		}
	}
	return Status{Partition: partition}
}

// transact performs the transaction's own effects. After a failure the rest is
// skipped up to Release, which always happens: End with a rebalance held back
// would wait for itself.
func (l *Loop) transact(ctx context.Context, e Effect) {
	switch e := e.(type) {
	case Begin:
		l.producing, l.failed = true, l.session.Begin()
	case Produce:
		l.outputs, l.seen = e.Outputs, e.Seen
		if l.failed == nil && len(e.Outputs) > 0 {
			l.failed = l.session.Produce(ctx, e.Outputs)
		}
	case Release:
		l.session.Release()
		if l.producing {
			if l.failed != nil {
				l.cfg.Log.Warn("outputs not acknowledged, the transaction is aborted", "error", l.failed)
			}
			l.producing = false
			l.pending = append(l.pending, Produced{l.failed})
		}
	case End:
		l.end(ctx, e.Commit, e.Offsets)
	case Rewind:
		l.end(ctx, false, nil)
	}
}

func (l *Loop) end(ctx context.Context, commit bool, offsets map[int32]Commit) {
	bounded, cancel := context.WithTimeout(ctx, l.cfg.EndTimeout)
	defer cancel()
	committed, err := l.session.End(bounded, commit, offsets)
	if errors.Is(err, ErrFenced) {
		l.err = err
		return
	}
	if l.cfg.Hooks.Batch != nil && offsets != nil {
		l.cfg.Hooks.Batch(BatchInfo{l.records, outcome(committed, err), time.Since(l.pace.firstAt), l.outputs, l.seen})
	}
	l.outputs, l.seen = nil, Seen{}
	l.pending = append(l.pending, Ended{committed, err})
}

func outcome(committed bool, err error) string {
	switch {
	case err != nil:
		return "error"
	case committed:
		return "committed"
	}
	return "not_committed"
}

func flushOutcome(m Meta, move Move, err error) string {
	switch {
	case err != nil:
		return "retried"
	case m.reached(move):
		return "moved"
	}
	return "refused"
}

// load reads the batch's values, several partitions side by side. Its failure
// is not retried here, while rebalances are held back: the batch is dropped,
// and the next poll waits a little longer each time.
func (l *Loop) load(ctx context.Context, requests []LoadRequest) {
	began, results := time.Now(), make([]LoadResult, len(requests))
	group, groupCtx := errgroup.WithContext(ctx)
	for i, r := range requests {
		group.Go(func() error {
			meta, values, err := l.store.Load(groupCtx, r.Partition, r.Generation, r.Keys)
			results[i] = LoadResult{meta, values}
			return err
		})
	}
	err := group.Wait()
	if err == nil {
		if l.loadFails > 0 {
			l.cfg.Log.Info("redis answers again")
		}
		l.loadFails = 0
		if l.cfg.Hooks.Loaded != nil {
			l.cfg.Hooks.Loaded(time.Since(began))
		}
	} else {
		if l.loadFails == 0 {
			l.cfg.Log.Warn("redis does not answer, events wait in the log", "error", err)
		}
		l.pollAt = time.Now().Add(backoff(l.loadFails))
		l.loadFails++
	}
	l.pending = append(l.pending, Loaded{results, err})
}

// beside runs a partition's own effect in a goroutine, repeated until it has
// an answer.
func (l *Loop) beside(ctx context.Context, e Effect) {
	var what string
	var id int32
	var try func() (Input, error)
	switch e := e.(type) {
	case ReadMeta:
		id, what, try = e.Partition, "read the position in redis", func() (Input, error) {
			meta, err := l.store.Meta(ctx, e.Partition)
			return MetaRead{e.Partition, e.Epoch, meta}, err
		}
	case Init:
		id, what, try = e.Partition, "begin the partition in redis", func() (Input, error) {
			meta, err := l.store.Init(ctx, e.Partition, e.Old, Meta{Token: e.Token, Start: e.Start, Applied: e.Start})
			return MetaRead{e.Partition, e.Epoch, meta}, err
		}
	case LoadReplay:
		id, what, try = e.Request.Partition, "load states from redis", func() (Input, error) {
			meta, values, err := l.store.Load(ctx, e.Request.Partition, e.Request.Generation, e.Request.Keys)
			return ReplayLoaded{e.Request.Partition, e.Request.Epoch, LoadResult{meta, values}}, err
		}
	case Flush:
		id, what, try = e.Partition, "move redis", func() (Input, error) {
			meta, err := l.store.Apply(ctx, e.Partition, e.Move)
			if l.cfg.Hooks.Flushed != nil {
				l.cfg.Hooks.Flushed(flushOutcome(meta, e.Move, err))
			}
			return Flushed{e.Partition, e.Epoch, meta}, err
		}
	case ReadCommitted:
		id, what, try = e.Partition, "read the committed offset", func() (Input, error) {
			c, err := l.positions.Committed(ctx, e.Partition)
			return CommittedRead{e.Partition, e.Epoch, c}, err
		}
	case Replay:
		l.replays.begin(l.cfg.Log, e)
		id, what, try = e.Partition, "replay the log", func() (Input, error) {
			records, next, err := l.positions.Replay(ctx, e.Partition, e.From, e.To)
			if errors.Is(err, ErrLogStart) {
				l.cfg.Log.Warn("the records to be folded again are gone, deciding anew", "partition", e.Partition, "offset", e.From, "error", err)
				return Lost{e.Partition, e.Epoch}, nil
			}
			return Replayed{e.Partition, e.Epoch, records, next}, err
		}
	case MarkInitialized:
		id, what, try = e.Partition, "note the first commit in the manifest", func() (Input, error) {
			return nil, l.positions.MarkInitialized(ctx, e.Partition)
		}
	}
	l.async.Go(func() { l.until(ctx, slog.Any("partition", id), what, try) })
}

// readMetas reads positions together. Those that were read are answered at once,
// whatever becomes of the others, which are asked for again.
func (l *Loop) readMetas(ctx context.Context, asked []ReadMeta) {
	ids := partitionsOf(asked)
	l.until(ctx, slog.Any("partitions", ids), "compare idle partitions with redis", func() (Input, error) {
		var read []Input
		var left []ReadMeta
		var failed error
		for i, result := range l.store.EachMeta(ctx, ids) {
			if result.Err != nil {
				left, failed = append(left, asked[i]), result.Err
				continue
			}
			read = append(read, MetaRead{asked[i].Partition, asked[i].Epoch, result.Meta})
		}
		l.inbox.PutAll(read)
		asked, ids = left, partitionsOf(left)
		return nil, failed
	})
}

func partitionsOf(asked []ReadMeta) []int32 {
	ids := make([]int32, len(asked))
	for i := range asked {
		ids[i] = asked[i].Partition
	}
	return ids
}

// until repeats try until it has an answer or ctx ends. It says so once when
// the trouble begins, every ten seconds while it lasts, and once when it ends.
func (l *Loop) until(ctx context.Context, of slog.Attr, what string, try func() (Input, error)) {
	var said time.Time
	for n := 0; ; n++ {
		in, err := try()
		if err == nil {
			if n > 0 {
				l.cfg.Log.With(of).Info("succeeded again: "+what, "attempts", n+1)
			}
			if in != nil {
				l.inbox.Put(in)
			}
			return
		}
		if ctx.Err() != nil {
			return
		}
		if time.Since(said) > 10*time.Second {
			said = time.Now()
			l.cfg.Log.With(of).Warn("cannot "+what+", trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(backoff(n)):
		}
	}
}

// backoff is the wait after the nth failure: from 50 ms to 2 s, half of it jitter.
func backoff(n int) time.Duration {
	d := 50 * time.Millisecond << min(n, 6)
	d = min(d, 2*time.Second)
	return d/2 + rand.N(d/2)
}
