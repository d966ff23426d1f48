package bench

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/veltrix/veltrix/internal/app"
)

// IdleOptions say of how many partitions, and how long, a processor is watched that
// has nothing to do.
type IdleOptions struct {
	LoadOptions // its Maximum and Partitions are decided here
	Points      []int
	Rounds      int
	For         time.Duration
}

// Bounds of an idle run.
const (
	lookMost = time.Hour
	// idleBefore is let pass once all is applied: caches, connections and metadata of
	// the beginning.
	idleBefore = 5 * time.Second
	// idleEvents of each partition are applied before, so that all have positions.
	idleEvents = 10
)

func (o *IdleOptions) check() error {
	if len(o.Points) == 0 || o.Rounds < 1 {
		return fmt.Errorf("give partitions to watch, and 1 round or more, not %v and %d", o.Points, o.Rounds)
	}
	for _, partitions := range o.Points {
		if partitions < 1 || partitions > partitionsMost {
			return fmt.Errorf("watch 1 to %d partitions, not %d", partitionsMost, partitions)
		}
	}
	if o.For < sampleEvery || o.For > lookMost {
		return fmt.Errorf("watch the processor for %s to %s, not %s", sampleEvery, lookMost, o.For)
	}
	return nil
}

// IdleReport is what a processor uses that waits for events.
type IdleReport struct {
	LoadHead
	For    time.Duration `json:"for_ns"`
	Points []IdlePoint   `json:"points"`
}

// IdlePoint is a number of partitions with its rounds.
type IdlePoint struct {
	Partitions int          `json:"partitions"`
	Rounds     []LoadWindow `json:"rounds"`
}

// Idle has a processor apply a few events of each partition, and looks at what it, the
// brokers and Redis use while there are no more. The points take turns.
func Idle(ctx context.Context, rt app.Runtime, opts IdleOptions) (*IdleReport, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	opts.Maximum = 1 // nobody sends
	report := &IdleReport{For: opts.For}
	for _, partitions := range opts.Points {
		report.Points = append(report.Points, IdlePoint{Partitions: partitions})
	}
	var all Verified
	for round := range opts.Rounds {
		for i := range report.Points {
			point := &report.Points[(i+round)%len(report.Points)]
			load := opts.LoadOptions
			load.Partitions = int32(point.Partitions)
			err := underLoad(ctx, rt, load, func(ctx context.Context, l *loaded) error {
				w, err := l.idle(ctx, opts.For)
				if err != nil {
					return err
				}
				report.LoadHead = l.head
				all.add(&l.head.Verified)
				l.say("%d partitions, round %d: processor %.1f %% of a CPU", point.Partitions, round+1, percent(w.Processors, w.Wall))
				point.Rounds = append(point.Rounds, w)
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
	}
	report.Verified = all
	return report, nil
}

func (l *loaded) idle(ctx context.Context, d time.Duration) (window LoadWindow, err error) {
	w, err := l.workload(idleEvents * int64(l.opts.Partitions))
	if err != nil {
		return window, err
	}
	return window, l.within(ctx, "idle", func(p *place, c *crew) error {
		ends, err := p.fill(ctx, w)
		if err != nil {
			return err
		}
		processor, err := c.start("bench")
		if err == nil {
			err = c.ready(ctx, processor)
		}
		if err == nil {
			err = l.applied(ctx, p, ends)
		}
		if err == nil {
			err = rest(ctx, idleBefore)
		}
		if err != nil {
			return err
		}
		from, err := c.read()
		if err == nil {
			err = rest(ctx, d)
		}
		if err != nil {
			return err
		}
		to, err := c.read()
		if err != nil {
			return err
		}
		window = c.between(from, to, 0)
		c.stop()
		return l.compare(ctx, p, w)
	})
}

// applied waits until Redis has everything.
func (l *loaded) applied(ctx context.Context, p *place, ends []int64) error {
	view, err := newView(ctx, p, ends)
	if err != nil {
		return err
	}
	defer view.close()
	return await(ctx, nil, func() (bool, error) { return view.done(ctx) })
}

// WriteJSON writes the report for machines.
func (r *IdleReport) WriteJSON(w io.Writer) error {
	return writeJSON(w, r)
}

// WriteText writes the report for people.
func (r *IdleReport) WriteText(w io.Writer) error {
	var b strings.Builder
	r.machine(&b)
	fmt.Fprintf(&b, "idle       for %s, after %d events of each partition; compared: %s events, %s states with their fold\n\n",
		r.For, idleEvents, thousands(float64(r.Verified.Events)), thousands(float64(r.Verified.States)))
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "partitions\t% of a CPU: processor\trange\tbrokers\tRedis\tother load\t")
	for _, p := range r.Points {
		of := func(part func(LoadWindow) float64) Spread {
			var all []float64
			for _, w := range p.Rounds {
				all = append(all, part(w))
			}
			return spread(all)
		}
		own := of(func(w LoadWindow) float64 { return percent(w.Processors, w.Wall) })
		fmt.Fprintf(t, "%d\t%.1f\t%.1f–%.1f\t%.1f\t%.1f\t%.0f %%\t\n", p.Partitions, own.Median, own.Low, own.High,
			of(func(w LoadWindow) float64 { return percent(w.Broker, w.Wall) }).Median,
			of(func(w LoadWindow) float64 { return percent(w.Redis, w.Wall) }).Median,
			of(func(w LoadWindow) float64 { return 100 * max(0, w.Other) }).Median)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, note := range r.notes() {
		fmt.Fprintf(&b, "%s\n", note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WritePage puts the report, with the command that made it, between the page's marks.
func (r *IdleReport) WritePage(path, command string) error {
	return writePage(path, "bench idle", command, r.WriteText)
}
