package kafkalog_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
	"github.com/veltrix/veltrix/internal/kafkalog"
)

var oneRetry = []delivery.RetryTopic{{Name: "notify.retry.1m", Delay: time.Minute}}

// owner notes what it is told about partitions.
type owner struct {
	mu      sync.Mutex
	held    map[delivery.TopicPartition]bool
	revoked func([]delivery.TopicPartition)
}

func newOwner() *owner { return &owner{held: map[delivery.TopicPartition]bool{}} }

func (o *owner) set(parts []delivery.TopicPartition, held bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, tp := range parts {
		o.held[tp] = held
	}
}

func (o *owner) count() (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, held := range o.held {
		if held {
			n++
		}
	}
	return n
}

func (o *owner) Assigned(parts []delivery.TopicPartition) { o.set(parts, true) }
func (o *owner) Lost(parts []delivery.TopicPartition)     { o.set(parts, false) }
func (o *owner) Revoked(parts []delivery.TopicPartition) {
	if o.revoked != nil {
		o.revoked(parts)
	}
	o.set(parts, false)
}

func join(t *testing.T, cfg kafkalog.Config, o *owner) *kafkalog.Notifications {
	t.Helper()
	n, err := kafkalog.NewNotifications(kafkalog.NotificationsConfig{
		Config: cfg, SessionTimeout: 6 * time.Second, RebalanceTimeout: 10 * time.Second, Retries: oneRetry,
	}, o)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func notifierTopics(t *testing.T, cfg kafkalog.Config, partitions int32) {
	t.Helper()
	for _, name := range []string{"notifications", "receipts", oneRetry[0].Name} {
		createTopic(t, cfg, cfg.Topic(name), partitions, nil)
	}
}

// pollUntil polls until enough is true of what was polled.
func pollUntil(t *testing.T, n *kafkalog.Notifications, enough func([]delivery.Fetch) bool) []delivery.Fetch {
	t.Helper()
	ctx := withTimeout(t)
	var all []delivery.Fetch
	for !enough(all) {
		got, err := n.Poll(ctx, 100)
		n.Release()
		if err != nil {
			t.Fatal(err)
		}
		if ctx.Err() != nil {
			t.Fatalf("only %+v came in time", all)
		}
		all = append(all, got...)
	}
	return all
}

func values(fetches []delivery.Fetch) string {
	var out []string
	for _, f := range fetches {
		for _, r := range f.Records {
			out = append(out, string(r.Value))
		}
	}
	return strings.Join(out, " ")
}

func TestNotificationsReadCommittedFromTheStart(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		notifierTopics(t, cfg, 1)
		topic := cfg.Topic("notifications")
		cl := newClient(t, cfg, kgo.TransactionalID(cfg.Prefix+".test"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		transact(t, cl, topic, kgo.TryCommit, "a", "b")
		transact(t, cl, topic, kgo.TryAbort, "x")
		transact(t, cl, topic, kgo.TryCommit, "c")
		o := newOwner()
		n := join(t, cfg, o)
		at := delivery.TopicPartition{Topic: "notifications"}
		ended := func(all []delivery.Fetch) bool {
			return len(all) > 0 && all[len(all)-1].Next == all[len(all)-1].End && values(all) != ""
		}
		all := pollUntil(t, n, ended)
		if got := values(all); got != "a b c" {
			t.Fatalf("read %q, want what was committed, from the start", got)
		}
		end := all[len(all)-1].Next
		if end != 7 { // four records and three markers
			t.Errorf("the position is %d, want 7: behind the last marker", end)
		}
		if all[0].TopicPartition != at || o.count() != 2 {
			t.Errorf("fetched %v, %d partitions are held", all[0].TopicPartition, o.count())
		}
		if err := n.Commit(withTimeout(t), map[delivery.TopicPartition]int64{at: 1}); err != nil {
			t.Fatal(err)
		}
		// Leaving commits what the holder says, and nothing else.
		o.revoked = func(parts []delivery.TopicPartition) {
			if err := n.Commit(context.Background(), map[delivery.TopicPartition]int64{at: 2}); err != nil {
				t.Error(err)
			}
		}
		n.Close()
		if o.count() != 0 {
			t.Error("partitions are held after leaving")
		}
		again := join(t, cfg, newOwner())
		defer again.Close()
		if got := values(pollUntil(t, again, ended)); got != "c" {
			t.Errorf("the next member read %q, want to go on behind the commit", got)
		}
	})
}

func TestNotificationsSayWhatRetentionTook(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		notifierTopics(t, cfg, 1)
		topic := cfg.Topic("notifications")
		cl := newClient(t, cfg, kgo.TransactionalID(cfg.Prefix+".test"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		transact(t, cl, topic, kgo.TryCommit, "a", "b", "c", "d")
		adm := kadm.NewClient(newClient(t, cfg))
		commit := func(at int64) {
			t.Helper()
			offsets := kadm.Offsets{}
			offsets.Add(kadm.Offset{Topic: topic, Partition: 0, At: at, LeaderEpoch: -1})
			if err := adm.CommitAllOffsets(withTimeout(t), cfg.NotifierGroup(), offsets); err != nil {
				t.Fatal(err)
			}
		}
		commit(1)
		gone := kadm.Offsets{}
		gone.Add(kadm.Offset{Topic: topic, Partition: 0, At: 3, LeaderEpoch: -1})
		if _, err := adm.DeleteRecords(withTimeout(t), gone); err != nil {
			t.Fatal(err)
		}
		n := join(t, cfg, newOwner())
		all := pollUntil(t, n, func(all []delivery.Fetch) bool { return values(all) != "" })
		if got := values(all); got != "d" {
			t.Errorf("read %q, want what is left", got)
		}
		n.Close()
		commit(99)
		n = join(t, cfg, newOwner())
		defer n.Close()
		ctx := withTimeout(t)
		for {
			_, err := n.Poll(ctx, 100)
			n.Release()
			if err == nil && ctx.Err() == nil {
				continue
			}
			if err == nil || !strings.Contains(err.Error(), "made anew") || !strings.Contains(err.Error(), "reset the group's offsets") {
				t.Errorf("an offset behind the end gives %v", err)
			}
			return
		}
	})
}

func TestReceiptsAndParking(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		notifierTopics(t, cfg, 3)
		r, err := kafkalog.NewReceipts(cfg)
		if err != nil {
			t.Fatal(err)
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		receipt := delivery.Receipt{
			Notification: "n", Revision: 2, Participant: "alice", Channel: "webhook", Target: "t",
			Outcome: delivery.OutAccepted, Attempt: 1, At: time.Now().UTC(), Partition: 2,
		}
		r.Write(receipt)
		if err := r.Flush(over); err == nil {
			t.Error("a flush without time reports success")
		}
		parked := delivery.Parked{
			Notification: *deliverytest.Note("alice", 1), Partition: 1, Channel: "webhook", Target: "t", Attempt: 3,
			NotBefore: time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond), InboxOffset: 12,
		}
		if err := r.Park(withTimeout(t), oneRetry[0].Name, parked); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(withTimeout(t)); err != nil {
			t.Fatal(err)
		}
		cl := newClient(t, cfg, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
			cfg.Topic("receipts"):       {2: kgo.NewOffset().AtStart()},
			cfg.Topic(oneRetry[0].Name): {1: kgo.NewOffset().AtStart()},
		}))
		got := map[string]*kgo.Record{}
		for ctx := withTimeout(t); len(got) < 2; {
			cl.PollFetches(ctx).EachRecord(func(rec *kgo.Record) { got[rec.Topic] = rec })
			if ctx.Err() != nil {
				t.Fatalf("only %d records arrived", len(got))
			}
		}
		var back delivery.Receipt
		rec := got[cfg.Topic("receipts")]
		if err := json.Unmarshal(rec.Value, &back); err != nil || string(rec.Key) != "alice" {
			t.Fatal(err, string(rec.Key))
		}
		back.Partition = 2
		if back != receipt {
			t.Errorf("the receipt is %+v, want %+v", back, receipt)
		}
		wired := kafkalog.Records([]*kgo.Record{got[cfg.Topic(oneRetry[0].Name)]})
		p, err := delivery.DecodeParked(&wired[0])
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprintf("%+v", p) != fmt.Sprintf("%+v", parked) {
			t.Errorf("the parked record is\n%+v, want\n%+v", p, parked)
		}
	})
}

