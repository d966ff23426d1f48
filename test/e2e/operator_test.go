package e2e

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/kafkalog"
)

// untouched is all that a refused partition must leave as it is.
type untouched struct {
	committed               engine.Committed
	view                    engine.Meta
	notifications, rejected int64 // ends
}

func (d *deployment) untouched(partition int32) (u untouched) {
	d.t.Helper()
	var err error
	u.committed, err = d.positions.Committed(d.t.Context(), partition)
	d.must(err)
	u.committed.LogEnd, u.committed.EpochEnd = 0, 0 // others may produce, or lose
	u.committed.Initialized = false                 // its owner notes that in the manifest when it comes to it
	u.view, err = d.state.Meta(d.t.Context(), partition)
	d.must(err)
	for topic, end := range map[string]*int64{"notifications": &u.notifications, "rejected": &u.rejected} {
		bounds, err := kafkalog.Bounds(d.t.Context(), d.kafka, d.kafka.Topic(topic))
		d.must(err)
		*end = bounds[partition].End
	}
	return u
}

// refusal waits until a partition is refused, and returns why.
func refusal(t *testing.T, p *app.Processor, partition int32) engine.Refusal {
	t.Helper()
	for began := time.Now(); time.Since(began) < stall; time.Sleep(50 * time.Millisecond) {
		for _, v := range p.Views() {
			if v == nil {
				continue
			}
			for _, s := range v.Status {
				if s.Partition == partition && s.Phase == "refused" {
					return s.Refusal
				}
			}
		}
	}
	t.Fatalf("partition %d is not refused", partition)
	return engine.Refusal{}
}

// reset commits offsets as an operator's tool does. The brokers take them only
// when no member is left, and one whose leaving went wrong is left for as long
// as its session.
func (d *deployment) reset(group string, offsets kadm.Offsets) {
	d.t.Helper()
	var err error
	for began := time.Now(); time.Since(began) < 4*sessionTimeout; time.Sleep(200 * time.Millisecond) {
		if err = d.admin.CommitAllOffsets(d.t.Context(), group, offsets); err == nil {
			return
		}
	}
	d.t.Fatal(err)
}

// TestOperatorCannotResetSilently resets the group's offsets behind the
// processors' back. They must refuse what was reset, and only that, and go on
// by themselves once the offsets are as they were.
func TestOperatorCannotResetSilently(t *testing.T) {
	onEach(t, func(t *testing.T, at place) {
		const partitions, reset, deleted = 4, 0, 1
		source, sent := lines(t, "flights", 2_000)
		d := deploy(t, at, partitions, source)
		cl := d.client()
		d.must(d.send(t.Context(), cl, sent[:1_500]))
		_, stop := d.processor()
		d.processed()
		stop()

		group, topic := d.kafka.ProcessorGroup(), d.kafka.Topic("events")
		good := map[int32]engine.Committed{reset: d.untouched(reset).committed, deleted: d.untouched(deleted).committed}
		zero := make(kadm.Offsets)
		zero.AddOffset(topic, reset, 0, -1)
		d.reset(d.kafka.ProcessorGroup(), zero)
		gone := make(kadm.TopicsSet)
		gone.Add(topic, deleted)
		result, err := d.admin.DeleteOffsets(t.Context(), group, gone)
		d.must(err)
		d.must(result.Error())
		before := map[int32]untouched{reset: d.untouched(reset), deleted: d.untouched(deleted)}
		if c := before[reset].committed; c.Offset != 0 || c.Absent || !before[deleted].committed.Absent {
			t.Fatalf("the operator's reset did not take: %+v", before)
		}

		d.must(d.send(t.Context(), cl, sent[1_500:]))
		p, stop := d.processor()
		for partition, reason := range map[int32]string{reset: "stamp", deleted: "no-commit"} {
			if r := refusal(t, p, partition); r.Reason != reason || r.Fix == "" {
				t.Errorf("partition %d is refused as %+v, want %s and a fix", partition, r, reason)
			}
		}
		if err := p.Ready(); err == nil {
			t.Error("the processor says it is ready with refused partitions")
		}
		d.processed(reset, deleted)
		stop()
		for partition, was := range before {
			if is := d.untouched(partition); is != was {
				t.Errorf("partition %d was refused and is now %+v, was %+v", partition, is, was)
			}
		}

		// The fix that the refusal names: the offset with its stamp.
		restored := make(kadm.Offsets)
		for partition, c := range good {
			restored.Add(kadm.Offset{Topic: topic, Partition: partition, At: c.Offset, LeaderEpoch: -1, Metadata: c.Metadata})
		}
		d.reset(d.kafka.ProcessorGroup(), restored)
		d.processor()
		d.processed()
		d.verified(map[string]int64{"applied": int64(len(sent))})
		d.sameStates(sent)
	})
}
