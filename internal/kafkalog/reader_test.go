package kafkalog_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/wire"
	"github.com/veltrix/veltrix/test/broker"
)

func TestMain(m *testing.M) { os.Exit(broker.Run(m)) }

var runs atomic.Int32

// onBoth runs a test against the fake and against a real broker, each time
// under a prefix of its own.
func onBoth(t *testing.T, test func(t *testing.T, cfg kafkalog.Config)) {
	prefix := fmt.Sprintf("%s.%d", strings.ToLower(t.Name()), runs.Add(1)) // its own also under -count
	t.Run("kfake", func(t *testing.T) {
		test(t, kafkalog.Config{Brokers: fakeBrokers(t), Prefix: prefix, BootID: "boot1"})
	})
	t.Run("kafka", func(t *testing.T) {
		test(t, kafkalog.Config{Brokers: broker.Shared(t).Addrs, Prefix: prefix})
	})
}

func fakeBrokers(t *testing.T, opts ...kfake.Opt) []string {
	t.Helper()
	return fakeCluster(t, opts...).ListenAddrs()
}

// fakeCluster is one broker, unless opts say more, whose answers a test may change.
func fakeCluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func withTimeout(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func newClient(t *testing.T, cfg kafkalog.Config, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(cfg.Options(opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func createTopic(t *testing.T, cfg kafkalog.Config, topic string, partitions int32, settings map[string]*string) {
	t.Helper()
	adm := kadm.NewClient(newClient(t, cfg))
	if _, err := adm.CreateTopic(withTimeout(t), partitions, 1, settings, topic); err != nil {
		t.Fatal(err)
	}
	awaitTopic(t, adm, topic, true)
}

func deleteTopic(t *testing.T, cfg kafkalog.Config, topic string) {
	t.Helper()
	adm := kadm.NewClient(newClient(t, cfg))
	if _, err := adm.DeleteTopics(withTimeout(t), topic); err != nil {
		t.Fatal(err)
	}
	awaitTopic(t, adm, topic, false)
}

// awaitTopic waits until the broker that answers for metadata has heard from
// the controller.
func awaitTopic(t *testing.T, adm *kadm.Client, topic string, exists bool) {
	t.Helper()
	for ctx := withTimeout(t); ; time.Sleep(20 * time.Millisecond) {
		meta, err := adm.Metadata(ctx, topic)
		if err != nil {
			t.Fatal(err)
		}
		if err := meta.Topics.Error(); (err == nil) == exists {
			return
		}
	}
}

func awaitPartitions(t *testing.T, adm *kadm.Client, topic string, n int) {
	t.Helper()
	for ctx := withTimeout(t); ; time.Sleep(20 * time.Millisecond) {
		meta, err := adm.Metadata(ctx, topic)
		if err != nil {
			t.Fatal(err)
		}
		if len(meta.Topics[topic].Partitions) == n && meta.Topics.Error() == nil {
			return
		}
	}
}

// transact writes one transaction of records to partition 0 and ends it.
func transact(t *testing.T, cl *kgo.Client, topic string, end kgo.TransactionEndTry, values ...string) {
	t.Helper()
	open(t, cl, topic, values...)
	if err := cl.EndTransaction(withTimeout(t), end); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, cl *kgo.Client, topic string, values ...string) {
	t.Helper()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for _, v := range values {
		r := &kgo.Record{Topic: topic, Key: []byte("k"), Value: []byte(v), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte(v)}}}
		if err := cl.ProduceSync(withTimeout(t), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, cfg kafkalog.Config, topic string, from, to int64, committed bool) (string, error) {
	t.Helper()
	var got []string
	err := kafkalog.ReadPartition(withTimeout(t), cfg, topic, 0, from, to, committed, func(chunk []wire.Record) error {
		for _, r := range chunk {
			if age := time.Since(time.UnixMicro(r.Timestamp)); age < -time.Minute || age > time.Hour {
				t.Errorf("offset %d: timestamp %d is no µs of today", r.Offset, r.Timestamp)
			}
			if string(r.Header("h")) != string(r.Value) {
				t.Errorf("offset %d: header %q", r.Offset, r.Header("h"))
			}
			got = append(got, fmt.Sprintf("%d:%s", r.Offset, r.Value))
		}
		return nil
	})
	return strings.Join(got, " "), err
}

// TestReadEndsByPosition is row 29 of the failure matrix: the log's tail is an
// aborted transaction and its marker, so the record at to−1 never comes.
func TestReadEndsByPosition(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		topic := cfg.Topic("t")
		createTopic(t, cfg, topic, 1, nil)
		cl := newClient(t, cfg, kgo.TransactionalID(cfg.Prefix), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		transact(t, cl, topic, kgo.TryCommit, "a", "b") // 0 1, marker 2
		transact(t, cl, topic, kgo.TryAbort, "x", "y")  // 3 4, marker 5
		// A coordinator answers that a transaction has ended before its markers are written.
		for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			if b, err := kafkalog.Bounds(withTimeout(t), cfg, topic); err == nil && b[0].Stable == 6 || time.Since(began) > time.Minute {
				break
			}
		}
		for _, c := range []struct {
			from, to  int64
			committed bool
			want      string
		}{
			{0, 6, true, "0:a 1:b"},
			{0, 5, true, "0:a 1:b"}, // ends at an aborted record
			{0, 3, true, "0:a 1:b"}, // ends at a marker
			{3, 6, true, ""},
			{0, 6, false, "0:a 1:b 3:x 4:y"},
			{1, 4, false, "1:b 3:x"},
			{6, 6, true, ""},
		} {
			got, err := read(t, cfg, topic, c.from, c.to, c.committed)
			if err != nil || got != c.want {
				t.Errorf("[%d, %d) committed=%t: %q, %v; want %q", c.from, c.to, c.committed, got, err, c.want)
			}
		}
		open(t, cl, topic, "z") // 6, undecided
		bounds, err := kafkalog.Bounds(withTimeout(t), cfg, topic)
		if err != nil || len(bounds) != 1 || bounds[0] != (kafkalog.PartitionBounds{Start: 0, Stable: 6, End: 7}) {
			t.Errorf("bounds %+v, %v", bounds, err)
		}
		if alone, err := boundsOf(t, cfg, topic, 0); err != nil || alone != bounds[0] {
			t.Errorf("bounds of the partition alone %+v, %v; want %+v", alone, err, bounds[0])
		}
		if _, err := read(t, cfg, topic, 0, 7, true); !errors.Is(err, kafkalog.ErrUndecided) {
			t.Errorf("past the stable offset: %v", err)
		}
		if got, err := read(t, cfg, topic, 6, 7, false); err != nil || got != "6:z" {
			t.Errorf("uncommitted: %q, %v", got, err)
		}
		if err := cl.EndTransaction(withTimeout(t), kgo.TryAbort); err != nil {
			t.Fatal(err)
		}
	})
}

func boundsOf(t *testing.T, cfg kafkalog.Config, topic string, partition int32) (kafkalog.PartitionBounds, error) {
	t.Helper()
	r, err := kafkalog.NewReader(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	return r.BoundsOf(withTimeout(t), topic, partition)
}

// TestReadEndsWithoutAMarker reads what a crash of the embedded broker leaves:
// an aborted tail that no marker follows.
func TestReadEndsWithoutAMarker(t *testing.T) {
	dir, crashed := t.TempDir(), t.TempDir()
	cfg := kafkalog.Config{Brokers: fakeBrokers(t, kfake.DataDir(dir)), Prefix: "p", BootID: "b"}
	topic := cfg.Topic("t")
	createTopic(t, cfg, topic, 1, nil)
	cl := newClient(t, cfg, kgo.TransactionalID("x"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	transact(t, cl, topic, kgo.TryCommit, "a")
	open(t, cl, topic, "y", "z")
	if err := os.CopyFS(crashed, os.DirFS(dir)); err != nil { // as a SIGKILL would leave it
		t.Fatal(err)
	}
	cfg.Brokers = fakeBrokers(t, kfake.DataDir(crashed))
	bounds, err := kafkalog.Bounds(withTimeout(t), cfg, topic)
	if err != nil || bounds[0].End != 4 || bounds[0].Stable != 4 {
		t.Fatalf("bounds %+v, %v", bounds, err)
	}
	if got, err := read(t, cfg, topic, 0, 4, true); err != nil || got != "0:a" {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestReadRefusesWhatTheLogDoesNotHold(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		topic := cfg.Topic("t")
		if _, err := kafkalog.Bounds(withTimeout(t), cfg, topic); !errors.Is(err, kafkalog.ErrNoTopic) {
			t.Errorf("bounds of no topic: %v", err)
		}
		if _, err := boundsOf(t, cfg, topic, 0); !errors.Is(err, kafkalog.ErrNoTopic) {
			t.Errorf("bounds of a partition of no topic: %v", err)
		}
		createTopic(t, cfg, topic, 2, nil)
		cl := newClient(t, cfg, kgo.RecordPartitioner(kgo.ManualPartitioner()))
		for _, v := range []string{"a", "b", "c"} {
			r := &kgo.Record{Topic: topic, Value: []byte(v), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte(v)}}}
			if err := cl.ProduceSync(withTimeout(t), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		deleted := kadm.Offsets{}
		deleted.AddOffset(topic, 0, 2, -1)
		if _, err := kadm.NewClient(cl).DeleteRecords(withTimeout(t), deleted); err != nil {
			t.Fatal(err)
		}
		if _, err := boundsOf(t, cfg, topic, 2); !errors.Is(err, kafkalog.ErrNoTopic) {
			t.Errorf("bounds of a partition that the topic has not: %v", err)
		}
		if b, err := boundsOf(t, cfg, topic, 0); err != nil || b != (kafkalog.PartitionBounds{Start: 2, Stable: 3, End: 3}) {
			t.Errorf("bounds %+v, %v", b, err)
		}
		if _, err := read(t, cfg, topic, 1, 3, true); !errors.Is(err, kafkalog.ErrOutOfRange) {
			t.Errorf("below the log's start: %v", err)
		}
		if _, err := read(t, cfg, topic, 2, 4, true); !errors.Is(err, kafkalog.ErrOutOfRange) {
			t.Errorf("past the log's end: %v", err)
		}
		if got, err := read(t, cfg, topic, 2, 3, true); err != nil || got != "2:c" {
			t.Errorf("%q, %v", got, err)
		}
		stop := errors.New("stop")
		if err := kafkalog.ReadPartition(withTimeout(t), cfg, topic, 0, 2, 3, true, func([]wire.Record) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("the callback's error: %v", err)
		}
	})
}
