package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/ingest"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/service"
	"github.com/veltrix/veltrix/internal/telemetry"
	"github.com/veltrix/veltrix/internal/wire"
)

// Producer is the gateway: it takes events by HTTP and shows states.
type Producer struct {
	rt       Runtime
	program  participant.Program // nil: no rules
	listener net.Listener
	door     service.Doorway
	appender atomic.Pointer[kafkalog.Appender]
	rights   *rights
	closing  func() // of what reads the log; nil: not open
}

// NewProducer prepares a gateway that serves on listener; nothing is contacted
// before Run. Without a program (nil) it checks envelopes only and shows no
// states.
func NewProducer(rt Runtime, program participant.Program, listener net.Listener) *Producer {
	return &Producer{rt: rt, program: program, listener: listener, rights: newRights(rt)}
}

// Name implements service.Service.
func (p *Producer) Name() string { return "producer" }

// Run connects and serves until ctx ends; then it finishes what it accepted.
// Redis need not be there: events are taken all the same.
func (p *Producer) Run(ctx context.Context) error {
	listener, err := p.rt.secured("gateway", "producer.tls", p.listener, p.rt.Config.Producer.TLS)
	if err != nil {
		_ = p.listener.Close()
		return err
	}
	defer func() { _ = listener.Close() }()
	where, err := p.rt.Redis()
	if err != nil {
		return err
	}
	client := redisstore.Open(where)
	defer func() { _ = client.Close() }()
	door := p.rt.Metrics.Observe("gateway", shared(&p.door, p.rt.Config.Producer.CORSOrigins))
	err = service.Run(ctx, p.rt.Config.StopTimeout,
		service.HTTP("gateway", listener, door, p.rt.Config.StopTimeout*3/4),
		service.Func(p.Name(), func(ctx context.Context) error {
			gate, err := p.open(ctx, client)
			if err != nil {
				return err
			}
			go p.rights.keep(ctx, gate.kafka)
			gate.keep(ctx)
			return nil
		}))
	if appender := p.appender.Load(); appender != nil {
		p.rt.closeAppender(ctx, appender) // after the last request
	}
	if p.closing != nil {
		p.closing()
	}
	return err
}

// open connects to the brokers, passes the gate, and takes events from then on.
func (p *Producer) open(ctx context.Context, client redis.UniversalClient) (*gate, error) {
	appender, manifest, err := p.rt.openAppender(ctx, p.Name(), p.program)
	if err != nil {
		return nil, err
	}
	p.appender.Store(appender)
	cfg := p.rt.Config.Producer
	options := ingest.Options{
		Appender:         appender,
		InflightBytesMax: int64(cfg.MaxInflightBytes), Timeout: cfg.RequestTimeout,
		Follow: func() ingest.Limits {
			now := p.rt.current().Producer
			return ingest.Limits{RequestBytesMax: int64(now.MaxRequestBytes), BatchEventsMax: now.MaxBatchEvents}
		},
		Logger: p.rt.Log, Metrics: p.metrics(), Instance: newInstance(),
	}
	if cfg.KeysFile != "" {
		ring, err := openKeys(cfg.KeysFile, p.rt.Log)
		if err != nil {
			return nil, service.WithExitCode(err, service.ExitConfig)
		}
		options.Keys = ring.get
	}
	kafka, err := p.rt.Kafka(p.Name())
	if err != nil {
		return nil, err
	}
	gate, err := p.rt.gate(ctx, p.Name(), kafka, client)
	if err != nil {
		return nil, err
	}
	if options.Trail, p.closing, err = openTeller(kafka, manifest.Partitions); err != nil {
		return nil, err
	}
	if p.program != nil {
		options.Schema = p.program.Schema()
		view := &states{
			kafka: kafka,
			store: p.rt.view(client, manifest, options.Schema), partitions: manifest.Partitions, schema: options.Schema,
			token: stateToken(manifest, options.Schema, p.rt.Config.Processor.Buckets), timeout: 5 * time.Second,
		}
		options.States, options.Boards = view, view
	} else {
		p.rt.Log.Warn("no rules file: events are checked without their data's fields, and no states are shown")
	}
	p.door.Open(ingest.New(options))
	p.rt.Log.Info("taking events", "address", p.listener.Addr().String(), "instance", options.Instance)
	return gate, nil
}

