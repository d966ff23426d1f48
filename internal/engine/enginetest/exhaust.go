package enginetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/veltrix/veltrix/internal/engine"
)

// Scope bounds an exhaustive search: every order in which the parts of the
// small world can go on, with every fault at every place, up to Faults in a
// run. Records are in the log from the beginning, in one partition.
//
// What is left out cannot change what is found:
//
//   - A state that was seen with as many faults left is not searched twice.
//   - A step of a loop that nobody else can see, and that nothing can disturb,
//     is joined with the one before: its order among the steps of others makes
//     no difference. A process that dies at its end is the same as one that
//     dies before it.
//   - Two processes are the same: a state and the one with their places
//     exchanged go on alike. See digest.
//   - Ownership epochs are compared with each other and never counted, so they
//     are told apart by their distance to the newest.
//   - Older copies of Redis are read by a rollback alone, so they are forgotten
//     once no fault is left.
//   - Reads under an older ownership are dropped: what they answer is ignored.
type Scope struct {
	Slots, Records, Faults int
	CacheBytes             int
	States                 int // stop after so many; 0: none
	Stop                   time.Duration
}

// Exhausted is what a search saw.
type Exhausted struct {
	States, Transitions, Ends int
	Complete                  bool
}

func (e Exhausted) String() string {
	how := "all of them"
	if !e.Complete {
		how = "stopped before the end"
	}
	return fmt.Sprintf("%d states, %d transitions, %d ends (%s)", e.States, e.Transitions, e.Ends, how)
}

// path chooses along a path that the search has laid, and beyond its end the
// first of everything.
type path struct {
	choices, widths []int
	at              int
	faults          int // that may still happen
	plans           plans
}

func (c *path) pick(n int) int {
	if n == 1 {
		return 0
	}
	if c.at == len(c.choices) {
		c.choices, c.widths = append(c.choices, 0), append(c.widths, n)
	}
	c.at++
	return c.choices[c.at-1]
}

func (c *path) fault(_ int, name string) bool {
	// A client that skips is refused, and so never comes to an end by itself.
	if c.faults == 0 || name == "client skips a record" || c.pick(2) == 0 {
		return false
	}
	c.faults--
	return true
}

// next moves on to the next path, and reports whether there is one.
func (c *path) next() bool {
	for i := len(c.choices) - 1; i >= 0; i-- {
		if c.choices[i]+1 < c.widths[i] {
			c.choices, c.widths = c.choices[:i+1], c.widths[:i+1]
			c.choices[i]++
			return true
		}
	}
	return false
}

// Exhaust searches a scope. A state that was seen with as many faults left is
// not searched twice. Where nothing can go on, R = K = end must hold.
func Exhaust(scope Scope) (Exhausted, error) {
	var out Exhausted
	began := time.Now()
	seen := map[uint64]struct{}{}
	c := &path{plans: plans{}}
	for {
		c.at, c.faults = 0, scope.Faults
		s := newSmall(scope, c)
		laid := len(c.choices)
		for {
			if c.at >= laid {
				state := s.digest(c)
				if _, ok := seen[state]; ok {
					break
				}
				seen[state] = struct{}{}
			}
			more, err := s.small()
			if c.at >= laid {
				out.Transitions++
			}
			if err != nil {
				return out, tell(scope, c, err)
			}
			if !more {
				out.Ends++
				if !s.done() {
					return out, tell(scope, c, fmt.Errorf("I8: nothing goes on any more: %s", s.where()))
				}
				break
			}
		}
		out.States = len(seen)
		if !c.next() {
			out.Complete = true
			return out, nil
		}
		if scope.States > 0 && out.States >= scope.States || scope.Stop > 0 && time.Since(began) > scope.Stop {
			return out, nil
		}
	}
}

func newSmall(scope Scope, c *path) *sim {
	cfg := Config{Partitions: 1, Slots: scope.Slots, CacheBytes: scope.CacheBytes}
	s := &sim{cfg: cfg, w: newWorld(c, 1), procs: make([]*process, cfg.Slots)}
	for i := range scope.Records {
		s.w.add(0, fmt.Sprint("p", i%2), fmt.Sprint("v", i))
	}
	for i := range s.procs {
		s.start(i)
	}
	s.hand(0)
	return s
}

