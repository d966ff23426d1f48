package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/devcluster"
)

// TestLogNamesWhatItIsAbout runs a processor, takes Redis' data away, and runs
// it again. Whoever searches the log for a partition, an offset or a participant
// has to find what happened there.
func TestLogNamesWhatItIsAbout(t *testing.T) {
	source, sent := lines(t, "harbour", 2_000)
	cluster, err := devcluster.Start(t.Context(), devcluster.Options{Prefix: "e2e-testlognameswhatitisabout", Partitions: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cluster.Close() })
	d := deploy(t, place{brokers: cluster.Brokers, redis: cluster.RedisAddr, bootID: cluster.BootID}, 2, source)
	d.rt.Config.Processor.Slots = 1 // a partition that moves meanwhile may be ready elsewhere, with nothing left to fold
	var log journal
	d.rt.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	d.must(d.send(t.Context(), d.client(), slices.Concat(sent, sent[:5])))
	d.notifier()
	_, stop := d.processor()
	d.processed()
	stop()
	for _, message := range []string{"partitions assigned", "partition ready", "checked the deployment"} {
		if log.count(message, nil) == 0 {
			t.Errorf("the log has no %q", message)
		}
	}
	if n := log.count("event rejected", func(l map[string]any) bool { return l["reason"] == "duplicate" }, "partition", "offset", "participant", "reason"); n < 5 {
		t.Errorf("%d of 5 duplicates are in the log", n)
	}

	d.must(d.redis.FlushAll(t.Context()).Err())
	log.reset()
	_, stop = d.processor()
	// The log was decided before, so that only its entries say when Redis is whole again.
	for began := time.Now(); log.count("partition ready", nil) < 2 && time.Since(began) < stall; {
		time.Sleep(20 * time.Millisecond)
	}
	d.processed()
	stop()
	for _, p := range []float64{0, 1} {
		of := func(l map[string]any) bool { return l["partition"] == p }
		for _, message := range []string{"folding again", "folded again", "partition ready"} {
			if log.count(message, of, "partition", "offset") == 0 {
				t.Errorf("the log has no %q with partition %v and offset", message, p)
			}
		}
	}
}

// journal is a whole log in memory.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) reset() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text.Reset()
}

// count returns how many entries have the message and every field, and match.
func (j *journal) count(message string, match func(map[string]any) bool, fields ...string) (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for line := range strings.Lines(j.text.String()) {
		var entry map[string]any
		if json.Unmarshal([]byte(line), &entry) != nil || entry["msg"] != message || match != nil && !match(entry) {
			continue
		}
		if slices.ContainsFunc(fields, func(f string) bool { return entry[f] == nil || fmt.Sprint(entry[f]) == "" }) {
			continue
		}
		n++
	}
	return n
}
