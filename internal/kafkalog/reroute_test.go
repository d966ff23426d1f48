package kafkalog_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/wire"
)

// joined returns a session that has its partitions.
func joined(t *testing.T, cfg kafkalog.Config) *kafkalog.Session {
	t.Helper()
	return joinedAs(t, cfg, 0)
}

func joinedAs(t *testing.T, cfg kafkalog.Config, slot int) *kafkalog.Session {
	t.Helper()
	rerouter, err := kafkalog.NewRerouter(cfg, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rerouter.Close)
	positions, err := kafkalog.NewPositions(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(positions.Close)
	assigned := make(chan engine.Input, 100)
	session, err := kafkalog.NewSession(withTimeout(t), kafkalog.SessionConfig{
		Config: cfg, Slot: slot, SessionTimeout: 10 * time.Second, TransactionTimeout: 5 * time.Second, RebalanceTimeout: 10 * time.Second,
	}, positions, rerouter, func(in engine.Input) { assigned <- in })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		session.Close(ctx, false)
	})
	session.Release()
	select {
	case <-assigned:
	case <-withTimeout(t).Done():
		t.Fatal("no partition was assigned")
	}
	return session
}

// TestRerouteIsAcknowledgedFirst lets the broker take a batch's notifications
// and not the record that the batch moves to its right partition. The batch
// must not be told as produced: it would be committed, and the event be lost.
func TestRerouteIsAcknowledgedFirst(t *testing.T) {
	cluster := fakeCluster(t)
	cfg := kafkalog.Config{Brokers: cluster.ListenAddrs(), Prefix: "x"}
	apply(t, cfg, dev)
	session := joined(t, cfg)

	var refuse, refusals atomic.Int32
	cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		produce := req.(*kmsg.ProduceRequest)
		if produce.TransactionID != nil || refuse.Load() == 0 {
			return nil, nil, false
		}
		refusals.Add(1)
		cluster.SleepControl(func() { time.Sleep(300 * time.Millisecond) }) // whoever does not wait goes on meanwhile
		return refusing(kerr.TopicAuthorizationFailed)(produce)
	})
	outputs := []engine.Output{
		{Topic: engine.Notifications, Partition: 0, Key: []byte("ada"), Value: []byte("n")},
		{Topic: engine.Events, Partition: 2, Key: []byte("ada"), Value: []byte("e"), Headers: []wire.Header{{Key: wire.HeaderReroutedFrom, Value: []byte("0/7")}}},
	}
	produce := func() error {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := session.Begin(); err != nil {
			t.Fatal(err)
		}
		failed := session.Produce(ctx, outputs)
		session.Release()
		if committed, err := session.End(ctx, false, nil); committed || err != nil {
			t.Fatalf("the abort ended as committed %t, %v", committed, err)
		}
		return failed
	}
	refuse.Store(1)
	if err := produce(); err == nil || refusals.Load() == 0 {
		t.Errorf("the broker refused %d reroutes, and the batch was told as produced: %v", refusals.Load(), err)
	}
	refuse.Store(0)
	if err := produce(); err != nil {
		t.Fatal(err)
	}
	// What was told as produced is there, whatever becomes of the transaction.
	if err := kafkalog.ReadPartition(withTimeout(t), cfg, cfg.Topic("events"), 2, 0, 1, true, func(records []wire.Record) error {
		if string(records[0].Value) != "e" {
			t.Errorf("the event became %q", records[0].Value)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
