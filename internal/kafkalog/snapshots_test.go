package kafkalog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/engine/enginetest"
	"github.com/veltrix/veltrix/internal/kafkalog"
)

const snapshotToken = "1/cluster/topic/2/1-rules/4"

func createSnapshotTopic(t *testing.T, cfg kafkalog.Config) {
	t.Helper()
	createTopic(t, cfg, cfg.Topic("snapshots"), 2, map[string]*string{"cleanup.policy": kadm.StringPtr("compact")})
}

func openSnapshots(t *testing.T, cfg kafkalog.Config) *kafkalog.Snapshots {
	t.Helper()
	s, err := kafkalog.NewSnapshots(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestSnapshots(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		enginetest.SnapshotSuite(t, func(t *testing.T) func() engine.Snapshots {
			own := cfg
			own.Prefix = fmt.Sprintf("%s.%d", cfg.Prefix, runs.Add(1))
			createSnapshotTopic(t, own)
			return func() engine.Snapshots { return openSnapshots(t, own) }
		})
	})
}

// keeper is a deployment's snapshots on a broker that compacts when told to.
type keeper struct {
	t       *testing.T
	cluster *kfake.Cluster
	cfg     kafkalog.Config
}

func newKeeper(t *testing.T) *keeper {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	k := &keeper{t, c, kafkalog.Config{Brokers: c.ListenAddrs(), Prefix: "p", BootID: "b"}}
	createSnapshotTopic(t, k.cfg)
	return k
}

// participants makes n values of about 1,000 bytes, so that 600 take more than
// one chunk.
func participants(mark string, n int) []engine.KeyValue {
	values := make([]engine.KeyValue, n)
	for i := range values {
		values[i] = engine.KeyValue{Key: fmt.Sprint("p", i), Value: []byte(strings.Repeat(fmt.Sprint(mark, i, " "), 1000/len(fmt.Sprint(mark, i, " "))))}
	}
	return values
}

func snapshotAt(offset int64, values []engine.KeyValue) engine.Snapshot {
	s := engine.Snapshot{Token: snapshotToken, Offset: offset, Participants: int64(len(values))}
	for _, v := range values {
		s.Digest += engine.ValueDigest(v.Key, v.Value)
	}
	return s
}

func (k *keeper) write(offset int64, values []engine.KeyValue) engine.Snapshot {
	k.t.Helper()
	w, err := openSnapshots(k.t, k.cfg).Write(withTimeout(k.t), 0)
	if err != nil {
		k.t.Fatal(err)
	}
	return k.finish(w, offset, values)
}

func (k *keeper) begin(values []engine.KeyValue) engine.SnapshotWriter {
	k.t.Helper()
	w, err := openSnapshots(k.t, k.cfg).Write(withTimeout(k.t), 0)
	if err == nil {
		err = w.Add(withTimeout(k.t), values)
	}
	if err != nil {
		k.t.Fatal(err)
	}
	return w
}

func (k *keeper) finish(w engine.SnapshotWriter, offset int64, values []engine.KeyValue) engine.Snapshot {
	k.t.Helper()
	err := w.Add(withTimeout(k.t), values)
	if err != nil {
		k.t.Fatal(err)
	}
	s, err := w.Finish(withTimeout(k.t), snapshotAt(offset, values))
	if err != nil {
		k.t.Fatal(err)
	}
	return s
}

// read counts a copy's participants.
func (k *keeper) read(s *kafkalog.Snapshots, of engine.Snapshot) (n int, err error) {
	err = s.Read(withTimeout(k.t), 0, of, func(values []engine.KeyValue) error { n += len(values); return nil })
	return n, err
}

// records returns the keys of the partition's records, oldest first, with "†"
// behind those that delete.
func (k *keeper) records() (keys []string) {
	k.t.Helper()
	cl := newClient(k.t, k.cfg, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{k.cfg.Topic("snapshots"): {0: kgo.NewOffset().AtStart()}}))
	bounds, err := kafkalog.Bounds(withTimeout(k.t), k.cfg, k.cfg.Topic("snapshots"))
	if err != nil {
		k.t.Fatal(err)
	}
	for last := int64(-1); last < bounds[0].End-1; {
		fetches := cl.PollFetches(withTimeout(k.t))
		if err := fetches.Err(); err != nil {
			k.t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			last = r.Offset
			key := string(r.Key)
			if r.Value == nil {
				key += "†"
			}
			keys = append(keys, key)
		})
	}
	return keys
}

