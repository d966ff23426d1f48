package chaos

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/rules"
	"github.com/veltrix/veltrix/internal/telemetry"
)

//go:embed rules.yaml
var rulesSource []byte

// run is one schedule at work.
type run struct {
	env    *Env
	s      *Schedule
	prefix string
	lane   int
	dir    string

	rt        app.Runtime
	kafka     kafkalog.Config
	program   *rules.Program
	client    redis.UniversalClient // to Redis itself, around all relays
	state     *redisstore.State
	positions *kafkalog.Positions
	asking    *kgo.Client
	asks      *kadm.Client
	redis     *redisServer
	feeder    *feeder
	watch     *watch

	forgot    atomic.Bool // Redis has lost what it acknowledged
	recreated atomic.Bool // the events topic is another one

	operator sync.RWMutex // held by faults of processors; alone by who starts and stops them
	locks    sync.Map     // by what a fault is about

	mu         sync.Mutex
	processors []*member
	notifiers  []*member
	refusals   map[int32]string // reasons
	causes     map[int32]string
	saved      map[int32]engine.Committed // before an operator moved them
	processed  map[int32]map[int]bool     // events of a partition before its records were deleted
	stopped    []string                   // what processors said that ended by themselves
	problems   []string
}

func newRun(e *Env, s *Schedule, name string, lane int) *run {
	return &run{
		env: e, s: s, prefix: name, lane: lane, dir: filepath.Join(e.Dir, name),
		refusals: map[int32]string{}, causes: map[int32]string{}, saved: map[int32]engine.Committed{}, processed: map[int32]map[int]bool{},
	}
}

// lock keeps two faults from the same thing.
func (r *run) lock(name string) (unlock func()) {
	l, _ := r.locks.LoadOrStore(name, &sync.Mutex{})
	l.(*sync.Mutex).Lock()
	return l.(*sync.Mutex).Unlock
}

func (r *run) problem(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.problems) < 100 {
		r.problems = append(r.problems, fmt.Sprintf(format, args...))
	}
}

// refused is told of each refusal that a processor logs.
func (r *run) refused(partition int32, reason, cause string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refusals[partition], r.causes[partition] = reason, cause
}

func (r *run) refusedNow() map[int32]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.refusals)
}

// endedByItself is told of each process that nobody ended.
func (r *run) endedByItself(m *member, last string) {
	if m.kind == "processor" && r.s.Expect.Stopped != "" {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.stopped = append(r.stopped, last)
		return
	}
	r.problem("%s ended by itself: %s", m.name, last)
}

// environment is what all processes of the run are told.
func (r *run) environment() []string {
	own := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "VELTRIX_") })
	session := r.s.Processes.Session
	return append(own,
		"VELTRIX_PREFIX="+r.prefix,
		"VELTRIX_RULES_FILE="+filepath.Join(r.dir, "rules.yaml"),
		fmt.Sprintf("VELTRIX_PROCESSOR_SLOTS=%d", r.s.Processes.Slots),
		"VELTRIX_PROCESSOR_SESSION_TIMEOUT="+session.String(),
		"VELTRIX_PROCESSOR_TRANSACTION_TIMEOUT="+transactionTimeout(session).String(),
		"VELTRIX_PROCESSOR_REBALANCE_TIMEOUT=10s",
		"VELTRIX_NOTIFIER_SESSION_TIMEOUT="+session.String(),
	)
}

func transactionTimeout(session time.Duration) time.Duration { return session * 3 / 4 }

// prepare makes the topics, Redis and the clients.
func (r *run) prepare(ctx context.Context) error {
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return err
	}
	file := filepath.Join(r.dir, "rules.yaml")
	if err := errors.Join(os.WriteFile(file, rulesSource, 0o644), os.WriteFile(filepath.Join(r.dir, "schedule.yaml"), []byte(r.s.String()), 0o644)); err != nil {
		return err
	}
	var err error
	if r.program, err = rules.LoadFile(file); err != nil {
		return err
	}
	if r.redis, err = newRedis(); err != nil {
		return err
	}
	if err := r.redis.start(); err != nil {
		return err
	}
	cfg := config.Default()
	cfg.Prefix, cfg.Profile = r.prefix, "dev"
	cfg.Kafka.Brokers, cfg.Redis.Addrs = r.env.cluster.Addrs, []string{"unix://" + r.redis.socket()}
	cfg.Processor.SessionTimeout, cfg.Processor.TransactionTimeout = r.s.Processes.Session, transactionTimeout(r.s.Processes.Session)
	r.rt = app.Runtime{Config: cfg, Log: slog.New(slog.DiscardHandler), Metrics: telemetry.New()}
	if r.kafka, err = r.rt.Kafka("chaos"); err != nil {
		return err
	}
	r.kafka.Logger = nil
	if _, err := kafkalog.ApplyTopics(ctx, r.kafka, kafkalog.TopicPlanOptions{Profile: "prod", Partitions: r.s.Topology.Partitions}); err != nil {
		return err
	}
	return r.connect(ctx)
}

