package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/wire"
)

// holed writes records into a partition of events and aborts them: a hole.
func (d *deployment) holed(partition int32, n int) {
	d.t.Helper()
	cl, err := kgo.NewClient(d.kafka.Options(
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(d.kafka.Topic("events")),
		kgo.TransactionalID(d.kafka.Prefix+".foreign"),
	)...)
	d.must(err)
	defer cl.Close()
	d.must(cl.BeginTransaction())
	for range n {
		d.must(cl.ProduceSync(d.t.Context(), &kgo.Record{Partition: partition, Key: []byte("k"), Value: []byte("v")}).FirstErr())
	}
	d.must(cl.EndTransaction(d.t.Context(), kgo.TryAbort))
}

func (d *deployment) logEnd(partition int32) int64 {
	d.t.Helper()
	c, err := d.positions.Committed(d.t.Context(), partition)
	d.must(err)
	return c.LogEnd
}

// TestRebaseOfADamagedLog gives up what a log does not have: a hole that another
// producer left, an end that the brokers lost, and records that are not those
// that were committed. One partition is in order and stays as it is.
func TestRebaseOfADamagedLog(t *testing.T) {
	const partitions, hole, short, other, whole = 4, 0, 1, 2, 3
	source, sent := lines(t, "flights", 3_000)
	d := deploy(t, real(t), partitions, source)
	cl := d.client()
	d.must(d.send(t.Context(), cl, sent[:1_500]))
	_, halt := d.processor()
	d.processed()
	halt()
	d.emptied()
	good := map[int32]engine.Committed{}
	for p := range int32(partitions) {
		good[p] = d.untouched(p).committed
	}
	d.holed(hole, 3)
	stamp, err := engine.ParseStamp(good[other].Metadata)
	d.must(err)
	stamp.Chain++
	d.overwritten(other, good[other].Offset, stamp.String())
	d.forgotten(other)
	d.must(d.send(t.Context(), cl, sent[1_500:2_000]))
	d.overwritten(short, d.logEnd(short)+9, good[short].Metadata)
	d.outputOf(short, d.logEnd(short)+4) // of a record that the brokers lost after it was processed

	d.refusals(map[int32]string{hole: "gap", short: "truncated", other: "diverged"})
	was := d.untouched(whole)
	for p := range int32(3) {
		if _, said, code := d.veltrix("rebase", "--partition", number(p), "--reason", "x", "--yes"); p != hole && (code != 1 || !strings.Contains(said, "--accept-loss")) {
			t.Errorf("without --accept-loss, of partition %d it ended with %d: %s", p, code, said)
		}
	}
	end := d.logEnd(short)
	for p, want := range map[int32]string{
		hole:  fmt.Sprintf("4 offsets, %d to %d", good[hole].Offset, good[hole].Offset+3), // three records and the marker
		short: fmt.Sprintf("9 offsets, %d to %d", end, end+8),
		other: fmt.Sprintf("%d offsets, 0 to %d", good[other].Offset, good[other].Offset-1),
	} {
		text, _ := d.operate("rebase", "--partition", number(p), "--reason", "damaged", "--accept-loss", "--yes")
		if !strings.Contains(text, want) {
			t.Errorf("of partition %d it does not say %q: %s", p, want, text)
		}
	}
	if is := d.untouched(whole); is.view != was.view || is.committed.Metadata != was.committed.Metadata {
		t.Errorf("the whole partition is %+v, was %+v", is, was)
	}
	d.must(d.send(t.Context(), cl, sent[2_000:]))
	p, stop := d.processor()
	d.processed()
	d.ready(p)
	d.rebased(map[int32]int64{hole: good[hole].Offset + 4, short: end, other: good[other].Offset})
	d.sameStates(sent)

	// The life that begins there is rebased by what it did itself: what is left
	// of the one before, an output of a later cause among it, does not count.
	stop()
	d.emptied()
	d.without(short)
	d.forgotten(short)
	d.operate("rebase", "--partition", number(short), "--reason", "deleted", "--yes")
	_, stop = d.processor()
	d.processed()
	d.rebased(map[int32]int64{hole: good[hole].Offset + 4, short: end, other: good[other].Offset})
	d.sameStates(sent)
	stop()
}

// outputOf writes a notification that claims to be caused by an offset.
func (d *deployment) outputOf(partition int32, cause int64) {
	d.t.Helper()
	d.must(d.client().ProduceSync(d.t.Context(), &kgo.Record{
		Topic: d.kafka.Topic("notifications"), Partition: partition, Key: []byte("k"), Value: []byte("{}"),
		Headers: []kgo.RecordHeader{{Key: wire.HeaderSourceOffset, Value: []byte(fmt.Sprint(cause))}, {Key: "ce_id", Value: []byte("lost")}},
	}).FirstErr())
}

// rebased verifies everything, and holds where partitions begin against what is
// wanted; all others begin with the log.
func (d *deployment) rebased(want map[int32]int64) {
	d.t.Helper()
	for _, p := range d.verified(nil).Partitions {
		if at, ok := want[p.Partition]; p.Rebased != ok || p.Start != at {
			d.t.Errorf("partition %d was compared from %d, rebased: %t, want %d", p.Partition, p.Start, p.Rebased, at)
		}
	}
}

// TestRebuildWhileProcessorsRun drops a view under a running pipeline, with
// events coming in: it must be made anew and nothing be produced twice.
func TestRebuildWhileProcessorsRun(t *testing.T) {
	source, sorted := lines(t, "flights", 4_000)
	sent, repeats := disorderly(t, sorted)
	d := deploy(t, real(t), 4, source)
	binary(t, "veltrix") // built before anything is in a hurry
	p, stop := d.processor()
	feeder := d.feed(sent, 10, 20*time.Millisecond)
	d.await("records in Redis", func(p progress) bool { return p.applied > 500 })
	was := d.untouched(2).view
	if out, _ := d.operate("rebuild", "--partition", "2", "--dry-run"); !strings.Contains(out, "folded again") || !d.untouched(2).view.Exists || d.untouched(2).view.Generation != was.Generation {
		t.Errorf("a dry run: %s", out)
	}
	if feeder.left.Load() == 0 {
		t.Error("nothing is left to be sent")
	}
	_, said := d.operate("rebuild", "--partition", "2", "--reason", "a test", "--yes", "--wait", "--timeout", "2m")
	if !strings.Contains(said, "the committed offset") || !strings.Contains(said, `"audit"`) {
		t.Errorf("it said %s", said)
	}
	feeder.wait()
	d.processed()
	d.ready(p)
	if is := d.untouched(2).view; is.Generation == was.Generation || counted(p).Rebuilt == 0 {
		t.Errorf("the view is %+v and was %+v", is, was)
	}
	stop()
	d.emptied()
	d.operate("rebuild", "--all", "--reason", "nobody runs", "--yes")
	d.processor()
	d.processed()
	d.verified(map[string]int64{"applied": int64(len(sorted)), "duplicate": repeats})
	d.sameStates(sent)
	if m := d.manifest(); len(m.Operations) != 5 || m.Operations[0].Command != "rebuild" || m.Operations[0].Partition != 2 {
		t.Errorf("the manifest remembers %+v", m.Operations)
	}

	d.deletedTo(1, d.logEnd(1)/2)
	if _, said, code := d.veltrix("rebuild", "--partition", "1", "--reason", "x", "--yes"); code != 1 || !strings.Contains(said, "could not be made anew") || !d.untouched(1).view.Exists {
		t.Errorf("a view without a way back: %d, %s", code, said)
	}
}
