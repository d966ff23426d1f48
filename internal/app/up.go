package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/channel/webpush"
	"github.com/veltrix/veltrix/internal/devcluster"
	"github.com/veltrix/veltrix/internal/ingest"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/service"
	"github.com/veltrix/veltrix/internal/telemetry"
)

// Up is a whole pipeline in one process: the three services with the wiring of
// their binaries, on an embedded or a given cluster, and an example to play.
type Up struct {
	Example      string // played where the configuration names no rules file
	DataDir      string // of the embedded cluster; empty: a directory of the hunt
	ExitWhenDone bool
	Out          io.Writer

	cfg      *config.Config
	rt       Runtime
	hunt     *hunt
	program  participant.Program
	cluster  *devcluster.Cluster // nil: brokers and Redis were given
	gateway  net.Listener
	inbox    net.Listener
	producer *Producer
	proc     *Processor
	notifier *Notifier
	loaded   atomic.Pointer[ingest.LoadResult]
	allIn    atomic.Bool // everything was appended
	began    time.Time
	printing sync.Mutex // the load and the watch both tell
}

// Run plays the example until ctx ends, or until everything that was loaded is
// applied and notified.
func (u *Up) Run(ctx context.Context, cfg *config.Config, version string) (err error) {
	u.cfg, u.began = cfg, time.Now()
	BoundMemory(cfg)
	if u.hunt, err = openHunt(cfg, u.Example); err != nil {
		return err
	}
	defer func() { _ = u.hunt.events.Close() }()
	u.program = u.hunt.program
	if err := u.start(ctx, version); err != nil {
		return err
	}
	defer func() {
		if u.cluster != nil {
			err = errors.Join(err, u.cluster.Close())
		}
	}()
	opts := kafkalog.TopicPlanOptions{Profile: u.cfg.Profile}
	if _, err := u.rt.Topics(ctx, "topics", opts, kafkalog.ApplyTopics); err != nil {
		return err
	}
	if err := u.fits(ctx); err != nil {
		return err
	}
	if err := u.refill(ctx); err != nil {
		return err
	}
	if err := u.listen(ctx); err != nil {
		return err
	}
	if u.hunt.count > 0 {
		u.print("example   %s: %s", u.hunt.name, u.program.Schema().Hunt)
	} else {
		u.print("rules     %s: %s, version %d", cfg.Rules.File, u.program.Schema().Hunt, u.program.Schema().Version)
	}
	playing, done := context.WithCancel(ctx)
	defer done()
	err = u.rt.Serve(playing, u.checks(), u.producer, u.proc, u.notifier,
		service.Func("loader", func(ctx context.Context) error { return u.load(ctx, u.hunt.events) }),
		service.Func("progress", func(ctx context.Context) error { return u.watch(ctx, u.hunt.count, done) }),
	)
	if err != nil || !u.ExitWhenDone || ctx.Err() != nil {
		return err
	}
	tally, err := u.rt.Tally(ctx)
	if err == nil {
		u.print("%s", tally)
	}
	return err
}

// start brings up what was not given, and says what is used.
func (u *Up) start(ctx context.Context, version string) error {
	cfg := u.cfg
	u.rt = NewRuntime(cfg, version)
	brokers, redis := cfg.Explicit("kafka.brokers"), cfg.Explicit("redis.addrs")
	if !brokers || !redis {
		if err := u.embed(ctx, brokers, redis); err != nil {
			return err
		}
	}
	if brokers {
		u.print("broker    %s", strings.Join(cfg.Kafka.Brokers, ","))
	} else {
		u.print("broker    embedded, data in %s (%s)", u.DataDir, u.cluster.Brokers[0])
	}
	if redis {
		u.print("redis     %s", strings.Join(cfg.Redis.Addrs, ","))
	} else {
		u.print("redis     %s at %s", u.cluster.RedisKind, u.cluster.RedisAddr)
	}
	return nil
}

// embed starts what was not given in the data directory.
func (u *Up) embed(ctx context.Context, brokers, redis bool) error {
	cfg := u.cfg
	if u.DataDir == "" {
		u.DataDir = dataDir(u.hunt.name, brokers, redis)
	}
	cluster, err := devcluster.Start(ctx, devcluster.Options{
		DataDir: u.DataDir, Prefix: cfg.Prefix, NoKafka: brokers, NoRedis: redis, Logger: u.rt.Log,
	})
	if errors.Is(err, devcluster.ErrInUse) {
		return fmt.Errorf("%w: stop the other veltrix up, or give this one another --data-dir", err)
	}
	if err != nil {
		return fmt.Errorf("start the embedded cluster in %s: %w", u.DataDir, err)
	}
	u.cluster = cluster
	if err := u.pushes(); err != nil {
		return errors.Join(err, cluster.Close())
	}
	if !brokers {
		cfg.Kafka.Brokers, u.rt.BootID = cluster.Brokers, cluster.BootID
		if !cfg.Explicit("profile") {
			cfg.Profile = "dev"
		}
		if !cfg.Explicit("processor.slots") {
			cfg.Processor.Slots = 1 // all of it shares the machine
		}
	}
	if !redis {
		cfg.Redis.Addrs, u.rt.InMemoryRedis = []string{cluster.RedisAddr}, cluster.RedisKind == devcluster.Miniredis
	}
	return nil
}

// Names of what signs pushes where nobody configured it.
const (
	vapidFile    = "vapid.key"
	vapidSubject = "veltrix-up@example.com"
)

