// Package preflight holds the form of a check of a deployment, runs checks,
// and writes down what they found. The checks themselves belong to the
// adapters, which know how to look.
//
// Invariant: what could not be seen is unknown, never pass. A check that ran
// out of time, was denied, or panicked has not passed.
package preflight

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// State is the outcome of a check.
type State string

// The states, from the best to the worst.
const (
	Pass    State = "pass"
	Skip    State = "skip"    // does not apply here: Observed says why
	Unknown State = "unknown" // could not be seen: Observed says why
	Warn    State = "warn"
	Fail    State = "fail"
)

// Severity says what a failure does to the start of a service.
type Severity string

// The severities. A critical failure refuses the start.
const (
	Critical Severity = "critical"
	High     Severity = "high"
	Medium   Severity = "medium"
)

// Check is one thing that can be wrong with a deployment.
type Check struct {
	ID       string // as K05: stable, an operator refers to it
	Title    string // what is wrong when it fails
	Harm     string // of order, exactly-once, durability, latency: those it threatens
	Severity Severity
	Players  string // what players would notice
	Guarded  bool   // the services bound the harm themselves: a critical failure refuses no start
	Needs    string // the servers in Options.Reach that Run asks, with a space between them; empty: none
	Run      func(ctx context.Context) Finding
}

// Finding is what a check saw.
type Finding struct {
	State    State
	Observed string // the values, and where they came from
	Expected string
	Players  string // overrides the check's
	Fix      string // the next command or setting
	// Production is what production would ask for beyond what is here; only
	// where another profile lets it pass.
	Production string
	// Away are servers that gave the check no answer where others of their kind
	// did, as one broker of several: the report says each once.
	Away []Unreachable
}

// Result is a check and what it found.
type Result struct {
	ID       string   `json:"id"`
	Title    string   `json:"title"`
	Harm     string   `json:"harm"`
	Severity Severity `json:"severity"`
	State    State    `json:"state"`
	Observed string   `json:"observed,omitempty"`
	Expected string   `json:"expected,omitempty"`
	Players  string   `json:"players,omitempty"`
	Fix      string   `json:"fix,omitempty"`
	Docs     string   `json:"docs,omitempty"`              // the command that says more
	Guarded  bool     `json:"guarded,omitempty"`           // it refuses no start, although it is critical
	Waived   string   `json:"waived,omitempty"`            // the reason
	Until    string   `json:"waived_until,omitempty"`      // the last day
	Expired  string   `json:"waiver_expired,omitempty"`    // when, and the reason there was
	Before   string   `json:"before_production,omitempty"` // what production asks for beyond this
	Missing  string   `json:"unreachable,omitempty"`       // the server that the check could not ask
	Millis   int64    `json:"duration_ms"`
}

// Reach says how a server is reached that checks need.
type Reach struct {
	Where string // as "kafka at 127.0.0.1:9092"
	Fix   string
	Ask   func(ctx context.Context) error
}

// Options bound a run.
type Options struct {
	Profile  string        // for the report
	Deadline time.Duration // of the whole run; 0: 10 s
	Waivers  []Waiver
	Reach    map[string]Reach // by Check.Needs
	Now      time.Time        // against which waivers expire; zero: now
}

const deadlineDefault = 10 * time.Second

// Run asks the servers that the checks need, and runs the checks side by side. It
// returns their results in the order of the checks when the last is done or the
// deadline is over, also where a check ignores its context.
//
// What needs a server that does not answer is not tried: all of it has one cause,
// which the report says once.
func Run(ctx context.Context, checks []Check, opts Options) Report {
	if opts.Deadline == 0 {
		opts.Deadline = deadlineDefault
	}
	if opts.Now.IsZero() {
		opts.Now = time.Now()
	}
	ctx, cancel := context.WithTimeout(ctx, opts.Deadline)
	defer cancel()
	report := Report{Profile: opts.Profile, Results: make([]Result, len(checks))}
	found := make([]Finding, len(checks))
	away := reach(ctx, checks, opts)
	var wg sync.WaitGroup
	for i, c := range checks {
		if a := slices.IndexFunc(away, func(u Unreachable) bool { return c.needs(u.Server) }); a >= 0 {
			report.Results[i] = result(c, Finding{State: Unknown, Observed: away[a].Where + " cannot be reached: " + away[a].Error, Fix: away[a].Fix}, opts)
			report.Results[i].Missing = away[a].Server
			report.Results[i].Waived, report.Results[i].Until = "", "" // nobody accepted that it is down
			away[a].Checks = append(away[a].Checks, c.ID)
			continue
		}
		wg.Go(func() {
			start := time.Now()
			found[i] = observe(ctx, c, opts.Deadline)
			report.Results[i] = result(c, found[i], opts)
			report.Results[i].Millis = time.Since(start).Milliseconds()
		})
	}
	wg.Wait()
	report.Unreachable = away
	for i := range found {
		report.gather(i, found[i].Away)
	}
	return report
}

