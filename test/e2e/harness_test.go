// Package e2e runs the pipeline as an operator runs it, breaks it, and holds
// what came out against the sequential fold of what went in.
//
// Invariant: a test here passes only after verification compared every
// committed output and every state, and only a real Kafka and a real Redis
// stand for themselves: what cannot be had fails the test, nothing is skipped.
package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/rules"
	"github.com/veltrix/veltrix/internal/service"
	"github.com/veltrix/veltrix/internal/telemetry"
	"github.com/veltrix/veltrix/internal/verify"
	"github.com/veltrix/veltrix/internal/wire"
	"github.com/veltrix/veltrix/test/broker"
	"github.com/veltrix/veltrix/test/proxy"
)

// Short, so that a killed member is missed soon; long enough for two busy cores.
const (
	sessionTimeout     = 5 * time.Second
	transactionTimeout = 3 * time.Second
)

// stall is how long a pipeline may stand still before a test gives up on it.
const stall = 90 * time.Second

func TestMain(m *testing.M) {
	code := broker.Run(m)
	removeBinaries()
	os.Exit(code)
}

// deployment is one prefix on a broker and a Redis, as an operator has it.
type deployment struct {
	t          *testing.T
	rt         app.Runtime
	kafka      kafkalog.Config
	program    *rules.Program
	rulesFile  string
	partitions int32
	redis      redis.UniversalClient
	state      *redisstore.State
	positions  *kafkalog.Positions
	admin      *kadm.Client
	log        *tail
	env        []string // of its processes, besides what the configuration says
}

// place says where a deployment lives.
type place struct {
	brokers []string
	redis   string
	cluster bool   // the Redis is one
	bootID  string // of an embedded broker
	copies  int16  // of each topic; 0 is 1
	profile string // of the topics; empty is dev
	suffix  string // of the prefix, where a test has several deployments
	proxy   *proxy.Proxy
}

var prefixes struct {
	sync.Mutex
	used map[string]int
}

// unused returns a prefix that nobody had: with -count, the shared broker keeps
// what the run before left there.
func unused(prefix string) string {
	prefixes.Lock()
	defer prefixes.Unlock()
	if prefixes.used == nil {
		prefixes.used = map[string]int{}
	}
	prefixes.used[prefix]++
	if n := prefixes.used[prefix]; n > 1 {
		return fmt.Sprint(prefix, "-", n)
	}
	return prefix
}

// deploy applies the topics under the test's own prefix, and compiles the rules.
func deploy(t *testing.T, at place, partitions int32, source []byte) *deployment {
	t.Helper()
	d := &deployment{t: t, partitions: partitions, log: &tail{}}
	cfg := config.Default()
	cfg.Prefix = unused("e2e-" + strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-")) + at.suffix)
	cfg.Kafka.Brokers, cfg.Redis.Addrs = at.brokers, []string{at.redis}
	cfg.Redis.Cluster = at.cluster
	cfg.Processor.SessionTimeout, cfg.Processor.TransactionTimeout = sessionTimeout, transactionTimeout
	cfg.Notifier.SessionTimeout = sessionTimeout
	cfg.Processor.SnapshotInterval = 0 // a snapshot that comes by chance is a way back where a test needs that there is none
	log := slog.New(slog.NewJSONHandler(d.log, nil))
	d.rt = app.Runtime{Config: cfg, Log: log, Metrics: telemetry.New(), BootID: at.bootID}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the services in this process ended their log with\n%s", d.log)
		}
	})
	d.rulesFile = filepath.Join(t.TempDir(), "rules.yaml")
	d.must(os.WriteFile(d.rulesFile, source, 0o600))
	var err error
	d.program, err = rules.LoadFile(d.rulesFile)
	d.must(err)
	d.kafka, err = d.rt.Kafka("test")
	d.must(err)
	_, err = kafkalog.ApplyTopics(t.Context(), d.kafka, kafkalog.TopicPlanOptions{Profile: cmp.Or(at.profile, "dev"), Partitions: partitions, Replication: max(at.copies, 1)})
	d.must(err)
	manifest, err := kafkalog.ReadManifest(t.Context(), d.kafka)
	d.must(err)
	where, err := d.rt.Redis()
	d.must(err)
	d.redis = redisstore.Open(where)
	t.Cleanup(func() { d.redis.Close() })
	d.state = redisstore.NewState(d.redis, redisstore.Space{
		Prefix: cfg.Prefix, Generation: manifest.Generation, Buckets: cfg.Processor.Buckets,
	}, d.program.Schema())
	d.positions, err = kafkalog.NewPositions(d.kafka)
	d.must(err)
	t.Cleanup(d.positions.Close)
	d.admin = kadm.NewClient(d.client())
	return d
}

