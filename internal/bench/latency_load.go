package bench

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/kafkalog"
)

// LoadOptions are those of the benches that send in an open loop, at a share of
// what a processor can do at most.
type LoadOptions struct {
	Workload     string // by name, one whose notifications are told once; empty: core
	Participants int    // of the workload; 0: its own
	Partitions   int32
	Maximum      float64 // events/s of the processor; 0: measured first
	Events       int64   // of each topic that the maximum is measured on
	// Part returns the command that runs a part; see RunPart.
	Part     func(name string) *exec.Cmd
	Progress func(format string, args ...any)
}

// maximumRounds are measured to know the maximum, behind one that is not.
const maximumRounds = 3

func (o *LoadOptions) check() error {
	switch {
	case o.Partitions < 1 || o.Partitions > partitionsMost:
		return fmt.Errorf("spread the events over 1 to %d partitions, not %d", partitionsMost, o.Partitions)
	case !(o.Maximum >= 0 && o.Maximum <= maximumMost):
		return fmt.Errorf("a processor's maximum is up to %d events a second, not %v; 0 measures it", int(maximumMost), o.Maximum)
	case o.Events < 1 && o.Maximum == 0:
		return fmt.Errorf("measure the maximum on 1 event or more, not %d, or say what it is with --maximum", o.Events)
	}
	return nil
}

// maximumMost is more than any.
const maximumMost = 1e7

// Maximum is what the processor did on filled topics, or was said to do.
type Maximum struct {
	EventsPerS float64  `json:"events_per_s"`
	Given      bool     `json:"given,omitempty"` // not measured
	Quiet      bool     `json:"quiet"`           // false: every round was noisy, or it was given
	Rounds     []Window `json:"rounds,omitempty"`
}

// loaded is a run under an open loop.
type loaded struct {
	rt      app.Runtime
	opts    LoadOptions
	prefix  string
	program *pipeline
	meter   *Meter
	head    LoadHead
	failing context.CancelCauseFunc // ends the run
}

// underLoad does something beside processors, after it has learned their maximum.
func underLoad(ctx context.Context, rt app.Runtime, opts LoadOptions, do func(context.Context, *loaded) error) error {
	if rt.Config.Redis.Cluster {
		return errors.New("the bench needs a single Redis: it removes its keys by looking for them; unset redis.cluster")
	}
	ctx, failing := context.WithCancelCause(ctx)
	defer failing(nil)
	l := &loaded{rt: rt, opts: opts, failing: failing, prefix: "veltrix-bench-" + strings.ToLower(rand.Text()[:8])}
	err := l.maximum(ctx)
	if err == nil {
		err = do(ctx, l)
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = errors.Join(cause, err) // what was under way says only that it was ended
	}
	return err
}

func (l *loaded) say(format string, args ...any) {
	if l.opts.Progress != nil {
		l.opts.Progress(format, args...)
	}
}

// workload makes events enough for a part of the run.
func (l *loaded) workload(events int64) (*Workload, error) {
	return NewWorkload(cmp.Or(l.opts.Workload, "core"), events, l.opts.Participants, Structured)
}

// maximum measures the processor in this process, on topics filled before.
func (l *loaded) maximum(ctx context.Context) error {
	w, err := l.workload(max(l.opts.Events, 1))
	if err != nil {
		return err
	}
	program, err := w.Program()
	if err != nil {
		return err
	}
	l.program = &pipeline{program: program}
	r := &Runner{
		rt: l.rt, program: l.program, variants: []Variant{l.program}, prefix: l.prefix,
		opts: Options{Workload: w, Partitions: l.opts.Partitions, Rounds: maximumRounds, Warmups: 1, Progress: l.opts.Progress},
	}
	if err := r.describe(ctx); err != nil {
		return err
	}
	l.meter = r.meter
	l.head = LoadHead{
		Workload: *w, Partitions: l.opts.Partitions, Processor: r.report.Processor,
		Machine: r.report.Machine, Broker: r.meter.Broker, Redis: r.meter.Redis,
	}
	if l.opts.Maximum > 0 {
		l.head.Maximum = Maximum{EventsPerS: l.opts.Maximum, Given: true}
		return nil
	}
	for i := range 1 + maximumRounds {
		l.say("the processor's maximum, round %d of %d", i, maximumRounds)
		if err := r.round(ctx, fmt.Sprintf("m%d", i), 0, i > 0); err != nil {
			return err
		}
	}
	result := &r.report.Variants[0]
	l.head.Maximum = Maximum{EventsPerS: result.Rate().Median, Rounds: result.Rounds}
	_, l.head.Maximum.Quiet = result.Counted()
	return nil
}

