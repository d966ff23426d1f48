package main

import (
	"encoding/json"
	"testing"

	"github.com/veltrix/veltrix/internal/bench"
)

// TestBenchIdle takes a short look through all of its way, as processes.
func TestBenchIdle(t *testing.T) {
	t.Parallel()
	w := newBenchWorld(t)
	page := w.page("idle")
	cmd, said := w.command(t.Context(), "idle", "--points", "2,5", "--rounds", "1", "--for", "1s", "--json", "--write", page)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	var r bench.IdleReport
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if len(r.Points) != 2 || r.Points[1].Partitions != 5 || len(r.Points[1].Rounds) != 1 || r.Points[1].Rounds[0].Wall == 0 || r.Verified.Events != 70 {
		t.Errorf("the report is %s", out)
	}
	w.written(page, "partitions ")
	w.empty()
}
