package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/telemetry"
)

// RebuildOptions say what is lost, and how much there is to build anew.
type RebuildOptions struct {
	Workload   *Workload
	Partitions int32
	Tail       int64 // of the workload's events, those behind the snapshots
	Progress   func(format string, args ...any)
}

// Rebuilt is one loss and what it took to be as before.
type Rebuilt struct {
	What         string        `json:"what"`
	Partitions   int           `json:"partitions"`
	Participants int64         `json:"participants"`
	Records      int64         `json:"records_folded"`
	Took         time.Duration `json:"took_ns"` // from the loss to R = K = end, noticing included
}

// PerMillion is the time that a million participants would take at this pace.
func (r Rebuilt) PerMillion() time.Duration {
	return time.Duration(float64(r.Took) * 1e6 / math.Max(float64(r.Participants), 1))
}

// RebuildReport is what a run of Rebuild measured.
type RebuildReport struct {
	Workload   Workload  `json:"workload"`
	Partitions int32     `json:"partitions"`
	Machine    Machine   `json:"machine"`
	Losses     []Rebuilt `json:"losses"`
}

// rebuild is one run.
type rebuild struct {
	opts    RebuildOptions
	place   *place
	program *pipeline
	redis   redis.UniversalClient
	report  *RebuildReport
}

// Rebuild takes away what Redis has, several times, and measures until it is
// there again. In the end everything is compared with the fold.
func Rebuild(ctx context.Context, rt app.Runtime, opts RebuildOptions) (_ *RebuildReport, err error) {
	switch {
	case opts.Partitions < 1 || opts.Partitions > partitionsMost:
		return nil, fmt.Errorf("spread the events over 1 to %d partitions, not %d", partitionsMost, opts.Partitions)
	case opts.Tail < 1 || opts.Tail >= opts.Workload.Events:
		return nil, fmt.Errorf("the tail has 1 to %d events, not %d", opts.Workload.Events-1, opts.Tail)
	case rt.Config.Redis.Cluster:
		return nil, errors.New("the bench needs a single Redis: unset redis.cluster")
	}
	cfg := *rt.Config
	cfg.Processor.CompareInterval = min(cfg.Processor.CompareInterval, time.Second)
	cfg.Processor.ScrubInterval = 0
	rt.Config = &cfg
	program, err := opts.Workload.Program()
	if err != nil {
		return nil, err
	}
	r := &Runner{rt: rt, opts: Options{Workload: opts.Workload, Partitions: opts.Partitions}, program: &pipeline{program: program}}
	r.variants = []Variant{r.program}
	if err := r.describe(ctx); err != nil {
		return nil, err
	}
	p, err := newPlace(ctx, rt, "veltrix-bench-"+strings.ToLower(rand.Text()[:8]), opts.Partitions)
	if p != nil {
		defer func() {
			removing, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
			defer cancel()
			err = errors.Join(err, p.remove(removing))
		}()
	}
	if err != nil {
		return nil, err
	}
	where, err := rt.Redis()
	if err != nil {
		return nil, err
	}
	b := &rebuild{
		opts: opts, place: p, program: r.program, redis: redisstore.Open(where),
		report: &RebuildReport{Workload: *opts.Workload, Partitions: opts.Partitions, Machine: r.report.Machine},
	}
	defer func() { _ = b.redis.Close() }()
	if err := b.run(ctx); err != nil {
		return nil, err
	}
	b.say("comparing")
	return b.report, r.compare(ctx, p)
}

func (b *rebuild) say(format string, args ...any) {
	if b.opts.Progress != nil {
		b.opts.Progress(format, args...)
	}
}

// run plays the losses, each with a processor that has nothing else to do.
func (b *rebuild) run(ctx context.Context) error {
	n := b.opts.Workload.Events - b.opts.Tail
	if err := b.fold(ctx, 0, n/2); err != nil {
		return err
	}
	older, err := b.dump(ctx)
	if err != nil {
		return err
	}
	if err := b.fold(ctx, n/2, n); err != nil {
		return err
	}
	if err := b.lose(ctx, "one partition rolled back to half", 0, 1, func() error { return b.restore(ctx, older) }); err != nil {
		return err
	}
	if err := b.lose(ctx, "everything, built anew from the log", 0, b.opts.Partitions, func() error { return b.forget(ctx) }); err != nil {
		return err
	}
	if err := b.snapshots(ctx); err != nil {
		return err
	}
	if err := b.fold(ctx, n, b.opts.Workload.Events); err != nil {
		return err
	}
	return b.lose(ctx, "everything, built anew from snapshots and the tail", 0, b.opts.Partitions, func() error { return b.forget(ctx) })
}

