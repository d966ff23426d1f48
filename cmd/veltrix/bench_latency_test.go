package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/bench"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/testredis"
)

// benchWorld is an embedded broker and a Redis for the bench as a process, which
// starts others.
type benchWorld struct {
	t      *testing.T
	dir    string
	binary string
	broker string
	redis  string
}

func newBenchWorld(t *testing.T) *benchWorld {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	w := &benchWorld{t: t, dir: t.TempDir(), broker: cluster.ListenAddrs()[0], redis: testredis.Start(t, nil).Addr}
	w.binary = filepath.Join(w.dir, "veltrix")
	if out, err := exec.Command("go", "build", "-o", w.binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	return w
}

// page makes one with a place for a report.
func (w *benchWorld) page(name string) string {
	path := filepath.Join(w.dir, "page.md")
	if err := os.WriteFile(path, []byte("before\n<!-- bench "+name+": begin -->\nstale\n<!-- bench "+name+": end -->\nafter\n"), 0o644); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// written fails where the page was not written, or more of it than its place.
func (w *benchWorld) written(page, want string) {
	w.t.Helper()
	text, err := os.ReadFile(page)
	if err != nil || !strings.HasPrefix(string(text), "before\n") || !strings.HasSuffix(string(text), "after\n") ||
		!strings.Contains(string(text), want) || strings.Contains(string(text), "stale") {
		w.t.Errorf("the page says %s, %v", text, err)
	}
}

// command is a bench of two partitions.
func (w *benchWorld) command(ctx context.Context, args ...string) (*exec.Cmd, *strings.Builder) {
	said := &strings.Builder{}
	cmd := exec.CommandContext(ctx, w.binary, append(append([]string{"bench"}, args...),
		"--partitions", "2", "--participants", "40", "--kafka-brokers", w.broker, "--redis-addrs", w.redis)...)
	cmd.Stderr = said
	return cmd, said
}

// empty fails where a bench left something behind, or somebody.
func (w *benchWorld) empty() {
	w.t.Helper()
	running, _ := filepath.Glob("/proc/[0-9]*/exe") // the pattern is well-formed
	for _, exe := range running {
		if of, err := os.Readlink(exe); err == nil && of == w.binary {
			w.t.Errorf("%s is left of the bench's processes", filepath.Dir(exe))
		}
	}
	client := redisstore.Open(redisstore.Config{Addrs: []string{w.redis}})
	defer client.Close() //nolint:errcheck // nothing is left to be lost
	if keys, err := client.Keys(context.Background(), "*").Result(); err != nil || len(keys) > 0 {
		w.t.Errorf("%d keys are left: %q, %v", len(keys), keys[:min(len(keys), 5)], err)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.broker))
	if err != nil {
		w.t.Fatal(err)
	}
	defer cl.Close()
	topics, err := kadm.NewClient(cl).ListTopics(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, name := range topics.Names() {
		if strings.HasPrefix(name, "veltrix-bench-") {
			w.t.Errorf("topic %s is left", name)
		}
	}
}

// TestBenchLatency takes a small bench through all of its way, as processes: its
// figures mean nothing, and its oracle has to be content.
func TestBenchLatency(t *testing.T) {
	t.Parallel()
	w := newBenchWorld(t)
	page := w.page("latency")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd, said := w.command(ctx, "latency", "--events", "500", "--maximum", "400", "--levels", "25,100", "--for", "2s", "--json", "--write", page)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	var report bench.LatencyReport
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// Each level lasts 2.4 s, of which the last 2 are measured.
	if v := report.Verified; v.Events != 240+960 || v.Outputs != 24+96 || v.Rounds != 2 {
		t.Errorf("verified %+v, want 1200 events and 120 outputs of 2 runs", v)
	}
	if len(report.Levels) != 2 || report.Levels[0].Rate != 100 || report.Levels[1].Rate != 400 {
		t.Fatalf("levels %+v", report.Levels)
	}
	for i, v := range report.Levels {
		if want := []int64{20, 80}[i]; v.Notifications != want || v.Times.P50 <= v.Late.P50 || v.Times.Max < v.Times.P99 || v.Logged.P50 < v.Late.P50 || v.Processors <= 0 {
			t.Errorf("%d %%: %+v, want %d notifications, later than they were sent", v.Percent, v, want)
		}
	}
	w.written(page, "ms from due to notified")
	w.empty()
}

// TestBenchMeasuresTheMaximum where it is not said.
func TestBenchMeasuresTheMaximum(t *testing.T) {
	t.Parallel()
	w := newBenchWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd, said := w.command(ctx, "latency", "--events", "2000", "--levels", "1", "--for", "1s", "--json")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	var report bench.LatencyReport
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m := report.Maximum
	if m.Given || len(m.Rounds) != 3 || m.EventsPerS <= 0 || report.Levels[0].Rate != m.EventsPerS/100 {
		t.Errorf("the maximum is %+v, and 1 %% of it %v", m, report.Levels[0].Rate)
	}
	w.empty()
}

// TestBenchUnderLoadWithoutTheFold damages the states behind the processor's back: no
// figure is given.
func TestBenchUnderLoadWithoutTheFold(t *testing.T) {
	t.Parallel()
	w := newBenchWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	go damage(ctx, w.redis)
	cmd, said := w.command(ctx, "latency", "--maximum", "400", "--levels", "100", "--for", "2s")
	out, err := cmd.Output()
	if err == nil || cmd.ProcessState.ExitCode() != 1 || len(out) > 0 || !strings.Contains(said.String(), "no figure is given") {
		t.Errorf("exit code %d, %v: %s%s", cmd.ProcessState.ExitCode(), err, out, said.String())
	}
	w.empty()
}

// damage adds a participant whom no event mentions, as soon as there is a state, and
// once: later the keys are removed, and a field that is set makes its key again.
func damage(ctx context.Context, addr string) {
	client := redisstore.Open(redisstore.Config{Addrs: []string{addr}})
	defer client.Close() //nolint:errcheck // nothing is left to be lost
	for ctx.Err() == nil {
		keys, _ := client.Keys(ctx, "*").Result()
		for _, key := range keys {
			if fields, err := client.HKeys(ctx, key).Result(); err == nil && len(fields) > 1 && strings.Contains(strings.Join(fields, " "), "player-") {
				client.HSetNX(ctx, key, "player-nobody", "x")
				return
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestBenchInterrupted: Ctrl-C leaves nothing, and no process.
func TestBenchInterrupted(t *testing.T) {
	t.Parallel()
	w := newBenchWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for _, args := range [][]string{
		{"latency", "--maximum", "400", "--levels", "100", "--for", "10m"},
		{"recovery", "--maximum", "400", "--calm", "1s", "--rounds", "50", "--processor-slots", "1"},
	} {
		cmd, said := w.command(ctx, args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		w.awaitKeys(ended, said)
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err == nil || !strings.Contains(said.String(), "interrupt") {
			t.Errorf("%v: %v: %s", args, err, said.String())
		}
		w.empty()
	}
}

// awaitKeys waits until a processor has written states, as long as the bench runs.
func (w *benchWorld) awaitKeys(ended chan error, said *strings.Builder) {
	w.t.Helper()
	client := redisstore.Open(redisstore.Config{Addrs: []string{w.redis}})
	defer client.Close() //nolint:errcheck // nothing is left to be lost
	for {
		keys, err := client.Keys(context.Background(), "*:meta").Result()
		if err != nil {
			w.t.Fatal(err)
		}
		if len(keys) > 0 {
			return
		}
		select {
		case err := <-ended:
			w.t.Fatalf("the bench has ended: %v: %s", err, said)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
