package preflight

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Exit codes of a report.
const (
	ExitOK   = 0
	ExitFail = 1
	ExitWarn = 2
)

// Report is what a run of checks found.
type Report struct {
	Profile     string
	Results     []Result
	Unreachable []Unreachable
}

// Unreachable is a server that gave no answer, and the checks that it takes with it.
type Unreachable struct {
	Server string   `json:"server"`
	Where  string   `json:"where"`
	Error  string   `json:"error"`
	Fix    string   `json:"fix"`
	Checks []string `json:"checks"`
}

// Exit returns the process's exit code: 1 for a failure that is not waived, for
// a critical check that could not look, or for a server that cannot be reached;
// 2 where there are only warnings or other unknowns; otherwise 0.
func (r Report) Exit() int {
	if len(r.Unreachable) > 0 {
		return ExitFail
	}
	code := ExitOK
	for _, x := range r.Results {
		switch {
		case x.Waived != "":
		case x.State == Fail, x.State == Unknown && x.Severity == Critical:
			return ExitFail
		case x.State == Warn, x.State == Unknown:
			code = ExitWarn
		}
	}
	return code
}

// StartError returns why a service must not start: its critical failures that
// are neither waived nor guarded. What is unknown does not refuse a start: a cluster that
// hides its settings may be right, and its operator is told.
func (r Report) StartError() error {
	var reasons []string
	for _, x := range r.Results {
		if x.State != Fail || x.Severity != Critical || x.Waived != "" || x.Guarded {
			continue
		}
		reason := fmt.Sprintf("%s %s: observed %s, expected %s; fix: %s", x.ID, x.Title, x.Observed, x.Expected, x.Fix)
		if x.Expired != "" {
			reason += "; its waiver expired on " + x.Expired
		}
		reasons = append(reasons, reason)
	}
	if len(reasons) == 0 {
		return nil
	}
	return fmt.Errorf("refused to start: %s", strings.Join(reasons, "; "))
}

var signs = map[State]string{Pass: "✓", Skip: "–", Unknown: "?", Warn: "!", Fail: "✗"}

// Shown is the state by which the result counts: its own, or waived.
func (r *Result) Shown() string {
	if r.Waived != "" {
		return "waived"
	}
	return string(r.State)
}

// Summary counts the results by state, waived ones apart: "43 pass · 1 fail".
func (r Report) Summary() string {
	counts := map[State]int{}
	waived := 0
	for _, x := range r.Results {
		if x.Waived != "" {
			waived++
			continue
		}
		counts[x.State]++
	}
	var parts []string
	for _, s := range []State{Pass, Fail, Warn, Unknown, Skip} {
		if counts[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[s], s))
		}
	}
	if waived > 0 {
		parts = append(parts, fmt.Sprintf("%d waived", waived))
	}
	return strings.Join(parts, " · ")
}

// Verdict says in a few words why the exit code is not 0.
func (r Report) Verdict() string {
	switch r.Exit() {
	case ExitFail:
		return "the deployment is not as it should be"
	case ExitWarn:
		return "there are warnings"
	}
	return "all is well"
}

// WriteText writes the report for people: what passed in one line each when
// all is set, what did not in full, what production would ask for, and a summary.
func (r Report) WriteText(w io.Writer, all bool) error {
	var b strings.Builder
	for _, u := range r.Unreachable {
		fmt.Fprintf(&b, "%s %s cannot be reached: %s\n", signs[Unknown], u.Where, u.Error)
		writeLines(&b, [][2]string{{"checks", strings.Join(u.Checks, " ") + " could not look"}, {"fix", u.Fix}})
	}
	for i := range r.Results {
		writeResult(&b, &r.Results[i], all)
	}
	r.writeBefore(&b)
	fmt.Fprintf(&b, "%s → exit %d\n", r.Summary(), r.Exit())
	_, err := io.WriteString(w, b.String())
	return err
}

func writeResult(b *strings.Builder, x *Result, all bool) {
	switch {
	case x.Missing != "": // said once, for all of them
	case x.Waived != "":
		fmt.Fprintf(b, "~ %s %s: waived until %s, %s\n", x.ID, x.Title, x.Until, x.Waived)
	case x.State == Pass || x.State == Skip:
		if all {
			fmt.Fprintf(b, "%s %s %s: %s\n", signs[x.State], x.ID, map[State]string{Pass: "ruled out", Skip: "does not apply"}[x.State], x.Title)
			writeLines(b, [][2]string{{"observed", x.Observed}})
		}
	default:
		fmt.Fprintf(b, "%s %s %s  (%s · %s)\n", signs[x.State], x.ID, x.Title, x.Severity, x.Harm)
		expired := ""
		if x.Expired != "" {
			expired = "expired on " + x.Expired
		}
		writeLines(b, [][2]string{{"observed", x.Observed}, {"expected", x.Expected}, {"players", x.Players}, {"waiver", expired}, {"fix", x.Fix}, {"docs", x.Docs}})
	}
}

func writeLines(b *strings.Builder, lines [][2]string) {
	for _, line := range lines {
		if line[1] != "" {
			fmt.Fprintf(b, "    %-9s %s\n", line[0], line[1])
		}
	}
}

// writeBefore closes with what is fine for trying out and would not be for
// production, so that nobody learns of it on the day of the hunt.
func (r Report) writeBefore(b *strings.Builder) {
	first := true
	for _, x := range r.Results {
		if x.Before == "" || x.Waived != "" {
			continue
		}
		if first {
			fmt.Fprintf(b, "\nFine for trying out (profile %s). Before production:\n", r.Profile)
			first = false
		}
		fmt.Fprintf(b, "  %s  %s\n", x.ID, x.Before)
	}
	if !first {
		b.WriteString("  Then look again with --profile prod.\n\n")
	}
}

// WriteJSON writes the report for programs. Fields are only ever added under the
// same version.
func (r Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(struct {
		Version     int           `json:"version"`
		Profile     string        `json:"profile"`
		Exit        int           `json:"exit"`
		Unreachable []Unreachable `json:"unreachable"`
		Results     []Result      `json:"results"`
	}{1, r.Profile, r.Exit(), append([]Unreachable{}, r.Unreachable...), append([]Result{}, r.Results...)})
}
