package redisstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/preflight"
)

// RetryCheck says how often the client repeats a command by itself. No setting
// changes it, so that it fails only where the program was changed. Nothing is
// contacted.
func RetryCheck(cl redis.UniversalClient) preflight.Check {
	return preflight.New("R04", func(context.Context) preflight.Finding {
		var retries int
		switch c := cl.(type) {
		case *redis.Client:
			retries = c.Options().MaxRetries
		case *redis.ClusterClient:
			retries = c.Options().MaxRetries
		default:
			return preflight.NotSeen(fmt.Errorf("a client of type %T", cl), "run a released version")
		}
		observed := fmt.Sprintf("retries=%d at our client; no setting changes it", max(retries, 0)) // -1 is off, too
		if retries > 0 {
			return preflight.Failed(observed, "0: what is safe to repeat is repeated by its caller", "run a released version")
		}
		return preflight.Passed(observed)
	})
}

// RoutingCheck says where reads go, and whether the servers that are written to
// are primaries.
func RoutingCheck(cl redis.UniversalClient, opts GateOptions) preflight.Check {
	return preflight.New("R05", func(ctx context.Context) preflight.Finding {
		if c, ok := cl.(*redis.ClusterClient); ok {
			if o := c.Options(); o.ReadOnly || o.RouteByLatency || o.RouteRandomly {
				return preflight.Failed("reads go to replicas", "reads from primaries alone", "run a released version")
			}
		}
		if opts.InMemory {
			return preflight.Skipped("the embedded miniredis has no replicas")
		}
		var bad, seen []string
		err := eachPrimary(ctx, cl, func(ctx context.Context, node *redis.Client) error {
			role, err := info(ctx, node, "replication", "role")
			if err != nil {
				return err
			}
			text := fmt.Sprintf("%s: role=%s", node.Options().Addr, role)
			seen = append(seen, text)
			if role != "master" {
				bad = append(bad, text)
			}
			return nil
		})
		switch {
		case len(bad) > 0:
			return preflight.Failed(strings.Join(bad, "; "), "role=master", "name the primary in redis.addrs, not a replica or a reader endpoint")
		case err != nil:
			return preflight.NotSeen(err, grantFix)
		}
		return preflight.Passed("reads go where writes go; " + strings.Join(seen, "; "))
	})
}
