package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/preflight"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/service"
)

// The servers that checks need, as preflight.Check.Needs names them.
const (
	needsKafka = "kafka"
	needsRedis = "redis"
)

// checks is the one registry of what can be wrong with a deployment: the doctor,
// the gate at the start of each service and its gauge take theirs from here. Each
// call makes new ones, which look anew.
func (rt Runtime) checks(kafka kafkalog.Config, client redis.UniversalClient) []preflight.Check {
	ofRedis := redisstore.GateOptions{Profile: rt.Config.Profile, InMemory: rt.InMemoryRedis}
	return preflight.Sorted(slices.Concat(
		preflight.Needing(needsKafka, kafkalog.Gates(kafka, kafkalog.GateOptions{Profile: rt.Config.Profile})...),
		rt.brokerChecks(kafka, client),
		kafkalog.EffectiveChecks(kafka),
		preflight.Needing(needsKafka, kafkalog.GroupChecks(kafka, kafkalog.GroupOptions{
			Slots: rt.Config.Processor.Slots, Stall: rt.Config.Processor.TransactionTimeout + rt.Config.Processor.SessionTimeout,
		})...),
		preflight.Needing(needsKafka, kafkalog.RecordChecks(kafka)...),
		preflight.Needing(needsRedis, rt.leaseChecks(kafka, client)...),
		preflight.Needing(needsRedis, redisstore.Gates(client, ofRedis)...),
		preflight.Needing(needsRedis, redisstore.RoutingCheck(client, ofRedis)),
		preflight.Needing(needsRedis, redisstore.HealthChecks(client, rt.Config.Prefix, ofRedis)...),
		[]preflight.Check{redisstore.RetryCheck(client)},
		preflight.Needing(needsKafka, kafkalog.TransactionCheck(kafka)),
		preflight.Needing(needsKafka, rt.oldNewsCheck(kafka)),
		rt.configChecks(),
		preflight.Unprobed(),
	))
}

// examine runs checks against this deployment.
func (rt Runtime) examine(ctx context.Context, checks []preflight.Check, kafka kafkalog.Config, client redis.UniversalClient, waivers []preflight.Waiver, deadline time.Duration) preflight.Report {
	return preflight.Run(ctx, checks, preflight.Options{
		Profile: rt.Config.Profile, Deadline: deadline, Waivers: waivers,
		Reach: map[string]preflight.Reach{
			needsKafka: {
				Where: "kafka at " + strings.Join(kafka.Brokers, ","),
				Fix:   "start the brokers, or name the right ones (kafka.brokers) and how they are spoken to (kafka.tls, kafka.sasl)",
				Ask:   func(ctx context.Context) error { return kafkalog.Ping(ctx, kafka) },
			},
			needsRedis: {
				Where: "redis at " + strings.Join(rt.Config.Redis.Addrs, ","),
				Fix:   "start Redis, or name the right one (redis.addrs) and how it is spoken to (redis.tls, redis.password_file)",
				Ask:   func(ctx context.Context) error { return client.Ping(ctx).Err() },
			},
		},
	})
}

// waivers reads what the operator accepts.
func (rt Runtime) waivers() ([]preflight.Waiver, error) {
	path := rt.current().Doctor.WaiversFile
	if path == "" {
		return nil, nil
	}
	waivers, err := preflight.ReadWaivers(path)
	if err != nil {
		return nil, service.WithExitCode(fmt.Errorf("doctor.waivers_file: %w", err), service.ExitConfig)
	}
	return waivers, nil
}

// CheckConfig runs the checks that need no server: nothing is contacted.
func CheckConfig(ctx context.Context, rt Runtime) (preflight.Report, error) {
	return doctor(ctx, rt, DoctorOptions{}, func(c preflight.Check) bool { return c.Needs == "" })
}

// DoctorOptions say which checks are run, and for how long.
type DoctorOptions struct {
	Only, Skip []string      // IDs, or letters of groups
	Timeout    time.Duration // of all of it; 0: 15 s, and 45 s where it probes
	Probe      bool          // speak to the public URLs and the providers as well
}

// Doctor looks at a deployment and changes nothing, unless it is to probe. An error means that nothing
// was looked at.
func Doctor(ctx context.Context, rt Runtime, o DoctorOptions) (preflight.Report, error) {
	return doctor(ctx, rt, o, func(preflight.Check) bool { return true })
}

func doctor(ctx context.Context, rt Runtime, o DoctorOptions, asked func(preflight.Check) bool) (preflight.Report, error) {
	waivers, err := rt.waivers()
	if err == nil && !o.Probe {
		err = unprobed(o.Only)
	}
	if err != nil {
		return preflight.Report{}, err
	}
	kafka, err := rt.Kafka("doctor")
	if err != nil {
		return preflight.Report{}, err
	}
	where, err := rt.Redis()
	if err != nil {
		return preflight.Report{}, err
	}
	client := redisstore.Open(where)
	defer func() { _ = client.Close() }()
	kafka = unlogged(kafka) // what the client would say of it is in the report, once
	all := rt.checks(kafka, client)
	if o.Probe {
		all = preflight.Replaced(all, rt.probes(kafka, client)...)
	}
	checks, err := preflight.Choose(all, o.Only, o.Skip)
	if err != nil {
		return preflight.Report{}, service.WithExitCode(err, service.ExitConfig)
	}
	checks = slices.DeleteFunc(checks, func(c preflight.Check) bool { return !asked(c) })
	report := rt.examine(ctx, checks, kafka, client, waivers, o.timeout())
	if ctx.Err() != nil {
		return preflight.Report{}, context.Cause(ctx)
	}
	return report, nil
}