// pushes switches the channel to browsers on with a key of the data directory's
// own, made once: players who subscribed stay subscribed.
func (u *Up) pushes() error {
	push := &u.cfg.Notifier.Webpush
	if push.PrivateKey.Set() {
		return nil
	}
	file := filepath.Join(u.DataDir, vapidFile)
	key, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = makeVAPID(file)
	}
	if err != nil {
		return fmt.Errorf("keep the key that signs pushes: %w", err)
	}
	if _, err := webpush.PublicKey(string(key)); err != nil {
		return fmt.Errorf("%s holds no VAPID key: remove it for a new one, with which browsers subscribe again", file)
	}
	push.PrivateKey = config.NewSecret(strings.TrimSpace(string(key)))
	if push.Subject == "" {
		push.Subject = vapidSubject
	}
	return nil
}

// makeVAPID writes a new key in one step: a crash leaves a whole one or none.
func makeVAPID(file string) ([]byte, error) {
	key, _, err := webpush.NewKeys()
	if err != nil {
		return nil, err
	}
	next := file + ".new"
	if err := os.WriteFile(next, []byte(key+"\n"), 0o600); err != nil {
		return nil, err
	}
	return []byte(key), os.Rename(next, file)
}

// dataDir is where an example lives by default. What stands beside a given half
// has a place of its own: Redis would hold another cluster's states, and be
// refused.
func dataDir(example string, brokers, redis bool) string {
	switch {
	case brokers:
		example += "-redis"
	case redis:
		example += "-kafka"
	}
	return filepath.Join("veltrix-data", example)
}

// fits refuses to play an example where another one's rules are pinned, before
// three services say so in three ways.
func (u *Up) fits(ctx context.Context) error {
	kafka, err := u.rt.Kafka("up")
	if err != nil {
		return err
	}
	manifest, err := u.rt.awaitManifest(ctx, kafka)
	if err != nil {
		return err
	}
	schema := u.program.Schema()
	if manifest.RulesDigest == "" || manifest.RulesDigest == schema.Digest {
		return nil
	}
	place := "another --data-dir or --prefix"
	if u.cfg.Explicit("kafka.brokers") {
		place = "another --prefix"
	}
	return fmt.Errorf("hunt %q, rules version %d (%.12s), is played here, and %s is hunt %q, version %d (%.12s): give %s, or what was played here before",
		manifest.Hunt, manifest.RulesVersion, manifest.RulesDigest, u.hunt.name, schema.Hunt, schema.Version, schema.Digest, place)
}

// refill lets the notifier begin anew where the embedded broker remembers what
// was delivered and Redis does not: without a redis-server, inboxes end with
// the process. States come back from the log by themselves.
func (u *Up) refill(ctx context.Context) error {
	if u.cluster == nil || u.cfg.Explicit("kafka.brokers") {
		return nil
	}
	client, err := u.rt.awaitRedis(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	used, err := redisstore.HasTokenSecret(ctx, client, u.cfg.Prefix)
	if err != nil || used {
		return err
	}
	kafka, err := u.rt.Kafka("up")
	if err != nil {
		return err
	}
	return kafkalog.ForgetGroup(ctx, kafka, kafka.NotifierGroup())
}

// listen opens the listeners, so that their addresses can be shown before the
// services are there.
func (u *Up) listen(ctx context.Context) error {
	var err error
	cfg, log := u.cfg, u.rt.Log
	if u.gateway, err = service.Listen(ctx, log, "gateway", cfg.Producer.Listen, cfg.Explicit("producer.listen")); err != nil {
		return err
	}
	if u.inbox, err = service.Listen(ctx, log, "inbox", cfg.Notifier.Listen, cfg.Explicit("notifier.listen")); err != nil {
		return err
	}
	u.producer = NewProducer(u.rt, u.program, u.gateway)
	u.proc = NewProcessor(u.rt, u.program)
	u.notifier = NewNotifier(u.rt, u.inbox)
	return nil
}

func (u *Up) checks() []telemetry.Check {
	checks := append(u.producer.Checks(), u.proc.Checks()...)
	return append(checks, u.notifier.Checks()...)
}

// load appends the example, once in the life of the deployment, and continues
// where a load before was interrupted. Loaded again from the start, an example
// longer than its rules' grace would not be duplicates but late events.
func (u *Up) load(ctx context.Context, events io.Reader) error {
	done, err := LoadedBefore(ctx, u.rt, u.hunt.name)
	if err != nil {
		return err
	}
	result, err := LoadEvents(ctx, u.rt, u.program, events, ingest.LoadOptions{
		Name: u.hunt.name, Done: done,
		Progress: func(r ingest.LoadResult) { u.loaded.Store(&r) },
		Bad:      func(f ingest.Fault) { u.rt.Log.Warn("line left out", "fault", f) },
	})
	if err != nil {
		return fmt.Errorf("load the example: %w", err)
	}
	if result.Before > 0 {
		u.print("loaded    before: %d of %d events, now: %d", result.Before, result.Before+result.Loaded, result.Loaded)
	}
	u.loaded.Store(&result)
	u.allIn.Store(true)
	return nil
}

func (u *Up) print(format string, args ...any) {
	u.printing.Lock()
	defer u.printing.Unlock()
	_, _ = fmt.Fprintf(u.Out, format+"\n", args...)
}
