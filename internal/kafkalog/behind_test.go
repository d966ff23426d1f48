package kafkalog_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/test/broker"
)

// TestEachBoundsWithoutABroker takes the only replica of a partition away: the
// bounds of the other are told all the same, and why the first one's are not.
func TestEachBoundsWithoutABroker(t *testing.T) {
	t.Parallel()
	c := broker.Start(t, broker.Options{Nodes: 3, HeapMiB: 256, Config: map[string]string{"broker.session.timeout.ms": "3000"}})
	cfg := kafkalog.Config{Brokers: c.Addrs, Prefix: "each"}
	topic := cfg.Topic("events")
	req := kmsg.NewPtrCreateTopicsRequest()
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = topic, -1, -1
	for p, node := range []int32{1, 2} {
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition, a.Replicas = int32(p), []int32{node}
		rt.ReplicaAssignment = append(rt.ReplicaAssignment, a)
	}
	req.Topics = append(req.Topics, rt)
	cl := newClient(t, cfg, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	resp, err := req.RequestWith(withTimeout(t), cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(withTimeout(t), &kgo.Record{Topic: topic, Partition: 1, Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	c.Kill(1)
	onlySecond(t, cfg, topic) // who connects to it finds nobody
	leaderOf(t, cfg, "events", -1)
	onlySecond(t, cfg, topic) // nobody leads it, as the other brokers say
	if _, err := kafkalog.Bounds(withTimeout(t), cfg, topic); err == nil || errors.Is(err, kafkalog.ErrNoTopic) {
		t.Errorf("who wants all of them is told %v", err)
	}
}

// onlySecond expects the bounds of the second partition, and why the first one's
// are missing, in the time that veltrix lag takes by default.
func onlySecond(t *testing.T, cfg kafkalog.Config, topic string) {
	t.Helper()
	r, err := kafkalog.NewReader(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		asked := time.Now()
		told, untold, err := r.EachBounds(ctx, topic)
		alone, aloneErr := r.BoundsOf(ctx, topic, 1)
		cancel()
		said := fmt.Sprintf("told %+v, not told %v, %v; alone %+v, %v; after %s", told, untold, err, alone, aloneErr, time.Since(asked).Round(time.Millisecond))
		if err == nil && aloneErr == nil && alone == told[0] && len(told) == 1 && told[0] == (kafkalog.PartitionBounds{Partition: 1, Stable: 1, End: 1}) && len(untold) == 1 && untold[0] != nil {
			t.Log(said)
			return
		}
		if time.Since(began) > time.Minute {
			t.Fatal(said)
		}
	}
}
