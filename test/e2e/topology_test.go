package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/wire"
)

// refusesToStart runs a processor, which has to end and to say so.
func (d *deployment) refusesToStart(says string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), stall)
	defer cancel()
	if err := app.NewProcessor(d.rt, d.program).Run(ctx); err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), says) {
		d.t.Errorf("the processor ended with %v, want one that says %q", err, says)
	}
}

func (d *deployment) views() map[int32]engine.Meta {
	d.t.Helper()
	all := map[int32]engine.Meta{}
	for p := range d.partitions {
		meta, err := d.state.Meta(d.t.Context(), p)
		d.must(err)
		all[p] = meta
	}
	return all
}

// TestRow27TopicIsMadeAgain deletes the events topic and makes another of its
// name. What was counted from the first one must not go on with the second.
func TestRow27TopicIsMadeAgain(t *testing.T) {
	onEach(t, func(t *testing.T, at place) {
		d, sent := flights(t, at, 2, 400)
		d.must(d.send(t.Context(), d.client(), sent))
		_, stop := d.processor()
		d.processed()
		stop()
		before, topic := d.views(), d.kafka.Topic("events")
		answers, err := d.admin.DeleteTopics(t.Context(), topic)
		d.must(err)
		d.must(answers.Error())
		d.until(func() (bool, string) { // a deletion takes effect some time after its answer
			_, err := d.admin.CreateTopic(t.Context(), d.partitions, 1, nil, topic)
			return err == nil, fmt.Sprint(err)
		})
		d.refusesToStart("topic")
		for p, is := range d.views() {
			if is != before[p] {
				t.Errorf("partition %d is %+v in Redis, was %+v", p, is, before[p])
			}
		}
	})
}

// TestRow28PartitionsAreAdded adds a partition while a processor runs, and
// senders follow it: they put most participants on another partition than their
// state. Each event is moved to where it belongs, and counts once. A processor
// that starts then refuses to.
func TestRow28PartitionsAreAdded(t *testing.T) {
	onEach(t, func(t *testing.T, at place) {
		const added = 2
		d, sent := flights(t, at, added, 600)
		d.must(d.send(t.Context(), d.client(), sent[:300]))
		_, stop := d.processor()
		d.processed()
		topic := d.kafka.Topic("events")
		answers, err := d.admin.CreatePartitions(t.Context(), 1, topic)
		d.must(err)
		d.must(answers.Error())
		cl, there := d.client(), int64(0)
		for _, line := range sent[300:] {
			r := &kgo.Record{
				Topic: topic, Key: []byte(keyOf(line)), Value: []byte(line), Partition: wire.PartitionFor([]byte(keyOf(line)), added+1),
				Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte(structured)}},
			}
			if r.Partition == added {
				there++
			}
			d.must(cl.ProduceSync(t.Context(), r).FirstErr())
		}
		if there == 0 {
			t.Fatal("no event is on the partition that was added")
		}
		d.until(func() (bool, string) {
			c, err := d.positions.Committed(t.Context(), added)
			return err == nil && c.Offset == there, fmt.Sprintf("of %d records on the added partition %d are moved: %v", there, c.Offset, err)
		})
		d.processed()
		stop()
		d.sameStates(sent)
		bounds, err := kafkalog.Bounds(t.Context(), d.kafka, d.kafka.Topic("rejected"))
		d.must(err)
		for _, b := range bounds {
			if b.End > b.Start {
				t.Errorf("partition %d of rejected has %d records", b.Partition, b.End-b.Start)
			}
		}
		d.refusesToStart("partition")
	})
}
