package enginetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/veltrix/veltrix/internal/engine"
)

// process is one slot's session: the machine under test, and what a client
// library and an operating-system process hold beside it. It takes inputs in
// the order of engine.Loop: what belongs to the session is performed one after
// the other, while reads and writes of the views run beside it.
type process struct {
	w          *world
	slot       int
	cluster    string // that it was started for
	epoch      int    // of its producer
	generation int    // of its membership; older than the world's: kicked
	machine    *engine.Machine
	sync       []engine.Effect // to be performed in order
	beside     []engine.Effect // under way, in any order
	queue      []engine.Input  // to be taken before anything else is looked at
	inbox      []engine.Input
	pending    []engine.Input // answers of effects in sync
	loading    []engine.LoadRequest
	loaded     []engine.LoadResult
	positions  map[int32]int64      // of the client, by assigned partition; -1: to be fetched
	scans      map[uint64]*scanning // by ownership epoch
	believed   map[int32]int64      // the committed offset, as far as the client knows
	paused     map[int32]bool
	told       map[int32]bool // that the log does not reach the position, paused or not
	held       bool           // records were polled: no callback runs before Release
	revoked    bool           // since the last End
	swallowed  bool           // since the last End, a revocation was not reported
	refused    bool           // a partition was, since the last Recheck
	broken     bool           // its client told of a fatal error
	txn        *transaction
	failed     error
	producing  bool
	ending     bool // its offsets are pending, the transaction is not ended
	stalled    int  // steps to sleep
	replaced   bool // another process took its slot
}

// tokenOf is the token of a process's machine.
func (pr *process) tokenOf() string {
	return engine.Token{ClusterID: pr.cluster, Buckets: buckets}.String()
}

func newProcess(w *world, slot, cacheBytes int) *process {
	w.fence(slot) // InitProducerID aborts what the predecessor left open
	return &process{
		w: w, slot: slot, cluster: w.token, epoch: w.epochs[slot], generation: -1,
		scans: map[uint64]*scanning{}, positions: map[int32]int64{}, believed: map[int32]int64{}, paused: map[int32]bool{}, told: map[int32]bool{},
		machine: engine.New(Fold{}, engine.Config{Token: engine.Token{ClusterID: w.token, Buckets: buckets}, CacheBytes: cacheBytes, Snapshots: w.keeps}),
	}
}

// fence raises a transactional ID's epoch and aborts what it has open.
func (w *world) fence(slot int) {
	w.epochs[slot]++
	w.pending = slices.DeleteFunc(slices.Clone(w.pending), func(t *transaction) bool { return t.slot == slot })
}

func (pr *process) note(format string, args ...any) {
	if pr.w.tracing {
		pr.w.note("slot %d: "+format, append([]any{pr.slot}, args...)...)
	}
}

func (pr *process) holds(p int32) bool {
	_, ok := pr.positions[p]
	return ok
}

// receive is the group's callback. A second revocation before the end of the
// transaction is never reported.
func (pr *process) receive(in engine.Input) {
	switch in := in.(type) {
	case engine.Assigned:
		for _, p := range in.Partitions {
			pr.paused[p], pr.told[p], pr.positions[p] = true, false, -1
		}
	case engine.Revoked:
		for _, p := range in.Partitions {
			delete(pr.positions, p)
		}
		if pr.revoked {
			pr.swallowed = true
			pr.w.count("revocation never reported")
			return
		}
		pr.revoked = true
	}
	pr.inbox = append(pr.inbox, in)
}

// errRestart asks the schedule for a new session.
var errRestart = errors.New("restart")

// errHeld is a deadlock: End lets a rebalance in that waits for Release.
var errHeld = errors.New("held: End while rebalances are held back waits for itself")

// choices is the number of things that the process can do now: let one effect
// beside the loop go on, or let the loop go on.
func (pr *process) choices() int {
	n := len(pr.beside)
	if pr.busy() || pr.refused || pr.machine.Gathered() > 0 || pr.pollable() {
		n++
	}
	return n
}

// busy says that the loop goes on with what is there, without polling.
func (pr *process) busy() bool {
	return pr.ending || len(pr.loading) > 0 || len(pr.sync) > 0 || len(pr.queue) > 0 || len(pr.inbox) > 0 || len(pr.pending) > 0
}

// step does one thing: the smallest unit between which a process can die.
func (pr *process) step(choice int) error {
	if choice < len(pr.beside) {
		return pr.performBeside(choice)
	}
	switch {
	case pr.ending:
		return pr.endTxn()
	case len(pr.loading) > 0:
		pr.load()
		return nil
	case len(pr.sync) > 0:
		e := pr.sync[0]
		pr.sync = pr.sync[1:]
		return pr.performSync(e)
	case len(pr.queue) > 0:
		in := pr.queue[0]
		pr.queue = pr.queue[1:]
		return pr.take(in)
	case len(pr.inbox)+len(pr.pending) > 0:
		pr.queue = append(slices.Clone(pr.inbox), pr.pending...)
		pr.inbox, pr.pending = nil, nil
		return nil
	}
	return pr.idle()
}

// idle seals what was gathered, polls, or tries refused partitions again.
func (pr *process) idle() error {
	if pr.refused && pr.machine.Gathered() == 0 && pr.w.pick(4) == 0 {
		err := pr.take(engine.Recheck{})
		pr.refused = slices.ContainsFunc(pr.machine.Status(), func(s engine.Status) bool { return s.Phase == "refused" })
		return err
	}
	if pr.machine.Gathered() > 0 && (!pr.pollable() || pr.w.pick(3) == 0) {
		return pr.take(engine.Seal{})
	}
	if pr.pollable() {
		return pr.poll()
	}
	return nil
}

