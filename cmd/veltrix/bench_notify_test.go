package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/veltrix/veltrix/internal/bench"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/testredis"
)

// TestBenchNotify takes a small bench of the notifier through all of its way, as
// processes: its figures mean nothing, and its oracle has to be content.
func TestBenchNotify(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	server := testredis.Start(t, nil)
	dir := t.TempDir()
	binary := filepath.Join(dir, "veltrix")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	page := filepath.Join(dir, "page.md")
	if err := os.WriteFile(page, []byte("before\n<!-- bench notify: begin -->\nold\n<!-- bench notify: end -->\nafter\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "bench", "notify", "--players", "40", "--records", "600", "--rounds", "1",
		"--rate", "50", "--for", "2s", "--partitions", "2", "--json", "--write", page,
		"--kafka-brokers", cluster.ListenAddrs()[0], "--redis-addrs", server.Addr)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	var report bench.NotifyReport
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// Two places drain 120 and 600 records, 70 % of them originals; then 120 events are played.
	if v := report.Verified; v.Notifications != 2*504+84 || v.Copies != 2*216+36 {
		t.Errorf("verified %+v, want 1092 notifications and 468 copies", v)
	}
	if report.Screen.Shown == 0 || report.Screen.Times.P50 <= 0 || report.Connections.Players != 40 {
		t.Errorf("report %s", out)
	}
	text, err := os.ReadFile(page)
	if err != nil || !strings.HasPrefix(string(text), "before\n") || !strings.HasSuffix(string(text), "after\n") ||
		!strings.Contains(string(text), "event to screen") || strings.Contains(string(text), "old") {
		t.Errorf("the page says %s, %v", text, err)
	}
	client := redisstore.Open(redisstore.Config{Addrs: []string{server.Addr}})
	defer client.Close() //nolint:errcheck // nothing is left to be lost
	if keys, err := client.Keys(t.Context(), "*").Result(); err != nil || len(keys) > 0 {
		t.Errorf("%d keys are left: %q, %v", len(keys), keys[:min(len(keys), 5)], err)
	}
}