// logSite is the suite's log on brokers.
type logSite struct {
	cfg kafkalog.Config
	cl  *kgo.Client
}

func (s logSite) Add(t *testing.T, n *delivery.Notification, partition int32) {
	t.Helper()
	in := deliverytest.Record(n, partition)
	rec := &kgo.Record{Topic: s.cfg.Topic("notifications"), Partition: partition, Key: in.Key, Value: in.Value}
	for _, h := range in.Headers {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	if err := s.cl.ProduceSync(withTimeout(t), rec).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func (s logSite) Join(t *testing.T, holder delivery.Holder) delivery.Source {
	t.Helper()
	n, err := kafkalog.NewNotifications(kafkalog.NotificationsConfig{
		Config: s.cfg, SessionTimeout: 6 * time.Second, RebalanceTimeout: 10 * time.Second, Retries: oneRetry,
	}, holder)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (s logSite) Writer(t *testing.T) delivery.Receipts {
	t.Helper()
	r, err := kafkalog.NewReceipts(s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

func TestNotificationsSuite(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		i := 0
		deliverytest.LogSuite(t, func(t *testing.T) deliverytest.LogSite {
			i++
			own := cfg
			own.Prefix = fmt.Sprint(cfg.Prefix, i)
			notifierTopics(t, own, 2)
			return logSite{own, newClient(t, own, kgo.RecordPartitioner(kgo.ManualPartitioner()))}
		})
	})
}
