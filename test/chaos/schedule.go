// Package chaos runs the pipeline as real processes on real brokers and a real
// Redis, breaks them as a schedule says, and holds what came out against what
// went in.
//
// Invariant: a schedule passes only if, once its faults have ended, every event
// that was acknowledged has counted exactly once, in Kafka, in Redis and in the
// inboxes; or if exactly the partitions that it names were refused for the
// reason that it names, and nothing else was touched. The checks share only the
// fold with the engine, and one of them not even that.
package chaos

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Bounds of a schedule: chaos ends.
const (
	eventsMax       = 100_000
	participantsMax = 10_000
	rateMax         = 20_000
	partitionsMax   = 12
	processesMax    = 6
	slotsMax        = 4
	stepsMax        = 50
	lengthMax       = 5 * time.Minute
)

// Schedule is one run: what goes in, what runs, what breaks, and what is
// expected of it.
type Schedule struct {
	Name      string    `yaml:"name"`
	Seed      uint64    `yaml:"seed"`
	Load      Load      `yaml:"load"`
	Topology  Topology  `yaml:"topology"`
	Processes Processes `yaml:"processes"`
	Steps     []Step    `yaml:"steps"`
	Expect    Expect    `yaml:"expect"`
}

// Load is what goes in.
type Load struct {
	Events       int     `yaml:"events"`
	Participants int     `yaml:"participants"`
	Rate         int     `yaml:"rate"` // events a second
	Duplicates   Percent `yaml:"duplicates"`
	Disorder     Percent `yaml:"disorder"`
}

// Topology is what is made for the schedule on the shared brokers.
type Topology struct {
	Partitions int32 `yaml:"partitions"`
}

// Processes are what runs.
type Processes struct {
	Processors int           `yaml:"processors"`
	Notifiers  int           `yaml:"notifiers"`
	Slots      int           `yaml:"slots"`
	Session    time.Duration `yaml:"session"`
	// Instance gives each processor a name that survives its restarts.
	Instance bool `yaml:"instance"`
}

// Step is one fault and its moment.
type Step struct {
	At    time.Duration  `yaml:"at,omitempty"`    // since the load began
	After *Committed     `yaml:"after,omitempty"` // instead: once so much is committed
	Do    string         `yaml:"do"`
	With  map[string]any `yaml:"with,omitempty"`

	fault  *Fault
	params Params
}

// Expect is how a schedule has to end.
type Expect struct {
	Clean bool
	// Refused: these partitions, and no others, for this reason.
	Refused *Refused
	// Repair is what the operator does then; after it everything is clean.
	Repair string
	// Stopped: processors end at their start and say this.
	Stopped string
}

// Refused names refusals.
type Refused struct {
	Reason     string  `yaml:"reason"`
	Partitions []int32 `yaml:"partitions,flow,omitempty"` // none: all
}

// repairs are what an operator can do about a refusal.
var repairs = []string{"rebase", "rebase-accept-loss", "restore"}

// reasons are the engine's words for its refusals.
var reasons = []string{"stamp", "reset", "no-commit", "token", "lost-log", "truncated", "gap", "diverged"}

// Percent is a share, written as 5%.
type Percent int

// UnmarshalYAML reads 5%.
func (p *Percent) UnmarshalYAML(n *yaml.Node) error {
	text, ok := strings.CutSuffix(n.Value, "%")
	v, err := strconv.Atoi(text)
	if !ok || err != nil || v < 0 || v > 100 {
		return fmt.Errorf("line %d: %q is no share: write a whole percentage such as 5%%", n.Line, n.Value)
	}
	*p = Percent(v)
	return nil
}

// MarshalYAML writes 5%.
func (p Percent) MarshalYAML() (any, error) { return fmt.Sprintf("%d%%", int(p)), nil }

// Committed is a number of committed records, written as 2000 committed.
type Committed int64

// UnmarshalYAML reads 2000 committed.
func (c *Committed) UnmarshalYAML(n *yaml.Node) error {
	text, ok := strings.CutSuffix(n.Value, " committed")
	v, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil || v < 1 {
		return fmt.Errorf("line %d: %q is no number of records: write it as 2000 committed", n.Line, n.Value)
	}
	*c = Committed(v)
	return nil
}

// MarshalYAML writes 2000 committed.
func (c Committed) MarshalYAML() (any, error) { return fmt.Sprintf("%d committed", int64(c)), nil }