func (d *deployment) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// client returns a client that writes where it is told to.
func (d *deployment) client() *kgo.Client {
	d.t.Helper()
	cl, err := kgo.NewClient(d.kafka.Options(
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(d.kafka.Topic("events")),
	)...)
	d.must(err)
	d.t.Cleanup(cl.Close)
	return cl
}

// run starts a service in this process; the returned function stops it as a
// signal would and waits for its end.
func (d *deployment) run(s service.Service) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
				d.t.Errorf("the %s failed: %v", s.Name(), err)
			}
		})
	}
	d.t.Cleanup(stop)
	return stop
}

// processor runs a processor in this process.
func (d *deployment) processor() (p *app.Processor, stop func()) {
	p = app.NewProcessor(d.rt, d.program)
	return p, d.run(p)
}

// notifier runs a notifier in this process.
func (d *deployment) notifier() (stop func()) {
	d.t.Helper()
	listener, err := service.Listen(d.t.Context(), d.rt.Log, "the inbox", "127.0.0.1:0", false)
	d.must(err)
	return d.run(app.NewNotifier(d.rt, listener))
}

// progress is where the whole pipeline stands.
type progress struct {
	end, committed, applied int64 // of events, summed over the partitions
	stable, delivered       int64 // of notifications
	errs                    string
	settled                 bool
}

func (p progress) String() string {
	return fmt.Sprintf("events end at %d, committed %d (K), applied %d (R); notifications end at %d, delivered %d %s",
		p.end, p.committed, p.applied, p.stable, p.delivered, p.errs)
}

// look reads the positions of all partitions but those left out.
func (d *deployment) look(ctx context.Context, without ...int32) (p progress) {
	skip := map[int32]bool{}
	for _, id := range without {
		skip[id] = true
	}
	p.settled = true
	bounds, err := kafkalog.Bounds(ctx, d.kafka, d.kafka.Topic("events"))
	if err != nil {
		return progress{errs: "events: " + err.Error()}
	}
	for _, b := range bounds {
		if skip[b.Partition] {
			continue
		}
		c, err := d.positions.Committed(ctx, b.Partition)
		var meta engine.Meta
		if err == nil {
			meta, err = d.state.Meta(ctx, b.Partition)
		}
		if err != nil {
			return progress{errs: err.Error()}
		}
		k := max(c.Offset, 0)
		p.end, p.committed, p.applied = p.end+b.End, p.committed+k, p.applied+meta.Applied
		p.settled = p.settled && b.End == k && (k == meta.Applied || c.Absent)
	}
	if p.stable, p.delivered, err = d.delivery(ctx); err != nil {
		return progress{errs: "notifications: " + err.Error()}
	}
	return p
}