// What compaction leaves is what is needed: after each step the newest copy is
// whole, and the places hold nothing beyond their copies.
func TestSnapshotsOutliveCompaction(t *testing.T) {
	k := newKeeper(t)
	for n, size := range []int{1800, 1200, 600, 0, 2400, 100} {
		want := k.write(int64(n), participants("c", size))
		k.cluster.Compact()
		s := openSnapshots(t, k.cfg)
		got, ok, err := s.Find(withTimeout(t), 0, snapshotToken, 1<<40)
		if err != nil || !ok || got != want {
			t.Fatalf("found %+v, %t, %v; want %+v", got, ok, err, want)
		}
		if n, err := k.read(s, got); err != nil || n != size {
			t.Fatalf("%d of %d participants: %v", n, size, err)
		}
	}
}

// A copy whose place another writer has written into is not whole once the
// topic was compacted. It must be noticed, the other one offered, and the next
// writer must not take the other one's place.
func TestSnapshotOverwrittenIsNoticed(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(k *keeper)
	}{
		{"a writer that died", func(k *keeper) {
			stalled := k.begin(participants("stalled", 1200)) // both go to the second place
			k.write(2, participants("second", 1200))
			if err := stalled.Add(withTimeout(k.t), participants("stalled", 1200)); err != nil {
				k.t.Fatal(err)
			}
			k.strays()
		}},
		{"a writer that woke up and finished", func(k *keeper) {
			stalled := k.begin(participants("stalled", 600))
			k.strays()
			k.write(2, participants("second", 1200))
			if _, err := stalled.Finish(withTimeout(k.t), snapshotAt(1, participants("stalled", 600))); err != nil {
				k.t.Fatal(err)
			}
		}},
		{"a writer that deletes late", func(k *keeper) {
			k.write(2, participants("second", 1200))
			cl := newClient(k.t, k.cfg, kgo.RecordPartitioner(kgo.ManualPartitioner()))
			late := &kgo.Record{Topic: k.cfg.Topic("snapshots"), Key: []byte("b/1")}
			if err := cl.ProduceSync(withTimeout(k.t), late).FirstErr(); err != nil {
				k.t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKeeper(t)
			values := participants("first", 1200)
			first := k.write(1, values)
			c.spoil(k)
			k.cluster.Compact()
			s := openSnapshots(t, k.cfg)
			got, ok, err := s.Find(withTimeout(t), 0, snapshotToken, 1<<40)
			if err != nil || !ok || got != first {
				t.Fatalf("found %+v, %t, %v; want the whole one, %+v: %v", got, ok, err, first, k.records())
			}
			k.begin(participants("next", 1200)).Abort() // dies at once
			k.cluster.Compact()
			if n, err := k.read(openSnapshots(t, k.cfg), first); err != nil || n != 1200 {
				t.Fatalf("the next writer wrote over the only whole copy: %d participants, %v: %v", n, err, k.records())
			}
		})
	}
}

// strays waits until a writer's chunks stand at the log's end.
func (k *keeper) strays() {
	k.t.Helper()
	for ctx := withTimeout(k.t); ctx.Err() == nil; {
		if keys := k.records(); len(keys) > 0 && !strings.HasSuffix(keys[len(keys)-1], "/head") {
			return
		}
	}
	k.t.Fatal("the stalled writer wrote nothing more")
}

// Until the topic is compacted, a copy is whole although another writer wrote in
// between: it is read, because it may be the only one.
func TestSnapshotAmongAnothersChunks(t *testing.T) {
	k := newKeeper(t)
	other := k.begin(participants("other", 1200))
	mine := k.begin(participants("mine", 1200))
	if err := other.Add(withTimeout(t), participants("other again", 1200)); err != nil {
		t.Fatal(err)
	}
	k.strays()
	s, err := mine.Finish(withTimeout(t), snapshotAt(1, participants("mine", 1200)))
	if err != nil {
		t.Fatal(err)
	}
	reader := openSnapshots(t, k.cfg)
	if got, ok, err := reader.Find(withTimeout(t), 0, snapshotToken, 1); err != nil || !ok || got != s {
		t.Fatalf("found %+v, %t, %v; want %+v", got, ok, err, s)
	}
	if n, err := k.read(reader, s); err != nil || n != 1200 {
		t.Errorf("%d participants, %v", n, err)
	}
}