func (r *run) connect(ctx context.Context) error {
	manifest, err := kafkalog.ReadManifest(ctx, r.kafka)
	if err != nil {
		return err
	}
	where, err := r.rt.Redis()
	if err != nil {
		return err
	}
	r.client = redisstore.Open(where)
	r.state = redisstore.NewState(r.client, redisstore.Space{Prefix: r.prefix, Generation: manifest.Generation, Buckets: r.rt.Config.Processor.Buckets}, nil)
	if r.positions, err = kafkalog.NewPositions(r.kafka); err != nil {
		return err
	}
	if r.asking, err = r.newAsking(); err != nil {
		return err
	}
	r.asks = kadm.NewClient(r.asking)
	all, order := r.s.Load.events(r.s.Seed)
	r.feeder = &feeder{
		topic: r.kafka.Topic("events"), client: r.env.client, all: all, order: order, rate: r.s.Load.Rate,
		finished: make(chan struct{}), acked: map[int]bool{},
	}
	r.feeder.partitions.Store(r.s.Topology.Partitions)
	r.watch = &watch{r: r, places: make([]place, r.s.Topology.Partitions)}
	return nil
}

// play runs the whole schedule.
func (r *run) play(ctx context.Context) (*Result, error) {
	began := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := r.prepare(ctx); err != nil {
		return nil, fmt.Errorf("prepare %s: %w", r.s.Name, err)
	}
	for range r.s.Processes.Notifiers {
		m, err := r.newMember("notifier", len(r.notifiers))
		if err != nil {
			return nil, err
		}
		r.notifiers = append(r.notifiers, m)
		if err := m.start(); err != nil {
			return nil, err
		}
	}
	if err := r.scaleTo(r.s.Processes.Processors); err != nil {
		return nil, err
	}
	if err := r.shared(ctx); err != nil {
		return nil, err
	}
	r.feeder.start(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	looking, enough := context.WithCancel(ctx)
	defer enough()
	watching.Go(func() { r.watch.run(looking) })

	if err := r.steps(ctx); err != nil {
		return nil, err
	}
	result := &Result{Name: r.s.Name, Seed: r.s.Seed}
	if err := r.judge(ctx, result); err != nil {
		return nil, err
	}
	enough()
	watching.Wait()
	r.finish(result, began)
	return result, nil
}

// shared waits until the processors have shared the partitions out: what breaks
// before has nothing to recover.
func (r *run) shared(ctx context.Context) error {
	members := r.s.Processes.Processors * r.s.Processes.Slots
	busy := min(members, int(r.s.Topology.Partitions))
	var state string
	for began := time.Now(); time.Since(began) < stall; {
		groups, err := r.asks.DescribeGroups(ctx, r.kafka.ProcessorGroup())
		g := groups[r.kafka.ProcessorGroup()]
		with, partitions := 0, 0
		for i := range g.Members {
			if c, ok := g.Members[i].Assigned.AsConsumer(); ok && len(c.Topics) > 0 {
				with++
				partitions += len(c.Topics[0].Partitions)
			}
		}
		state = fmt.Sprintf("%s, %d of %d members have %d of %d partitions: %v", g.State, with, members, partitions, r.s.Topology.Partitions, err)
		if err == nil && g.State == "Stable" && len(g.Members) == members && with == busy && partitions == int(r.s.Topology.Partitions) {
			return nil
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("the processors have not shared the partitions out: %s", state)
}

// steps injects the faults at their moments, waits until they are over and the
// load is sent.
func (r *run) steps(ctx context.Context) error {
	var under sync.WaitGroup
	for i := range r.s.Steps {
		step := &r.s.Steps[i]
		if err := r.moment(ctx, step); err != nil {
			r.problem("step %d, %s: %v", i+1, step.Do, err)
			break
		}
		under.Go(func() {
			if err := step.fault.do(ctx, r, step.fault, step.params); err != nil {
				r.problem("step %d, %s: %v", i+1, step.Do, err)
			}
		})
	}
	under.Wait()
	select {
	case <-r.feeder.finished:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(lengthMax):
		return fmt.Errorf("the load was not sent within %s", lengthMax)
	}
	return ctx.Err()
}

// moment waits until a step's time has come.
func (r *run) moment(ctx context.Context, step *Step) error {
	if step.After == nil {
		return sleep(ctx, time.Until(r.feeder.began.Add(step.At)))
	}
	for began := time.Now(); time.Since(began) < stall; {
		if r.watch.sum() >= int64(*step.After) {
			return nil
		}
		if err := sleep(ctx, watchEvery); err != nil {
			return err
		}
	}
	return fmt.Errorf("%d records were not committed within %s:%s", *step.After, stall, r.watch)
}

// close ends everything that belongs to the run, also where it was cancelled.
func (r *run) close(ctx context.Context) error {
	var ends sync.WaitGroup
	for _, m := range slices.Concat(r.processors, r.notifiers) {
		ends.Go(func() {
			m.kill()
			m.redis.Close()
		})
	}
	ends.Wait()
	if r.asking != nil {
		r.asking.Close()
	}
	if r.positions != nil {
		r.positions.Close()
	}
	if r.client != nil {
		r.client.Close()
	}
	var err error
	if r.redis != nil {
		err = r.redis.close()
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	topics, listErr := r.env.admin.ListTopics(ctx)
	if listErr != nil {
		return errors.Join(err, listErr)
	}
	names := slices.DeleteFunc(topics.Names(), func(name string) bool { return !strings.HasPrefix(name, r.prefix+".") })
	if len(names) > 0 {
		answers, deleteErr := r.env.admin.DeleteTopics(ctx, names...)
		err = errors.Join(err, deleteErr, answers.Error())
	}
	return err
}
