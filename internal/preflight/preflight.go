// Package preflight holds the form of a check of a deployment, runs checks,
// and writes down what they found. The checks themselves belong to the
// adapters, which know how to look.
//
// Invariant: what could not be seen is unknown, never pass. A check that ran
// out of time, was denied, or panicked has not passed.
package preflight

import (
	"context"
	"errors"
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
	Run      func(ctx context.Context) Finding
}

// Finding is what a check saw.
type Finding struct {
	State    State
	Observed string // the values, and where they came from
	Expected string
	Players  string // overrides the check's
	Fix      string // the next command or setting
}

// Waiver accepts a failure for a time.
type Waiver struct {
	ID      string
	Reason  string
	Expires time.Time
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
	Waived   string   `json:"waived,omitempty"` // the reason
	Millis   int64    `json:"duration_ms"`
}

// Options bound a run.
type Options struct {
	Deadline time.Duration // of each check; 0: 10 s
	Waivers  []Waiver
	Now      time.Time // against which waivers expire; zero: now
}

const deadlineDefault = 10 * time.Second

// ValidateWaivers refuses a waiver without a check it could be for, a reason
// or an end.
func ValidateWaivers(waivers []Waiver, checks []Check) error {
	var problems []error
	for _, w := range waivers {
		known := slices.ContainsFunc(checks, func(c Check) bool { return c.ID == w.ID })
		switch {
		case !known:
			problems = append(problems, fmt.Errorf("waiver %q: no check has this ID", w.ID))
		case strings.TrimSpace(w.Reason) == "":
			problems = append(problems, fmt.Errorf("waiver %s: give a reason", w.ID))
		case w.Expires.IsZero():
			problems = append(problems, fmt.Errorf("waiver %s: give the day on which it expires", w.ID))
		}
	}
	return errors.Join(problems...)
}

// Run runs the checks side by side, each with its deadline, and returns their
// results in the order of the checks. It returns when the last is done or out
// of time, also where a check ignores its context.
func Run(ctx context.Context, checks []Check, opts Options) Report {
	if opts.Deadline == 0 {
		opts.Deadline = deadlineDefault
	}
	if opts.Now.IsZero() {
		opts.Now = time.Now()
	}
	results := make([]Result, len(checks))
	var wg sync.WaitGroup
	for i, c := range checks {
		wg.Go(func() {
			start := time.Now()
			results[i] = result(c, observe(ctx, c, opts.Deadline), opts)
			results[i].Millis = time.Since(start).Milliseconds()
		})
	}
	wg.Wait()
	return Report{Results: results}
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
		return Finding{State: Unknown, Observed: fmt.Sprintf("no answer within %v", deadline), Fix: "see that the brokers and Redis can be reached from here"}
	}
}

func result(c Check, f Finding, opts Options) Result {
	r := Result{
		ID: c.ID, Title: c.Title, Harm: c.Harm, Severity: c.Severity, Players: c.Players,
		State: f.State, Observed: f.Observed, Expected: f.Expected, Fix: f.Fix,
	}
	if f.Players != "" {
		r.Players = f.Players
	}
	switch r.State {
	case Pass, Skip, Unknown, Warn, Fail:
	default: // an empty state must not read as a pass
		r.State, r.Observed = Unknown, fmt.Sprintf("the check answered %q", f.State)
	}
	if r.State == Fail || r.State == Warn {
		for _, w := range opts.Waivers {
			if w.ID == c.ID && opts.Now.Before(w.Expires) {
				r.Waived = w.Reason
			}
		}
	}
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
