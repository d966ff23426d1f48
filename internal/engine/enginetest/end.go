package enginetest

import (
	"errors"
	"slices"

	"github.com/veltrix/veltrix/internal/engine"
)

// end is the first half of a commit: the offsets become pending. They are
// fenced by the group's generation and the producer's epoch; the broker does
// not check who owns a partition. The client aborts by itself only where the
// machine could not know of a revocation: one that it was told of is its own
// to act on.
func (pr *process) end(e engine.End) {
	t := pr.txn
	switch {
	case pr.broken:
		pr.finish(false, errors.New("the client has failed"))
		return
	case !e.Commit && pr.epoch != pr.w.epochs[pr.slot] && !pr.replaced && pr.w.pick(2) == 0:
		pr.w.fence(pr.slot) // the client takes a new epoch after a timeout
		pr.epoch = pr.w.epochs[pr.slot]
		pr.finish(false, nil)
		return
	case !e.Commit && pr.epoch == pr.w.epochs[pr.slot]:
		pr.finish(false, nil)
		return
	case pr.epoch != pr.w.epochs[pr.slot]:
		pr.finish(false, errors.New("PRODUCER_FENCED"))
		return
	case pr.unseen():
		pr.finish(false, nil)
		return
	case pr.generation != pr.w.generation:
		pr.finish(false, nil) // ILLEGAL_GENERATION
		return
	}
	t.offsets = e.Offsets
	pr.w.pending = append(slices.Clone(pr.w.pending), t)
	pr.ending = true // the second half is another step, unless the process dies
}

// endTxn is the second half: the outcome is decided, and what the client is
// told need not be what happened.
func (pr *process) endTxn() error {
	t := pr.txn
	pr.ending = false
	if pr.epoch != pr.w.epochs[pr.slot] {
		pr.finish(false, errors.New("INVALID_TXN_STATE"))
		return nil
	}
	pr.w.settled(t)
	switch {
	case pr.w.chance(40, "committed, but answered not committed"):
		err := pr.w.commit(t)
		pr.finish(false, nil)
		return err
	case pr.w.chance(40, "committed, but answered with an error"):
		err := pr.w.commit(t)
		pr.finish(false, errors.New("REQUEST_TIMED_OUT"))
		return err
	case pr.w.chance(60, "not committed, answered with an error"):
		pr.finish(false, errors.New("REQUEST_TIMED_OUT"))
		return nil
	case pr.w.chance(20, "not committed without a fault"):
		pr.finish(false, nil)
		return nil
	}
	err := pr.w.commit(t)
	for p, c := range t.offsets {
		pr.believed[p] = c.Offset
	}
	pr.finish(true, nil)
	return err
}

// finish answers End. A client that was told "committed" stands after the
// batch, any other returns to what it believes is committed.
func (pr *process) finish(told bool, err error) {
	pr.txn, pr.revoked, pr.swallowed = nil, false, false
	if !told {
		for p, at := range pr.positions {
			if at >= 0 {
				pr.positions[p] = pr.believed[p]
			}
		}
	}
	pr.broken = pr.broken || err != nil
	pr.note("  told: committed %t, error %v", told, err)
	pr.pending = append(pr.pending, engine.Ended{Committed: told, Err: err})
}