// newInstance is chance alone: whoever may send events learns from it how many
// gateways there are, and nothing of where they run.
func newInstance() string {
	var random [4]byte
	_, _ = rand.Read(random[:]) // documented never to fail
	return hex.EncodeToString(random[:])
}

func (p *Producer) metrics() ingest.Metrics {
	m := p.rt.Metrics.Gateway
	return ingest.Metrics{
		Accepted: func(n int) { m.Accepted.Add(float64(n)) },
		Refused:  func(problem string, n int) { m.Refused.WithLabelValues(problem).Add(float64(n)) },
		Inflight: func(bytes int64) { m.InflightBytes.Set(float64(bytes)) },
		Appended: func(took time.Duration) { m.AppendSeconds.Observe(took.Seconds()) },
	}
}

// Checks are the gateway's reasons not to be ready.
func (p *Producer) Checks() []telemetry.Check {
	return []telemetry.Check{{Name: "brokers", Run: func(ctx context.Context) error {
		a := p.appender.Load()
		if a == nil {
			return errors.New("starting")
		}
		if err := p.rights.err(); err != nil {
			return err
		}
		return a.Ping(ctx)
	}}}
}

// LoadEvents appends the events of r to the deployment, as ingest.Load does.
// The options' schema is the program's.
func LoadEvents(ctx context.Context, rt Runtime, program participant.Program, r io.Reader, o ingest.LoadOptions) (ingest.LoadResult, error) {
	appender, _, err := rt.openAppender(ctx, "loader", program)
	if err != nil {
		return ingest.LoadResult{}, err
	}
	defer rt.closeAppender(ctx, appender)
	if program != nil {
		o.Schema = program.Schema()
	}
	return ingest.Load(ctx, r, appender, o)
}

// LoadedBefore looks in the log for what it has of a file, by the name that its
// records carry, and returns the load's Done.
func LoadedBefore(ctx context.Context, rt Runtime, name string) (func(key []byte, line int) bool, error) {
	kafka, err := rt.Kafka("loader")
	if err != nil {
		return nil, err
	}
	if _, err := rt.awaitManifest(ctx, kafka); err != nil {
		return nil, err
	}
	before, err := kafkalog.Loaded(ctx, kafka, name)
	if err != nil {
		return nil, fmt.Errorf("look for what was loaded before: %w", err)
	}
	return func(key []byte, line int) bool {
		return line <= before[wire.PartitionFor(key, int32(len(before)))]
	}, nil
}

// openAppender waits for the brokers and opens the events' producer. It refuses
// rules other than the deployment's: what they accept would be rejected later.
func (rt Runtime) openAppender(ctx context.Context, name string, program participant.Program) (*kafkalog.Appender, *kafkalog.Manifest, error) {
	kafka, err := rt.Kafka(name)
	if err != nil {
		return nil, nil, err
	}
	manifest, err := rt.awaitManifest(ctx, kafka)
	if err != nil {
		return nil, nil, err
	}
	if program != nil && manifest.RulesDigest != "" && manifest.RulesDigest != program.Schema().Digest {
		return nil, nil, fmt.Errorf("this deployment runs hunt %q, rules version %d (%.12s), and the rules file is hunt %q, version %d (%.12s): start with the rules that it runs",
			manifest.Hunt, manifest.RulesVersion, manifest.RulesDigest, program.Schema().Hunt, program.Schema().Version, program.Schema().Digest)
	}
	appender, err := kafkalog.NewAppender(kafka, manifest.Partitions, int(rt.Config.Producer.MaxInflightBytes))
	return appender, manifest, err
}

// closeAppender lets what is on its way arrive.
func (rt Runtime) closeAppender(ctx context.Context, a *kafkalog.Appender) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rt.Config.StopTimeout/4)
	defer cancel()
	if err := a.Close(ctx); err != nil {
		rt.Log.Warn("some events were not acknowledged before the stop; their senders were told so", "error", err)
	}
}
