package kafkalog_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/wire"
	"github.com/veltrix/veltrix/test/broker"
	"github.com/veltrix/veltrix/test/proxy"
)

// leftOpen is a cluster in which the notifications are on the first broker alone.
type leftOpen struct {
	*testing.T
	cluster *broker.Cluster
	cfg     kafkalog.Config
	ways    []*proxy.Proxy // one to each broker, for the session that comes after
	slot    int            // of the sessions that come after the first
	cause   int64          // of every output: the last event, or one that comes later
	next    *kafkalog.Session
}

var leftOpenTests = []struct {
	name string
	// play writes with the first slot, takes the leader away with leaderless,
	// and goes on with one of the slots.
	play func(*leftOpen)
	want string
}{
	{"an abort is not committed with the next", func(l *leftOpen) {
		first := l.first()
		l.leaderless(func() { l.leave(first) })
		l.transact(l.next, "second", nil, true)
	}, "second"},
	{"a commit is not aborted with the next", func(l *leftOpen) {
		first := l.first()
		l.leaderless(func() {
			l.end(first, done, true)
			l.leave(first)
		})
		l.transact(l.next, "second", nil, false)
		l.transact(l.next, "third", nil, true)
	}, "first third"},
	{"nobody waits for a slot that does not come back", func(l *leftOpen) {
		first := l.first()
		l.slot = 1
		l.leaderless(func() { l.leave(first) })
		l.abandoned()
		l.transact(l.next, "second", nil, true)
	}, "second"},
	{"what was written again is not committed twice", func(l *leftOpen) {
		l.leave(l.first())
		l.slot = 1
		other := l.polled()
		l.transact(other, "second", done, true)
		l.leaderless(func() { l.leave(other) })
		l.transact(l.next, "third", nil, true)
	}, "second third"},
	{"an abort that was not seen is not committed with the next", func(l *leftOpen) {
		first := l.first()
		l.leaderless(func() { l.leave(first) })
		l.blind()
		if err := l.try(l.next, "again"); err == nil || !strings.Contains(err.Error(), "took along") {
			l.Errorf("a transaction that has another's records may be committed: %v", err)
		}
		l.end(l.next, nil, false)
		l.transact(l.next, "second", nil, true)
	}, "second"},
	{"a commit that was not seen is committed with the next", func(l *leftOpen) {
		first := l.first()
		l.leaderless(func() {
			l.end(first, done, true)
			l.leave(first)
		})
		l.blind()
		l.cause = events
		l.transact(l.next, "second", nil, true)
	}, "first second"},
}

// TestLeftOpen lets a transaction end while a partition that it wrote to has no
// leader. The coordinator takes that partition for deleted and leaves its marker
// out: the records belong to the next transaction of the same ID there.
func TestLeftOpen(t *testing.T) {
	t.Parallel()
	c := broker.Start(t, broker.Options{Nodes: 3, HeapMiB: 256, Config: map[string]string{"broker.session.timeout.ms": "3000"}})
	for _, test := range leftOpenTests {
		t.Run(test.name, func(t *testing.T) {
			l := &leftOpen{
				T: t, cluster: c, ways: proxy.StartCluster(t, c.Addrs),
				cfg: kafkalog.Config{Brokers: c.Addrs, Prefix: fmt.Sprintf("left.%d", runs.Add(1))}, cause: events - 1,
			}
			assigned(t, l.cfg, "events", 1, 2, 3)
			assigned(t, l.cfg, "rejected", 1, 2, 3)
			assigned(t, l.cfg, "notifications", 1)
			fill(t, l.cfg)
			test.play(l)
			if got := committedValues(t, l.cfg, "notifications"); got != test.want {
				t.Errorf("a reader of what was committed has %q, want %q", got, test.want)
			}
		})
	}
}

// events are in the log.
const events = 8

