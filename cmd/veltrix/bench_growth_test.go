package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/veltrix/veltrix/internal/service"
)

// TestBenchGrowth plays a small growth as it is called, with every face of its report:
// its figures mean nothing.
func TestBenchGrowth(t *testing.T) {
	dir := t.TempDir()
	page, html := filepath.Join(dir, "page.md"), filepath.Join(dir, "growth.html")
	if err := os.WriteFile(page, []byte("before\n<!-- bench growth: begin -->\n<!-- bench growth: end -->\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, "bench", "growth", "--embedded", "--dimension", "tail", "--points", "2,8", "--events", "4000", "--rounds", "1", "--warmups", "0",
		"--json", "--write", page, "--html", html)
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		Machine    struct{ Kafka string }
		Verified   struct{ Rounds, Events int }
		Dimensions []struct {
			Points []struct {
				At    int
				Redis float64 `json:"redis_bytes_per_participant"`
			}
		}
	}
	if err := json.Unmarshal([]byte(out[strings.Index(out, "{"):]), &report); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	points := report.Dimensions[0].Points
	if !strings.Contains(report.Machine.Kafka, "embedded") || report.Verified.Events != 8000 || len(points) != 2 || points[1].At != 8 {
		t.Errorf("report %s", out)
	}
	// A tail of eight is larger than one of two, by six events of about 80 B.
	if two, eight := points[0].Redis, points[1].Redis; two < 200 || eight < two+200 || eight > 10_000 {
		t.Errorf("a participant takes %.0f and %.0f B in Redis", two, eight)
	}
	for file, want := range map[string]string{page: "no figure here says anything of Kafka", html: "<svg "} {
		text, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s says %s, %v", file, text, err)
		}
	}
}

// TestEmbeddedIsNotBesideOthers: what was named is not left aside in silence.
func TestEmbeddedIsNotBesideOthers(t *testing.T) {
	for _, args := range [][]string{{"bench"}, {"bench", "growth"}} {
		_, err := run(t, append(args, "--embedded", "--kafka-brokers", "127.0.0.1:1")...)
		if err == nil || service.ExitCode(err) == 0 || !strings.Contains(err.Error(), "leave kafka.brokers and redis.addrs out") {
			t.Errorf("%v: %v", args, err)
		}
	}
}