// A broken copy that is met while reading is not offered again, and one that is
// broken is never taken for whole.
func TestBrokenSnapshotIsNotOfferedTwice(t *testing.T) {
	k := newKeeper(t)
	first := k.write(1, participants("first", 1800))
	second := k.write(2, participants("second", 1800))
	third := k.write(3, participants("third", 1800)) // takes the first one's place
	if err := k.cluster.DeleteRecords(k.cfg.Topic("snapshots"), 0, offsetOf(t, second)+1); err != nil {
		t.Fatal(err)
	}
	s := openSnapshots(t, k.cfg)
	for _, broken := range []engine.Snapshot{first, second} {
		if n, err := k.read(s, broken); !errors.Is(err, engine.ErrSnapshotBroken) {
			t.Errorf("a copy without its first chunk was read with %d participants, %v", n, err)
		}
	}
	for _, change := range []func(*engine.Snapshot){
		func(s *engine.Snapshot) { s.Digest++ },
		func(s *engine.Snapshot) { s.Participants++ },
		func(s *engine.Snapshot) { s.ID = strings.Replace(s.ID, "a/", "b/", 1) },
	} {
		other := third
		change(&other)
		if _, err := k.read(openSnapshots(t, k.cfg), other); !errors.Is(err, engine.ErrSnapshotBroken) {
			t.Errorf("%+v was read as whole: %v", other, err)
		}
	}
	if got, ok, err := s.Find(withTimeout(t), 0, snapshotToken, 2); ok || err != nil {
		t.Errorf("a copy known to be broken is offered: %+v, %v", got, err)
	}
	if got, ok, err := s.Find(withTimeout(t), 0, snapshotToken, 3); !ok || err != nil || got != third {
		t.Errorf("found %+v, %t, %v; want %+v", got, ok, err, third)
	}
}

// offsetOf reads the first chunk's offset from a copy's ID.
func offsetOf(t *testing.T, s engine.Snapshot) (first int64) {
	t.Helper()
	part := strings.Split(s.ID, "/")
	if _, err := fmt.Sscan(part[2], &first); err != nil {
		t.Fatal(err)
	}
	return first
}

// A declared beginning outlives every copy that is written in turn.
func TestSnapshotBaseStays(t *testing.T) {
	k := newKeeper(t)
	for round, size := range []int{1800, 600} {
		values := participants(fmt.Sprint("base", round), size)
		w, err := openSnapshots(t, k.cfg).WriteBase(withTimeout(t), 0)
		if err != nil {
			t.Fatal(err)
		}
		base := k.finish(w, int64(10*round), values)
		if got, ok, err := openSnapshots(t, k.cfg).Find(withTimeout(t), 0, snapshotToken, 1<<40); err != nil || !ok || got != base {
			t.Fatalf("found %+v, %t, %v; want the base, written last, %+v", got, ok, err, base)
		}
		for n := range 4 {
			later := k.write(int64(10*round+n+1), participants(fmt.Sprint("turn", n), 900))
			k.cluster.Compact()
			if got, ok, err := openSnapshots(t, k.cfg).Find(withTimeout(t), 0, snapshotToken, 1<<40); err != nil || !ok || got != later {
				t.Fatalf("found %+v, %t, %v; want %+v", got, ok, err, later)
			}
		}
		if n, err := k.read(openSnapshots(t, k.cfg), base); err != nil || n != size {
			t.Fatalf("%d of %d participants of the base are left: %v", n, size, err)
		}
	}
	for _, key := range k.records() {
		if key == "base/2" || key == "base/3" {
			t.Errorf("the longer base left the chunk %s", key)
		}
	}
}

// A head must not go out before its chunks are there.
func TestSnapshotWithoutItsChunksHasNoHead(t *testing.T) {
	k := newKeeper(t)
	want := k.write(1, participants("whole", 600))
	ctx, cancel := context.WithCancel(withTimeout(t))
	w, err := openSnapshots(t, k.cfg).Write(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	values := participants("lost", 2000)
	cancel()
	_ = w.Add(ctx, values) // the chunks' context has ended: they are given up
	if s, err := w.Finish(withTimeout(t), snapshotAt(2, values)); err == nil {
		t.Errorf("a copy whose chunks failed was finished as %+v", s)
	}
	if got, ok, err := openSnapshots(t, k.cfg).Find(withTimeout(t), 0, snapshotToken, 1<<40); err != nil || !ok || got != want {
		t.Fatalf("found %+v, %t, %v; want %+v", got, ok, err, want)
	}
}
