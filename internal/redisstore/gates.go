package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/preflight"
)

// GateOptions says what Redis is held against.
type GateOptions struct {
	Profile  string // prod or dev; in dev a missing append-only file is a warning
	InMemory bool   // the embedded miniredis, whose loss at the end was announced
}

// Gates returns the checks of Redis that a processor must pass before it
// starts. They only read, on every primary. They ask CONFIG first and fall
// back to INFO, which managed services leave open; denied both, the answer is
// unknown.
func Gates(cl redis.UniversalClient, opts GateOptions) []preflight.Check {
	check := func(id string, run func(context.Context, redis.UniversalClient, GateOptions) preflight.Finding) preflight.Check {
		return preflight.New(id, func(ctx context.Context) preflight.Finding {
			if opts.InMemory {
				return preflight.Skipped("the embedded miniredis neither evicts nor keeps anything")
			}
			return run(ctx, cl, opts)
		})
	}
	return []preflight.Check{check("R01", eviction), check("R02", persistence)}
}

const grantFix = "allow this user INFO, and CONFIG GET where the service has it (ACL SETUSER … +info +config|get)"

// eviction passes only where no primary may evict.
func eviction(ctx context.Context, cl redis.UniversalClient, _ GateOptions) preflight.Finding {
	var bad, idle, seen []string
	err := eachPrimary(ctx, cl, func(ctx context.Context, node *redis.Client) error {
		policy, err := setting(ctx, node, "maxmemory-policy", "memory", "maxmemory_policy")
		if err != nil {
			return err
		}
		text := fmt.Sprintf("%s: maxmemory-policy=%s", node.Options().Addr, policy)
		seen = append(seen, text)
		if policy == "noeviction" {
			return nil
		}
		limit, err := setting(ctx, node, "maxmemory", "memory", "maxmemory")
		if err == nil && limit == "0" {
			idle = append(idle, text+", maxmemory=0")
			return nil
		}
		bad = append(bad, text)
		return nil
	})
	const expected, fix = "maxmemory-policy=noeviction on every primary", "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf or the service's parameter group"
	switch {
	case len(bad) > 0:
		return preflight.Failed(strings.Join(append(bad, idle...), "; "), expected, fix)
	case err != nil:
		return preflight.NotSeen(err, grantFix)
	case len(idle) > 0: // nothing is evicted until somebody sets a limit
		return preflight.Finding{State: preflight.Warn, Observed: strings.Join(idle, "; "), Expected: expected, Fix: fix}
	default:
		return preflight.Passed(strings.Join(seen, "; "))
	}
}

// persistence passes where every primary appends to a file.
func persistence(ctx context.Context, cl redis.UniversalClient, opts GateOptions) preflight.Finding {
	var bad, seen []string
	replicated := true
	err := eachPrimary(ctx, cl, func(ctx context.Context, node *redis.Client) error {
		on, err := setting(ctx, node, "appendonly", "persistence", "aof_enabled")
		if err != nil {
			return err
		}
		replicas := "unknown"
		if n, err := info(ctx, node, "replication", "connected_slaves"); err == nil {
			replicas = n
		}
		text := fmt.Sprintf("%s: appendonly=%s, replicas=%s", node.Options().Addr, on, replicas)
		seen = append(seen, text)
		if on != "yes" && on != "1" {
			bad = append(bad, text)
			replicated = replicated && replicas != "0" && replicas != "unknown"
		}
		return nil
	})
	if len(bad) > 0 {
		f := preflight.Failed(strings.Join(bad, "; "), "appendonly=yes on every primary", "CONFIG SET appendonly yes, and the same in redis.conf or the service's parameter group")
		if replicated || opts.Profile == "dev" { // a failover keeps most of it; a rebuild does the rest
			f.State = preflight.Warn
		}
		if opts.Profile == "dev" {
			f.Production = "appendonly=yes at Redis: without it, a restart empties inboxes and has everything replayed"
		}
		return f
	}
	if err != nil {
		return preflight.NotSeen(err, grantFix)
	}
	return preflight.Passed(strings.Join(seen, "; "))
}

// eachPrimary calls fn for every primary, one at a time, and returns the first error.
func eachPrimary(ctx context.Context, cl redis.UniversalClient, fn func(context.Context, *redis.Client) error) error {
	switch c := cl.(type) {
	case *redis.ClusterClient:
		var mu sync.Mutex
		return c.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
			mu.Lock()
			defer mu.Unlock()
			return fn(ctx, node)
		})
	case *redis.Client:
		return fn(ctx, c)
	default:
		return fmt.Errorf("look at Redis: a client of type %T", cl)
	}
}

// setting reads a setting by CONFIG GET, or its shadow in INFO.
func setting(ctx context.Context, node *redis.Client, name, section, field string) (string, error) {
	values, denied := node.ConfigGet(ctx, name).Result()
	if denied == nil && values[name] != "" {
		return values[name], nil
	}
	value, err := info(ctx, node, section, field)
	if err != nil {
		return "", fmt.Errorf("read %s of %s: %w", name, node.Options().Addr, errors.Join(denied, err))
	}
	return value, nil
}

func info(ctx context.Context, node *redis.Client, section, field string) (string, error) {
	text, err := node.Info(ctx, section).Result()
	if err != nil {
		return "", fmt.Errorf("INFO %s: %w", section, err)
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), field+":"); ok {
			return value, nil
		}
	}
	return "", fmt.Errorf("INFO %s has no %s", section, field)
}
