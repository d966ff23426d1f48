// Package devcluster is the broker and the Redis of `veltrix up` and of tests:
// an embedded Kafka (kfake) with a data directory, and a child redis-server,
// or miniredis where there is none.
//
// Invariant: one process at a time uses a data directory, and what it had
// acknowledged is there for the next, also when it was killed. The directory's
// lock is shared with the child redis-server: it is free again when both have
// ended.
//
// What to know of the embedded broker:
//   - Its transactional IDs must be new at every start (Cluster.BootID). After
//     a crash with an open transaction it aborts that transaction in memory and
//     writes no marker, so a later commit of the same ID would hide or reveal
//     the wrong records.
//   - It writes a transaction's markers and then its offsets, each on its own.
//     A crash within those microseconds commits outputs without their offsets,
//     and their events are folded again. A real broker has no such window; the
//     promise of exactly once across a crash is made for a real broker only.
//   - It ignores the setting LogAppendTime; stampAppendTime makes up for it.
//   - It knows no unclean.leader.election.enable (one node has nothing to
//     elect) and gives each cluster the same name unless told otherwise; a data
//     directory gets a name of its own here.
//   - Its writes survive the end of the process, not of the machine, unless
//     Options.Sync is set.
package devcluster

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/veltrix/veltrix/deploy/kafka"
	"github.com/veltrix/veltrix/internal/child"
)

// Kinds of Redis.
const (
	RedisServer = "redis-server"
	Miniredis   = "miniredis"
)

// Bounds.
const (
	lockWait         = 10 * time.Second // a predecessor's redis-server writes its file to the end
	redisStopTimeout = 10 * time.Second
	groupSessionMin  = 500 * time.Millisecond
	socketPathMax    = 107 // bytes, the kernel's limit
)

const offsetsKeptMinutes = "5256000" // ten years

// Options says where a cluster lives. The zero value is in memory, under the
// prefix veltrix.
type Options struct {
	DataDir    string // "": in memory, gone with the process
	Prefix     string // of the topics; "": veltrix
	Partitions int32  // of the pipeline's topics when they are created; 0: the dev profile's
	NoKafka    bool   // the brokers are somebody else's
	NoRedis    bool   // Redis is somebody else's
	Redis      string // RedisServer or Miniredis; "": the first that can be had
	Sync       bool   // every append survives a power cut; much slower
	Logger     *slog.Logger
}

// Cluster is a running embedded cluster.
type Cluster struct {
	Brokers   []string // empty without Kafka
	RedisAddr string   // unix:///path or host:port; empty without Redis
	RedisKind string   // RedisServer or Miniredis
	BootID    string   // for kafkalog.Config: new at every start

	log    *slog.Logger
	kafka  *kfake.Cluster
	redis  *child.Redis
	mini   *miniredis.Miniredis
	stop   chan struct{} // ends miniredis' clock
	lock   *os.File
	tmpDir string // of the socket, and of everything where there is no data directory
}

// Start starts the broker and Redis, or opens what they left in DataDir, and
// creates the declared topics that are missing. The manifest is made by
// kafkalog.ApplyTopics, which a caller runs next.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	if opts.Prefix == "" {
		opts.Prefix = "veltrix"
	}
	c := &Cluster{log: opts.Logger, BootID: newBootID()}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if err := c.start(ctx, opts); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context, opts Options) error {
	dir, err := filepath.Abs(opts.DataDir)
	if err != nil {
		return fmt.Errorf("find the data directory: %w", err)
	}
	// Only where it is needed: a killed process cannot remove it.
	if opts.DataDir == "" || len(dir) > socketPathMax-len("/redis/s") {
		if c.tmpDir, err = os.MkdirTemp("", "veltrix-"); err != nil {
			return fmt.Errorf("make a directory for the socket: %w", err)
		}
	}
	if opts.DataDir == "" {
		dir = c.tmpDir
	} else {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make the data directory: %w", err)
		}
		if c.lock, err = lockDir(ctx, dir, lockWait); err != nil {
			return err
		}
	}
	if !opts.NoRedis {
		if err := c.startRedis(ctx, dir, opts); err != nil {
			return err
		}
	}
	if opts.NoKafka {
		return nil
	}
	return c.startKafka(dir, opts)
}

