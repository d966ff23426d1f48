package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/preflight"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/telemetry"
	"github.com/veltrix/veltrix/internal/testredis"
	"github.com/veltrix/veltrix/internal/wire"
)

// examined is what the doctor finds of some checks, by ID.
func (d *deployment) examined(only ...string) map[string]preflight.Result {
	d.t.Helper()
	report, err := app.Doctor(d.t.Context(), d.rt, app.DoctorOptions{Only: only, Timeout: 30 * time.Second})
	d.must(err)
	byID := map[string]preflight.Result{}
	for _, r := range report.Results {
		byID[r.ID] = r
	}
	return byID
}

// finds waits until a check finds what is wrong.
func (d *deployment) finds(id string, state preflight.State, observed string) preflight.Result {
	d.t.Helper()
	var r preflight.Result
	for began := time.Now(); time.Since(began) < stall; time.Sleep(50 * time.Millisecond) {
		if r = d.examined(id)[id]; r.State == state && strings.Contains(r.Observed, observed) {
			return r
		}
	}
	d.t.Fatalf("%s is %s: %s; want %s with %q", id, r.State, r.Observed, state, observed)
	return r
}

// allPass expects every check of groups and of records to pass, or not to apply.
func (d *deployment) allPass(when string, but ...string) {
	d.t.Helper()
	for id, r := range d.examined("C", "P") {
		if r.State != preflight.Pass && r.State != preflight.Skip && !strings.Contains(strings.Join(but, " "), id) {
			d.t.Errorf("%s: %s is %s: %s", when, id, r.State, r.Observed)
		}
	}
}

// named runs a processor under an instance's name: those of one process would hold
// their slots together.
func (d *deployment) named(instance string) (p *app.Processor, stop func()) {
	d.t.Helper()
	return d.other(func(rt *app.Runtime) { rt.Config.Processor.Instance = instance }).processor()
}

// TestDoctorOfAHealthyPipeline looks while processors come, work, are exchanged one
// by one, and go. Each start passes the same checks as its gate.
func TestDoctorOfAHealthyPipeline(t *testing.T) {
	onEach(t, func(t *testing.T, at place) {
		d, sent := flights(t, at, 4, 3_000)
		d.allPass("before the first start")
		feed := d.feed(sent, 10, 20*time.Millisecond)
		first, stopFirst := d.named("a")
		d.notifier()
		d.allPass("while the first joins")
		d.ready(first)
		second, stopSecond := d.named("b")
		d.allPass("while the second joins")
		d.ready(second)
		d.allPass("at work")
		stopFirst()
		d.allPass("after the first went")
		third, _ := d.named("c")
		d.allPass("while another takes its place")
		d.ready(third)
		stopSecond()
		d.must(<-feed.done)
		d.delivered()
		d.allPass("at rest")
		if r := d.examined("C12")["C12"]; r.State != preflight.Pass {
			t.Errorf("nobody has claimed the keys: %+v", r)
		}
		for _, id := range []string{"P01", "P02", "P04", "P05", "C04", "C08", "C10", "C13"} {
			if r := d.examined(id)[id]; r.State != preflight.Pass {
				t.Errorf("%s did not look: %+v", id, r)
			}
		}

		// What the processors move leaves nothing else to be found.
		cl := d.client()
		for i, line := range sent[:50] {
			r := d.event(line)
			r.Partition = (wire.PartitionFor(r.Key, d.partitions) + 1 + int32(i%3)) % d.partitions
			d.must(cl.ProduceSync(t.Context(), r).FirstErr())
		}
		d.delivered()
		d.allPass("after records were moved", "P01")
		if r := d.examined("P01")["P01"]; r.State != preflight.Fail {
			t.Errorf("%+v", r)
		}
		fourth, _ := d.named("d")
		d.ready(fourth)
	})
}

// TestC09TwoProcessesOfOneInstance names two processes alike. At the brokers either
// hides the other; they themselves leave word.
func TestC09TwoProcessesOfOneInstance(t *testing.T) {
	onEach(t, func(t *testing.T, at place) {
		d, _ := flights(t, at, 4, 1)
		d.rt.Config.Processor.Instance, d.rt.Config.Processor.Slots = "same", 1
		p, _ := d.processor()
		d.ready(p)
		d.allPass("one")
		d.processor()
		d.finds("C09", preflight.Fail, "which both are instance:same:0")
		d.allPass("two", "C09")
	})
}

