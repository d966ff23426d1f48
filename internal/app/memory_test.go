package app_test

import (
	"math"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
)

// TestBoundMemory asks processes of its own: the collector's settings are the
// process's, and the environment's are read at its start.
func TestBoundMemory(t *testing.T) {
	const asked = "VELTRIX_TEST_BOUND_MEMORY"
	if os.Getenv(asked) != "" {
		cfg := config.Default()
		app.BoundMemory(cfg)
		limit, percent := debug.SetMemoryLimit(-1), debug.SetGCPercent(100)
		t.Logf("limit %d of %d, percent %d", limit, app.MemoryLimit(cfg), percent)
		return
	}
	for _, c := range []struct{ environment, want string }{
		{"NOTHING=1", "limit 805306368 of 805306368, percent 400"},
		{"GOGC=50", "limit 805306368 of 805306368, percent 50"},
		{"GOMEMLIMIT=1GiB", "limit 1073741824 of 805306368, percent 400"},
	} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestBoundMemory$", "-test.v")
		cmd.Env = append(os.Environ(), asked+"=1", c.environment)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), c.want) {
			t.Errorf("with %s: %v\n%s\nwant %s", c.environment, err, out, c.want)
		}
	}
	cfg := config.Default()
	if cfg.Processor.CacheBytes = math.MaxInt64; app.MemoryLimit(cfg) != math.MaxInt64 {
		t.Error("a limit that is no number any more")
	}
}
