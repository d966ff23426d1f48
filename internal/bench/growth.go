package bench

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/veltrix/veltrix/internal/app"
)

// GrowthOptions say along what to measure how the cost of an event grows.
type GrowthOptions struct {
	Dimensions []string // of Dimensions; empty: all of them
	Points     []int    // of one dimension; empty: its own
	Events     int64    // in each round
	Rounds     int      // of each point, measured
	Warmups    int      // of core, before them, not counted
	Progress   func(format string, args ...any)
}

// dimension is what grows while the rest stays as in core.
type dimension struct {
	name   string
	unit   string // one more of them
	points []int
	most   int
	// set makes core's round into a point's, one of several of which the largest is given.
	set func(c *course, at, largest int) error
}

// course is how a point is run.
type course struct {
	rt         app.Runtime
	workload   *Workload
	partitions int32
	along      float64 // where the point lies: at, or what the participants have of it on average
}

// What core has of everything.
const (
	corePartitions   = 8
	coreParticipants = 20_000
)

// Bounds of points. A tail longer than the rules' max_tail would be cut; more rules
// than this would cost more than an event may.
const (
	participantsMost = 10_000_000
	tailMost         = 256
	rulesMost        = 400
)

// fillings is how often a participant's events fill the longest tail: histories begin
// empty, and the first filling counts as what it is.
const fillings = 4

var dimensions = []dimension{
	{"participants", "participant", []int{10_000, 100_000, 1_000_000}, participantsMost, func(c *course, at, _ int) (err error) {
		c.workload, err = NewWorkload("core", c.workload.Events, at, Structured)
		return err
	}},
	{"partitions", "partition", []int{4, 32, 256}, partitionsMost, func(c *course, at, _ int) error {
		c.partitions = int32(at)
		return nil
	}},
	{"tail", "event in the tail", []int{2, 16, 128}, tailMost, lengthen},
	{"rules", "rule", []int{1, 10, 50}, rulesMost, func(c *course, at, _ int) (err error) {
		c.workload.rules, err = moreRules(at)
		return err
	}},
}

// Dimensions are the names of what can grow.
func Dimensions() []string {
	var names []string
	for _, d := range dimensions {
		names = append(names, d.name)
	}
	return names
}

// plan checks the options and returns what is to be measured.
func (o *GrowthOptions) plan() ([]dimension, error) {
	switch {
	case o.Rounds < 1 || o.Rounds > roundsMax:
		return nil, fmt.Errorf("measure 1 to %d rounds, not %d", roundsMax, o.Rounds)
	case o.Warmups < 0 || o.Warmups > roundsMax:
		return nil, fmt.Errorf("warm up with 0 to %d rounds, not %d", roundsMax, o.Warmups)
	case len(o.Points) > 0 && len(o.Dimensions) != 1:
		return nil, errors.New("points are of one dimension: name it, one of " + strings.Join(Dimensions(), ", "))
	}
	var plan []dimension
	for _, d := range dimensions {
		if len(o.Dimensions) == 0 || slices.Contains(o.Dimensions, d.name) {
			plan = append(plan, d)
		}
	}
	for _, name := range o.Dimensions {
		if !slices.Contains(Dimensions(), name) {
			return nil, fmt.Errorf("there is no dimension %q; there are %s", name, strings.Join(Dimensions(), ", "))
		}
	}
	if len(o.Points) > 0 {
		plan[0].points = slices.Compact(slices.Sorted(slices.Values(o.Points)))
	}
	for _, d := range plan {
		for _, at := range d.points {
			if at < 1 || at > d.most {
				return nil, fmt.Errorf("a point of %s is 1 to %d, not %d", d.name, d.most, at)
			}
		}
	}
	return plan, nil
}

// course returns how a point of the dimension is run.
func (d *dimension) course(rt app.Runtime, events int64, at int) (*course, error) {
	w, err := NewWorkload("core", events, coreParticipants, Structured)
	if err != nil {
		return nil, err
	}
	c := &course{rt: rt, workload: w, partitions: corePartitions, along: float64(at)}
	return c, d.set(c, at, slices.Max(d.points))
}

// lengthen lets a participant have so many events within the grace, the newest
// included: the events are core's, and the rules wait longer for late ones.
//
// To fill the longest tail, every point has fewer participants than core, and commits
// that are smaller by as much: a commit has as many events of a participant as in
// core, and its states are copied and written as often.
func lengthen(c *course, at, largest int) error {
	events := c.workload.Events
	participants := int(min(coreParticipants, events/int64(fillings*largest)))
	if participants < 1 {
		return fmt.Errorf("%d events do not fill a tail of %d: give %d or more, or smaller points", events, largest, fillings*largest)
	}
	var err error
	if c.workload, err = NewWorkload("core", events, participants, Structured); err != nil {
		return err
	}
	grace := time.Duration(at-1)*apart + apart/2
	if c.workload.rules, err = changed(coreRules, "grace: 30s", "grace: "+grace.String()); err != nil {
		return err
	}
	cfg := *c.rt.Config
	cfg.Processor.CommitRecords = max(1, cfg.Processor.CommitRecords*participants/coreParticipants)
	c.rt.Config = &cfg
	c.along = c.workload.meanTail(at)
	return nil
}

// meanTail is the mean number of events in a tail of at most so many, that of the
// event itself included. It draws participants as Each does.
func (w *Workload) meanTail(most int) float64 {
	s := stream{Workload: w, random: rand.New(rand.NewPCG(seed1, seed2))}
	counts, sum := make([]int, w.Participants), 0
	for range w.Events {
		who := s.who()
		counts[who] = min(counts[who]+1, most)
		sum += counts[who]
	}
	return float64(sum) / float64(w.Events)
}

// moreRules returns core's rules with so many for each event, core's own one
// included. The others write what core's writes too, so that a state stays as large:
// every second one under a condition, over numbers, texts and sets.
func moreRules(each int) ([]byte, error) {
	var b strings.Builder
	b.WriteString("\nrules:\n")
	rule := func(name, on, when, set string) {
		if when != "" {
			when = fmt.Sprintf(", when: %q", when)
		}
		fmt.Fprintf(&b, "  - {name: %s, on: %s%s, set: {%s}}\n", name, on, when, set)
	}
	for i := range each - 1 {
		walked, found := fmt.Sprintf("walked-%d", i), fmt.Sprintf("found-%d", i)
		switch i % 4 {
		case 0:
			rule(walked, "player.walked", fmt.Sprintf("event.data.metres > %d", i%90), "steps: state.steps + 1")
			rule(found, "clue.found", fmt.Sprintf("event.data.points > %d", i%90), "score: state.score + 1")
		case 1:
			rule(walked, "player.walked", "", "last: event.time")
			rule(found, "clue.found", "", "last: event.time")
		case 2:
			rule(walked, "player.walked", fmt.Sprintf("event.data.zone != state.zone && state.steps %% %d == 0", i), "walked: state.walked + 1")
			rule(found, "clue.found", "!(event.data.clue in state.found)", "score: state.score + 2")
		case 3:
			rule(walked, "player.walked", "", "walked: state.walked + event.data.metres")
			rule(found, "clue.found", "", "score: state.score + event.data.points")
		}
	}
	return changed(coreRules, "\nrules:\n", b.String())
}

// changed replaces a text that is there once.
func changed(rules []byte, from, to string) ([]byte, error) {
	if n := bytes.Count(rules, []byte(from)); n != 1 {
		return nil, fmt.Errorf("core's rules have %q %d times, not once", from, n)
	}
	return bytes.Replace(rules, []byte(from), []byte(to), 1), nil
}