func (c *Cluster) startRedis(ctx context.Context, dir string, opts Options) error {
	if opts.Redis != Miniredis {
		redisDir := filepath.Join(dir, "redis")
		if err := os.MkdirAll(redisDir, 0o700); err != nil {
			return fmt.Errorf("make Redis' directory: %w", err)
		}
		socket := filepath.Join(redisDir, "s")
		if len(socket) > socketPathMax {
			socket = filepath.Join(c.tmpDir, "s")
		}
		start := child.RedisOptions{Dir: redisDir, Socket: socket}
		if c.lock != nil {
			start.Inherit = []*os.File{c.lock}
		}
		if opts.Sync {
			start.Settings = map[string]string{"appendfsync": "always"}
		}
		r, err := child.StartRedis(ctx, start)
		if err == nil {
			c.redis, c.RedisKind, c.RedisAddr = r, RedisServer, "unix://"+r.Socket
			return nil
		}
		if opts.Redis == RedisServer || !errors.Is(err, child.ErrNoRedis) {
			return err
		}
	}
	var err error
	if c.mini, err = miniredis.Run(); err != nil {
		return fmt.Errorf("start miniredis: %w", err)
	}
	c.RedisKind, c.RedisAddr, c.stop = Miniredis, c.mini.Addr(), make(chan struct{})
	go driveClock(c.mini, c.stop)
	c.log.Warn("no redis-server on PATH: state and inboxes are kept in memory by miniredis and are LOST when this process ends; install redis-server (Debian and Ubuntu: apt-get install redis-server)")
	return nil
}

// driveClock moves miniredis' clock, which stands still by itself: leases and
// expiries would never end.
func driveClock(m *miniredis.Miniredis, stop <-chan struct{}) {
	const step = 250 * time.Millisecond
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	for last := time.Now(); ; {
		select {
		case <-stop:
			return
		case now := <-ticker.C:
			m.FastForward(now.Sub(last)) // what really passed: ticks are dropped on a busy machine
			last = now
		}
	}
}

func (c *Cluster) startKafka(dir string, opts Options) error {
	options := []kfake.Opt{
		kfake.NumBrokers(1), kfake.ClusterID(newClusterID()), // a directory's own name, if it has one, wins
		kfake.GroupMinSessionTimeout(groupSessionMin), kfake.WithLogger(kfakeLogger{c.log}),
		// A hunt that nobody opened for a week must not lose its place.
		kfake.BrokerConfigs(map[string]string{"offsets.retention.minutes": offsetsKeptMinutes, "broker.rack": kafka.EmbeddedRack}),
	}
	if opts.DataDir != "" {
		options = append(options, kfake.DataDir(filepath.Join(dir, "kafka")))
	}
	if opts.Sync {
		options = append(options, kfake.SyncWrites())
	}
	var err error
	if c.kafka, err = kfake.NewCluster(options...); err != nil {
		return fmt.Errorf("start the embedded broker: %w", err)
	}
	c.Brokers = c.kafka.ListenAddrs()
	topics, err := kafka.Declared().Resolve(kafka.Wish{Profile: "dev", Partitions: c.partitions(opts), Replication: 1})
	if err != nil {
		return err
	}
	var stamped []string
	for _, t := range topics {
		name := opts.Prefix + "." + t.Name
		if t.Settings["message.timestamp.type"] == "LogAppendTime" {
			stamped = append(stamped, name)
		}
		if c.kafka.TopicInfo(name) != nil {
			continue
		}
		if err := c.kafka.CreateTopic(name, t.Partitions, t.Settings); err != nil {
			return fmt.Errorf("create %s in the embedded broker: %w", name, err)
		}
	}
	stampAppendTime(c.kafka, stamped, c.log)
	return nil
}

// partitions returns the count a data directory was made with, which holds for
// its life, or the one that is wished for.
func (c *Cluster) partitions(opts Options) int32 {
	if existing := c.kafka.PartitionInfos(opts.Prefix + ".events"); len(existing) > 0 {
		return int32(len(existing))
	}
	return opts.Partitions
}

// Close ends Redis and the broker in order, and frees the data directory.
func (c *Cluster) Close() error {
	if c.kafka != nil {
		c.kafka.Close()
	}
	if c.redis != nil {
		c.redis.Stop(redisStopTimeout)
	}
	if c.mini != nil {
		close(c.stop)
		c.mini.Close()
	}
	var errs []error
	if c.lock != nil {
		errs = append(errs, c.lock.Close())
	}
	if c.tmpDir != "" {
		errs = append(errs, os.RemoveAll(c.tmpDir))
	}
	c.kafka, c.redis, c.mini, c.lock, c.tmpDir = nil, nil, nil, nil, ""
	return errors.Join(errs...)
}

func newBootID() string {
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never fails: it ends the program instead
	return hex.EncodeToString(id)
}

func newClusterID() string {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails: it ends the program instead
	return base64.RawURLEncoding.EncodeToString(id)
}

// kfakeLogger passes on what the embedded broker warns of.
type kfakeLogger struct{ log *slog.Logger }

func (l kfakeLogger) Logf(level kfake.LogLevel, format string, args ...any) {
	switch level {
	case kfake.LogLevelError:
		l.log.Error(fmt.Sprintf("embedded broker: "+format, args...))
	case kfake.LogLevelWarn:
		l.log.Warn(fmt.Sprintf("embedded broker: "+format, args...))
	case kfake.LogLevelNone, kfake.LogLevelInfo, kfake.LogLevelDebug: // every request: of use to kfake's authors only
	}
}
