package redisstore

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

// The library writes text of its own to standard error, a line for each failed
// connection, into a log that is JSON. Every error that it writes is returned
// as well, to a caller who knows what was tried and says so once.
func init() { logging.Disable() }

// Config says how to reach Redis.
type Config struct {
	Addrs    []string // host:port, or unix:///path for a socket; several: a cluster's seeds
	Prefix   string   // of every key
	Username string
	Password string
	Cluster  bool
	TLS      *tls.Config
}

// Open returns a client that reads from primaries and never retries by itself:
// a repeated append or increment would count twice. What is idempotent is
// retried by its caller, who knows.
func Open(c Config) redis.UniversalClient {
	opts := &redis.UniversalOptions{
		Addrs: c.Addrs, Username: c.Username, Password: c.Password, TLSConfig: c.TLS,
		IsClusterMode: c.Cluster, MaxRetries: -1,
		DialTimeout: 2 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
		ContextTimeoutEnabled: true,
	}
	if path, ok := strings.CutPrefix(c.Addrs[0], "unix://"); ok {
		opts.Addrs = []string{path}
		opts.Dialer = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: opts.DialTimeout}).DialContext(ctx, "unix", path)
		}
	}
	return redis.NewUniversalClient(opts)
}
