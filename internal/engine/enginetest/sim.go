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
	// Meddling lets an operator and the infrastructure do what the engine has
	// to refuse.
	Meddling bool
	Calm     bool // nothing goes wrong at all
	Trace    bool
	// Without leaves out steps; the others do what they would have done, as
	// far as they still can.
	Without map[int]bool
}

// ConfigOf is the shape that a campaign gives to a seed.
func ConfigOf(seed uint64, steps int) Config {
	return Config{
		Seed: seed, Partitions: 1 + int(seed%3), Slots: 1 + int(seed/3%3), Steps: steps,
		CacheBytes: int(seed%2) << 20, Meddling: seed/2%2 == 0,
	}
}

// Result is what a run, or several, did.
type Result struct {
	Runs, Steps, Records, Commits, Replayed, Rebuilt int
	Strayed, Scrubbed, Saved, Restored               int
	Faults, Restarts, Refusals                       map[string]int
}

// Add sums two results up.
func (r *Result) Add(o Result) {
	r.Runs += o.Runs
	r.Steps += o.Steps
	r.Records += o.Records
	r.Commits += o.Commits
	r.Replayed += o.Replayed
	r.Rebuilt += o.Rebuilt
	r.Strayed += o.Strayed
	r.Scrubbed += o.Scrubbed
	r.Saved += o.Saved
	r.Restored += o.Restored
	r.Faults = sum(r.Faults, o.Faults)
	r.Restarts = sum(r.Restarts, o.Restarts)
	r.Refusals = sum(r.Refusals, o.Refusals)
}

func sum(to, from map[string]int) map[string]int {
	if to == nil {
		to = map[string]int{}
	}
	for k, n := range from {
		to[k] += n
	}
	return to
}

func (r Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d runs, %d steps: %d records, %d commits, %d records replayed, %d partitions rebuilt, %d of them from a snapshot\n", r.Runs, r.Steps, r.Records, r.Commits, r.Replayed, r.Rebuilt, r.Restored)
	fmt.Fprintf(&b, "%d idle partitions that had strayed, %d scrubs, %d snapshots\n", r.Strayed, r.Scrubbed, r.Saved)
	for _, table := range []struct {
		name   string
		counts map[string]int
	}{{"faults", r.Faults}, {"refusals", r.Refusals}, {"sessions given up", r.Restarts}} {
		fmt.Fprintf(&b, "%s:\n", table.name)
		for _, k := range slices.Sorted(maps.Keys(table.counts)) {
			fmt.Fprintf(&b, "%9d %s\n", table.counts[k], k)
		}
	}
	return b.String()
}

// Missing returns what a campaign should have met and did not.
func (r Result) Missing() []string {
	var out []string
	for _, f := range Faults {
		if r.Faults[f] == 0 {
			out = append(out, "fault: "+f)
		}
	}
	for _, reason := range Reasons {
		if r.Refusals[reason] == 0 {
			out = append(out, "refusal: "+reason)
		}
	}
	return out
}

// Violation is a broken invariant, with the way that led there.
type Violation struct {
	Config Config
	Step   int // the step that broke it; Config.Steps: while settling
	Err    error
	Trace  []string
}

func (v *Violation) Error() string {
	return fmt.Sprintf("seed %d, step %d: %v", v.Config.Seed, v.Step, v.Err)
}

// Unwrap returns what was broken.
func (v *Violation) Unwrap() error { return v.Err }

// sim is one run.
type sim struct {
	cfg     Config
	w       *world
	dice    *dice
	procs   []*process // by slot; nil: dead
	zombies []*process // their slots belong to others
	result  Result
	calm    bool  // faults have ceased
	open    []act // what can happen next, in an exhaustive search
	harmed  bool  // Redis lost something, in an exhaustive search
}

