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
	Results []Result `json:"results"`
}

// Exit returns the process's exit code: 1 for a failure that is not waived,
// or for a critical check that could not look; 2 where there are only
// warnings or other unknowns; otherwise 0.
func (r Report) Exit() int {
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
// are not waived. What is unknown does not refuse a start: a cluster that
// hides its settings may be right, and its operator is told.
func (r Report) StartError() error {
	var reasons []string
	for _, x := range r.Results {
		if x.State == Fail && x.Severity == Critical && x.Waived == "" {
			reasons = append(reasons, fmt.Sprintf("%s %s: observed %s, expected %s; fix: %s", x.ID, x.Title, x.Observed, x.Expected, x.Fix))
		}
	}
	if len(reasons) == 0 {
		return nil
	}
	return fmt.Errorf("refused to start: %s", strings.Join(reasons, "; "))
}

var signs = map[State]string{Pass: "✓", Skip: "–", Unknown: "?", Warn: "!", Fail: "✗"}

// WriteText writes the report for people: what passed in one line each when
// all is set, what did not in full, and a summary.
func (r Report) WriteText(w io.Writer, all bool) error {
	var b strings.Builder
	counts := map[State]int{}
	waived := 0
	for _, x := range r.Results {
		if x.Waived != "" {
			waived++
			fmt.Fprintf(&b, "~ %s %s: waived, %s\n", x.ID, x.Title, x.Waived)
			continue
		}
		counts[x.State]++
		if (x.State == Pass || x.State == Skip) && !all {
			continue
		}
		fmt.Fprintf(&b, "%s %s %s  (%s · %s)\n", signs[x.State], x.ID, x.Title, x.Severity, x.Harm)
		players := x.Players
		if x.State == Pass || x.State == Skip {
			players = ""
		}
		for _, line := range [][2]string{{"observed", x.Observed}, {"expected", x.Expected}, {"players", players}, {"fix", x.Fix}} {
			if line[1] != "" {
				fmt.Fprintf(&b, "    %-9s %s\n", line[0], line[1])
			}
		}
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
	fmt.Fprintf(&b, "%s → exit %d\n", strings.Join(parts, " · "), r.Exit())
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteJSON writes the report for programs.
func (r Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		Version int      `json:"version"`
		Exit    int      `json:"exit"`
		Results []Result `json:"results"`
	}{1, r.Exit(), r.Results})
}
