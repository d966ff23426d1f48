package e2e

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/veltrix/veltrix/internal/kafkalog"
)

// snapshotted waits until a partition has a snapshot at its committed offset.
func (d *deployment) snapshotted(snapshots *kafkalog.Snapshots, partition int32) (offset int64) {
	d.t.Helper()
	for began := time.Now(); time.Since(began) < stall; time.Sleep(100 * time.Millisecond) {
		meta, err := d.state.Meta(d.t.Context(), partition)
		d.must(err)
		s, ok, err := snapshots.Find(d.t.Context(), partition, meta.Token, meta.Applied)
		d.must(err)
		if ok && s.Offset == meta.Applied {
			return s.Offset
		}
	}
	d.t.Fatalf("partition %d has no snapshot of its present state", partition)
	return 0
}

// TestSnapshotStandsForTheLog deletes the log up to each partition's snapshot
// and then all of Redis. The processors must come back from the snapshots.
func TestSnapshotStandsForTheLog(t *testing.T) {
	onEach(t, func(t *testing.T, at place) {
		source, sent := lines(t, "flights", 3_000)
		d := deploy(t, at, 2, source)
		d.rt.Config.Processor.SnapshotInterval = 500 * time.Millisecond
		snapshots, err := kafkalog.NewSnapshots(d.kafka)
		d.must(err)
		t.Cleanup(snapshots.Close)
		cl := d.client()
		d.must(d.send(t.Context(), cl, sent[:2_000]))
		_, stop := d.processor()
		d.processed()
		topic, remove := d.kafka.Topic("events"), kadm.Offsets{}
		for p := range d.partitions {
			remove.AddOffset(topic, p, d.snapshotted(snapshots, p), -1)
		}
		stop()
		answers, err := d.admin.DeleteRecords(t.Context(), remove)
		d.must(err)
		d.must(answers.Error())
		d.must(d.redis.FlushAll(t.Context()).Err())

		d.must(d.send(t.Context(), cl, sent[2_000:]))
		p, _ := d.processor()
		d.processed()
		d.ready(p)
		d.sameStates(sent)
	})
}
