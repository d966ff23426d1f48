package e2e

import (
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/devcluster"
)

// TestPipelineEmbedded is the same on the embedded broker and Redis, with the
// services in this process: the whole harbour hunt, and the processor restarted
// in its middle.
func TestPipelineEmbedded(t *testing.T) {
	const partitions = 4
	source, sent := lines(t, "harbour", 1_000_000)
	cluster, err := devcluster.Start(t.Context(), devcluster.Options{Prefix: "e2e-testpipelineembedded", Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cluster.Close() })
	d := deploy(t, place{brokers: cluster.Brokers, redis: cluster.RedisAddr, bootID: cluster.BootID}, partitions, source)
	began := time.Now()
	d.notifier()
	_, stop := d.processor()
	middle := len(sent) / 2
	feeder := d.feed(sent[:middle], 1_000, 50*time.Millisecond)
	d.await("a quarter of the hunt", func(p progress) bool { return p.applied > int64(len(sent)/4) })
	stop()
	before := d.look(t.Context())
	feeder.wait()
	feeder = d.feed(sent[middle:], 1_000, 0)
	d.processor()
	feeder.wait()
	d.delivered()
	t.Logf("%d events in %s, restarted when %s", len(sent), time.Since(began).Round(time.Millisecond), before)

	report := d.verified(map[string]int64{"applied": 38_192, "duplicate": 2_542})
	d.sameStates(sent)
	if standing := d.inboxes(); standing != 2_352+580+2_443+163 {
		t.Errorf("%d notifications stand, the hunt has 5538: %v", standing, report.Ops)
	}
}
