package chaos

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Fault is one thing that can go wrong: a row of the table that schedules,
// documentation and code share.
type Fault struct {
	Name   string
	Does   string
	Ends   string // how a schedule with it ends, in a word
	Params []Param

	// shared faults hit the brokers, which all schedules use: such a schedule
	// runs alone.
	shared bool
	// row names the fault's line in the table of what was measured; nil: its name.
	row func(p Params) string
	// do breaks and mends. It returns when the fault is over.
	do func(ctx context.Context, r *run, f *Fault, p Params) error
}

// How a schedule with a fault ends.
const (
	endsClean   = "clean"
	endsRefused = "refused"
	endsStopped = "stopped"
)

// Faults is every fault, in the order of the documentation.
func Faults() []Fault {
	var all []Fault
	for _, part := range [][]Fault{processFaults(), brokerFaults(), redisFaults(), operatorFaults(), inputFaults(), netFaults()} {
		all = append(all, part...)
	}
	return all
}

func faultOf(name string) *Fault {
	for _, f := range Faults() {
		if f.Name == name {
			return &f
		}
	}
	return nil
}

func faultNames() (names []string) {
	for _, f := range Faults() {
		names = append(names, f.Name)
	}
	return names
}

func (f *Fault) label(p Params) string {
	if f.row == nil {
		return f.Name
	}
	return f.row(p)
}

func (f *Fault) paramNames() string {
	var names []string
	for _, p := range f.Params {
		names = append(names, p.Name)
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// Param is a parameter of a fault: a whole number from Min to Max, a duration
// of at most a minute, or one of Words.
type Param struct {
	Name     string
	Does     string
	Default  any // int, time.Duration or string: the parameter's type
	Min, Max int
	Words    []string
	// of bounds a number by the schedule's own: partitions, processors or notifiers.
	of string
}

// Params are a step's parameters, complete and checked.
type Params map[string]any

func (p Params) number(name string) int             { return p[name].(int) }
func (p Params) duration(name string) time.Duration { return p[name].(time.Duration) }
func (p Params) word(name string) string            { return p[name].(string) }

const faultLengthMax = time.Minute

// bounds returns a number's bounds within a schedule.
func (q *Param) bounds(s *Schedule) (low, high int) {
	switch q.of {
	case "partitions":
		return q.Min, int(s.Topology.Partitions) - 1
	case "processors":
		return q.Min, s.Processes.Processors - 1
	case "notifiers":
		return q.Min, s.Processes.Notifiers - 1
	}
	return q.Min, q.Max
}

// Must says what a parameter may be.
func (q *Param) Must() string {
	switch q.Default.(type) {
	case time.Duration:
		return fmt.Sprintf("a duration up to %s", faultLengthMax)
	case string:
		return strings.Join(q.Words, ", ")
	}
	if q.of != "" {
		return fmt.Sprintf("%d up to the last of the %s", q.Min, q.of)
	}
	return fmt.Sprintf("%d to %d", q.Min, q.Max)
}

// read takes the parameter out of a step's.
func (q *Param) read(with map[string]any, s *Schedule) (any, error) {
	given, ok := with[q.Name]
	if !ok {
		given = q.Default
	}
	switch q.Default.(type) {
	case int:
		low, high := q.bounds(s)
		v, isInt := given.(int)
		if !isInt || v < low || v > high {
			return q.Default, fmt.Errorf("is %v, must be %d to %d", given, low, high)
		}
		return v, nil
	case time.Duration:
		if text, isText := given.(string); isText {
			d, err := time.ParseDuration(text)
			if err != nil {
				return q.Default, fmt.Errorf("is %q, must be a duration such as 500ms", text)
			}
			given = d
		}
		d, isDuration := given.(time.Duration)
		if !isDuration || d < 0 || d > faultLengthMax {
			return q.Default, fmt.Errorf("is %v, must be a duration up to %s", given, faultLengthMax)
		}
		return d, nil
	}
	for _, w := range q.Words {
		if given == w {
			return w, nil
		}
	}
	return q.Default, fmt.Errorf("is %v, must be one of %s", given, strings.Join(q.Words, ", "))
}

// sleep waits, or less when the run is cancelled.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// Parameters that several faults have.
func which(of string) Param {
	return Param{Name: "which", Default: 0, of: of, Does: "which of the " + of + ", from 0"}
}

func partition() Param {
	return Param{Name: "partition", Default: 0, of: "partitions", Does: "the partition"}
}

func lasting(name string, d time.Duration, does string) Param {
	return Param{Name: name, Default: d, Does: does}
}