// fold appends the events of [from, to) and waits until Redis has them.
func (b *rebuild) fold(ctx context.Context, from, to int64) error {
	b.say("folding events %s to %s", thousands(float64(from)), thousands(float64(to)))
	if err := b.place.append(ctx, b.opts.Workload, from, to); err != nil {
		return err
	}
	return b.processing(ctx, 0, func(*app.Processor, chan error) error { return nil })
}

// processing runs a processor, with snapshots taken that often, until Redis is
// at the end, and then do.
func (b *rebuild) processing(ctx context.Context, snapshots time.Duration, do func(*app.Processor, chan error) error) error {
	rt, cfg := b.place.rt, *b.place.rt.Config
	cfg.Processor.SnapshotInterval = snapshots
	rt.Config, rt.Metrics = &cfg, telemetry.New()
	processor := app.NewProcessor(rt, b.program.program)
	working, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- processor.Run(working) }()
	err := b.settled(ctx, processor, ended)
	if err == nil {
		err = do(processor, ended)
	}
	stop()
	return errors.Join(err, <-ended)
}

// settled waits until all is owned and ready, and Redis is at the end.
func (b *rebuild) settled(ctx context.Context, processor *app.Processor, ended chan error) error {
	view, err := b.view(ctx)
	if err != nil {
		return err
	}
	defer view.close()
	return await(ctx, ended, func() (bool, error) {
		if !settled(processor, int(b.opts.Partitions)) {
			return false, nil
		}
		return view.done(ctx)
	})
}

func (b *rebuild) view(ctx context.Context) (*view, error) {
	ends, err := b.place.bounds(ctx)
	if err != nil {
		return nil, err
	}
	return newView(ctx, b.place, ends)
}

// lose lets happen what takes away, and measures until it is there again.
func (b *rebuild) lose(ctx context.Context, what string, first, last int32, happen func() error) error {
	return b.processing(ctx, 0, func(_ *app.Processor, ended chan error) error {
		view, err := b.view(ctx)
		if err != nil {
			return err
		}
		defer view.close()
		began := time.Now()
		if err := happen(); err != nil {
			return err
		}
		lost, err := view.applied(ctx)
		if err != nil {
			return err
		}
		if err := await(ctx, ended, func() (bool, error) { return view.done(ctx) }); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		took := time.Since(began)
		participants, err := b.participants(ctx, view, first, last)
		if err != nil {
			return err
		}
		row := Rebuilt{What: what, Partitions: int(last - first), Participants: participants, Records: view.total - lost, Took: took}
		if strings.Contains(what, "snapshots") {
			row.Records = b.opts.Tail
		}
		b.report.Losses = append(b.report.Losses, row)
		b.say("  %s: %.2f s", what, took.Seconds())
		return nil
	})
}

// snapshots has one taken of each partition.
func (b *rebuild) snapshots(ctx context.Context) error {
	b.say("taking snapshots")
	return b.processing(ctx, time.Second, func(p *app.Processor, ended chan error) error {
		return await(ctx, ended, func() (bool, error) {
			saved := 0
			for _, v := range p.Views() {
				if v == nil {
					return false, nil
				}
				for _, s := range v.Status {
					if s.Saved == s.Position && s.Phase == "ready" {
						saved++
					}
				}
			}
			return saved == int(b.opts.Partitions), nil
		})
	})
}

// WriteJSON writes the report for machines.
func (r *RebuildReport) WriteJSON(w io.Writer) error {
	return writeJSON(w, r)
}

// WriteText writes the report for people.
func (r *RebuildReport) WriteText(w io.Writer) error {
	m := r.Machine
	_, _ = fmt.Fprintf(w, "workload  %s: %s events, %s participants, %d partitions\nmachine   %d CPUs (%s), %d MiB, %s, Go %s\nservers   Kafka %s; Redis %s\n\n",
		r.Workload.Name, thousands(float64(r.Workload.Events)), thousands(float64(r.Workload.Participants)), r.Partitions,
		m.CPUs, orUnknown(m.Model), m.MemoryMiB, m.System, m.Go, orUnknown(m.Kafka), orUnknown(m.Redis))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "lost\tpartitions\tparticipants\trecords folded\ttook\tper million participants\t")
	for _, l := range r.Losses {
		_, _ = fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%.2f s\t%.1f s\t\n", l.What, l.Partitions, thousands(float64(l.Participants)),
			thousands(float64(l.Records)), l.Took.Seconds(), l.PerMillion().Seconds())
	}
	return table.Flush()
}
