package app

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/devcluster"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/telemetry"
	"github.com/veltrix/veltrix/internal/wire"
)

// upConfig is a configuration that takes free ports.
func upConfig() *config.Config {
	cfg := config.Default()
	cfg.Producer.Listen, cfg.Notifier.Listen, cfg.Metrics.Listen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	cfg.Log.Level, cfg.Log.Format = "warn", "text"
	return cfg
}

// TestUpContinuesALoad interrupts the loading three times. What the example
// comes to in the end is what it comes to without.
func TestUpContinuesALoad(t *testing.T) {
	const partly, whole = 3, "loaded 54383, applied 53317, duplicates 1066, late 0, notified 15167, in inboxes 15167"
	dir := t.TempDir()
	for n := range partly {
		ctx, interrupt := context.WithCancel(t.Context())
		u := &Up{Example: "flights", DataDir: dir, Out: &bytes.Buffer{}}
		ended := make(chan error, 1)
		go func() { ended <- u.Run(ctx, upConfig(), "test") }()
		for u.loaded.Load() == nil {
			select {
			case err := <-ended:
				t.Fatalf("run %d ended by itself: %v", n, err)
			case <-time.After(time.Millisecond):
			}
		}
		interrupt()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if u.allIn.Load() {
			t.Fatalf("run %d loaded all before it was interrupted", n)
		}
	}
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	u := &Up{Example: "flights", DataDir: dir, Out: &out, ExitWhenDone: true}
	if err := u.Run(ctx, upConfig(), "test"); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(out.String(), whole+"\n") || !strings.Contains(out.String(), "loaded    before: ") {
		t.Errorf("it says\n%s\nand not %s", out.String(), whole)
	}
	// One word, one meaning: what moves is not called what stands in the end.
	for line := range strings.Lines(strings.TrimSuffix(out.String(), whole+"\n")) {
		for _, word := range []string{"applied", "notified"} {
			if strings.Contains(line, word) {
				t.Errorf("%q counts something else than the %q of the last line", line, word)
			}
		}
	}

	// Another example has other rules.
	var said bytes.Buffer
	u = &Up{Example: "harbour", DataDir: dir, Out: &said}
	err := u.Run(ctx, upConfig(), "test")
	if err == nil || !strings.Contains(err.Error(), "flights-2013") || !strings.Contains(err.Error(), "--data-dir") || strings.Contains(err.Error(), "\n") {
		t.Errorf("another example on the same data: %v", err)
	}
}

// TestUpPlaysTheQuiz: what the quiz comes to by way of all services is what
// examples' own tests say of it.
func TestUpPlaysTheQuiz(t *testing.T) {
	const whole = "loaded 6422, applied 6127, duplicates 295, late 0, notified 831, in inboxes 831"
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var out bytes.Buffer
	u := &Up{Example: "quiz", DataDir: t.TempDir(), Out: &out, ExitWhenDone: true}
	if err := u.Run(ctx, upConfig(), "test"); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(out.String(), whole+"\n") {
		t.Errorf("it says\n%s\nand not %s", out.String(), whole)
	}
}

