package bench

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/telemetry"
)

// world is an embedded broker and Redis, with what they hold.
func world(t *testing.T) (app.Runtime, *miniredis.Miniredis, *kadm.Client) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	redis := miniredis.RunT(t)
	cfg := config.Default()
	cfg.Kafka.Brokers, cfg.Redis.Addrs = cluster.ListenAddrs(), []string{redis.Addr()}
	cl, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	log := slog.New(slog.DiscardHandler)
	return app.Runtime{Config: cfg, Log: log, Metrics: telemetry.New()}, redis, kadm.NewClient(cl)
}

// empty fails the test where the bench left something behind.
func empty(t *testing.T, redis *miniredis.Miniredis, adm *kadm.Client) {
	t.Helper()
	topics, err := adm.ListTopics(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range topics.Names() {
		if strings.HasPrefix(name, "veltrix-bench-") {
			t.Errorf("topic %s is left", name)
		}
	}
	if keys := redis.Keys(); len(keys) > 0 {
		t.Errorf("%d keys are left: %q …", len(keys), keys[:min(len(keys), 5)])
	}
}

func options(t *testing.T, encoding string) Options {
	t.Helper()
	w, err := NewWorkload("core", 3000, 50, encoding)
	if err != nil {
		t.Fatal(err)
	}
	return Options{Workload: w, Partitions: 3, Rounds: 2, Warmups: 1, Progress: t.Logf}
}

// TestRunEndToEnd takes a small bench through all of its way, so that it
// cannot rot: its figures mean nothing.
func TestRunEndToEnd(t *testing.T) {
	for _, encoding := range []string{Structured, Binary} {
		t.Run(encoding, func(t *testing.T) {
			rt, redis, adm := world(t)
			opts := options(t, encoding)
			if encoding == Binary {
				opts.CPUProfile = filepath.Join(t.TempDir(), "cpu.out")
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			report, err := Run(ctx, rt, opts)
			if err != nil {
				t.Fatal(err)
			}
			v := report.Verified
			if v.Events != 3000 || v.Outputs != 300 || v.States != 50 {
				t.Errorf("compared %+v", v)
			}
			for _, f := range report.Figures() {
				if len(f.Rounds) != 2 || !(f.EventsPerS > 0) || !(f.OwnNanos > 0) {
					t.Errorf("%+v", f)
				}
				if f.BrokerNanos != nil || f.RedisNanos != nil {
					t.Errorf("%s: servers within this process have figures of their own", f.Name)
				}
			}
			if err := report.WriteText(io.Discard); err != nil {
				t.Error(err)
			}
			empty(t, redis, adm)
		})
	}
}

// TestNoFigureWithoutTheFold damages a state behind the processor's back.
func TestNoFigureWithoutTheFold(t *testing.T) {
	rt, redis, adm := world(t)
	opts := options(t, Structured)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go damage(ctx, redis)
	report, err := Run(ctx, rt, opts)
	var dirty *DirtyError
	if report != nil || !errors.As(err, &dirty) {
		t.Fatalf("a report: %t, error: %v", report != nil, err)
	}
	if dirty.Report.Clean() || !strings.Contains(err.Error(), "no figure is given") {
		t.Errorf("%v", err)
	}
	empty(t, redis, adm)
}

// damage adds a participant whom no event mentions, as soon as there is a state, and
// once: later the keys are removed, and a field that is set makes its key again.
func damage(ctx context.Context, redis *miniredis.Miniredis) {
	for ; ctx.Err() == nil; time.Sleep(time.Millisecond) {
		for _, key := range redis.Keys() {
			if fields, err := redis.HKeys(key); err == nil && len(fields) > 1 && strings.HasPrefix(fields[1], "player-") {
				redis.HSet(key, "player-nobody", "x")
				return
			}
		}
	}
}

// TestInterruptedRunLeavesNothing: Ctrl-C ends the context.
func TestInterruptedRunLeavesNothing(t *testing.T) {
	rt, redis, adm := world(t)
	opts := options(t, Structured)
	opts.Rounds = roundsMax
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	opts.Progress = func(format string, _ ...any) {
		if strings.HasPrefix(format, "  compared") {
			cancel()
		}
	}
	if report, err := Run(ctx, rt, opts); report != nil || !errors.Is(err, context.Canceled) {
		t.Fatalf("a report: %t, error: %v", report != nil, err)
	}
	empty(t, redis, adm)
}

func TestUnusableOptions(t *testing.T) {
	rt, _, _ := world(t)
	for name, change := range map[string]func(*Options){
		"rounds":     func(o *Options) { o.Rounds = 0 },
		"warm up":    func(o *Options) { o.Warmups = -1 },
		"partitions": func(o *Options) { o.Partitions = 0 },
	} {
		opts := options(t, Structured)
		change(&opts)
		if _, err := Run(t.Context(), rt, opts); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for _, w := range []struct {
		events       int64
		participants int
		encoding     string
	}{{0, 1, Structured}, {1, -1, Structured}, {1, 1, "xml"}} {
		if _, err := NewWorkload("core", w.events, w.participants, w.encoding); err == nil {
			t.Errorf("%+v was accepted", w)
		}
	}
}

// TestWorkloadIsTheSameEachTime: rounds and runs compare only then.
func TestWorkloadIsTheSameEachTime(t *testing.T) {
	w, err := NewWorkload("core", 1000, 20, Structured)
	if err != nil {
		t.Fatal(err)
	}
	collect := func() (lines []string) {
		if err := w.Each(4, func(r *kgo.Record) error {
			lines = append(lines, string(r.Key)+" "+string(r.Value))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return lines
	}
	a, b := collect(), collect()
	if strings.Join(a, "\n") != strings.Join(b, "\n") || len(a) != 1000 {
		t.Errorf("%d and %d events, not the same", len(a), len(b))
	}
	if w.EventBytes < 270 || w.EventBytes > 300 {
		t.Errorf("an event has %d B, not about 283", w.EventBytes)
	}
}

// TestNoFigureWithoutTheInboxes: sums that agree are not enough.
func TestNoFigureWithoutTheInboxes(t *testing.T) {
	for name, c := range map[string]struct {
		tally app.Tally
		right bool
	}{
		"each once":           {app.Tally{Notified: 300, InInboxes: 300}, true},
		"one missing":         {app.Tally{Notified: 300, InInboxes: 299, Astray: 1}, false},
		"one lost, one twice": {app.Tally{Notified: 300, InInboxes: 300, Astray: 2}, false},
		"fewer than caused":   {app.Tally{Notified: 299, InInboxes: 299}, false},
	} {
		if err := delivered(c.tally, 300); (err == nil) != c.right {
			t.Errorf("%s: %v", name, err)
		}
	}
}
