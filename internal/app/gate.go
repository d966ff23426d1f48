package app

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/preflight"
)

// checkEvery is how long after one look at the deployment the next one comes,
// give or take a quarter: processes that started together drift apart.
const checkEvery = 5 * time.Minute

// firstKeep is how soon after the start everything is looked at: when a service
// that was missed has had the time to catch up.
const firstKeep = 10 * time.Second

// gate is a service's look at its deployment: at the start, where it refuses one
// that would break the service's promises, and now and then after it. What cannot
// refuse a start does not hold it up either: a processor that died is missed until
// it is back, so that its start asks the critical checks alone, and keep the others.
type gate struct {
	rt      Runtime
	service string
	kafka   kafkalog.Config
	client  redis.UniversalClient
	waivers []preflight.Waiver
	every   time.Duration
	found   map[string]string // the state that was said last, by ID
	changed <-chan struct{}   // the configuration
}

// gate looks for the first time. It logs what is only worse than it should be.
func (rt Runtime) gate(ctx context.Context, service string, kafka kafkalog.Config, client redis.UniversalClient) (*gate, error) {
	waivers, err := rt.waivers()
	if err != nil {
		return nil, err
	}
	g := &gate{rt: rt, service: service, kafka: unlogged(kafka), client: client, waivers: waivers, every: checkEvery, found: map[string]string{}, changed: rt.changes()}
	report := g.look(ctx, func(c preflight.Check) bool { return c.Severity == preflight.Critical && !c.Guarded })
	if ctx.Err() != nil {
		return nil, context.Cause(ctx) // what an ending process could not ask is no finding
	}
	rt.Log.Info("checked the deployment", "service", service, "profile", rt.Config.Profile, "checks", len(report.Results))
	g.tell(report)
	return g, report.StartError()
}

// look runs the checks that concern the service, and that are asked for.
func (g *gate) look(ctx context.Context, asked func(preflight.Check) bool) preflight.Report {
	checks := slices.DeleteFunc(preflight.Concerning(g.service, g.rt.checks(g.kafka, g.client)), func(c preflight.Check) bool { return !asked(c) })
	return g.rt.examine(ctx, checks, g.kafka, g.client, g.waivers, 0)
}

// keep looks at everything until ctx ends, for the first time soon. A running
// service is not stopped by what it finds: whoever it would serve is better off
// with it than without.
func (g *gate) keep(ctx context.Context) {
	for every := min(g.every, firstKeep); ; every = g.every {
		wait := time.NewTimer(every*3/4 + rand.N(every/2+1))
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		case <-g.changed:
			wait.Stop()
		}
		g.reread()
		if report := g.look(ctx, func(preflight.Check) bool { return true }); ctx.Err() == nil {
			g.tell(report)
		}
	}
}

// reread follows what is accepted: an operator who waives a finding of a running
// service does not have to restart it.
func (g *gate) reread() {
	waivers, err := g.rt.waivers()
	if err != nil {
		g.rt.Log.Warn("the waivers stay as they were", "service", g.service, "error", err)
		return
	}
	g.waivers = waivers
}

// tell brings the gauge up to date, and logs what is not as it was.
func (g *gate) tell(report preflight.Report) {
	for i := range report.Results {
		r := &report.Results[i]
		state := r.Shown()
		was, seen := g.found[r.ID]
		if was == state {
			continue
		}
		g.found[r.ID] = state
		g.rt.Metrics.ShowCheck(r.ID, state)
		attrs := []any{"service", g.service, "id", r.ID, "title", r.Title, "observed", r.Observed}
		switch {
		case r.Waived != "":
			g.rt.Log.Info("check waived", append(attrs, "until", r.Until, "reason", r.Waived)...)
		case r.State == preflight.Warn, r.State == preflight.Unknown, r.State == preflight.Fail:
			if r.Expired != "" {
				attrs = append(attrs, "waiver_expired", r.Expired)
			}
			g.rt.Log.Warn("check "+state, append(attrs, "expected", r.Expected, "fix", r.Fix)...)
		case seen:
			g.rt.Log.Info("check "+state, attrs...)
		}
	}
}