// TestUpPlaysRulesOfOnesOwn: without input it comes to rest, shows what to send,
// and the rules take that.
func TestUpPlaysRulesOfOnesOwn(t *testing.T) {
	dir := t.TempDir()
	cfg := upConfig()
	cfg.Rules.File = filepath.Join(dir, "docks.yaml")
	const source = `hunt: docks
version: 1
events:
  clue.found: {data: {clue: {type: string, max: 3}, points: {type: int, min: 7, max: 9}, share: {type: number, min: 0.5, max: 0.75}, kind: {type: string, enum: [small]}, at: {type: time}, ok: {type: bool}}}
state: {score: {type: int}}
rules: [{name: found, on: clue.found, set: {score: state.score + event.data.points}}]
`
	if err := os.WriteFile(cfg.Rules.File, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out bytes.Buffer
	u := &Up{Example: "flights", DataDir: filepath.Join(dir, "data"), Out: &out, ExitWhenDone: true}
	if err := u.Run(ctx, cfg, "test"); err != nil {
		t.Fatal(err)
	}
	if said := out.String(); !strings.Contains(said, "docks, version 1") || !strings.HasSuffix(said, "loaded 0, applied 0, duplicates 0, late 0, notified 0, in inboxes 0\n") {
		t.Errorf("it says\n%s", said)
	}
	var ce wire.CloudEvent
	if p := wire.ParseCloudEvent([]byte(u.hunt.try("ada")), &ce); p != nil {
		t.Fatalf("%s: %v", u.hunt.try("ada"), p)
	}
	var r wire.Record
	r.Key, r.Value, r.Headers = wire.EventRecord(&ce)
	var e participant.Event
	if p := wire.CheckEvent(&r, u.program.Schema(), &e); p != nil || e.TypeIndex != 0 {
		t.Errorf("its rules do not take %s: %v", u.hunt.try("ada"), p)
	}
}

// TestUpStartsWhatIsNotGiven gives brokers or Redis or none, and asks what was
// started and what was said.
func TestUpStartsWhatIsNotGiven(t *testing.T) {
	given, err := devcluster.Start(t.Context(), devcluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = given.Close() })
	for name, c := range map[string]struct {
		brokers, redis bool
		says           []string
	}{
		"neither":      {says: []string{"broker    embedded, data in veltrix-data/flights (", "redis     redis-server at "}},
		"brokers":      {brokers: true, says: []string{"broker    " + given.Brokers[0], "redis     redis-server at ", "veltrix-data/flights-redis/"}},
		"redis":        {redis: true, says: []string{"broker    embedded, data in veltrix-data/flights-kafka", "redis     " + given.RedisAddr}},
		"both of them": {brokers: true, redis: true, says: []string{"broker    " + given.Brokers[0], "redis     " + given.RedisAddr}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if c.brokers {
				t.Setenv("VELTRIX_KAFKA_BROKERS", given.Brokers[0])
			}
			if c.redis {
				t.Setenv("VELTRIX_REDIS_ADDRS", given.RedisAddr)
			}
			cfg, err := config.Load(nil)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			u := &Up{hunt: &hunt{name: "flights"}, Out: &out, cfg: cfg}
			if err := u.start(t.Context(), "test"); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if u.cluster != nil {
					_ = u.cluster.Close()
				}
			}()
			for _, line := range c.says {
				if !strings.Contains(out.String(), line) {
					t.Errorf("it says\n%s\nand not %q", out.String(), line)
				}
			}
			if c.brokers != (u.cluster == nil || len(u.cluster.Brokers) == 0) {
				t.Error("an embedded broker runs beside the given one, or none does")
			}
			if c.redis != (u.cluster == nil || u.cluster.RedisAddr == "") {
				t.Error("a Redis runs beside the given one, or none does")
			}
			if c.brokers != (u.rt.BootID == "") {
				t.Errorf("the boot ID is %q", u.rt.BootID)
			}
		})
	}
}

// TestDataDirectoryInUse says once what to do.
func TestDataDirectoryInUse(t *testing.T) {
	dir := t.TempDir()
	first, err := devcluster.Start(t.Context(), devcluster.Options{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = first.Close() })
	err = (&Up{Example: "flights", DataDir: dir, Out: &bytes.Buffer{}}).Run(t.Context(), upConfig(), "test")
	if !errors.Is(err, devcluster.ErrInUse) || strings.Count(err.Error(), "--data-dir") != 1 || strings.Count(err.Error(), "in use") != 1 {
		t.Errorf("it says: %v", err)
	}
}

// TestGateOfAnEndedStart: what could not be asked because the process is ending
// is no finding.
func TestGateOfAnEndedStart(t *testing.T) {
	given, err := devcluster.Start(t.Context(), devcluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = given.Close() })
	var log bytes.Buffer
	rt := Runtime{Config: config.Default(), Log: slog.New(slog.NewTextHandler(&log, nil)), Metrics: telemetry.New(), BootID: given.BootID}
	rt.Config.Kafka.Brokers, rt.Config.Redis.Addrs = given.Brokers, []string{given.RedisAddr}
	kafka, err := rt.Kafka("test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rt.Topics(t.Context(), "topics", kafkalog.TopicPlanOptions{Profile: "dev"}, kafkalog.ApplyTopics); err != nil {
		t.Fatal(err)
	}
	client, err := rt.awaitRedis(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := rt.gate(ended, "processor", kafka, client); !errors.Is(err, context.Canceled) || log.Len() > 0 {
		t.Errorf("%v, and it says %s", err, &log)
	}
	if _, err := rt.gate(t.Context(), "processor", kafka, client); err != nil {
		t.Error(err)
	}
}