// UnmarshalYAML reads clean, or what is refused and its repair.
func (e *Expect) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		if n.Value != "clean" {
			return fmt.Errorf("line %d: expect is clean, or names what is refused or stopped, not %q", n.Line, n.Value)
		}
		e.Clean = true
		return nil
	}
	var long struct {
		Refused *Refused `yaml:"refused"`
		Repair  string   `yaml:"repair"`
		Stopped string   `yaml:"stopped"`
	}
	if err := known(n, "expect", "refused", "repair", "stopped"); err != nil {
		return err
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == "refused" {
			if err := known(n.Content[i+1], "expect.refused", "reason", "partitions"); err != nil {
				return err
			}
		}
	}
	if err := n.Decode(&long); err != nil {
		return err
	}
	e.Refused, e.Repair, e.Stopped = long.Refused, long.Repair, long.Stopped
	switch {
	case (e.Refused == nil) == (e.Stopped == ""):
		return fmt.Errorf("line %d: expect names either refused or stopped", n.Line)
	case e.Refused != nil && !slices.Contains(reasons, e.Refused.Reason):
		return fmt.Errorf("line %d: no partition is refused for %q; the reasons are %s", n.Line, e.Refused.Reason, strings.Join(reasons, ", "))
	case e.Repair != "" && !slices.Contains(repairs, e.Repair):
		return fmt.Errorf("line %d: there is no repair %q; there are %s", n.Line, e.Repair, strings.Join(repairs, ", "))
	case e.Stopped != "" && e.Repair != "":
		return fmt.Errorf("line %d: what is stopped has no repair", n.Line)
	}
	return nil
}

// known refuses keys that a mapping does not have: a custom decoder is not
// covered by the library's own strictness.
func known(n *yaml.Node, where string, keys ...string) error {
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: %s has the keys %s", n.Line, where, strings.Join(keys, ", "))
	}
	for i := 0; i < len(n.Content); i += 2 {
		if k := n.Content[i]; !slices.Contains(keys, k.Value) {
			return fmt.Errorf("line %d: %s has no %q; it has %s", k.Line, where, k.Value, strings.Join(keys, ", "))
		}
	}
	return nil
}

// MarshalYAML writes what UnmarshalYAML reads.
func (e Expect) MarshalYAML() (any, error) {
	switch {
	case e.Stopped != "":
		return map[string]any{"stopped": e.Stopped}, nil
	case e.Refused != nil && e.Repair != "":
		return struct {
			Refused *Refused `yaml:"refused,flow"`
			Repair  string   `yaml:"repair"`
		}{e.Refused, e.Repair}, nil
	case e.Refused != nil:
		return map[string]any{"refused": e.Refused}, nil
	}
	return "clean", nil
}

// Defaults are what a schedule has where it says nothing.
func Defaults() Schedule {
	return Schedule{
		Seed:      1,
		Load:      Load{Events: 4_000, Participants: 200, Rate: 400, Duplicates: 5, Disorder: 30},
		Topology:  Topology{Partitions: 4},
		Processes: Processes{Processors: 2, Notifiers: 1, Slots: 1, Session: 4 * time.Second, Instance: true},
	}
}

// ReadFile reads a schedule from a file; its name is the file's where it has
// none.
func ReadFile(path string) (*Schedule, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if s.Name == "" {
		base := path[strings.LastIndexByte(path, '/')+1:]
		s.Name = strings.TrimSuffix(strings.TrimSuffix(base, ".yaml"), ".yml")
	}
	return s, nil
}

// Parse reads one schedule. What is wrong is named with its line and field.
func Parse(text []byte) (*Schedule, error) {
	s := Defaults()
	var where yaml.Node
	if err := yaml.Unmarshal(text, &where); err != nil {
		return nil, fmt.Errorf("read the schedule: %w", err)
	}
	if where.Kind == 0 {
		return nil, errors.New("the schedule is empty")
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&s); err != nil {
		return nil, named(err, &where)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("a file holds one schedule")
	}
	if err := s.validate(lines(&where)); err != nil {
		return nil, err
	}
	return &s, nil
}

// named adds the field to each mistake that has only a line.
func named(err error, doc *yaml.Node) error {
	all := []string{err.Error()}
	var several *yaml.TypeError
	if errors.As(err, &several) {
		all = several.Errors
	}
	var out []error
	for _, text := range all {
		var line int
		if n, _ := fmt.Sscanf(text, "line %d:", &line); n == 1 {
			if at, rest, ok := strings.Cut(text, ": "); ok {
				text = at + ": " + fieldAt(doc, line) + ": " + rest
			}
		}
		out = append(out, errors.New(text))
	}
	return errors.Join(out...)
}

// fieldAt finds the field whose key, or else value, stands in a line.
func fieldAt(doc *yaml.Node, line int) (found string) {
	visit(doc, "", func(n *yaml.Node, path string) {
		if n.Line == line && path != "" && (found == "" || !strings.Contains(path, "[") && strings.Contains(found, "[")) {
			found = path
		}
	})
	if found == "" {
		return "schedule"
	}
	return found
}