// other is the same prefix at another place.
func (d *deployment) other(change func(*app.Runtime)) *deployment {
	d.t.Helper()
	o := *d
	cfg := *d.rt.Config
	o.rt.Config, o.rt.Metrics = &cfg, telemetry.New()
	change(&o.rt)
	var err error
	o.kafka, err = o.rt.Kafka("test")
	d.must(err)
	return &o
}

// refusedBy starts a processor until its start is refused for a reason.
func (d *deployment) refusedBy(id string) {
	d.t.Helper()
	var err error
	for began := time.Now(); time.Since(began) < stall; {
		ctx, cancel := context.WithTimeout(d.t.Context(), 10*time.Second)
		err = app.NewProcessor(d.rt, d.program).Run(ctx)
		cancel()
		if err != nil && strings.Contains(err.Error(), "refused to start: "+id) {
			return
		}
	}
	d.t.Fatalf("it starts, or ends with %v", err)
}

// TestC12TwoGroupsInOneRedis has two clusters under one prefix write into one Redis.
func TestC12TwoGroupsInOneRedis(t *testing.T) {
	at := fake(t)
	d, _ := flights(t, at, 4, 1)
	p, stop := d.processor()
	d.ready(p)
	o := d.other(func(rt *app.Runtime) { rt.Config.Kafka.Brokers = fake(t).brokers })
	_, err := kafkalog.ApplyTopics(t.Context(), o.kafka, kafkalog.TopicPlanOptions{Profile: "dev", Partitions: 4, Replication: 1})
	d.must(err)
	o.finds("C12", preflight.Fail, "are at work on these keys (their lease has ")
	o.refusedBy("C12")
	d.allPass("the first")

	// A session that finds them there after its gate does not begin.
	err = redisstore.Slots{Client: d.redis, Prefix: d.kafka.Prefix, Life: time.Minute}.Claim(t.Context(), "cluster else, topic ID else")
	if err == nil || !strings.Contains(err.Error(), "belongs to cluster ") {
		t.Errorf("another life's claim: %v", err)
	}
	stop()
	d.finds("C12", preflight.Skip, "no processor") // the lease ends by itself
	d.must(redisstore.Slots{Client: d.redis, Prefix: d.kafka.Prefix, Life: time.Minute}.Claim(t.Context(), "cluster else, topic ID else"))
	d.finds("C12", preflight.Fail, "cluster else")
}

// TestC13TwoEnvironmentsOnOneCluster has two Redis under one prefix.
func TestC13TwoEnvironmentsOnOneCluster(t *testing.T) {
	onEach(t, func(t *testing.T, at place) {
		d, sent := flights(t, at, 4, 3_000)
		p, _ := d.processor()
		d.ready(p)
		d.feed(sent, 5, 25*time.Millisecond)
		d.allPass("one")
		o := d.other(func(rt *app.Runtime) { rt.Config.Redis.Addrs = []string{testredis.Start(t, nil).Addr} })
		o.finds("C13", preflight.Fail, "processor.")
		o.refusedBy("C13")
		d.allPass("the first")
	})
}

// TestC13SlotsTakenAgainAndAgain: who holds a slot in one Redis loses it to somebody
// of another, which both got past their gates.
func TestC13SlotsTakenAgainAndAgain(t *testing.T) {
	d, _ := flights(t, real(t), 4, 1)
	d.rt.Config.Processor.Slots = 1
	p, _ := d.processor()
	d.ready(p)
	o := d.other(func(rt *app.Runtime) { rt.Config.Redis.Addrs = []string{testredis.Start(t, nil).Addr} })
	o.processor() // idle, so that its gate sees nothing
	d.finds("C13", preflight.Warn, "slot 0 was lost ")
	d.allPass("two", "C13")
}

// TestC13TransactionLeftOpen: by a process that has ended, or by a stranger. It
// warns, and refuses no start.
func TestC13TransactionLeftOpen(t *testing.T) {
	d, _ := flights(t, real(t), 4, 1)
	cl, err := kgo.NewClient(d.kafka.Options(kgo.TransactionalID(d.kafka.Prefix+".processor.console"), kgo.TransactionTimeout(time.Minute))...)
	d.must(err)
	defer cl.Close()
	d.must(cl.BeginTransaction())
	d.must(cl.ProduceSync(t.Context(), &kgo.Record{Topic: d.kafka.Topic("receipts"), Value: []byte("x")}).FirstErr())
	r := d.examined("C13")["C13"]
	if r.State != preflight.Warn || !strings.Contains(r.Observed, ".processor.console") || r.Fix == "" {
		t.Errorf("%+v", r)
	}
	p, _ := d.processor()
	d.ready(p)
	d.must(cl.EndTransaction(t.Context(), kgo.TryAbort))
	d.allPass("ended")
}
