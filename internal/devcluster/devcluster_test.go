package devcluster

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const childDir = "VELTRIX_DEVCLUSTER_TEST_DIR"

// TestMain lets the test binary be a process that holds a cluster until it is
// killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		c, err := Start(context.Background(), Options{DataDir: dir, Partitions: 2})
		if err == nil {
			err = json.NewEncoder(os.Stdout).Encode(map[string]any{"Brokers": c.Brokers, "RedisAddr": c.RedisAddr, "BootID": c.BootID})
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		select {}
	}
	os.Exit(m.Run())
}

type world struct {
	t       *testing.T
	ctx     context.Context
	Brokers []string
	RedisAddr,
	BootID string
	cmd *exec.Cmd
}

func startChild(t *testing.T, dir string) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	w := &world{t: t, ctx: ctx, cmd: exec.Command(os.Args[0])}
	w.cmd.Env = append(os.Environ(), childDir+"="+dir)
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || json.Unmarshal([]byte(line), w) != nil {
		t.Fatalf("the child said %q, %v", line, err)
	}
	return w
}

func (w *world) kill() {
	if w.cmd != nil {
		w.cmd.Process.Kill() //nolint:errcheck // the only error is that it has ended
		w.cmd.Wait()         //nolint:errcheck // it was killed
		w.cmd = nil
	}
}

func (w *world) client(opts ...kgo.Opt) *kgo.Client {
	w.t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(w.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(cl.Close)
	return cl
}

func (w *world) redis() *redis.Client {
	c := redis.NewClient(&redis.Options{Network: "unix", Addr: strings.TrimPrefix(w.RedisAddr, "unix://")})
	w.t.Cleanup(func() { c.Close() })
	return c
}

// transact writes to the notifications, and with commit also an offset of the
// group; without, the transaction stays open.
func (w *world) transact(value string, offset int64, commit bool) {
	w.t.Helper()
	cl := w.client(kgo.TransactionalID("t." + w.BootID))
	if err := cl.BeginTransaction(); err != nil {
		w.t.Fatal(err)
	}
	if err := cl.ProduceSync(w.ctx, &kgo.Record{Topic: "veltrix.notifications", Value: []byte(value)}).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
	if !commit {
		return
	}
	if err := cl.EndTransaction(w.ctx, kgo.TryCommit); err != nil {
		w.t.Fatal(err)
	}
	offsets := kadm.Offsets{}
	offsets.AddOffset("veltrix.events", 0, offset, -1)
	if err := kadm.NewClient(cl).CommitAllOffsets(w.ctx, "g", offsets); err != nil {
		w.t.Fatal(err)
	}
}

// committed reads what a read-committed reader sees before a last record.
func (w *world) committed() string {
	w.t.Helper()
	w.transact("end", 99, true)
	reader := w.client(
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"veltrix.notifications": {0: kgo.NewOffset().AtStart()}}),
	)
	var got []string
	for { // up to a poll that brings nothing
		poll, cancel := context.WithTimeout(w.ctx, time.Second)
		fetches := reader.PollFetches(poll)
		cancel()
		if fetches.NumRecords() == 0 {
			break
		}
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	return strings.Join(got, " ")
}

// TestKilledClusterKeepsWhatItAcknowledged kills the process that holds a
// cluster, twice, each time with a transaction open. What was committed is
// there each time, and what was not never appears.
func TestKilledClusterKeepsWhatItAcknowledged(t *testing.T) {
	dir := t.TempDir()
	w := startChild(t, dir)
	want, boots := "", map[string]bool{}
	var topicID, cluster string
	for round := range 3 {
		boots[w.BootID] = true
		meta, err := kadm.NewClient(w.client()).Metadata(w.ctx, "veltrix.events")
		if err != nil || len(meta.Topics["veltrix.events"].Partitions) != 2 {
			t.Fatalf("round %d: topics %+v, %v", round, meta.Topics, err)
		}
		if id := meta.Topics["veltrix.events"].ID.String(); round > 0 && (id != topicID || meta.Cluster != cluster) {
			t.Fatalf("round %d: topic %s of cluster %s, before %s of %s", round, id, meta.Cluster, topicID, cluster)
		}
		topicID, cluster = meta.Topics["veltrix.events"].ID.String(), meta.Cluster

		value := fmt.Sprintf("committed-%d", round)
		w.transact(value, int64(round), true)
		if err := w.redis().Set(w.ctx, value, "v", 0).Err(); err != nil {
			t.Fatal(err)
		}
		want = strings.TrimSpace(want + " " + value)
		if got := w.committed(); got != want+" end" {
			t.Fatalf("round %d: read %q, want %q", round, got, want+" end")
		}
		want += " end"
		w.transact(fmt.Sprintf("open-%d", round), 100, false)
		w.kill()

		w = startChild(t, dir)
		for r := range round + 1 {
			if v, err := w.redis().Get(w.ctx, fmt.Sprintf("committed-%d", r)).Result(); err != nil || v != "v" {
				t.Fatalf("round %d: Redis lost committed-%d: %v", round, r, err)
			}
		}
		offsets, err := kadm.NewClient(w.client()).FetchOffsets(w.ctx, "g")
		if o, ok := offsets.Lookup("veltrix.events", 0); err != nil || !ok || o.At != 99 {
			t.Fatalf("round %d: offset %+v, %v", round, o, err)
		}
	}
	if len(boots) != 3 {
		t.Errorf("boot IDs were used again: %v", boots)
	}
}

