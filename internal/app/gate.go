package app

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/preflight"
	"github.com/veltrix/veltrix/internal/redisstore"
)

// gate refuses a deployment that would break the processor's promises, and
// logs what is only worse than it should be.
func (rt Runtime) gate(ctx context.Context, kafka kafkalog.Config, client redis.UniversalClient) error {
	checks := append(kafkalog.Gates(kafka, kafkalog.GateOptions{Profile: rt.Config.Profile}),
		redisstore.Gates(client, redisstore.GateOptions{Profile: rt.Config.Profile, InMemory: rt.InMemoryRedis})...)
	report := preflight.Run(ctx, checks, preflight.Options{})
	if ctx.Err() != nil {
		return context.Cause(ctx) // what an ending process could not ask is no finding
	}
	rt.Log.Info("checked the deployment", "profile", rt.Config.Profile, "checks", len(report.Results))
	for _, r := range report.Results {
		rt.Metrics.DoctorCheck.WithLabelValues(r.ID, string(r.State)).Set(1)
		switch r.State {
		case preflight.Warn, preflight.Unknown, preflight.Fail:
			rt.Log.Warn("check "+string(r.State), "id", r.ID, "title", r.Title, "observed", r.Observed, "expected", r.Expected, "fix", r.Fix)
		}
	}
	return report.StartError()
}
