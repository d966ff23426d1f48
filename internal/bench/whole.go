package bench

import (
	"context"
	"errors"
	"fmt"

	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/service"
	"github.com/veltrix/veltrix/internal/telemetry"
)

// whole is the product from an event in the log to a player's inbox: the
// processor and a notifier, in this process.
type whole struct {
	pipeline
	notify int // one notification in so many events
}

// Name implements Variant.
func (*whole) Name() string { return "processor and notifier" }

// Run implements Variant. The window starts like the processor's, and ends when
// Redis holds the last event and the inboxes the last notification.
func (v *whole) Run(ctx context.Context, p *place, ends []int64, m *Meter) (Window, error) {
	rt := p.rt
	rt.Metrics = telemetry.New()
	listener, err := service.Listen(ctx, rt.Log, "the inbox", "127.0.0.1:0", true)
	if err != nil {
		return Window{}, err
	}
	notifier := app.NewNotifier(rt, listener)
	working, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- notifier.Run(working) }()
	total := int64(0)
	for _, end := range ends {
		total += end
	}
	inboxes := rt.Metrics.Notifier.Delivered.WithLabelValues("inbox")
	v.also = func() bool { return int64(telemetry.Value(inboxes)) >= total/int64(v.notify) }
	w, err := v.pipeline.Run(ctx, p, ends, m)
	stop()
	if last := <-ended; last != nil && !errors.Is(last, context.Canceled) {
		err = errors.Join(err, fmt.Errorf("stop the notifier: %w", last))
	}
	return w, err
}

// roundWhole measures the whole on a place of its own: what the processor alone
// has folded is folded.
func (r *Runner) roundWhole(ctx context.Context, name string, counted bool) error {
	return r.within(ctx, name, func(p *place, ends []int64) error {
		w, err := r.whole.Run(ctx, p, ends, r.meter)
		if err != nil {
			return fmt.Errorf("%s: %w", r.whole.Name(), err)
		}
		r.say("  %-22s %s events/s%s", r.whole.Name(), thousands(w.Rate()), remark(w))
		if counted {
			last := len(r.report.Variants) - 1
			r.report.Variants[last].Rounds = append(r.report.Variants[last].Rounds, w)
		}
		if err := r.compare(ctx, p); err != nil {
			return err
		}
		tally, err := p.rt.Tally(ctx)
		if err != nil {
			return fmt.Errorf("count the inboxes: %w", err)
		}
		return delivered(tally, r.opts.Workload.Events/int64(r.opts.Workload.Notify))
	})
}

// delivered fails where not each notification stands once in its inbox.
func delivered(t app.Tally, want int64) error {
	if t.Notified != want || t.InInboxes != want || t.Astray > 0 {
		return fmt.Errorf("%d notifications stand and the inboxes hold %d, %d of them missing or wrong, where %d were caused: no figure is given",
			t.Notified, t.InInboxes, t.Astray, want)
	}
	return nil
}