// fill puts them there, into partition 0.
func fill(t *testing.T, cfg kafkalog.Config) {
	t.Helper()
	cl := newClient(t, cfg, kgo.DefaultProduceTopic(cfg.Topic("events")), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for range events {
		if err := cl.ProduceSync(withTimeout(t), kgo.StringRecord("{}")).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

var done = map[int32]engine.Commit{0: {Offset: events, Metadata: "stamp"}}

// leaderless takes the first broker away, for the notifications to have no leader,
// until the first slot's transaction has ended. Then another session joins.
func (l *leftOpen) leaderless(meanwhile func()) {
	l.Helper()
	l.cluster.Kill(1)
	leaderOf(l.T, l.cfg, "notifications", -1)
	meanwhile()
	next := l.cfg
	next.Brokers = nil
	for _, way := range l.ways[1:] { // the first broker is down for now
		next.Brokers = append(next.Brokers, way.Addr())
	}
	l.next = joinedAs(l.T, next, l.slot) // which ends what its own slot had open
	l.awaitEnd()
	if err := l.cluster.Restart(1); err != nil {
		l.Fatal(err)
	}
	leaderOf(l.T, l.cfg, "notifications", 1)
}

// blind makes one answer about open transactions that of a replica which has none
// of the records.
func (l *leftOpen) blind() {
	var asked atomic.Int32
	for _, way := range l.ways {
		way.On(kmsg.DescribeProducers, proxy.Rule{After: func(_ kmsg.Request, resp kmsg.Response) bool {
			if asked.Add(1) == 1 {
				resp.(*kmsg.DescribeProducersResponse).Topics[0].Partitions[0].ActiveProducers = nil
			}
			return true
		}})
	}
}

// abandoned expects the first slot's transaction to be open here, and ended for its
// coordinator: young as it is, it hangs.
func (l *leftOpen) abandoned() {
	l.Helper()
	r, err := kafkalog.NewReader(l.cfg)
	if err != nil {
		l.Fatal(err)
	}
	defer r.Close()
	held, err := r.HeldBack(withTimeout(l.T), l.cfg.Topic("notifications"), 0)
	if err != nil || len(held) != 1 || held[0].ID != l.cfg.Prefix+".processor.0" || !held[0].Ended || held[0].Since.IsZero() || !held[0].Hangs(time.Now()) {
		l.Errorf("what holds the partition back is %+v, %v", held, err)
	}
}

// polled returns a session that holds all events.
func (l *leftOpen) polled() *kafkalog.Session {
	l.Helper()
	s := joinedAs(l.T, l.cfg, l.slot)
	s.Resume(0)
	for n := 0; n < events; {
		polled, _, err := s.Poll(withTimeout(l.T), 100)
		if err != nil {
			l.Fatal(err)
		}
		for _, run := range polled {
			n += len(run.Records)
		}
	}
	return s
}

// first returns a session inside a transaction that has written.
func (l *leftOpen) first() *kafkalog.Session {
	l.Helper()
	s := l.polled()
	l.write(s, "first")
	return s
}

func (l *leftOpen) leave(s *kafkalog.Session) {
	ctx, cancel := context.WithTimeout(l.Context(), time.Second)
	defer cancel()
	s.Close(ctx, true)
}

func (l *leftOpen) write(s *kafkalog.Session, value string) {
	l.Helper()
	if err := l.try(s, value); err != nil {
		l.Fatal(err)
	}
}

func (l *leftOpen) try(s *kafkalog.Session, value string) error {
	defer s.Release()
	return errors.Join(s.Begin(), s.Produce(withTimeout(l.T), []engine.Output{output(value, l.cause)}))
}

func (l *leftOpen) end(s *kafkalog.Session, offsets map[int32]engine.Commit, commit bool) {
	l.Helper()
	if committed, err := s.End(withTimeout(l.T), commit, offsets); err != nil || committed != commit {
		l.Fatalf("committed: %t, %v", committed, err)
	}
}

func (l *leftOpen) transact(s *kafkalog.Session, value string, offsets map[int32]engine.Commit, commit bool) {
	l.Helper()
	l.write(s, value)
	l.end(s, offsets, commit)
}

// awaitEnd waits for the coordinator to be done with the first slot's transaction.
func (l *leftOpen) awaitEnd() {
	l.Helper()
	adm := kadm.NewClient(newClient(l.T, l.cfg))
	for ctx := withTimeout(l.T); ; time.Sleep(100 * time.Millisecond) {
		id := l.cfg.Prefix + ".processor.0"
		described, err := adm.DescribeTransactions(ctx, id)
		if state := described[id].State; strings.HasPrefix(state, "Complete") || state == "Empty" {
			return
		}
		if ctx.Err() != nil {
			l.Fatalf("%s does not end: %v, %v", id, described, err)
		}
	}
}

func output(value string, cause int64) engine.Output {
	return engine.Output{
		Topic: engine.Notifications, Key: []byte("p"), Value: []byte(value),
		Headers: []wire.Header{{Key: wire.HeaderSourceOffset, Value: strconv.AppendInt(nil, cause, 10)}},
	}
}

// assigned makes a topic of one partition with its replicas on these nodes.
func assigned(t *testing.T, cfg kafkalog.Config, topic string, nodes ...int32) {
	t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = cfg.Topic(topic), -1, -1
	p := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
	p.Replicas = nodes
	rt.ReplicaAssignment = append(rt.ReplicaAssignment, p)
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(withTimeout(t), newClient(t, cfg))
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func leaderOf(t *testing.T, cfg kafkalog.Config, topic string, want int32) {
	t.Helper()
	adm := kadm.NewClient(newClient(t, cfg))
	for ctx := withTimeout(t); ; time.Sleep(100 * time.Millisecond) {
		topics, err := adm.ListTopics(ctx, cfg.Topic(topic))
		if err == nil && topics[cfg.Topic(topic)].Partitions[0].Leader == want {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%s is not led by %d: %v, %v", topic, want, topics, err)
		}
	}
}

// committedValues reads partition 0 of a topic up to its last stable offset.
func committedValues(t *testing.T, cfg kafkalog.Config, topic string) string {
	t.Helper()
	ctx, name := withTimeout(t), cfg.Topic(topic)
	bounds, err := kafkalog.Bounds(ctx, cfg, name)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	err = kafkalog.ReadPartition(ctx, cfg, name, 0, bounds[0].Start, bounds[0].Stable, true, func(records []wire.Record) error {
		for i := range records {
			all = append(all, string(records[i].Value))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}
