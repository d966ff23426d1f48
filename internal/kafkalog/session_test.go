package kafkalog_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/kafkalog"
)

// TestSessionAbortsWhatWasLeftOpen joins with a slot whose predecessor died
// between its offsets and the end. The committed offset must not have to wait
// until the broker gives that transaction up.
func TestSessionAbortsWhatWasLeftOpen(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		apply(t, cfg, dev)
		positions, err := kafkalog.NewPositions(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(positions.Close)
		begun(t, cfg)
		id := "processor.0"
		if cfg.BootID != "" {
			id += "." + cfg.BootID
		}
		pending(t, cfg, id, 1, 5) // for 40 s, the client's default
		joined(t, cfg)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if c, err := positions.Committed(ctx, 1); err != nil || !c.Absent {
			t.Errorf("the offset reads as %+v, %v", c, err)
		}
	})
}

// TestPollSaysWhetherTheLogHasMore reads a log in parts. Who has not read all of it is
// behind, and gathers larger batches.
func TestPollSaysWhetherTheLogHasMore(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		apply(t, cfg, dev)
		fill(t, cfg)
		session := joined(t, cfg)
		session.Resume(0)
		for got := 0; got < events; {
			runs, behind, err := session.Poll(withTimeout(t), events/2)
			if err != nil {
				t.Fatal(err)
			}
			for _, run := range runs {
				got += len(run.Records)
			}
			if want := len(runs) > 0 && got < events; behind != want {
				t.Errorf("with %d of %d events, behind is %t", got, events, behind)
			}
		}
	})
}

// TestBatchIsOneRequest hands over outputs for several partitions. They go out in one
// request: each one more is work of the coordinator. Only where a busy machine takes longer
// than the linger to hand them over are they sent as they come, and none before.
func TestBatchIsOneRequest(t *testing.T) {
	cluster := fakeCluster(t)
	cfg := kafkalog.Config{Brokers: cluster.ListenAddrs(), Prefix: "x"}
	apply(t, cfg, dev)
	session := joined(t, cfg)
	sent := make(chan time.Time, 1000)
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		sent <- time.Now()
		return nil, nil, false
	})
	var outputs []engine.Output
	for i := range 900 {
		outputs = append(outputs, engine.Output{Topic: engine.Notifications, Partition: int32(i % 3), Key: []byte("ada"), Value: []byte("n")})
	}
	const batches = 20
	more := 0
	for range batches {
		began := time.Now()
		if err := session.Begin(); err != nil {
			t.Fatal(err)
		}
		if err := session.Produce(withTimeout(t), outputs); err != nil {
			t.Fatal(err)
		}
		session.Release()
		if _, err := session.End(withTimeout(t), false, nil); err != nil {
			t.Fatal(err)
		}
		requests := len(sent)
		first := (<-sent).Sub(began)
		for range requests - 1 {
			<-sent
		}
		if first < kafkalog.OutputLinger {
			more += requests - 1
		}
	}
	// The flush wakes one partition after the other, which parts a batch now and then.
	if more > batches/4 {
		t.Errorf("%d batches went out in %d requests more than that, before the linger was over", batches, more)
	}
}