func newSim(cfg Config, ch chooser) *sim {
	s := &sim{cfg: cfg, w: newWorld(ch, cfg.Partitions), procs: make([]*process, cfg.Slots)}
	s.w.tracing, s.w.keeps = cfg.Trace, true
	for i := range s.procs {
		s.start(i)
	}
	s.rebalance()
	return s
}

// Run plays one seed.
func Run(cfg Config) (Result, error) {
	result, _, err := run(cfg)
	return result, err
}

func run(cfg Config) (Result, []string, error) {
	d := newDice(cfg.Seed)
	s := newSim(cfg, d)
	s.dice = d
	if cfg.Calm {
		s.w.chooser = faultless{d}
	}
	if err := s.play(); err != nil {
		return s.result, s.w.trace, err
	}
	r := &s.result
	r.Runs, r.Steps, r.Faults, r.Restarts, r.Refusals = 1, cfg.Steps, s.w.faults, s.w.restarts, s.w.refusals
	return s.result, s.w.trace, nil
}

// play plays the steps with faults, and settles.
func (s *sim) play() (err error) {
	at := 0
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
		if err != nil {
			err = &Violation{s.cfg, at, err, s.w.trace}
		}
	}()
	for at = range s.cfg.Steps {
		if s.cfg.Without[at] {
			continue
		}
		s.dice.step(uint64(at) + 1)
		s.w.note("--- step %d", at)
		if err := s.step(); err != nil {
			return err
		}
	}
	at = s.cfg.Steps
	return s.settle()
}

func (s *sim) collect(pr *process) {
	c := pr.machine.Counts()
	s.result.Commits += int(c.Committed)
	s.result.Replayed += int(c.Replayed)
	s.result.Rebuilt += int(c.Rebuilt)
	s.result.Strayed += int(c.Strayed)
	s.result.Scrubbed += int(c.Scrubbed)
	s.result.Saved += int(c.Saved)
	s.result.Restored += int(c.Restored)
}

func (s *sim) start(slot int) {
	s.procs[slot] = newProcess(s.w, slot, s.cfg.CacheBytes)
}

// step lets one thing happen.
func (s *sim) step() error {
	switch n := s.w.pick(1000); {
	case n < 120:
		s.w.append()
		s.result.Records++
		return nil
	case n < 160 && !s.cfg.Calm:
		return s.fault(n - 120)
	case n < 168 && s.cfg.Meddling:
		s.meddle()
		return nil
	case n < 190:
		return s.look()
	}
	return s.run()
}

// look lets the time come at which a process compares, or reads all values.
func (s *sim) look() error {
	pr := s.procs[s.w.pick(len(s.procs))]
	if pr == nil || pr.stalled > 0 || pr.busy() {
		return nil
	}
	if s.w.pick(3) == 0 {
		return s.outcome(pr, pr.take(engine.Compare{}))
	}
	owned := pr.machine.Status()
	if len(owned) == 0 {
		return nil
	}
	return s.outcome(pr, pr.take(engine.Scrub{Partition: owned[s.w.pick(len(owned))].Partition, Save: s.w.pick(4) > 0}))
}

// run lets one process do one thing.
func (s *sim) run() error {
	n := s.w.pick(len(s.procs) + len(s.zombies))
	if n >= len(s.procs) {
		return s.runZombie(n - len(s.procs))
	}
	pr := s.procs[n]
	switch {
	case pr == nil:
		s.w.note("slot %d starts", n)
		s.start(n)
		s.rebalance()
		return nil
	case pr.stalled > 0 && !s.calm:
		pr.stalled--
		return nil
	case pr.generation != s.w.generation && !pr.held && s.w.pick(4) == 0:
		s.rebalance() // it finds out, and joins again
		return nil
	}
	return s.advance(pr)
}

// advance lets a process do one thing, and replaces a session that gave up.
func (s *sim) advance(pr *process) error {
	n := pr.choices()
	if n == 0 {
		if s.calm { // time passes: idle partitions are compared
			return s.outcome(pr, pr.take(engine.Compare{}))
		}
		return nil
	}
	return s.outcome(pr, pr.step(s.w.pick(n)))
}

