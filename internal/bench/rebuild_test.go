package bench

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/testredis"
)

// TestRebuildEndToEnd takes every loss through all of its way, and holds what
// came out against the fold: its times mean nothing.
func TestRebuildEndToEnd(t *testing.T) {
	rt, redis, adm := world(t)
	rt.Config.Redis.Addrs = []string{testredis.Start(t, nil).Addr} // it copies keys, which the embedded one cannot
	w, err := NewWorkload("core", 3000, 50, Structured)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	report, err := Rebuild(ctx, rt, RebuildOptions{Workload: w, Partitions: 2, Tail: 300, Progress: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Losses) != 3 {
		t.Fatalf("%d losses", len(report.Losses))
	}
	for i, want := range []int64{1000, 2700, 300} {
		if got := report.Losses[i]; got.Took <= 0 || got.Participants < 10 || got.Records > want {
			t.Errorf("%s: %+v", got.What, got)
		}
	}
	var text bytes.Buffer
	if err := report.WriteText(&text); err != nil || !strings.Contains(text.String(), "from snapshots and the tail") {
		t.Errorf("%v: %s", err, text.String())
	}
	empty(t, redis, adm)
	for name, opts := range map[string]RebuildOptions{
		"no partitions": {Workload: w, Tail: 1}, "no tail": {Workload: w, Partitions: 1}, "only a tail": {Workload: w, Partitions: 1, Tail: 3000},
	} {
		if _, err := Rebuild(ctx, rt, opts); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