// String writes the schedule as a file.
func (s *Schedule) String() string {
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(s); err != nil {
		panic(err) // our own types are encodable
	}
	return b.String()
}

// visit walks a document with the path of each field: load.rate,
// steps[1].with.for.
func visit(n *yaml.Node, path string, fn func(n *yaml.Node, path string)) {
	fn(n, path)
	switch n.Kind {
	case yaml.DocumentNode:
		visit(n.Content[0], path, fn)
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			visit(n.Content[i+1], strings.TrimPrefix(path+"."+n.Content[i].Value, "."), fn)
		}
	case yaml.SequenceNode:
		for i, c := range n.Content {
			visit(c, fmt.Sprintf("%s[%d]", path, i), fn)
		}
	}
}

// lines finds the line of each field.
func lines(doc *yaml.Node) func(path string) int {
	at := map[string]int{}
	visit(doc, "", func(n *yaml.Node, path string) { at[path] = n.Line })
	return func(path string) int {
		for path != "" && at[path] == 0 { // a field that is left out is at its parent
			path = path[:max(strings.LastIndexAny(path, ".["), 0)]
		}
		return max(at[path], 1)
	}
}

// Validate checks a schedule that was made and not read.
func (s *Schedule) Validate() error { return s.validate(func(string) int { return 0 }) }

func (s *Schedule) validate(line func(path string) int) error {
	var all []error
	wrong := func(path, format string, args ...any) {
		all = append(all, fmt.Errorf("line %d: %s: %s", line(path), path, fmt.Sprintf(format, args...)))
	}
	within := func(path string, v, low, high int) {
		if v < low || v > high {
			wrong(path, "is %d, must be %d to %d", v, low, high)
		}
	}
	within("load.events", s.Load.Events, 1, eventsMax)
	within("load.participants", s.Load.Participants, 1, participantsMax)
	within("load.rate", s.Load.Rate, 1, rateMax)
	within("topology.partitions", int(s.Topology.Partitions), 1, partitionsMax)
	within("processes.processors", s.Processes.Processors, 1, processesMax)
	within("processes.notifiers", s.Processes.Notifiers, 1, processesMax)
	within("processes.slots", s.Processes.Slots, 1, slotsMax)
	if d := s.Processes.Session; d < time.Second || d > time.Minute {
		wrong("processes.session", "is %s, must be 1s to 1m", d)
	}
	if d := time.Duration(s.Load.Events) * time.Second / time.Duration(max(s.Load.Rate, 1)); d > lengthMax {
		wrong("load.rate", "%d events take %s at this rate, at most %s", s.Load.Events, d, lengthMax)
	}
	within("steps", len(s.Steps), 0, stepsMax)
	for i := range s.Steps {
		s.Steps[i].validate(s, fmt.Sprintf("steps[%d]", i), wrong)
	}
	if r := s.Expect.Refused; r != nil {
		for _, p := range r.Partitions {
			within("expect.refused.partitions", int(p), 0, int(s.Topology.Partitions)-1)
		}
	}
	if !s.Expect.Clean && s.Expect.Refused == nil && s.Expect.Stopped == "" {
		wrong("expect", "say how it has to end: clean, refused or stopped")
	}
	return errors.Join(all...)
}

func (p *Step) validate(s *Schedule, path string, wrong func(path, format string, args ...any)) {
	switch {
	case p.After == nil && (p.At <= 0 || p.At > lengthMax):
		wrong(path+".at", "say when: at a moment after the load began, up to %s, or after so many committed", lengthMax)
	case p.After != nil && p.At != 0:
		wrong(path+".at", "a step has at or after, and not both")
	case p.After != nil && int(*p.After) > s.Load.Events:
		wrong(path+".after", "only %d events are sent", s.Load.Events)
	}
	p.fault = faultOf(p.Do)
	if p.fault == nil {
		wrong(path+".do", "there is no fault %q; there are %s", p.Do, strings.Join(faultNames(), ", "))
		return
	}
	p.params = Params{}
	for _, spec := range p.fault.Params {
		v, err := spec.read(p.With, s)
		if err != nil {
			wrong(path+".with."+spec.Name, "%v", err)
		}
		p.params[spec.Name] = v
	}
	for name := range p.With {
		if !slices.ContainsFunc(p.fault.Params, func(q Param) bool { return q.Name == name }) {
			wrong(path+".with."+name, "%s has no such parameter; it has %s", p.Do, p.fault.paramNames())
		}
	}
}
