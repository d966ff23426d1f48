package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/testredis"
	"github.com/veltrix/veltrix/test/broker"
)

// lag runs the command, and returns its report with what it ended with.
func (d *deployment) lag(args ...string) (processor, notifier app.LagGroup, report app.LagReport, code int) {
	d.t.Helper()
	out, said, code := d.veltrix(append([]string{"lag", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &report); err != nil || len(report.Groups) != 2 || report.Exit != code {
		d.t.Fatalf("veltrix lag ended with %d, %v: %s%s", code, err, out, said)
	}
	return report.Groups[0], report.Groups[1], report, code
}

// lagging expects a command to end with a code, and what it says to contain a text.
func (d *deployment) lagging(want int, text string, args ...string) {
	d.t.Helper()
	out, said, code := d.veltrix(append([]string{"lag"}, args...)...)
	if code != want || !strings.Contains(out+said, text) {
		d.t.Errorf("veltrix lag %v ended with %d, want %d and %q: %s%s", args, code, want, text, out, said)
	}
}

// behindBy expects an exact number of records, and the age of the next one if any is left.
func (d *deployment) behindBy(what string, b *app.LagBehind, records int) {
	d.t.Helper()
	switch {
	case b == nil:
		d.t.Errorf("%s: nothing is known, want %d", what, records)
	case b.Records != int64(records) || b.AtLeast != int64(records) || b.Lost != 0 || b.Ahead != 0:
		d.t.Errorf("%s: %+v, want %d", what, *b, records)
	case b.Seconds == nil || (*b.Seconds == 0) != (records == 0):
		d.t.Errorf("%s: %d records, and the next one's age is %v", what, records, b.Seconds)
	}
}

// TestLagIsTrue follows a deployment from its first event on.
func TestLagIsTrue(t *testing.T) {
	t.Parallel()
	d, sent := flights(t, real(t), 2, 1_500)
	cl := d.client()

	processor, notifier, _, code := d.lag("--max-records", "0", "--max-seconds", "0")
	for _, g := range []app.LagGroup{processor, notifier} {
		if code != 0 || g.Total.Lag != nil || g.Total.ViewLag != nil || !g.Total.Whole || len(g.Partitions) != 2 || g.Partitions[0].Committed != nil {
			t.Errorf("before the first event it ended with %d: %+v", code, g)
		}
	}
	out, _ := d.operate("lag", "--group", "notifier")
	if lines := strings.Split(strings.TrimSpace(out), "\n"); strings.Join(strings.Fields(lines[len(lines)-1]), " ") != "total 0 – –" {
		t.Errorf("before the first event it says %s", out)
	}

	d.must(d.send(t.Context(), cl, sent[:1_000]))
	processor, _, _, code = d.lag()
	d.behindBy("before a processor", processor.Total.Lag, 1_000)
	d.behindBy("before a view", processor.Total.ViewLag, 1_000)
	if code != 0 {
		t.Errorf("without a bound it ended with %d", code)
	}
	d.lagging(0, "1000", "--max-records", "1000", "--max-seconds", "100000")
	d.lagging(1, "1000 records or more behind the commits, allowed are 999", "--max-records", "999", "--count", "1")
	d.lagging(1, "behind the view in Redis", "--max-seconds", "0.001", "--json")

	_, stop := d.processor()
	d.processed()
	stop()
	processor, notifier, _, code = d.lag("--max-seconds", "100000")
	d.behindBy("processed", processor.Total.Lag, 0)
	d.behindBy("applied", processor.Total.ViewLag, 0)
	for _, p := range processor.Partitions {
		if code != 0 || p.Applied == nil || *p.Applied != p.Stable || p.Stable != p.End || p.Headroom == nil || p.Headroom.Offsets != p.Stable-p.Start {
			t.Errorf("processed, it ended with %d: %+v, of another log: %v", code, p, processor.Foreign)
		}
	}
	told, offsets := d.read("notifications"), int64(0)
	for _, p := range notifier.Partitions {
		offsets += p.Stable - p.Start
	}
	if offsets <= int64(len(told)) {
		t.Fatalf("%d offsets hold %d notifications and no marker", offsets, len(told))
	}
	d.behindBy("before a notifier", notifier.Total.Lag, len(told))

	halt := d.notifier()
	d.delivered()
	halt()
	_, notifier, _, _ = d.lag()
	d.behindBy("notified", notifier.Total.Lag, 0)
	d.viewBehind(sent)
}

// viewBehind takes Redis back to where it was, and away: the group is at the end,
// and the view is not.
func (d *deployment) viewBehind(sent []string) {
	d.t.Helper()
	ctx := d.t.Context()
	keys, err := d.redis.Keys(ctx, "*").Result()
	d.must(err)
	was := map[string]string{}
	for _, key := range keys {
		was[key], err = d.redis.Dump(ctx, key).Result()
		d.must(err)
	}
	d.must(d.send(ctx, d.client(), sent[1_000:]))
	_, stop := d.processor()
	d.processed()
	stop()
	for key, value := range was {
		d.must(d.redis.RestoreReplace(ctx, key, 0, value).Err())
	}
	processor, _, _, code := d.lag()
	d.behindBy("committed", processor.Total.Lag, 0)
	d.behindBy("Redis went back", processor.Total.ViewLag, len(sent)-1_000)
	if code != 0 {
		d.t.Errorf("without a bound it ended with %d", code)
	}
	d.lagging(1, "500 records or more behind the view in Redis", "--max-records", "499")

	for _, key := range keys {
		if token, err := d.redis.HGet(ctx, key, "token").Result(); err == nil {
			d.must(d.redis.HSet(ctx, key, "token", strings.Replace(token, d.manifest().TopicID, "another", 1)).Err())
		}
	}
	processor, _, _, _ = d.lag()
	d.behindBy("Redis has another log's", processor.Total.ViewLag, len(sent))
	if p := processor.Partitions[0]; p.Applied != nil || len(processor.Foreign) != 2 {
		d.t.Errorf("a position in another log: %+v, %v", p, processor.Foreign)
	}

	d.must(d.redis.FlushAll(ctx).Err())
	processor, _, _, _ = d.lag()
	d.behindBy("committed", processor.Total.Lag, 0)
	d.behindBy("Redis was flushed", processor.Total.ViewLag, len(sent))
	if p := processor.Partitions[0]; p.Applied != nil || len(processor.Foreign) > 0 {
		d.t.Errorf("a position that is not there: %+v", p)
	}

	d.deletedTo(0, 10)
	back := make(kadm.Offsets)
	back.AddOffset(d.kafka.Topic("events"), 0, 4, -1)
	d.reset(d.kafka.ProcessorGroup(), back)
	processor, _, report, code := d.lag()
	p := processor.Partitions[0]
	d.behindBy("after the log's start moved", p.ViewLag, int(p.Stable-10))
	if code != 1 || p.Lag.Records != p.Stable-10 || p.Lag.Lost != 6 || p.Headroom.Offsets != -6 || len(report.Alarms) != 1 || report.Alarms[0].Kind != "lost" {
		d.t.Errorf("overtaken by retention it ended with %d: %+v, %+v", code, *p.Lag, report.Alarms)
	}
}

// TestLagOfARunningPipeline looks at one that is at work. Positions, bounds and
// transactions change all the time, and nothing of that is alarming.
func TestLagOfARunningPipeline(t *testing.T) {
	t.Parallel()
	d, sent := flights(t, real(t), 4, 4_000)
	d.processor()
	d.notifier()
	l, err := app.NewLag(d.rt, app.LagOptions{Count: 100_000, Timeout: 30 * time.Second, LagBounds: app.LagBounds{MaxRecords: -1, MaxSeconds: -1}})
	d.must(err)
	t.Cleanup(l.Close)
	feeder := d.feed(sent, 10, 10*time.Millisecond)
	looks, open := 0, 0
	for done := false; !done; looks++ {
		done = feeder.left.Load() == 0
		report, err := l.Look(t.Context())
		d.must(err)
		// A notifier commits a partition for the first time when it has finished something there.
		beginning := func(u app.LagUnknown) bool { return strings.Contains(u.Text, "the group has no position") }
		if len(report.Alarms) > 0 || len(slices.DeleteFunc(report.Unknown, beginning)) > 0 {
			t.Fatalf("look %d: %+v %+v", looks, report.Alarms, report.Unknown)
		}
		for _, g := range report.Groups {
			for _, p := range g.Partitions {
				open += len(p.Running)
			}
		}
	}
	feeder.wait()
	t.Logf("%d looks met %d open transactions", looks, open)
	d.delivered()
	report, err := l.Look(t.Context())
	d.must(err)
	for _, g := range report.Groups {
		d.behindBy("the "+g.Reader+" at rest", g.Total.Lag, 0)
	}
}

// TestLagCountsRecordsAlone has another producer leave aborted records and markers
// between the events: what is left is what a reader will be given.
func TestLagCountsRecordsAlone(t *testing.T) {
	t.Parallel()
	d, sent := flights(t, real(t), 2, 600)
	cl := d.client()
	d.holed(0, 40)
	before := time.Now()
	d.must(d.send(t.Context(), cl, sent[:300]))
	after := time.Now()
	d.holed(0, 40)
	d.holed(1, 40)
	d.must(d.send(t.Context(), cl, sent[300:]))
	processor, _, report, _ := d.lag()
	d.behindBy("with holes", processor.Total.Lag, len(sent))
	for _, p := range processor.Partitions {
		if p.Stable-p.Start <= p.Lag.Records+40 {
			t.Errorf("partition %d has no holes: %+v", p.Partition, p)
		}
		// The broker's clock is ours, and counts in milliseconds.
		eldest, youngest := report.At.Sub(before).Seconds(), time.Since(after).Seconds()
		if s := *p.Lag.Seconds; s < report.At.Sub(after).Seconds()-1 || s > youngest+after.Sub(before).Seconds()+1 {
			t.Errorf("partition %d: the next record is %.3f s old, want %.3f to %.3f", p.Partition, s, eldest, youngest)
		}
	}

	// Counted up to a bound, the rest can only be said to be at most.
	processor, _, _, _ = d.lag("--count", "10")
	for _, p := range processor.Partitions {
		if p.Lag.AtLeast != 10 || p.Lag.Records <= 10 || p.Lag.Records > p.Stable-p.Start {
			t.Errorf("partition %d, counted up to 10: %+v", p.Partition, *p.Lag)
		}
	}
	d.lagging(0, "≤ ", "--count", "10")
}

// TestLagNamesTheHungTransaction: nobody is behind, and nothing is well.
func TestLagNamesTheHungTransaction(t *testing.T) {
	t.Parallel()
	cluster := broker.Start(t, broker.Options{Config: map[string]string{"transaction.abort.timed.out.transaction.cleanup.interval.ms": "3600000"}})
	d, sent := flights(t, place{brokers: cluster.Addrs, redis: testredis.Start(t, nil).Addr}, 1, 200)
	d.must(d.send(t.Context(), d.client(), sent[:100]))
	_, stop := d.processor()
	d.processed()
	stop()
	id := d.kafka.Prefix + "-foreign"
	foreign, err := kgo.NewClient(d.kafka.Options(kgo.TransactionalID(id), kgo.TransactionTimeout(time.Second), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	d.must(err)
	t.Cleanup(foreign.Close)
	d.must(foreign.BeginTransaction())
	d.must(foreign.ProduceSync(t.Context(), &kgo.Record{Topic: d.kafka.Topic("events"), Value: []byte("x")}).FirstErr())
	d.must(d.send(t.Context(), d.client(), sent[100:]))

	processor, _, report, code := d.lag()
	if code == 0 && (len(processor.Partitions[0].Running) != 1 || processor.Partitions[0].Running[0].ID != id) {
		t.Errorf("while it is young: %+v", processor)
	}
	d.until(func() (bool, string) {
		processor, _, report, code = d.lag()
		return code != 0, "nothing is said of the transaction"
	})
	d.behindBy("behind what is decided", processor.Total.Lag, 0)
	p := processor.Partitions[0]
	if code != 1 || len(p.Hung) != 1 || p.Hung[0].ID != id || p.Hung[0].From != p.Stable || p.Hung[0].Since == nil || p.Hung[0].Ended || p.Undecided != 101 {
		t.Errorf("it ended with %d: %+v", code, p)
	}
	if len(report.Alarms) != 1 || report.Alarms[0].Kind != "hung" || !strings.Contains(report.Alarms[0].Text, id) {
		t.Errorf("the alarms are %+v", report.Alarms)
	}
	d.lagging(1, `101 offsets are held back by transaction "`+id+`" of producer `)
}

// TestLagSaysWhatIsAway: without Redis the rest is told, without brokers nothing,
// and a group that began and was deleted is not at the end.
func TestLagSaysWhatIsAway(t *testing.T) {
	t.Parallel()
	onlyRedis := testredis.Start(t, nil)
	d, sent := flights(t, place{brokers: broker.Shared(t).Addrs, redis: onlyRedis.Addr}, 2, 200)
	d.must(d.send(t.Context(), d.client(), sent))
	_, stop := d.processor()
	d.processed()
	stop()
	d.emptied()
	d.deletedTo(0, d.logEnd(0))
	d.must(kafkalog.ForgetGroup(t.Context(), d.kafka, d.kafka.ProcessorGroup()))
	processor, _, report, code := d.lag()
	if p := processor.Partitions[0]; code != 2 || p.Lag != nil || p.Headroom != nil || processor.Total.Whole || len(report.Unknown) != 1 {
		t.Errorf("without commits and records it ended with %d: %+v, %+v", code, processor, report.Unknown)
	}
	if l := processor.Total.Lag; l == nil || l.Records != d.logEnd(1) {
		t.Errorf("the other partition: %+v", l)
	}

	onlyRedis.Stop()
	processor, _, report, code = d.lag()
	if code != 2 || processor.ViewKnown || processor.Total.ViewLag != nil || processor.Total.Lag == nil || len(report.Unknown) != 2 || !strings.Contains(report.Unknown[0].Text, "redis at "+onlyRedis.Addr) {
		t.Errorf("without Redis it ended with %d: %+v, %+v", code, processor, report.Unknown)
	}
	d.lagging(2, "? processor: redis at ")

	ports, err := broker.FreePorts(1)
	d.must(err)
	began := time.Now()
	d.lagging(1, "cannot be reached", "--kafka-brokers", fmt.Sprintf("127.0.0.1:%d", ports[0]), "--timeout", "4s")
	if took := time.Since(began); took > stall {
		t.Errorf("it took %s to say so", took)
	}
	d.lagging(78, "--group", "--group", "scores")
	d.lagging(78, "--max-seconds", "--max-seconds", fmt.Sprint(math.NaN()))
}

// TestLagSecondsAcrossAHole: where the next offset holds no record, the age is that
// of the record behind it, and not 0.
func TestLagSecondsAcrossAHole(t *testing.T) {
	onEach(t, func(t *testing.T, at place) {
		d, sent := flights(t, at, 1, 200)
		d.must(d.send(t.Context(), d.client(), sent[:100]))
		p, _ := d.processor()
		d.processed()
		d.holed(0, 3)
		d.must(d.send(t.Context(), d.client(), sent[100:]))
		if r := refusal(t, p, 0); r.Reason != "gap" {
			t.Errorf("it is refused as %+v", r)
		}
		m := &d.rt.Metrics.Processor
		d.until(func() (bool, string) {
			records, view, seconds := testutil.ToFloat64(m.LagRecords.WithLabelValues("0")), testutil.ToFloat64(m.ViewLag.WithLabelValues("0")), testutil.ToFloat64(m.LagSeconds.WithLabelValues("0"))
			return records >= 100 && view == records && seconds > 0, fmt.Sprintf("%v records and %v s are left, %v for the view", records, seconds, view)
		})
	})
}
