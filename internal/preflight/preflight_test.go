package preflight

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func check(id string, severity Severity, f Finding) Check {
	return Check{ID: id, Title: "title " + id, Harm: "order", Severity: severity, Players: "clues reorder", Run: func(context.Context) Finding { return f }}
}

func states(r Report) string {
	var s []string
	for _, x := range r.Results {
		s = append(s, x.ID+"="+string(x.State))
	}
	return strings.Join(s, " ")
}

// TestWhatWasNotSeenDoesNotPass: silence, a panic and an empty answer.
func TestWhatWasNotSeenDoesNotPass(t *testing.T) {
	never := make(chan struct{})
	defer close(never)
	start := time.Now()
	r := Run(t.Context(), []Check{
		{ID: "deaf", Run: func(context.Context) Finding { <-never; return Passed("") }},
		{ID: "deaf2", Run: func(context.Context) Finding { <-never; return Passed("") }},
		{ID: "panics", Run: func(context.Context) Finding { panic("nil map") }},
		{ID: "empty", Run: func(context.Context) Finding { return Finding{} }},
		check("denied", Critical, NotSeen(errors.New("CONFIG denied"), "grant +info")),
		check("fine", Critical, Passed("3")),
	}, Options{Deadline: 100 * time.Millisecond})
	if got := states(r); got != "deaf=unknown deaf2=unknown panics=unknown empty=unknown denied=unknown fine=pass" {
		t.Error(got)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("checks ran one after the other: %v", took)
	}
	if r.Exit() != ExitFail || r.StartError() != nil {
		t.Errorf("exit %d, start %v", r.Exit(), r.StartError())
	}
}

func TestExitAndStart(t *testing.T) {
	now := time.Date(2026, 9, 18, 0, 0, 0, 0, time.UTC)
	waiver := Waiver{ID: "K05", Reason: "migrating", Expires: now.AddDate(0, 0, 1)}
	failed := check("K05", Critical, Failed("compact", "delete", "veltrix topics apply"))
	guarded := failed
	guarded.Guarded = true
	for name, c := range map[string]struct {
		checks  []Check
		waivers []Waiver
		exit    int
		refused bool
	}{
		"all pass":       {checks: []Check{check("K02", Critical, Passed("3"))}, exit: ExitOK},
		"skipped":        {checks: []Check{check("K02", Critical, Skipped("embedded"))}, exit: ExitOK},
		"critical":       {checks: []Check{failed}, exit: ExitFail, refused: true},
		"guarded":        {checks: []Check{guarded}, exit: ExitFail},
		"waived":         {checks: []Check{failed}, waivers: []Waiver{waiver}, exit: ExitOK},
		"waived unknown": {checks: []Check{check("K05", Critical, Finding{State: Unknown})}, waivers: []Waiver{waiver}, exit: ExitOK},
		"another's":      {checks: []Check{failed}, waivers: []Waiver{{ID: "K02", Reason: "x", Expires: waiver.Expires}}, exit: ExitFail, refused: true},
		"waiver expired": {checks: []Check{failed}, waivers: []Waiver{{ID: "K05", Reason: "x", Expires: now}}, exit: ExitFail, refused: true},
		"high":           {checks: []Check{check("K09", High, Failed("a", "b", "c"))}, exit: ExitFail},
		"warning":        {checks: []Check{check("R02", Critical, Finding{State: Warn})}, exit: ExitWarn},
		"unknown high":   {checks: []Check{check("R06", High, Finding{State: Unknown})}, exit: ExitWarn},
	} {
		r := Run(t.Context(), c.checks, Options{Waivers: c.waivers, Now: now})
		if r.Exit() != c.exit || (r.StartError() != nil) != c.refused {
			t.Errorf("%s: exit %d, start %v", name, r.Exit(), r.StartError())
		}
	}
}