func TestDataDirectoryHasOneProcess(t *testing.T) {
	dir := t.TempDir()
	w := startChild(t, dir)
	_, err := Start(t.Context(), Options{DataDir: dir})
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), fmt.Sprint(w.cmd.Process.Pid)) {
		t.Fatalf("a second process got %v", err)
	}
	w.kill()
	c, err := Start(t.Context(), Options{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestOrphanedRedisHoldsTheDirectory: while a dead process's redis-server still
// writes its file, no second one may open it.
func TestOrphanedRedisHoldsTheDirectory(t *testing.T) {
	dir := t.TempDir()
	w := startChild(t, dir)
	busy := w.redis()
	go busy.Eval(w.ctx, "for i = 1, 600000000 do end", nil) // a few seconds in which it cannot end
	time.Sleep(300 * time.Millisecond)
	w.kill()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if c, err := Start(ctx, Options{DataDir: dir}); !errors.Is(err, ErrInUse) {
		t.Errorf("started beside the old redis-server: %v", err)
		if err == nil {
			c.Close()
		}
	}
	c, err := Start(t.Context(), Options{DataDir: dir}) // waits for its end
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestInMemoryLeavesNothing(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	c, err := Start(t.Context(), Options{Partitions: 3, Prefix: "p"})
	if err != nil {
		t.Fatal(err)
	}
	if c.RedisKind != RedisServer || len(c.kafka.PartitionInfos("p.events")) != 3 {
		t.Errorf("%+v", c)
	}
	configs, err := kadm.NewClient((&world{t: t, ctx: t.Context(), Brokers: c.Brokers}).client()).DescribeBrokerConfigs(t.Context(), 0)
	if err != nil || !strings.Contains(fmt.Sprintf("%+v", values(configs)), "offsets.retention.minutes="+offsetsKeptMinutes) {
		t.Errorf("a group's place expires: %v, %v", values(configs), err)
	}
	pid := c.redis.PID()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("redis-server %d is left: %v", pid, err)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func values(rs kadm.ResourceConfigs) (all []string) {
	for _, r := range rs {
		for _, c := range r.Configs {
			all = append(all, c.Key+"="+c.MaybeValue())
		}
	}
	return all
}

// TestMiniredisWarnsAndExpires: without a redis-server the cluster says what
// that costs, and leases still end.
func TestMiniredisWarnsAndExpires(t *testing.T) {
	var log bytes.Buffer
	t.Setenv("PATH", "")
	c, err := Start(t.Context(), Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.RedisKind != Miniredis || !strings.Contains(log.String(), "LOST") {
		t.Errorf("kind %s, log %q", c.RedisKind, log.String())
	}
	cl := redis.NewClient(&redis.Options{Addr: c.RedisAddr})
	defer cl.Close()
	if err := cl.Set(t.Context(), "lease", "v", 300*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); cl.Exists(t.Context(), "lease").Val() == 1; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a lease of 300 ms never ends")
		}
	}
	if _, err := Start(t.Context(), Options{Redis: RedisServer}); err == nil || !strings.Contains(err.Error(), "install") {
		t.Errorf("redis-server wished for and missing: %v", err)
	}
}

// TestEventsBearTheBrokersTime: arrival is the broker's clock, whatever the
// producer's says, for every codec and place in a batch.
func TestEventsBearTheBrokersTime(t *testing.T) {
	c, err := Start(t.Context(), Options{Partitions: 1, Redis: Miniredis})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	w := &world{t: t, ctx: t.Context(), Brokers: c.Brokers}
	var want []string
	for name, codec := range map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	} {
		cl := w.client(kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(50*time.Millisecond))
		var batch []*kgo.Record
		for i := range 3 {
			value := fmt.Sprintf("%s-%d-%s", name, i, strings.Repeat("x", 200))
			want = append(want, value)
			batch = append(batch, &kgo.Record{Topic: "veltrix.events", Value: []byte(value), Timestamp: time.Unix(int64(100-i), 0)})
		}
		if err := cl.ProduceSync(t.Context(), batch...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	reader := w.client(kgo.ConsumeTopics("veltrix.events"))
	for i := 0; i < len(want); {
		fetches := reader.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if age := time.Since(r.Timestamp); age > time.Minute || age < -time.Second || string(r.Value) != want[i] {
				t.Errorf("record %d: time %v, value %.20s, want %.20s", i, r.Timestamp, r.Value, want[i])
			}
			i++
		})
	}
}