// rate is a level's, in events per second.
func (l *loaded) rate(percent int) float64 { return l.head.Maximum.EventsPerS * float64(percent) / 100 }

// within does something in a place of its own, with processors.
func (l *loaded) within(ctx context.Context, name string, do func(*place, *crew) error) error {
	return inPlace(ctx, l.rt, l.prefix+"-"+name, l.opts.Partitions, func(p *place) error {
		c := &crew{load: l, place: p}
		defer c.stop()
		return do(p, c)
	})
}

// compare holds all that was sent to a place against its fold.
func (l *loaded) compare(ctx context.Context, p *place, w *Workload) error {
	r := &Runner{rt: l.rt, program: l.program, report: &Report{}, opts: Options{Workload: w, Progress: l.opts.Progress}}
	if err := r.compare(ctx, p); err != nil {
		return err
	}
	l.head.Verified.add(&r.report.Verified)
	return nil
}

// flow is an open loop through a place: what is sent, and what comes of it.
type flow struct {
	sender   *sender
	consumer *consumer
	sending  chan struct{} // closed when the sender is done
	close    func()        // ends both; idempotent
}

// flow starts to send and to read. Events before from, and their notifications, are
// not measured. tell may be nil.
func (l *loaded) flow(ctx context.Context, p *place, w *Workload, s schedule, from int64, tell func(notified)) *flow {
	ctx, cancel := context.WithCancel(ctx)
	reading := make(chan struct{})
	f := &flow{
		sender:   &sender{schedule: s, workload: w, place: p, from: from, stop: make(chan struct{})},
		consumer: &consumer{schedule: s, place: p, from: from, tell: tell}, sending: make(chan struct{}),
	}
	run := func(done chan struct{}, what func(context.Context) error) {
		defer close(done)
		if err := what(ctx); err != nil && ctx.Err() == nil {
			l.failing(err)
		}
	}
	go run(f.sending, f.sender.run)
	go run(reading, f.consumer.run)
	f.close = func() {
		cancel()
		<-f.sending
		<-reading
	}
	return f
}

// drained waits until all is sent, each notification has come, and Redis holds the
// last event. It returns how many events were sent.
func (f *flow) drained(ctx context.Context) (int64, error) {
	select {
	case <-f.sending:
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	sent := f.sender.sent
	want := f.sender.workload.caused(sent)
	err := moving(ctx, func() (int64, bool, error) {
		n := f.consumer.seen.Load()
		return n, n >= want, nil
	})
	if err != nil {
		return sent, fmt.Errorf("wait for the last of %d notifications: %w", want, err)
	}
	p := f.sender.place
	ends, err := p.ends(ctx, sent)
	if err != nil {
		return sent, err
	}
	view, err := newView(ctx, p, ends)
	if err != nil {
		return sent, err
	}
	defer view.close()
	return sent, moving(ctx, func() (int64, bool, error) {
		done, err := view.done(ctx)
		return int64(view.next), done, err
	})
}

// stopSending ends the workload here. Call it once.
func (f *flow) stopSending() { close(f.sender.stop) }

// headStart is when a flow that is set up now begins: its clients connect before.
const headStart = time.Second

// notified returns where the notifications end, what is not committed included.
func (p *place) notified(ctx context.Context) ([]int64, error) {
	bounds, err := kafkalog.Bounds(ctx, p.kafka, p.kafka.Topic("notifications"))
	if err != nil {
		return nil, err
	}
	ends := make([]int64, len(bounds))
	for i, b := range bounds {
		ends[i] = b.End
	}
	return ends, nil
}