// gather notes the servers that a check missed. What it saw of the others stands,
// and where that is nothing wrong, their absence is all there is to say.
func (r *Report) gather(i int, away []Unreachable) {
	x := &r.Results[i]
	for _, u := range away {
		a := slices.IndexFunc(r.Unreachable, func(known Unreachable) bool { return known.Server == u.Server })
		if a < 0 {
			a = len(r.Unreachable)
			r.Unreachable = append(r.Unreachable, u)
		}
		r.Unreachable[a].Checks = append(r.Unreachable[a].Checks, x.ID)
		if x.State == Unknown && x.Missing == "" {
			x.Missing, x.Waived, x.Until = u.Server, "", ""
		}
	}
}

func (c Check) needs(server string) bool { return slices.Contains(strings.Fields(c.Needs), server) }

// reach asks each server that is needed, all at once, for at most half of the
// time, and returns those that gave no answer.
func reach(ctx context.Context, checks []Check, opts Options) []Unreachable {
	var mu sync.Mutex
	var away []Unreachable
	var wg sync.WaitGroup
	for server, r := range opts.Reach {
		if !slices.ContainsFunc(checks, func(c Check) bool { return c.needs(server) }) {
			continue
		}
		wg.Go(func() {
			asking := Check{Run: func(ctx context.Context) Finding {
				if err := r.Ask(ctx); err != nil {
					return NotSeen(err, r.Fix)
				}
				return Passed("")
			}}
			if f := observe(ctx, asking, opts.Deadline/2); f.State != Pass {
				mu.Lock()
				defer mu.Unlock()
				away = append(away, Unreachable{Server: server, Where: r.Where, Error: f.Observed, Fix: r.Fix})
			}
		})
	}
	wg.Wait()
	slices.SortFunc(away, func(a, b Unreachable) int { return strings.Compare(a.Server, b.Server) })
	return away
}

func observe(ctx context.Context, c Check, deadline time.Duration) Finding {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	found := make(chan Finding, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				found <- Finding{State: Unknown, Observed: fmt.Sprintf("the check itself is broken: %v", p), Fix: "report this, with the output of veltrix version"}
			}
		}()
		found <- c.Run(ctx)
	}()
	select {
	case f := <-found:
		return f
	case <-ctx.Done():
		return Finding{State: Unknown, Observed: fmt.Sprintf("no answer within %v", deadline), Fix: "see that the brokers and Redis can be reached from here, or give it more time"}
	}
}

func result(c Check, f Finding, opts Options) Result {
	r := Result{
		ID: c.ID, Title: c.Title, Harm: c.Harm, Severity: c.Severity, Players: c.Players,
		State: f.State, Observed: f.Observed, Expected: f.Expected, Fix: f.Fix, Before: f.Production,
		Docs: "veltrix doctor explain " + c.ID, Guarded: c.Guarded,
	}
	if f.Players != "" {
		r.Players = f.Players
	}
	if e, ok := Find(c.ID); ok && r.State == Unknown && r.Expected == "" {
		r.Expected = "to be able to see " + e.sight()
	}
	switch r.State {
	case Pass, Skip, Unknown, Warn, Fail:
	default: // an empty state must not read as a pass
		r.State, r.Observed = Unknown, fmt.Sprintf("the check answered %q", f.State)
	}
	waive(&r, opts)
	return r
}

// Failed is a Finding that names what is wrong and the remedy.
func Failed(observed, expected, fix string) Finding {
	return Finding{State: Fail, Observed: observed, Expected: expected, Fix: fix}
}

// Passed is a Finding with what was seen.
func Passed(observed string) Finding { return Finding{State: Pass, Observed: observed} }

// Skipped is a Finding of a check that does not apply.
func Skipped(why string) Finding { return Finding{State: Skip, Observed: why} }

// NotSeen is a Finding of a check that could not look.
func NotSeen(err error, fix string) Finding {
	return Finding{State: Unknown, Observed: err.Error(), Fix: fix}
}