// tell plays a path again and records it.
func tell(scope Scope, c *path, err error) error {
	again := &path{choices: c.choices[:c.at], widths: c.widths[:c.at], faults: scope.Faults}
	s := newSmall(scope, again)
	s.w.tracing = true
	for more, again := true, error(nil); more && again == nil; {
		more, again = s.small()
	}
	return &Violation{s.cfg, c.at, err, s.w.trace}
}

// hand gives the partition to a process; the others that are awake lose it.
func (s *sim) hand(slot int) {
	w := s.w
	w.generation++
	for _, pr := range s.procs {
		if pr == nil || pr.held || pr.stalled > 0 {
			continue
		}
		if pr.generation != w.generation-1 && len(pr.positions) > 0 {
			pr.receive(engine.Revoked{Partitions: slices.Sorted(maps.Keys(pr.positions))})
		}
		pr.generation = w.generation
	}
	if pr := s.procs[slot]; pr != nil && pr.generation == w.generation {
		s.give(0, pr)
	} else {
		s.give(0, nil)
	}
}

// act is one thing that can happen next.
type act struct {
	what string
	slot int
	n    int
}

// small lets one thing happen, and reports whether anything can.
func (s *sim) small() (bool, error) {
	w := s.w
	s.open = s.open[:0]
	for slot, pr := range s.procs {
		s.acts(slot, pr)
	}
	for i, pr := range s.zombies {
		s.steps("a replaced one goes on", i, pr)
	}
	for i := range w.wire {
		s.can("land", 0, i)
	}
	if w.chooser.(*path).faults > 0 {
		s.strikes()
	}
	if len(s.open) > 0 {
		return true, s.perform(s.open[w.pick(len(s.open))])
	}
	if !s.harmed || s.done() {
		return false, nil
	}
	// What Redis lost in silence shows at the next look, and one look is enough.
	s.harmed = false
	pr := w.owner[0]
	if pr == nil {
		return false, nil
	}
	return true, s.told(pr, pr.take(engine.Compare{}))
}

func (s *sim) can(what string, slot, n int) { s.open = append(s.open, act{what, slot, n}) }

// acts are what a process can do next, and what happens to it by itself.
func (s *sim) acts(slot int, pr *process) {
	switch {
	case pr == nil:
		s.can("start", slot, 0)
		return
	case pr.stalled > 0:
		s.can("wake", slot, 0)
		return
	}
	s.steps("go on", slot, pr)
	owner := s.w.owner[0]
	lost := owner == nil || owner.generation != s.w.generation || owner.replaced
	if lost && !pr.held {
		s.can("take over", slot, 0)
	}
}

func (s *sim) steps(what string, slot int, pr *process) {
	for choice := range pr.choices() {
		if choice < len(pr.beside) && s.waits(pr.beside[choice]) {
			continue
		}
		s.can(what, slot, choice)
	}
}

func (s *sim) waits(e engine.Effect) bool {
	_, read := e.(engine.ReadCommitted)
	return read && s.w.unstable(0)
}

// strikes are the faults that come from outside.
func (s *sim) strikes() {
	for slot, pr := range s.procs {
		if pr == nil || pr.stalled > 0 {
			continue
		}
		s.can("kill", slot, 0)
		if pr.ending {
			s.can("kill while its commit is on the way", slot, 0)
		}
		s.can("replace", slot, 0)
		if len(s.procs) > 1 {
			s.can("stop", slot, 0)
			if s.w.owner[0] == pr && !pr.held {
				s.can("move", slot, 0)
			}
		}
		if pr.txn != nil {
			s.can("transaction timed out", slot, 0)
		}
	}
	v := s.w.views[0]
	if v.meta.Exists {
		s.can("redis lost a meta hash", 0, 0)
		if v.whole() {
			s.can("redis lost a bucket", 0, 0)
		}
		for i := range s.w.history[0] {
			s.can("redis rolled back", 0, i)
		}
	}
}

