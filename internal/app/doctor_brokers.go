package app

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/preflight"
	"github.com/veltrix/veltrix/internal/redisstore"
)

// clocksID is the check that reads the clocks of Redis too.
const clocksID = "K08"

// brokerChecks are those of the brokers, which share their looks.
func (rt Runtime) brokerChecks(kafka kafkalog.Config, client redis.UniversalClient) []preflight.Check {
	checks := preflight.Needing(needsKafka, kafkalog.BrokerChecks(kafka, kafkalog.BrokerOptions{
		Profile: rt.Config.Profile, User: rt.kafkaUser(),
		TransactionTimeout: rt.Config.Processor.TransactionTimeout, SnapshotInterval: rt.Config.Processor.SnapshotInterval,
		Clocks: func(ctx context.Context) ([]kafkalog.Clock, error) {
			if rt.InMemoryRedis {
				return nil, nil
			}
			return redisClocks(ctx, client)
		},
	})...)
	for i := range checks {
		if checks[i].ID == clocksID {
			checks[i].Needs = needsKafka + " " + needsRedis
		}
	}
	return checks
}

// kafkaUser is how the brokers call us; empty where a certificate says it.
func (rt Runtime) kafkaUser() string {
	switch k := rt.Config.Kafka; {
	case mechanism(k.SASL) != nil:
		return k.SASL.Username
	case k.TLS.CertFile != "":
		return ""
	}
	return kafkalog.Anonymous
}

func redisClocks(ctx context.Context, client redis.UniversalClient) ([]kafkalog.Clock, error) {
	times, err := redisstore.Times(ctx, client)
	var clocks []kafkalog.Clock
	for _, t := range times {
		clocks = append(clocks, kafkalog.NewClock("redis at "+t.Addr, t.Shown, t.Asked, t.Answered))
	}
	return clocks, err
}