// outcome replaces a session that gave up.
func (s *sim) outcome(pr *process, err error) error {
	if errors.Is(err, errRestart) {
		s.collect(pr)
		s.start(pr.slot)
		s.rebalance()
		return nil
	}
	return err
}

// runZombie lets a process go on whose slot was taken, until it finds out.
func (s *sim) runZombie(i int) error {
	pr := s.zombies[i]
	n := pr.choices()
	if n > 0 {
		err := pr.step(s.w.pick(n))
		if err == nil {
			return nil
		}
		if !errors.Is(err, errRestart) {
			return err
		}
	} else if !s.calm {
		return nil
	}
	s.collect(pr)
	s.zombies = append(s.zombies[:i:i], s.zombies[i+1:]...)
	return nil
}

// rebalance gives the partitions to the members that answer. One that holds
// polled records or sleeps does not learn of it and keeps an old generation;
// when it returns, it has lost everything that it had.
func (s *sim) rebalance() {
	w := s.w
	var members []*process
	for _, pr := range s.procs {
		if pr == nil || pr.held || pr.stalled > 0 && !s.calm {
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
			next = members[w.pick(len(members))]
		}
		s.give(int32(p), next)
	}
	w.note("the group's generation is %d", w.generation)
}

// give assigns one partition.
func (s *sim) give(p int32, next *process) {
	w := s.w
	old := w.owner[p]
	holds := old != nil && old.generation == w.generation && old.holds(p)
	if holds && old == next {
		return // sticky
	}
	if holds {
		old.receive(engine.Revoked{Partitions: []int32{p}})
	}
	w.owner[p] = next
	if next != nil {
		next.receive(engine.Assigned{Partitions: []int32{p}})
	}
}

// settle ends the faults, repairs what was changed, and waits for R = K = end,
// which must come unattended, and without another event.
func (s *sim) settle() error {
	w := s.w
	if s.dice != nil {
		s.dice.step(0)
	}
	w.note("--- settle")
	for len(w.wire) > 0 {
		if err := w.land(0); err != nil {
			return err
		}
	}
	for p := range w.logs {
		if w.changed[p] != "" {
			s.repair(p)
		}
	}
	s.calm = true
	for i := range s.procs {
		if s.procs[i] == nil {
			s.start(i)
		}
		s.procs[i].stalled = 0
	}
	w.chooser = faultless{w.chooser}
	s.rebalance()
	for range 60_000 {
		if s.done() {
			return s.final()
		}
		if err := s.run(); err != nil {
			return err
		}
	}
	return fmt.Errorf("I8: it does not settle: %s", s.where())
}

// final looks at everything once more.
func (s *sim) final() error {
	for p := range s.w.logs {
		s.w.tainted[p] = false
		if err := s.w.checkView(int32(p)); err != nil {
			return err
		}
	}
	for _, pr := range slices.Concat(s.procs, s.zombies) {
		if pr != nil {
			s.collect(pr)
		}
	}
	return nil
}

// faultless chooses without faults.
type faultless struct{ chooser }

func (faultless) fault(int, string) bool { return false }

func (s *sim) done() bool {
	for p, l := range s.w.logs {
		v, end := s.w.views[p], l.end()
		if s.w.offsets[p].offset != end || v.meta.Applied != end || !v.whole() && end > 0 {
			return false
		}
	}
	return true
}

func (s *sim) where() string {
	var b strings.Builder
	for p, l := range s.w.logs {
		fmt.Fprintf(&b, "[partition %d: R %d (whole %t) K %d end %d] ", p, s.w.views[p].meta.Applied, s.w.views[p].whole(), s.w.offsets[p].offset, l.end())
	}
	for _, pr := range s.procs {
		fmt.Fprintf(&b, "[slot %d: %+v] ", pr.slot, pr.machine.Status())
	}
	return b.String()
}
