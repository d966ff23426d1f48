package enginetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/veltrix/veltrix/internal/engine"
)

// process is one slot's session: the machine under test, and what a client
// library and an operating-system process hold beside it.
type process struct {
	w          *world
	slot       int
	epoch      int // of its producer
	generation int // of its membership; older than the world's: kicked
	machine    *engine.Machine
	sync       []engine.Effect // to be performed in order
	beside     []engine.Effect // to be performed in any order
	inbox      []engine.Input
	positions  map[int32]int64 // of the client, by assigned partition
	paused     map[int32]bool
	held       bool // records were polled: no callback runs before Release
	revoked    bool // since the last End
	txn        *transaction
	failed     error
	producing  bool
	ending     bool // its offsets are pending, the transaction is not ended
	stalled    int  // steps to sleep
}

func newProcess(w *world, slot, cacheBytes int) *process {
	w.epochs[slot]++
	// InitProducerID aborts what the predecessor left open.
	for p, t := range w.pending {
		if t != nil && t.slot == slot {
			w.pending[p] = nil
		}
	}
	return &process{
		w: w, slot: slot, epoch: w.epochs[slot], positions: map[int32]int64{}, paused: map[int32]bool{},
		machine: engine.New(Fold{}, engine.Config{Token: engine.Token{ClusterID: "sim", Buckets: 1}, CacheBytes: cacheBytes}),
	}
}

func (pr *process) note(format string, args ...any) {
	pr.w.note("slot %d: "+format, append([]any{pr.slot}, args...)...)
}

func (pr *process) holds(p int32) bool {
	_, ok := pr.positions[p]
	return ok
}

// receive is the group's callback. The transaction of a session that saw a
// revocation is aborted, but its second revocation is never reported.
func (pr *process) receive(in engine.Input) {
	switch in := in.(type) {
	case engine.Assigned:
		for _, p := range in.Partitions {
			pr.paused[p] = true
			pr.positions[p] = -1 // fetched stable, before the first poll
		}
	case engine.Revoked:
		for _, p := range in.Partitions {
			delete(pr.positions, p)
		}
		if pr.revoked {
			pr.w.faults["revocation never reported"]++
			return
		}
		pr.revoked = true
	}
	pr.inbox = append(pr.inbox, in)
}

// errRestart asks the schedule for a new session.
var errRestart = errors.New("restart")

// step does one thing: the smallest unit between which a process can die.
func (pr *process) step() error {
	switch {
	case pr.ending:
		return pr.endTxn()
	case len(pr.sync) > 0:
		e := pr.sync[0]
		pr.sync = pr.sync[1:]
		return pr.performSync(e)
	case len(pr.inbox) > 0:
		in := pr.inbox[0]
		pr.inbox = pr.inbox[1:]
		return pr.take(in)
	case len(pr.beside) > 0 && pr.w.rng.IntN(3) > 0:
		i := pr.w.rng.IntN(len(pr.beside))
		e := pr.beside[i]
		done, err := pr.performBeside(e)
		if done {
			pr.beside = append(pr.beside[:i:i], pr.beside[i+1:]...)
		}
		return err
	case pr.machine.Gathered() > 0 && pr.w.rng.IntN(3) == 0:
		return pr.take(engine.Seal{})
	case pr.machine.WantPoll():
		return pr.poll()
	}
	return nil
}

func (pr *process) take(in engine.Input) error {
	pr.note("%T %+v", in, in)
	for _, e := range pr.machine.Step(in) {
		switch e := e.(type) {
		case engine.Restart:
			pr.note("restart: %s", e.Reason)
			return errRestart
		case engine.Refuse:
			return fmt.Errorf("I7: refused without cause: %s", e.Refusal)
		case engine.Pause, engine.Resume, engine.Begin, engine.Produce, engine.Release, engine.End, engine.Rewind, engine.Load:
			pr.sync = append(pr.sync, e)
		default:
			pr.beside = append(pr.beside, e)
		}
	}
	return nil
}

func (pr *process) poll() error {
	var runs []engine.Run
	for _, p := range slices.Sorted(maps.Keys(pr.positions)) {
		if pr.positions[p] < 0 && pr.w.pending[p] == nil {
			pr.positions[p] = pr.w.offsets[p].offset
		}
		at, log := pr.positions[p], pr.w.logs[p]
		if at < 0 || pr.paused[p] || at >= int64(len(log)) {
			continue
		}
		n := min(int64(len(log)), at+1+int64(pr.w.rng.IntN(3)))
		runs = append(runs, engine.Run{Partition: p, Records: log[at:n]})
		pr.positions[p] = n
	}
	if len(runs) == 0 {
		return nil
	}
	pr.held = true
	return pr.take(engine.Polled{Runs: runs})
}

func (pr *process) performSync(e engine.Effect) error {
	pr.note("  do %T", e)
	switch e := e.(type) {
	case engine.Pause:
		pr.paused[e.Partition] = true
	case engine.Resume:
		delete(pr.paused, e.Partition)
	case engine.Begin:
		pr.producing, pr.failed = true, nil
		pr.txn = &transaction{slot: pr.slot, epoch: pr.epoch}
	case engine.Produce:
		if pr.w.chance(60, "output not acknowledged") {
			pr.failed = errors.New("produce failed")
		}
		pr.txn.outputs = e.Outputs
	case engine.Release:
		pr.held = false
		if pr.producing {
			pr.producing = false
			pr.inbox = append(pr.inbox, engine.Produced{Err: pr.failed})
		}
	case engine.Load:
		if pr.w.chance(60, "redis away") {
			pr.inbox = append(pr.inbox, engine.Loaded{Err: errors.New("redis is away")})
			return nil
		}
		var results []engine.LoadResult
		for _, r := range e.Requests {
			results = append(results, pr.w.load(r))
		}
		pr.inbox = append(pr.inbox, engine.Loaded{Results: results})
	case engine.End:
		return pr.end(e)
	case engine.Rewind:
		pr.finish(false, nil)
	}
	return nil
}
