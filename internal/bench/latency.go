package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/veltrix/veltrix/internal/app"
)

// LatencyOptions say at which rates it is measured how late notifications are.
type LatencyOptions struct {
	LoadOptions
	Levels []int         // % of the maximum, each measured by itself
	For    time.Duration // of each level
}

// levelsMost bounds a run's length.
const levelsMost = 20

func (o *LatencyOptions) check() error {
	if err := o.LoadOptions.check(); err != nil {
		return err
	}
	if len(o.Levels) < 1 || len(o.Levels) > levelsMost {
		return fmt.Errorf("measure 1 to %d levels, not %d", levelsMost, len(o.Levels))
	}
	for _, percent := range o.Levels {
		if err := checkLevel(percent); err != nil {
			return err
		}
	}
	if o.For < time.Second || o.For > forMost {
		return fmt.Errorf("measure each level for 1s to %s, not %s", forMost, o.For)
	}
	return nil
}

func checkLevel(percent int) error {
	if percent < 1 || percent > 100 {
		return fmt.Errorf("a level is 1 to 100 %% of the maximum, not %d", percent)
	}
	return nil
}

// Level is what was measured at one rate.
type Level struct {
	Percent       int           `json:"percent"` // of the maximum
	Rate          float64       `json:"due_events_per_s"`
	For           time.Duration `json:"for_ns"`
	Notifications int64         `json:"notifications"`       // measured
	Times         Quantiles     `json:"due_to_notified"`     // until a consumer has the notification
	Late          Quantiles     `json:"due_to_sent"`         // of it, what the sender itself was behind
	Logged        Quantiles     `json:"due_to_acknowledged"` // of it, until the event was in the log
	// Left is from when the last notification was due until all had come:
	// it grows with For where the processor does not keep up.
	Left   time.Duration `json:"last_due_to_all_notified_ns"`
	KeptUp bool          `json:"kept_up"`
	LoadWindow
}

// keptUp says whether what was left after so long a level shows that no more came than
// was taken: a twentieth of its time, or what a pause of the machine takes.
func keptUp(left, sent time.Duration) bool { return left <= max(sent/20, time.Second) }

// Latency measures, in an open loop at shares of the processor's maximum, how long
// an event takes from when it was due until a consumer has its notification. Where
// what the processor left is not the fold of its events it returns a DirtyError and
// no report.
func Latency(ctx context.Context, rt app.Runtime, opts LatencyOptions) (*LatencyReport, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	report := &LatencyReport{}
	err := underLoad(ctx, rt, opts.LoadOptions, func(ctx context.Context, l *loaded) error {
		for i, percent := range opts.Levels {
			level, err := l.level(ctx, fmt.Sprintf("l%d", i), percent, opts.For)
			if err != nil {
				return fmt.Errorf("at %d %%: %w", percent, err)
			}
			report.Levels = append(report.Levels, *level)
		}
		report.LoadHead = l.head
		return nil
	})
	if err != nil {
		return nil, err
	}
	return report, nil
}

// level measures one level, on a place of its own.
func (l *loaded) level(ctx context.Context, name string, percent int, d time.Duration) (*Level, error) {
	v := &Level{Percent: percent, Rate: l.rate(percent), For: d}
	warm := min(d/warmUpShare, warmUpMost)
	plan := schedule{rate: v.Rate}
	w, err := l.workload(max(plan.count(warm+d), 1))
	if err != nil {
		return nil, err
	}
	from := plan.count(warm)
	if w.caused(w.Events) <= w.caused(from) {
		return nil, fmt.Errorf("%.1f events a second for %s cause no notification: give a higher --maximum or --for", v.Rate, d)
	}
	l.say("%d %% of the maximum: %s events/s for %s, after %s that are not measured", percent, thousands(v.Rate), d, warm)
	err = l.within(ctx, name, func(p *place, c *crew) error {
		processor, err := c.start("bench")
		if err == nil {
			err = c.ready(ctx, processor)
		}
		if err != nil {
			return err
		}
		plan.start = time.Now().Add(headStart)
		f := l.flow(ctx, p, w, plan, from, nil)
		defer f.close()
		if err := v.measure(ctx, f, c, warm); err != nil {
			return err
		}
		f.close()
		c.stop()
		return l.compare(ctx, p, w)
	})
	if err != nil {
		return nil, err
	}
	l.say("  p50 %s, p99 %s, max %s; other load %.0f %%", millis(v.Times.P50), millis(v.Times.P99), millis(v.Times.Max), max(v.Other, 0)*100)
	return v, nil
}

// measure takes the CPU time of the measured part, and the times when all has come.
func (v *Level) measure(ctx context.Context, f *flow, c *crew, warm time.Duration) error {
	measured := f.sender.start.Add(warm)
	if err := rest(ctx, time.Until(measured)); err != nil {
		return err
	}
	from, err := c.read()
	if err != nil {
		return err
	}
	if err := rest(ctx, time.Until(measured.Add(v.For))); err != nil {
		return err
	}
	to, err := c.read()
	if err != nil {
		return err
	}
	sent, err := f.drained(ctx)
	if err != nil {
		return err
	}
	if sent != f.sender.workload.Events {
		return errors.New("the sender ended before its schedule")
	}
	v.LoadWindow = c.between(from, to, sent-f.sender.from)
	v.Times, v.Notifications = f.consumer.times.quantiles()
	v.Late, _ = f.sender.late.quantiles()
	v.Logged, _ = f.sender.logged.quantiles()
	last := f.sender.workload.caused(sent)*int64(f.sender.workload.Notify) - 1
	v.Left = f.consumer.newest().Sub(f.sender.due(last))
	v.KeptUp = keptUp(v.Left, warm+v.For)
	return nil
}