// delivery compares the notifiers' group with the topic.
func (d *deployment) delivery(ctx context.Context) (stable, delivered int64, err error) {
	topic := d.kafka.Topic("notifications")
	bounds, err := kafkalog.Bounds(ctx, d.kafka, topic)
	if err != nil {
		return 0, 0, err
	}
	cl, err := kgo.NewClient(d.kafka.Options()...) // a new one knows no coordinator that is gone
	if err != nil {
		return 0, 0, err
	}
	defer cl.Close()
	offsets, err := kadm.NewClient(cl).FetchOffsets(ctx, d.kafka.NotifierGroup())
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // some brokers know no group before its first member
		return 0, 0, fmt.Errorf("fetch the notifiers' offsets: %w", err)
	}
	for _, b := range bounds {
		stable += b.Stable
		if o, ok := offsets.Lookup(topic, b.Partition); ok && o.At > 0 {
			delivered += o.At
		}
	}
	return stable, delivered, nil
}

// await looks until done says so, and gives up when nothing moves any more.
func (d *deployment) await(what string, done func(progress) bool, without ...int32) {
	d.t.Helper()
	var last, now progress
	for moved := time.Now(); time.Since(moved) < stall; time.Sleep(200 * time.Millisecond) {
		// A look waits for pending offsets, and there may be no end of them.
		ctx, cancel := context.WithTimeout(d.t.Context(), stall/9)
		now = d.look(ctx, without...)
		cancel()
		if done(now) {
			return
		}
		at := now
		at.stable = 0 // aborted transactions move it as well
		if now.errs == "" && at != last {
			last, moved = at, time.Now()
		}
	}
	d.t.Fatalf("waited for %s, and nothing has moved for %s: %s", what, stall, now)
}

// until looks again and again until look says that it is done, and fails the
// test with what it saw last.
func (d *deployment) until(look func() (done bool, saw string)) {
	d.t.Helper()
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		done, saw := look()
		if done {
			return
		}
		if time.Since(began) > stall {
			d.t.Fatal(saw)
		}
	}
}

// processed waits until every event is counted, in Kafka and in Redis.
func (d *deployment) processed(without ...int32) {
	d.t.Helper()
	d.await("R = K = end", func(p progress) bool { return p.errs == "" && p.settled }, without...)
}

// delivered waits until the notifiers have finished every notification.
func (d *deployment) delivered() {
	d.t.Helper()
	d.await("the notifiers", func(p progress) bool { return p.errs == "" && p.settled && p.delivered == p.stable })
}

// verified compares everything, and holds the fates' counts against those
// expected, if any: every record has exactly one, and a rerouted event two
// records.
func (d *deployment) verified(fates map[string]int64) *verify.Report {
	d.t.Helper()
	report, err := app.Verify(d.t.Context(), d.rt, d.program, nil)
	d.must(err)
	if !report.Clean() || report.Behind != 0 {
		d.t.Errorf("verification: %d lost, %d duplicated, %d wrong, %d behind: %+v",
			report.Lost, report.Duplicated, report.Wrong, report.Behind, report.Findings)
	}
	for fate, n := range fates {
		if n == 0 {
			delete(fates, fate)
		}
	}
	if fates != nil && !maps.Equal(report.Fates, fates) {
		d.t.Errorf("the fates are %v, want %v", report.Fates, fates)
	}
	return report
}

// read returns the committed records of a topic, partition by partition.
func (d *deployment) read(topic string) []wire.Record {
	d.t.Helper()
	name := d.kafka.Topic(topic)
	bounds, err := kafkalog.Bounds(d.t.Context(), d.kafka, name)
	d.must(err)
	var all []wire.Record
	for _, b := range bounds {
		if b.Stable == b.Start {
			continue
		}
		d.must(kafkalog.ReadPartition(d.t.Context(), d.kafka, name, b.Partition, b.Start, b.Stable, true, func(records []wire.Record) error {
			all = append(all, records...)
			return nil
		}))
	}
	return all
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailBytes = 12 << 10

func (l *tail) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, b...)
	if extra := len(l.text) - tailBytes; extra > tailBytes {
		l.text = append(l.text[:0], l.text[extra:]...)
	}
	return len(b), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text[max(0, len(l.text)-tailBytes):])
}