func (pr *process) take(in engine.Input) error {
	if pr.w.tracing {
		pr.note("%s", show(in))
	}
	for _, e := range pr.machine.Step(in) {
		switch e := e.(type) {
		case engine.Restart:
			pr.note("restart: %s", e.Reason)
			pr.w.restarts[reasonOf(e.Reason)]++
			return errRestart
		case engine.Refuse:
			pr.note("refuse (%s): %s", e.Refusal.Reason, e.Refusal.Sentence)
			pr.w.refusals[e.Refusal.Reason]++
			pr.refused = true
			if !pr.w.excused[e.Partition][e.Refusal.Reason] {
				return fmt.Errorf("I7: refused without cause: %s: %s", e.Refusal.Reason, e.Refusal)
			}
		case engine.Pause, engine.Resume, engine.Begin, engine.Produce, engine.Release, engine.End, engine.Rewind, engine.Load:
			pr.sync = append(pr.sync, e)
		case engine.Discard:
			delete(pr.scans, e.Epoch) // at once: the next scan begins anew
		case engine.ReadMetas:
			for _, read := range e.Each { // in any order, and other things happen in between
				pr.beside = append(pr.beside, read)
			}
		default:
			pr.beside = append(pr.beside, e)
		}
	}
	return nil
}

// unseen says that the machine could not know of a revocation.
func (pr *process) unseen() bool {
	for _, in := range slices.Concat(pr.queue, pr.inbox) {
		if _, ok := in.(engine.Revoked); ok {
			return true
		}
	}
	return pr.swallowed
}

// position is where the client would fetch next, or -1.
func (pr *process) position(p int32) int64 {
	at := pr.positions[p]
	if at < 0 && !pr.w.unstable(p) { // fetched stable, before the first poll
		at = max(pr.w.offsets[p].offset, 0)
		if !pr.w.offsets[p].set {
			at = pr.w.logs[p].start
		}
		pr.positions[p], pr.believed[p] = at, at
	}
	return at
}

func (pr *process) fetchable(p int32) bool {
	at := pr.position(p)
	return at >= 0 && !pr.paused[p] && at != pr.w.logs[p].end()
}

// strayed: the client compares its position with the log before it fetches, also
// where fetching is paused, and says once that they do not fit.
func (pr *process) strayed(p int32) bool {
	at := pr.position(p)
	return at > pr.w.logs[p].end() && !pr.told[p]
}

func (pr *process) pollable() bool {
	if !pr.machine.WantPoll() {
		return false
	}
	for p := range pr.positions {
		if pr.fetchable(p) || pr.strayed(p) {
			return true
		}
	}
	return false
}

func (pr *process) poll() error {
	var runs []engine.Run
	for _, p := range slices.Sorted(maps.Keys(pr.positions)) {
		if pr.strayed(p) {
			pr.told[p] = true
			runs = append(runs, engine.Run{Partition: p, Err: errors.New("records are lost")})
			continue
		}
		if !pr.fetchable(p) {
			continue
		}
		at, l := pr.positions[p], pr.w.logs[p]
		if pr.w.chance(400, "client skips a record") {
			pr.w.excused[p]["gap"] = true
			at++
		}
		if at > l.start && pr.w.chance(400, "client goes back") {
			at--
		}
		if at < l.start || at > l.end() {
			runs = append(runs, engine.Run{Partition: p, Err: errors.New("OFFSET_OUT_OF_RANGE")})
			continue
		}
		to := min(l.end(), at+1+int64(pr.w.pick(3)))
		if at == l.hole {
			to = min(l.end(), max(to, at+2))
		}
		records := l.read(at, to)
		pr.positions[p] = to
		if len(records) > 0 {
			runs = append(runs, engine.Run{Partition: p, Records: records})
		}
	}
	if len(runs) == 0 {
		return nil
	}
	pr.held = true
	return pr.take(engine.Polled{Runs: runs})
}

func (pr *process) performSync(e engine.Effect) error {
	if pr.w.tracing {
		pr.note("  %s", show(e))
	}
	switch e := e.(type) {
	case engine.Pause:
		pr.paused[e.Partition] = true
	case engine.Resume:
		delete(pr.paused, e.Partition)
	case engine.Begin:
		pr.producing, pr.failed = true, nil
		pr.txn = &transaction{slot: pr.slot}
	case engine.Produce:
		switch {
		case pr.epoch != pr.w.epochs[pr.slot]:
			pr.failed = errors.New("INVALID_PRODUCER_EPOCH")
		case pr.broken:
			pr.failed = errors.New("the client has failed")
		case pr.w.chance(60, "output not acknowledged"):
			pr.failed = errors.New("produce failed")
		default:
			pr.txn.outputs = e.Outputs
		}
	case engine.Release:
		pr.held = false
		if pr.producing {
			pr.producing = false
			pr.pending = append(pr.pending, engine.Produced{Err: pr.failed})
		}
	case engine.Load:
		if pr.w.chance(60, "redis away") {
			pr.pending = append(pr.pending, engine.Loaded{Err: errors.New("redis is away")})
			return nil
		}
		pr.loading, pr.loaded = slices.Clone(e.Requests), nil
	case engine.End:
		if pr.held {
			return errHeld
		}
		pr.end(e)
	case engine.Rewind:
		if pr.held {
			return errHeld
		}
		pr.finish(false, nil)
	}
	return nil
}

// load reads one of the requests that the loop waits for.
func (pr *process) load() {
	pr.loaded = append(pr.loaded, pr.w.load(pr.loading[0]))
	pr.loading = pr.loading[1:]
	if len(pr.loading) == 0 {
		pr.pending = append(pr.pending, engine.Loaded{Results: pr.loaded})
		pr.loaded = nil
	}
}
