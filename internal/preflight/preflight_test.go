package preflight

import (
	"context"
	"encoding/json"
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
	for name, c := range map[string]struct {
		checks  []Check
		waivers []Waiver
		exit    int
		refused bool
	}{
		"all pass":       {checks: []Check{check("K02", Critical, Passed("3"))}, exit: ExitOK},
		"skipped":        {checks: []Check{check("K02", Critical, Skipped("embedded"))}, exit: ExitOK},
		"critical":       {checks: []Check{failed}, exit: ExitFail, refused: true},
		"waived":         {checks: []Check{failed}, waivers: []Waiver{waiver}, exit: ExitOK},
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
	if err := ValidateWaivers([]Waiver{waiver}, []Check{failed}); err != nil {
		t.Error(err)
	}
	for want, w := range map[string]Waiver{
		"no check":  {ID: "K99", Reason: "r", Expires: now},
		"a reason":  {ID: "K05", Expires: now},
		"expires":   {ID: "K05", Reason: "r"},
		"no check ": {},
	} {
		if err := ValidateWaivers([]Waiver{w}, []Check{failed}); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(want)) {
			t.Errorf("%+v: %v", w, err)
		}
	}
}

func TestFaces(t *testing.T) {
	r := Run(t.Context(), []Check{
		check("K05", Critical, Failed("cleanup.policy=compact (topic)", "delete", "veltrix topics apply")),
		check("K02", Critical, Passed("3 replicas")),
		check("R01", Critical, NotSeen(errors.New("CONFIG and INFO denied"), "grant +info")),
	}, Options{})
	var text strings.Builder
	if err := r.WriteText(&text, false); err != nil {
		t.Fatal(err)
	}
	const want = `✗ K05 title K05  (critical · order)
    observed  cleanup.policy=compact (topic)
    expected  delete
    players   clues reorder
    fix       veltrix topics apply
? R01 title R01  (critical · order)
    observed  CONFIG and INFO denied
    players   clues reorder
    fix       grant +info
1 pass · 1 fail · 1 unknown → exit 1
`
	if text.String() != want {
		t.Errorf("got\n%s\nwant\n%s", text.String(), want)
	}
	var out strings.Builder
	if err := r.WriteJSON(&out); err != nil {
		t.Fatal(err)
	}
	var back struct {
		Version, Exit int
		Results       []map[string]any
	}
	if err := json.Unmarshal([]byte(out.String()), &back); err != nil || back.Version != 1 || back.Exit != 1 || back.Results[0]["state"] != "fail" {
		t.Errorf("%s: %v", out.String(), err)
	}
	if err := r.StartError(); err == nil || !strings.Contains(err.Error(), "K05") || !strings.Contains(err.Error(), "veltrix topics apply") {
		t.Errorf("start: %v", err)
	}
}
