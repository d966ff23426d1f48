package kafkalog

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/plugin/kslog"
)

// Config says how to reach the brokers; every client of this package starts
// from it.
type Config struct {
	Brokers []string // host:port
	Prefix  string   // of topics, groups and transactional IDs
	// BootID is set for the embedded broker only: it makes transactional IDs new
	// at every start. Empty on a real broker, where a stable ID is what fences.
	BootID   string
	ClientID string
	Command  string         // whose rights the client needs, as deploy/kafka names it
	User     string         // the account at the brokers, as errors name it; empty: none by SASL
	TLS      *tls.Config    // nil: plaintext
	SASL     sasl.Mechanism // nil: none
	Logger   *slog.Logger   // nil: silent
	Hooks    []kgo.Hook     // metrics
}

// Options returns the client options that every use shares.
func (c Config) Options(extra ...kgo.Opt) []kgo.Opt {
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID(c.ClientID),
		kgo.DialTimeout(5 * time.Second),
		kgo.MetadataMinAge(250 * time.Millisecond),
		// Partitions that somebody added are only seen by a new look. What senders
		// put there waits until it is moved to where it belongs.
		kgo.MetadataMaxAge(10 * time.Second),
		kgo.WithHooks(c.Hooks...),
		kgo.DisableClientMetrics(),
	}
	if c.TLS != nil {
		opts = append(opts, kgo.DialTLSConfig(c.TLS))
	}
	if c.SASL != nil {
		opts = append(opts, kgo.SASL(c.SASL))
	}
	if c.Logger != nil {
		opts = append(opts, kgo.WithLogger(kslog.New(slog.New(quiet{c.Logger.Handler()}))))
	}
	return append(opts, extra...)
}

// Topic returns the full name of one of the pipeline's topics: events,
// notifications, rejected, receipts, manifest or snapshots.
func (c Config) Topic(name string) string { return c.Prefix + "." + name }

// quiet lets through what the client library says only from warnings on, or
// everything where debugging is asked for: its information is about requests,
// and ours about events.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return q.Handler.Enabled(ctx, level) && (level >= slog.LevelWarn || q.Handler.Enabled(ctx, slog.LevelDebug))
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }

func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }

// Ping asks whether a broker answers.
func Ping(ctx context.Context, cfg Config) error {
	cl, err := kgo.NewClient(cfg.Options()...)
	if err != nil {
		return fmt.Errorf("create a client: %w", err)
	}
	defer cl.Close()
	return cl.Ping(ctx)
}
