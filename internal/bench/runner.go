package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/verify"
)

// Options say what to measure.
type Options struct {
	Workload   *Workload
	Partitions int32
	Rounds     int // measured
	Warmups    int // before them, not counted
	// ProcessorOnly leaves out the processor with a notifier.
	ProcessorOnly bool
	// CPUProfile, where not empty, is a file that a further round of the
	// processor, which is not counted, is profiled into.
	CPUProfile string
	Progress   func(format string, args ...any)

	peers []Peer // run beside the processor
}

// Limits of a run.
const (
	roundsMax      = 100
	removeTimeout  = 30 * time.Second
	verifyTimeout  = 30 * time.Minute
	partitionsMost = 1000
)

func (o *Options) check() error {
	switch {
	case o.Rounds < 1 || o.Rounds > roundsMax:
		return fmt.Errorf("measure 1 to %d rounds, not %d", roundsMax, o.Rounds)
	case o.Warmups < 0 || o.Warmups > roundsMax:
		return fmt.Errorf("warm up with 0 to %d rounds, not %d", roundsMax, o.Warmups)
	case o.Partitions < 1 || o.Partitions > partitionsMost:
		return fmt.Errorf("spread the events over 1 to %d partitions, not %d", partitionsMost, o.Partitions)
	}
	return nil
}

// Runner interleaves rounds of variants over one workload.
type Runner struct {
	rt       app.Runtime
	opts     Options
	meter    *Meter
	program  *pipeline
	whole    *whole
	variants []Variant
	report   *Report
	prefix   string
}

// Run measures and returns the report. Where what the processor left is not
// the fold of its events it returns a DirtyError and no report.
func Run(ctx context.Context, rt app.Runtime, opts Options) (*Report, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	if rt.Config.Redis.Cluster {
		return nil, errors.New("the bench needs a single Redis: it removes its keys by looking for them; unset redis.cluster")
	}
	program, err := opts.Workload.Program()
	if err != nil {
		return nil, err
	}
	r := &Runner{
		rt: rt, opts: opts, program: &pipeline{program: program},
		prefix: "veltrix-bench-" + strings.ToLower(rand.Text()[:8]),
	}
	r.variants = []Variant{consume{}, r.program}
	for _, p := range opts.peers {
		r.variants = append(r.variants, &beside{Peer: p, workload: opts.Workload})
	}
	if opts.Workload.once && !opts.ProcessorOnly && len(opts.peers) == 0 {
		r.whole = &whole{pipeline: pipeline{program: program}, notify: opts.Workload.Notify}
	}
	if err := r.describe(ctx); err != nil {
		return nil, err
	}
	for i := range opts.Warmups {
		r.say("warm-up %d of %d", i+1, opts.Warmups)
		if err := r.round(ctx, fmt.Sprintf("w%d", i+1), i, false); err != nil {
			return nil, err
		}
	}
	for i := range opts.Rounds {
		r.say("round %d of %d", i+1, opts.Rounds)
		if err := r.round(ctx, fmt.Sprintf("r%d", i+1), i, true); err != nil {
			return nil, err
		}
	}
	if opts.CPUProfile != "" {
		r.say("a further round, for the profile")
		if err := r.profile(ctx); err != nil {
			return nil, err
		}
	}
	return r.report, nil
}

func (r *Runner) say(format string, args ...any) {
	if r.opts.Progress != nil {
		r.opts.Progress(format, args...)
	}
}

// describe finds the servers' processes, and says on what is measured.
func describe(ctx context.Context, rt app.Runtime) (Machine, *Meter, error) {
	const proc = "/proc"
	kafka, err := rt.Kafka("bench")
	if err != nil {
		return Machine{}, nil, err
	}
	app.BoundMemory(rt.Config) // as the processor's binary does
	asking, cancel := context.WithTimeout(ctx, max(rt.Config.StartTimeout, time.Second))
	defer cancel()
	machine := describeMachine(proc)
	if machine.Kafka, err = kafkaVersion(asking, kafka); err != nil {
		return machine, nil, err
	}
	if rt.BootID != "" {
		machine.Kafka += embedded
	}
	info, err := redisInfo(asking, rt)
	if err != nil {
		return machine, nil, err
	}
	machine.Redis = info["redis_version"]
	if info["appendonly"] == "yes" {
		machine.Redis += ", append-only file, fsync " + info["appendfsync"]
	}
	return machine, &Meter{
		Proc: proc, Broker: listeners(proc, kafka.Brokers),
		Redis: redisProcess(proc, rt.Config.Redis.Addrs, info),
	}, nil
}

