package enginetest

import (
	"errors"

	"github.com/veltrix/veltrix/internal/engine"
)

// end is the broker's side of End: the offsets are fenced by the group's
// generation and the transaction by the producer's epoch; what the client is
// told need not be what happened. A commit happens in two steps, between which
// the process can die: effects are performed one a step.
func (pr *process) end(e engine.End) error {
	t := pr.txn
	switch {
	case !e.Commit:
		pr.finish(false, nil)
		return nil
	case pr.epoch != pr.w.epochs[pr.slot]:
		pr.finish(false, errors.New("PRODUCER_FENCED"))
		return nil
	case pr.revoked:
		pr.finish(false, nil)
		return nil
	case pr.generation != pr.w.generation:
		pr.finish(false, nil) // ILLEGAL_GENERATION
		return nil
	}
	t.offsets = e.Offsets
	for p := range e.Offsets {
		if other := pr.w.pending[p]; other != nil && other != t {
			return errors.New("two transactions are pending on one partition: the group's fence failed")
		}
		pr.w.pending[p] = t
	}
	pr.ending = true // the next step is the second half, unless the process dies
	return nil
}

func (pr *process) endTxn() error {
	t := pr.txn
	pr.ending = false
	if pr.epoch != pr.w.epochs[pr.slot] {
		pr.finish(false, errors.New("PRODUCER_FENCED"))
		return nil
	}
	for p := range t.offsets {
		pr.w.pending[p] = nil
	}
	switch {
	case pr.w.chance(40, "committed, but answered not committed"):
		err := pr.w.commit(t)
		pr.finish(false, nil)
		return err
	case pr.w.chance(40, "committed, but answered with an error"):
		err := pr.w.commit(t)
		pr.finish(false, errors.New("REQUEST_TIMED_OUT"))
		return err
	case pr.w.chance(20, "not committed without a fault"):
		pr.finish(false, nil)
		return nil
	}
	err := pr.w.commit(t)
	pr.finish(true, nil)
	return err
}

// finish answers End. A client that was told "committed" stands after the
// batch, any other returns to what it believes is committed.
func (pr *process) finish(told bool, err error) {
	pr.txn, pr.revoked = nil, false
	if !told {
		pr.rewind()
	}
	pr.inbox = append(pr.inbox, engine.Ended{Committed: told, Err: err})
}

// rewind returns to the last offsets that the client knows as committed.
func (pr *process) rewind() {
	for p, at := range pr.positions {
		if at >= 0 {
			pr.positions[p] = pr.believed(p)
		}
	}
}

func (pr *process) believed(p int32) int64 {
	for _, s := range pr.machine.Status() {
		if s.Partition == p && s.Phase == "ready" {
			return s.Position
		}
	}
	return pr.w.offsets[p].offset
}

// performBeside does one effect that needs no order; not done, it is tried
// again later.
func (pr *process) performBeside(e engine.Effect) (done bool, err error) {
	w := pr.w
	answer := func(in engine.Input) { pr.inbox = append(pr.inbox, in) }
	switch e := e.(type) {
	case engine.ReadMeta:
		answer(engine.MetaRead{Partition: e.Partition, Epoch: e.Epoch, Meta: w.views[e.Partition].meta})
	case engine.Init:
		answer(engine.MetaRead{Partition: e.Partition, Epoch: e.Epoch, Meta: w.init(e.Partition, e.Old, e.Token, e.Start)})
	case engine.ReadCommitted:
		if w.pending[e.Partition] != nil {
			return false, nil // UNSTABLE_OFFSET_COMMIT
		}
		c := w.offsets[e.Partition]
		answer(engine.CommittedRead{Partition: e.Partition, Epoch: e.Epoch, Committed: engine.Committed{
			Absent: !c.set, Offset: c.offset, Metadata: c.metadata, Initialized: w.known[e.Partition], LogEnd: int64(len(w.logs[e.Partition])),
		}})
	case engine.Replay:
		to := min(e.To, e.From+1+int64(w.rng.IntN(4)))
		answer(engine.Replayed{Partition: e.Partition, Epoch: e.Epoch, Records: w.logs[e.Partition][e.From:to], Next: to})
	case engine.LoadReplay:
		answer(engine.ReplayLoaded{Partition: e.Request.Partition, Epoch: e.Request.Epoch, Result: w.load(e.Request)})
	case engine.MarkInitialized:
		w.known[e.Partition] = true
	case engine.Flush:
		if w.chance(20, "flush not sent") {
			return false, nil
		}
		if err := w.apply(e.Partition, e.Move); err != nil {
			return true, err
		}
		if w.chance(20, "flush applied, answer lost") {
			return false, nil
		}
		answer(engine.Flushed{Partition: e.Partition, Epoch: e.Epoch, Meta: w.views[e.Partition].meta})
	}
	return true, nil
}
