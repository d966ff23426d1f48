package main

import (
	"encoding/json"
	"testing"

	"github.com/veltrix/veltrix/internal/bench"
)

// TestBenchSoak takes a small soak through all of its way, as processes.
func TestBenchSoak(t *testing.T) {
	t.Parallel()
	w := newBenchWorld(t)
	page := w.page("soak")
	cmd, said := w.command(t.Context(), "soak", "--maximum", "300", "--level", "100", "--for", "5s", "--json", "--write", page)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	var r bench.SoakReport
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if len(r.Resident) < 5 || r.Peak() < 1<<20 || r.Peak() > r.Budget || r.Hits == 0 || r.Misses == 0 || r.Verified.Events != 1500 || r.LoadHead.Workload.Name != "hot" {
		t.Errorf("the report is %s", out)
	}
	w.written(page, "resident ")
	w.empty()
}