// perform lets one thing happen.
func (s *sim) perform(a act) error {
	if s.w.tracing && a.what != "go on" && a.what != "a replaced one goes on" {
		s.w.note("%s (slot %d, %d)", a.what, a.slot, a.n)
	}
	switch a.what {
	case "go on":
		return s.goOn(s.procs[a.slot], a.n)
	case "a replaced one goes on":
		return s.goOn(s.zombies[a.slot], a.n)
	case "land":
		return s.w.land(a.n)
	case "start":
		s.start(a.slot)
		s.hand(a.slot)
	case "wake":
		s.procs[a.slot].stalled = 0
	case "take over":
		s.hand(a.slot)
	default:
		s.strike(a)
	}
	return nil
}

// strike lets a fault happen.
func (s *sim) strike(a act) {
	w, pr, other := s.w, s.procs[a.slot], (a.slot+1)%len(s.procs)
	w.chooser.(*path).faults--
	switch a.what {
	case "kill while its commit is on the way":
		w.wire = append(slices.Clone(w.wire), flight{from: pr, txn: pr.txn})
		fallthrough
	case "kill":
		s.procs[a.slot] = nil
		s.hand(other)
	case "replace":
		pr.replaced = true
		s.zombies = append(s.zombies, pr)
		s.start(a.slot)
		s.hand(a.slot)
	case "stop":
		pr.stalled = 1
		s.hand(other)
	case "move":
		s.hand(other)
	case "transaction timed out":
		w.fence(a.slot)
	case "redis lost a meta hash":
		s.harmed, w.views[0].meta = true, engine.Meta{}
	case "redis lost a bucket":
		s.harmed = true
		s.forget(0, 0)
	case "redis rolled back":
		s.harmed, w.views[0] = true, w.history[0][a.n].clone()
	default:
		panic("no such fault: " + a.what)
	}
}

// goOn lets a process do one thing, and then all that nobody else can see.
func (s *sim) goOn(pr *process, choice int) error {
	for {
		err := pr.step(choice)
		if err == nil {
			pr.forgetStale()
		}
		if err != nil || !pr.private() {
			return s.told(pr, err)
		}
		choice = len(pr.beside)
	}
}

// told replaces a session that gave up; one whose slot has another process
// already just ends.
func (s *sim) told(pr *process, err error) error {
	if !errors.Is(err, errRestart) {
		return err
	}
	if pr.replaced {
		s.zombies = slices.DeleteFunc(s.zombies, func(z *process) bool { return z == pr })
		return nil
	}
	pr.replaced = true
	s.start(pr.slot)
	s.hand(pr.slot)
	return nil
}

// forgetStale drops reads of older ownerships: their answers are ignored.
func (pr *process) forgetStale() {
	var newest uint64
	for _, e := range pr.beside {
		newest = max(newest, epochOf(e))
	}
	pr.beside = slices.DeleteFunc(pr.beside, func(e engine.Effect) bool {
		switch e.(type) {
		case engine.ReadMeta, engine.ReadCommitted, engine.Replay, engine.LoadReplay:
			return epochOf(e) < newest
		}
		return false
	})
}

func epochOf(e engine.Effect) uint64 {
	switch e := e.(type) {
	case engine.ReadMeta:
		return e.Epoch
	case engine.ReadCommitted:
		return e.Epoch
	case engine.Replay:
		return e.Epoch
	case engine.LoadReplay:
		return e.Request.Epoch
	case engine.Init:
		return e.Epoch
	case engine.Flush:
		return e.Epoch
	}
	return 0
}

// private says that the loop's next step touches nothing outside of its
// process: it needs no order among the steps of others.
func (pr *process) private() bool {
	if pr.ending || len(pr.loading) > 0 {
		return false
	}
	if len(pr.sync) > 0 {
		switch pr.sync[0].(type) {
		case engine.Pause, engine.Resume, engine.Begin:
			return true
		}
		return false
	}
	return len(pr.queue) > 0 // what arrives meanwhile comes after it in any case
}
