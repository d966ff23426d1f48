package chaos

import (
	"fmt"
	"strings"
	"time"
)

// Result is what a schedule found.
type Result struct {
	Name       string           `json:"name"`
	Seed       uint64           `json:"seed"`
	Passed     bool             `json:"passed"`
	Seconds    float64          `json:"seconds"`
	Events     int64            `json:"events"`  // that had to count
	Records    int64            `json:"records"` // in the log
	Fates      map[string]int64 `json:"fates"`
	InInboxes  int64            `json:"in_inboxes"`
	Lost       int64            `json:"lost"`
	Duplicated int64            `json:"duplicated"`
	Wrong      int64            `json:"wrong"`
	Stuck      int64            `json:"stuck"`
	Refused    string           `json:"refused,omitempty"` // as expected
	Injected   []Injected       `json:"injected"`
	Problems   []string         `json:"problems,omitempty"`
	Files      string           `json:"files,omitempty"` // of a schedule that failed
}

// Injected is one fault that happened.
type Injected struct {
	Fault           string  `json:"fault"`
	AtSeconds       float64 `json:"at_seconds"`
	LastedSeconds   float64 `json:"lasted_seconds"`
	RecoverySeconds float64 `json:"recovery_seconds"` // until all partitions advanced past what they were
	Measured        bool    `json:"measured"`         // there was something to do
}

// finish takes down what is left to say.
func (r *run) finish(result *Result, began time.Time) {
	for _, i := range r.watch.open {
		result.Injected = append(result.Injected, Injected{
			Fault: i.Fault, AtSeconds: i.At.Seconds(), LastedSeconds: i.Lasted.Seconds(), RecoverySeconds: i.Recovery.Seconds(), Measured: i.Recovery > 0,
		})
	}
	if len(result.Injected) < len(r.s.Steps) && len(r.problems) == 0 {
		r.problem("%d of %d faults were injected", len(result.Injected), len(r.s.Steps))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	result.Problems = r.problems
	result.Passed = len(r.problems) == 0 && result.Lost+result.Duplicated+result.Wrong+result.Stuck == 0
	result.Seconds = time.Since(began).Seconds()
	if !result.Passed {
		result.Files = r.dir
	}
}

// String is the result as a person reads it.
func (x *Result) String() string {
	var b strings.Builder
	verdict := "passed"
	if !x.Passed {
		verdict = "FAILED"
	}
	fmt.Fprintf(&b, "%s %s in %.1f s: %d events, %d records, lost %d, duplicated %d, wrong %d, stuck %d", verdict, x.Name, x.Seconds,
		x.Events, x.Records, x.Lost, x.Duplicated, x.Wrong, x.Stuck)
	if x.Refused != "" {
		fmt.Fprintf(&b, ", refused as expected: %s", x.Refused)
	}
	b.WriteByte('\n')
	for _, i := range x.Injected {
		fmt.Fprintf(&b, "  %6.2f s %s for %.2f s", i.AtSeconds, i.Fault, i.LastedSeconds)
		if i.Measured {
			fmt.Fprintf(&b, ", progress after %.2f s", i.RecoverySeconds)
		}
		b.WriteByte('\n')
	}
	for _, p := range x.Problems {
		fmt.Fprintf(&b, "  ! %s\n", p)
	}
	if x.Files != "" {
		fmt.Fprintf(&b, "  files: %s\n", x.Files)
	}
	return b.String()
}
