package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/redisstore"
)

// growth takes turns between the points of dimensions.
type growth struct {
	rt     app.Runtime
	opts   GrowthOptions
	meter  *Meter
	prefix string
	report *GrowthReport
}

// Growth measures and returns the report. Where what the processor left at any point
// is not the fold of its events it returns a DirtyError and no report.
func Growth(ctx context.Context, rt app.Runtime, opts GrowthOptions) (*GrowthReport, error) {
	plan, err := opts.plan()
	if err != nil {
		return nil, err
	}
	if rt.Config.Redis.Cluster {
		return nil, errors.New("the bench needs a single Redis: it removes its keys by looking for them; unset redis.cluster")
	}
	g := &growth{rt: rt, opts: opts, prefix: "veltrix-bench-" + strings.ToLower(rand.Text()[:8])}
	machine, meter, err := describe(ctx, rt)
	if err != nil {
		return nil, err
	}
	g.meter = meter
	g.report = &GrowthReport{
		Events: opts.Events, Rounds: opts.Rounds, Warmups: opts.Warmups,
		Processor: settings(rt), Machine: machine, Broker: meter.Broker, Redis: meter.Redis,
	}
	courses := make([][]*course, len(plan))
	for i, d := range plan {
		grown := &Grown{Name: d.name, Unit: d.unit}
		for _, at := range d.points {
			c, err := d.course(rt, opts.Events, at)
			if err != nil {
				return nil, err
			}
			courses[i] = append(courses[i], c)
			grown.Points = append(grown.Points, newPoint(d.name, at, c))
		}
		g.report.Dimensions = append(g.report.Dimensions, grown)
	}
	if err := g.run(ctx, courses); err != nil {
		return nil, err
	}
	return g.report, nil
}

// run warms up with core, and then runs every point once a round, each time another
// one of its dimension first.
func (g *growth) run(ctx context.Context, courses [][]*course) error {
	for i := range g.opts.Warmups {
		g.say("warm-up %d of %d", i+1, g.opts.Warmups)
		core := dimension{points: []int{1}, set: func(*course, int, int) error { return nil }}
		c, err := core.course(g.rt, g.opts.Events, 1)
		if err != nil {
			return err
		}
		if err := g.measure(ctx, c, newPoint("core", 1, c), fmt.Sprintf("w%d", i+1)); err != nil {
			return err
		}
	}
	g.report.Verified = Verified{} // of what is counted
	for round := range g.opts.Rounds {
		g.say("round %d of %d", round+1, g.opts.Rounds)
		for d, grown := range g.report.Dimensions {
			for i := range grown.Points {
				k := (i + round) % len(grown.Points)
				if err := g.measure(ctx, courses[d][k], grown.Points[k], fmt.Sprintf("r%d-%s-%d", round+1, grown.Name, grown.Points[k].At)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (g *growth) say(format string, args ...any) {
	if g.opts.Progress != nil {
		g.opts.Progress(format, args...)
	}
}

// measure runs a point once, in a place of its own, compares what it left with the
// fold, and only then adds the round to the point.
func (g *growth) measure(ctx context.Context, c *course, point *GrowthPoint, name string) error {
	program, err := c.workload.Program()
	if err != nil {
		return err
	}
	var held cached
	r := Runner{
		rt: c.rt, opts: Options{Workload: c.workload, Partitions: c.partitions, Progress: g.opts.Progress},
		meter: g.meter, program: &pipeline{program: program}, report: &Report{}, prefix: g.prefix,
	}
	r.program.look = func(ctx context.Context, p *app.Processor) (err error) {
		held, err = lookCached(ctx, p, c.workload.Events)
		return err
	}
	return r.within(ctx, name, func(p *place, ends []int64) error {
		w, err := r.program.Run(ctx, p, ends, g.meter)
		if err != nil {
			return fmt.Errorf("%s: %w", point.Name, err)
		}
		size, err := p.stateBytes(ctx)
		if err != nil {
			return err
		}
		r.say("  %-22s %s events/s%s", point.Name, thousands(w.Rate()), remark(w))
		if err := r.compare(ctx, p); err != nil {
			return err
		}
		v := r.report.Verified
		point.take(w, v.States, size, held)
		all := &g.report.Verified
		all.Rounds, all.Events, all.Outputs, all.States = all.Rounds+1, all.Events+v.Events, all.Outputs+v.Outputs, all.States+v.States
		return nil
	})
}

// cached is what a processor says of its cache.
type cached struct {
	bytes   int
	evicted int64 // for want of room
}

// publishTimeout is how long a processor may take to publish what it has done.
const publishTimeout = 30 * time.Second

// lookCached asks a processor that has folded so many events, once it says so itself.
func lookCached(ctx context.Context, p *app.Processor, events int64) (held cached, err error) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	err = await(ctx, nil, func() (done bool, err error) {
		held, done = published(p.Views(), events)
		return done, nil
	})
	if err != nil {
		return held, fmt.Errorf("wait until the processor publishes that it is done: %w", err)
	}
	return held, nil
}

// published sums what slots say of their caches, and whether they say that so many
// events are in Redis: what they published before that is of fewer participants.
func published(views []*engine.View, events int64) (held cached, done bool) {
	applied := int64(0)
	for _, v := range views {
		if v == nil { // between two sessions
			continue
		}
		held.bytes, held.evicted = held.bytes+v.CacheBytes, held.evicted+v.Counts.Evicted
		for _, s := range v.Status {
			applied += s.Applied
		}
	}
	return held, applied == events
}

// stateBytes is what the partitions' keys take in Redis, by its own account; negative
// where it gives none.
func (p *place) stateBytes(ctx context.Context) (int64, error) {
	cfg, err := p.rt.Redis()
	if err != nil {
		return 0, err
	}
	client := redisstore.Open(cfg)
	defer func() { _ = client.Close() }()
	sizes := map[string]int64{} // a key may be listed twice
	for cursor := uint64(0); ; {
		keys, next, err := client.Scan(ctx, cursor, "{"+p.kafka.Prefix+".events.*}:*", 1000).Result()
		if err != nil {
			return 0, fmt.Errorf("list the keys of %s: %w", p.kafka.Prefix, err)
		}
		for _, key := range keys {
			const every = 0 // of its fields are looked at: all
			if sizes[key], err = client.MemoryUsage(ctx, key, every).Result(); err != nil {
				return -1, nil //nolint:nilerr // a server that does not say it is no fault
			}
		}
		if cursor = next; cursor == 0 {
			total := int64(0)
			for _, n := range sizes {
				total += n
			}
			return total, nil
		}
	}
}
