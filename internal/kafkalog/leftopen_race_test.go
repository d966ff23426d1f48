package kafkalog_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/test/broker"
	"github.com/veltrix/veltrix/test/proxy"
)

// TestEndedMeanwhileIsNotLeftOpen ends another slot's transaction between the
// question to the leader, which has it open, and that to its coordinator, which is
// done with it by then. No marker is missing, and none may be written.
func TestEndedMeanwhileIsNotLeftOpen(t *testing.T) {
	t.Parallel()
	p := proxy.Start(t, broker.Shared(t).Addrs[0])
	direct := kafkalog.Config{Brokers: broker.Shared(t).Addrs, Prefix: fmt.Sprintf("meanwhile.%d", runs.Add(1))}
	for _, topic := range []string{"events", "notifications", "rejected"} {
		assigned(t, direct, topic, 1)
	}
	other := newClient(t, direct, kgo.TransactionalID(direct.Prefix+".processor.7"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	record := &kgo.Record{Topic: direct.Topic("notifications"), Value: []byte("other")}
	if err := errors.Join(other.BeginTransaction(), other.ProduceSync(withTimeout(t), record).FirstErr()); err != nil {
		t.Fatal(err)
	}
	end := sync.OnceFunc(func() {
		if err := other.EndTransaction(withTimeout(t), kgo.TryCommit); err != nil {
			t.Error(err)
		}
		for ctx := withTimeout(t); ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
			if b, err := kafkalog.Bounds(ctx, direct, direct.Topic("notifications")); err == nil && b[0].Stable == b[0].End {
				return
			}
		}
		t.Error("the other transaction does not end")
	})
	var asked, markers atomic.Int32
	p.On(kmsg.ListTransactions, proxy.Rule{Before: func(kmsg.Request) kmsg.Response {
		asked.Add(1)
		end()
		return nil
	}})
	p.On(kmsg.WriteTxnMarkers, proxy.Rule{Before: func(kmsg.Request) kmsg.Response {
		markers.Add(1)
		return nil
	}})

	proxied := direct
	proxied.Brokers = []string{p.Addr()}
	s := joinedAs(t, proxied, 0)
	if err := errors.Join(s.Begin(), s.Produce(withTimeout(t), []engine.Output{output("ours", 0)})); err != nil {
		t.Error(err)
	}
	s.Release()
	if _, err := s.End(withTimeout(t), false, nil); err != nil {
		t.Error(err)
	}
	if asked.Load() == 0 || markers.Load() > 0 {
		t.Errorf("coordinators were asked %d times, and %d markers written", asked.Load(), markers.Load())
	}
}

// TestOnlyTheLeaderIsAskedWhatIsOpen lets the broker say at first that it does not
// lead in this epoch. It would have answered all the same.
func TestOnlyTheLeaderIsAskedWhatIsOpen(t *testing.T) {
	t.Parallel()
	p := proxy.Start(t, broker.Shared(t).Addrs[0])
	cfg := kafkalog.Config{Brokers: []string{p.Addr()}, Prefix: fmt.Sprintf("leads.%d", runs.Add(1))}
	assigned(t, cfg, "notifications", 1)
	positions, err := kafkalog.NewPositions(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(positions.Close)
	var refused, early atomic.Int32
	p.On(kmsg.ListOffsets, proxy.Rule{After: func(_ kmsg.Request, resp kmsg.Response) bool {
		if refused.Add(1) == 1 {
			resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0].ErrorCode = kerr.FencedLeaderEpoch.Code
		}
		return true
	}})
	p.On(kmsg.DescribeProducers, proxy.Rule{Before: func(kmsg.Request) kmsg.Response {
		if refused.Load() < 2 {
			early.Add(1)
		}
		return nil
	}})
	open, err := positions.OpenTransactions(withTimeout(t), cfg.Topic("notifications"), 0)
	if err != nil || len(open) > 0 {
		t.Errorf("open are %v, %v", open, err)
	}
	if refused.Load() != 2 || early.Load() > 0 {
		t.Errorf("the broker was asked %d times whether it leads, and %d times what is open before it said so", refused.Load(), early.Load())
	}
}
