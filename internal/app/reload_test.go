package app

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/telemetry"
)

// reloadable is a runtime whose configuration is in a file, and what rewrites that.
func reloadable(t *testing.T, text string) (rt Runtime, log *said, rewrite func(text string)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "veltrix.yaml")
	rewrite = func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rewrite(text)
	cmd := &cobra.Command{Use: "test"}
	config.Flags(cmd)
	if err := cmd.ParseFlags([]string{"--config=" + path}); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(cmd.Flags())
	if err != nil {
		t.Fatal(err)
	}
	log = &said{}
	level := &slog.LevelVar{}
	rt = Runtime{Config: cfg, Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: level})), Metrics: telemetry.New(), live: newLive(cfg, level)}
	return rt, log, rewrite
}

// TestReloadReachesWhatItIsFor: the level of the log, the pacing of pushes, the
// waivers and whoever waits for a change.
func TestReloadReachesWhatItIsFor(t *testing.T) {
	t.Parallel()
	rt, log, rewrite := reloadable(t, "notifier: {pushes_max: 5, presence_wait: 1s}\n")
	follow, changed := NewNotifier(rt, nil).options().Follow, rt.changes()
	if p := follow(); p.PushesMax != 5 || p.PresenceWait != time.Second {
		t.Errorf("before: %+v", p)
	}
	waivers := filepath.Join(t.TempDir(), "waivers.yaml")
	if err := os.WriteFile(waivers, []byte("- {id: K02, reason: two brokers yet, expires: 2999-01-01}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	rewrite(fmt.Sprintf("notifier: {pushes_max: 7, presence_wait: 0s}\ndoctor: {waivers_file: %s}\nlog: {level: warn}\n", waivers))
	rt.reload()
	rt.reload() // whoever waits is told once at least, and nobody is waited for
	if p := follow(); p.PushesMax != 7 || p.PresenceWait >= 0 {
		t.Errorf("after: %+v", p)
	}
	if got, err := rt.waivers(); err != nil || len(got) != 1 {
		t.Errorf("waivers %v, %v", got, err)
	}
	rt.Log.Info("not to be seen")
	if strings.Contains(log.String(), "not to be seen") {
		t.Error("the log's level is as it was")
	}
	select {
	case <-changed:
	default:
		t.Error("whoever waits for a change is not told")
	}
	rewrite("notifier: {pushes_max: -1}\n")
	rt.reload()
	if p := follow(); p.PushesMax != 7 || testutil.ToFloat64(rt.Metrics.Reloads.WithLabelValues("refused")) != 1 || !strings.Contains(log.String(), "pushes_max") {
		t.Errorf("after a mistake: %+v, and the log says %s", p, log)
	}
}