// describe says what is measured, and where.
func (r *Runner) describe(ctx context.Context) error {
	machine, meter, err := describe(ctx, r.rt)
	if err != nil {
		return err
	}
	r.meter = meter
	r.report = &Report{
		Workload: *r.opts.Workload, Partitions: r.opts.Partitions, Rounds: r.opts.Rounds, Warmups: r.opts.Warmups,
		Processor: settings(r.rt),
		Machine:   machine, Broker: r.meter.Broker, Redis: r.meter.Redis, Reference: r.variants[0].Name(),
	}
	for _, v := range r.variants {
		r.report.Variants = append(r.report.Variants, Result{Name: v.Name()})
	}
	if r.whole != nil {
		r.report.Variants = append(r.report.Variants, Result{Name: r.whole.Name()})
	}
	return nil
}

func settings(rt app.Runtime) Settings {
	p := rt.Config.Processor
	return Settings{Slots: p.Slots, CommitInterval: p.CommitInterval.String(), CommitRecords: p.CommitRecords, CacheBytes: int64(p.CacheBytes), Buckets: p.Buckets}
}

// round runs every variant once over the same filled topic, each time another
// one first.
func (r *Runner) round(ctx context.Context, name string, turn int, counted bool) error {
	err := r.within(ctx, name, func(p *place, ends []int64) error {
		for i := range r.variants {
			k := (i + turn) % len(r.variants)
			w, err := r.variants[k].Run(ctx, p, ends, r.meter)
			if err != nil {
				return fmt.Errorf("%s: %w", r.variants[k].Name(), err)
			}
			r.say("  %-22s %s events/s%s", r.variants[k].Name(), thousands(w.Rate()), remark(w))
			if counted {
				r.report.Variants[k].Rounds = append(r.report.Variants[k].Rounds, w)
			}
		}
		return r.compare(ctx, p)
	})
	if err != nil || r.whole == nil {
		return err
	}
	return r.roundWhole(ctx, name+"n", counted)
}

// within does something in a place of its own, filled.
func (r *Runner) within(ctx context.Context, name string, do func(*place, []int64) error) error {
	return inPlace(ctx, r.rt, r.prefix+"-"+name, r.opts.Partitions, func(p *place) error {
		ends, err := p.fill(ctx, r.opts.Workload)
		if err != nil {
			return err
		}
		return do(p, ends)
	})
}

// compare holds a round's results against the fold of its events.
func (r *Runner) compare(ctx context.Context, p *place) error {
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	report, err := app.Verify(ctx, p.rt, r.program.program, nil)
	if err != nil {
		return fmt.Errorf("compare the results with the fold: %w", err)
	}
	if !report.Clean() || report.Behind != 0 || report.Records != r.opts.Workload.Events {
		return &DirtyError{Report: report, Events: r.opts.Workload.Events}
	}
	r.say("  compared: %d events, %d outputs, %d states, nothing lost, duplicated or wrong", report.Records, report.Outputs, report.States)
	v := &r.report.Verified
	v.Rounds++
	v.Events, v.Outputs, v.States = report.Records, report.Outputs, report.States
	return nil
}

// DirtyError says that the processor's results are not the fold of its events;
// figures of such a run mean nothing.
type DirtyError struct {
	Report *verify.Report
	Events int64 // that were sent
}

func (e *DirtyError) Error() string {
	text := fmt.Sprintf("the results are not the fold of the events, so no figure is given: %d lost, %d duplicated, %d wrong, %d behind, %d of %d events folded",
		e.Report.Lost, e.Report.Duplicated, e.Report.Wrong, e.Report.Behind, e.Report.Records, e.Events)
	for _, f := range e.Report.Findings {
		text += fmt.Sprintf("\n  %s %s: %s", f.Kind, f.Where, f.Sentence)
	}
	return text
}

// profile runs the processor once more, under the profiler, which costs some.
func (r *Runner) profile(ctx context.Context) error {
	file, err := os.Create(r.opts.CPUProfile)
	if err != nil {
		return fmt.Errorf("write the profile: %w", err)
	}
	v := &pipeline{program: r.program.program, steady: func(began bool) error {
		if began {
			return pprof.StartCPUProfile(file)
		}
		pprof.StopCPUProfile()
		return nil
	}}
	events := int64(0)
	err = r.within(ctx, "profile", func(p *place, ends []int64) error {
		w, err := v.Run(ctx, p, ends, r.meter)
		if err != nil {
			pprof.StopCPUProfile()
			return fmt.Errorf("%s: %w", v.Name(), err)
		}
		events = w.Events
		return r.compare(ctx, p)
	})
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	r.report.Profile, err = Explain(r.opts.CPUProfile, events)
	return err
}
