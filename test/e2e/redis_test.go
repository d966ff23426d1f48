package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/testredis"
	"github.com/veltrix/veltrix/test/broker"
)

// TestRedisLoss kills Redis while it is written to, which takes with it what it
// had acknowledged within the last second, and empties it while nothing runs.
// Both times the view must come back from the log, unattended, and nothing may
// be produced twice.
func TestRedisLoss(t *testing.T) {
	source, sorted := lines(t, "flights", 8_000)
	sent, repeats := disorderly(t, sorted)
	server := testredis.Start(t, nil)
	d := deploy(t, place{brokers: broker.Shared(t).Addrs, redis: server.Addr}, 4, source)
	p, stop := d.processor()
	stopNotifier := d.notifier()
	third := len(sent) / 3
	for kill := range 2 {
		feeder := d.feed(sent[kill*third:(kill+1)*third], 10, 10*time.Millisecond)
		d.await("records in Redis", func(p progress) bool { return p.applied > int64(kill*third+third/4) })
		server.Kill()
		left := feeder.left.Load()
		if left == 0 {
			t.Error("nothing was left to be sent when Redis was killed")
		}
		time.Sleep(2 * time.Second) // the pipeline meets the outage
		if kill == 1 {
			forget(t, server.Dir)
		}
		replayed := counted(p).Replayed
		server.Restart()
		feeder.wait()
		d.delivered()
		d.ready(p)
		if replayed = counted(p).Replayed - replayed; kill == 1 && replayed == 0 {
			t.Error("Redis had lost its last writes, and nothing was replayed")
		}
	}
	stop()
	stopNotifier()
	d.verified(nil)
	d.sameStates(sent[:2*third])
	// What Redis lost of the inboxes is gone; nothing else may be wrong there.
	_, problems := d.compareInboxes(t.Context())
	for _, problem := range problems {
		if !strings.Contains(problem, "is missing") && !strings.Contains(problem, "the latest is") {
			t.Error(problem)
		}
	}

	d.must(d.redis.FlushAll(t.Context()).Err())
	d.must(d.send(t.Context(), d.client(), sent[2*third:]))
	p, _ = d.processor()
	d.notifier()
	d.delivered()
	d.ready(p)
	if n := counted(p).Rebuilt; n != int64(d.partitions) {
		t.Errorf("%d partitions were rebuilt, want all %d", n, d.partitions)
	}
	d.verified(map[string]int64{"applied": int64(len(sorted)), "duplicate": repeats})
	d.sameStates(sent)
}

// ready waits until the processor says that it makes progress again.
func (d *deployment) ready(p *app.Processor) {
	d.t.Helper()
	var err error
	for began := time.Now(); time.Since(began) < stall; time.Sleep(50 * time.Millisecond) {
		if err = p.Ready(); err == nil {
			return
		}
	}
	d.t.Fatalf("the processor is not ready after everything was counted: %v", err)
}

// counted sums what the present sessions of a processor have counted.
func counted(p *app.Processor) (sum engine.Counts) {
	for _, v := range p.Views() {
		if v != nil {
			sum.Rebuilt += v.Counts.Rebuilt
			sum.Replayed += v.Counts.Replayed
		}
	}
	return sum
}

// forget cuts the end off a killed server's file, as a power cut does with what
// was not yet synced.
func forget(t *testing.T, dir string) {
	t.Helper()
	const bytes = 64 << 10
	files, err := filepath.Glob(filepath.Join(dir, "appendonlydir", "*.incr.aof"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the append-only files are %v, want one: %v", files, err)
	}
	info, err := os.Stat(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() < 2*bytes {
		t.Fatalf("%s has %d bytes: nothing to forget", files[0], info.Size())
	}
	if err := os.Truncate(files[0], info.Size()-bytes); err != nil {
		t.Fatal(err)
	}
}
