package bench

import (
	"context"
	"errors"
	"fmt"

	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/devcluster"
)

// embedded is said of the broker wherever figures are.
const embedded = ", as the embedded broker within this process speaks it: no figure here says anything of Kafka"

// Embed starts the embedded broker and its Redis for the time until end is called,
// and returns the runtime that reaches them. It refuses where others were named.
func Embed(ctx context.Context, rt app.Runtime) (with app.Runtime, end func() error, err error) {
	if rt.Config.Explicit("kafka.brokers") || rt.Config.Explicit("redis.addrs") {
		return rt, nil, errors.New("the embedded broker brings its Redis along: leave kafka.brokers and redis.addrs out, or leave --embedded out")
	}
	cluster, err := devcluster.Start(ctx, devcluster.Options{Prefix: "veltrix-bench", Partitions: 1, Logger: rt.Log})
	if err != nil {
		return rt, nil, fmt.Errorf("start the embedded broker: %w", err)
	}
	cfg := *rt.Config
	cfg.Kafka.Brokers, cfg.Redis.Addrs = cluster.Brokers, []string{cluster.RedisAddr}
	rt.Config, rt.BootID, rt.InMemoryRedis = &cfg, cluster.BootID, cluster.RedisKind == devcluster.Miniredis
	return rt, cluster.Close, nil
}
