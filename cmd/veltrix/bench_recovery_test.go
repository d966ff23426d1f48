package main

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/bench"
)

// TestBenchRecovery kills a processor under load once for each kind. The times mean
// nothing; what came of the events has to be the fold.
func TestBenchRecovery(t *testing.T) {
	t.Parallel()
	w := newBenchWorld(t)
	page := w.page("recovery")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd, said := w.command(ctx, "recovery", "--maximum", "800", "--level", "50", "--rounds", "1", "--calm", "2s", "--json", "--write", page,
		"--processor-slots", "1", "--processor-session-timeout", "6s", "--processor-transaction-timeout", "3s")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	var report bench.RecoveryReport
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if report.Rate != 400 || report.SessionTimeout != 6*time.Second || len(report.Killed) != 2 || report.Verified.Rounds != 2 {
		t.Fatalf("report %s", out)
	}
	if v := report.Verified; v.Outputs != v.Events/10 && v.Outputs != v.Events/10-1 || v.Events < 2*4*400 { // each kind is calm for 4 s
		t.Errorf("verified %+v", v)
	}
	for i, k := range report.Killed {
		if len(k.Kills) != 1 || k.Kills[0].Partitions != []int{2, 1}[i] || k.Kills[0].Next <= 0 || k.Kills[0].Zero < k.Kills[0].Next || k.Usual <= 0 {
			t.Errorf("%s: %+v", k.Name, k)
		}
	}
	// The group learns of a kill by silence, and of an orderly end at once.
	if k := report.Killed[1]; k.Kills[0].Next < report.SessionTimeout/2 {
		t.Errorf("another took over after %s, before the session timeout: it was not a kill", k.Kills[0].Next)
	}
	w.written(page, "next notification after")
	w.empty()
}
