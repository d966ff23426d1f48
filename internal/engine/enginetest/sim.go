package enginetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/veltrix/veltrix/internal/engine"
)

// Config shapes a run.
type Config struct {
	Seed       uint64
	Partitions int
	Slots      int
	Steps      int // with faults; afterwards the run must settle by itself
	CacheBytes int // 0: nothing stays cached beyond what is pinned
}

// Result is what a run did.
type Result struct {
	Steps, Records, Commits, Replayed, Rebuilt int
	Faults                                     map[string]int
}

// Violation is a broken invariant, with the way that led there.
type Violation struct {
	Seed  uint64
	Step  int
	Err   error
	Trace []string
}

func (v *Violation) Error() string {
	trace := v.Trace[max(0, len(v.Trace)-60):]
	return fmt.Sprintf("seed %d, step %d: %v\n%s", v.Seed, v.Step, v.Err, strings.Join(trace, "\n"))
}

// sim is one run.
type sim struct {
	cfg    Config
	w      *world
	procs  []*process // by slot; nil: dead
	result Result
	calm   bool // faults have ceased
}

// Run plays one seed.
func Run(cfg Config) (Result, error) {
	s := &sim{cfg: cfg, w: newWorld(cfg.Seed, cfg.Partitions), procs: make([]*process, cfg.Slots)}
	for i := range s.procs {
		s.start(i)
	}
	s.rebalance()
	for step := range cfg.Steps {
		if err := s.step(); err != nil {
			return s.result, s.violation(step, err)
		}
	}
	if err := s.settle(); err != nil {
		return s.result, s.violation(cfg.Steps, err)
	}
	s.result.Steps, s.result.Faults = cfg.Steps, s.w.faults
	return s.result, nil
}

func (s *sim) violation(step int, err error) error {
	return &Violation{s.cfg.Seed, step, err, s.w.trace}
}

func (s *sim) collect(pr *process) {
	c := pr.machine.Counts()
	s.result.Commits += int(c.Committed)
	s.result.Replayed += int(c.Replayed)
	s.result.Rebuilt += int(c.Rebuilt)
}

func (s *sim) start(slot int) {
	s.procs[slot] = newProcess(s.w, slot, s.cfg.CacheBytes)
}

// step lets one thing happen.
func (s *sim) step() error {
	w := s.w
	switch n := w.rng.IntN(1000); {
	case n < 120:
		w.append()
		s.result.Records++
		return nil
	case n < 126:
		s.kill()
	case n < 134:
		w.faults["rebalance"]++
		s.rebalance()
	case n < 140:
		s.stall()
	case n < 143:
		s.rollback()
	case n < 145:
		s.forget()
	}
	return s.run()
}

// run lets one process do one thing.
func (s *sim) run() error {
	slot := s.w.rng.IntN(len(s.procs))
	pr := s.procs[slot]
	switch {
	case pr == nil:
		s.start(slot)
		s.rebalance()
		return nil
	case pr.stalled > 0 && !s.calm:
		pr.stalled--
		return nil
	}
	err := pr.step()
	if err == nil && pr.generation != s.w.generation && !pr.held && s.w.rng.IntN(4) == 0 {
		s.rebalance() // it finds out, and joins again
	}
	if errors.Is(err, errRestart) {
		s.collect(pr)
		s.start(slot)
		s.rebalance()
		return nil
	}
	return err
}

// kill ends a process without a word. What it had pending stays pending until
// its slot returns.
func (s *sim) kill() {
	slot := s.w.rng.IntN(len(s.procs))
	if s.procs[slot] == nil {
		return
	}
	s.w.faults["kill"]++
	s.collect(s.procs[slot])
	s.procs[slot] = nil
	s.rebalance()
}

// stall stops a process long enough to be kicked out of the group: it wakes
// and goes on as if nothing had happened.
func (s *sim) stall() {
	pr := s.procs[s.w.rng.IntN(len(s.procs))]
	if pr == nil {
		return
	}
	s.w.faults["stall"]++
	pr.stalled = 20 + s.w.rng.IntN(100)
	s.rebalance()
}

// rebalance gives the partitions to the members that answer. One that holds
// polled records or sleeps does not learn of it and keeps an old generation;
// when it returns, it has lost everything that it had.
func (s *sim) rebalance() {
	w := s.w
	var members []*process
	for _, pr := range s.procs {
		if pr == nil || pr.held || pr.stalled > 0 {
			continue
		}
		if pr.generation != w.generation && len(pr.positions) > 0 {
			pr.receive(engine.Revoked{Partitions: slices.Sorted(maps.Keys(pr.positions))})
		}
		members = append(members, pr)
	}
	w.generation++
	for _, pr := range members {
		pr.generation = w.generation
	}
	for p := range w.owner {
		var next *process
		if len(members) > 0 {
			next = members[w.rng.IntN(len(members))]
		}
		old := w.owner[p]
		holds := old != nil && old.generation == w.generation && old.holds(int32(p))
		if holds && old == next {
			continue // sticky
		}
		if holds {
			old.receive(engine.Revoked{Partitions: []int32{int32(p)}})
		}
		w.owner[p] = next
		if next != nil {
			next.receive(engine.Assigned{Partitions: []int32{int32(p)}})
		}
	}
	w.note("generation %d", w.generation)
}

// rollback sets one partition of Redis to an older copy of itself.
func (s *sim) rollback() {
	p := s.w.rng.IntN(len(s.w.views))
	if h := s.w.history[p]; len(h) > 0 {
		s.w.faults["redis rolled back"]++
		s.w.views[p] = h[s.w.rng.IntN(len(h))].clone()
	}
}

// forget loses a partition's meta, or one of its buckets with its sentinel.
func (s *sim) forget() {
	v := s.w.views[s.w.rng.IntN(len(s.w.views))]
	if s.w.rng.IntN(2) == 0 {
		s.w.faults["redis lost a meta hash"]++
		v.meta = engine.Meta{}
		return
	}
	s.w.faults["redis lost a bucket"]++
	v.meta.Intact = false
	clear(v.values)
}

// settle ends the faults and waits for R = K = end, which must come unattended.
func (s *sim) settle() error {
	w := s.w
	s.calm = true
	for i := range s.procs {
		if s.procs[i] == nil {
			s.start(i)
		}
		s.procs[i].stalled = 0
	}
	s.rebalance()
	for range 40_000 {
		if s.done() {
			break
		}
		if err := s.run(); err != nil {
			return err
		}
	}
	if !s.done() {
		return fmt.Errorf("I8: it does not settle: %s", s.where())
	}
	for p := range w.logs {
		if err := w.checkView(int32(p)); err != nil {
			return err
		}
	}
	for _, pr := range s.procs {
		s.collect(pr)
	}
	return nil
}

func (s *sim) done() bool {
	for p, log := range s.w.logs {
		end := int64(len(log))
		if s.w.offsets[p].offset != end || s.w.views[p].meta.Applied != end || !s.w.views[p].meta.Intact && end > 0 {
			return false
		}
	}
	return true
}

func (s *sim) where() string {
	var b strings.Builder
	for p, log := range s.w.logs {
		fmt.Fprintf(&b, "[partition %d: R %d (intact %t) K %d end %d] ", p, s.w.views[p].meta.Applied, s.w.views[p].meta.Intact, s.w.offsets[p].offset, len(log))
	}
	for _, pr := range s.procs {
		fmt.Fprintf(&b, "[slot %d: %+v] ", pr.slot, pr.machine.Status())
	}
	return b.String()
}
