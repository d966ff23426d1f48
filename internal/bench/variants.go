package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/telemetry"
)

// Variant is one way through a filled events topic.
type Variant interface {
	Name() string
	// Run takes a place's events from its start to its ends and returns the
	// window in which it did.
	Run(ctx context.Context, p *place, ends []int64, m *Meter) (Window, error)
	// Verified says that what it left is the processor's, to be compared.
	Verified() bool
}

// consume is the reference: a client that reads everything committed and does
// nothing with it.
type consume struct{}

// Name implements Variant.
func (consume) Name() string { return "bare consume loop" }

// Verified implements Variant: it leaves nothing.
func (consume) Verified() bool { return false }

// Run implements Variant. The window starts with the first records.
func (consume) Run(ctx context.Context, p *place, ends []int64, m *Meter) (Window, error) {
	topic := p.kafka.Topic("events")
	offsets, total := map[int32]kgo.Offset{}, int64(0)
	for i, end := range ends {
		offsets[int32(i)] = kgo.NewOffset().At(0)
		total += end
	}
	cl, err := kgo.NewClient(p.kafka.Options(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(500*time.Millisecond),
	)...)
	if err != nil {
		return Window{}, fmt.Errorf("create the client that consumes: %w", err)
	}
	defer cl.Close()
	runtime.GC() // the fill's garbage is not the loop's
	start, err := m.Read()
	if err != nil {
		return Window{}, err
	}
	from, before, read := start, int64(0), int64(0)
	for read < total {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return Window{}, fmt.Errorf("consume %s: %w", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			touch(r.Value)
			read++
		})
		if before == 0 {
			before = read
			if from, err = m.Read(); err != nil {
				return Window{}, err
			}
		}
	}
	to, err := m.Read()
	if err != nil {
		return Window{}, err
	}
	return enclose(m, start, from, to, total, before), nil
}

// touched keeps the compiler from leaving the reading out.
var touched atomic.Uint32

// touch reads a value once per cache line.
func touch(value []byte) {
	var sum uint32
	for i := 0; i < len(value); i += 64 {
		sum += uint32(value[i])
	}
	touched.Store(sum)
}

// enclose returns the window behind the start, or the whole where the start
// took most of the events with it.
func enclose(m *Meter, start, from, to Reading, total, before int64) Window {
	if rest := total - before; rest >= total/2 {
		return m.Between(from, to, rest)
	}
	w := m.Between(start, to, total)
	w.WithStart = true
	return w
}

// pipeline is the product: the processor with everything it promises, from
// nothing to the last event in Redis.
type pipeline struct {
	program participant.Program
	// also, where not nil, has to be true too before the window ends.
	also func() bool
	// steady is called when the window begins and ends; may be nil.
	steady func(began bool) error
	// look is called with the processor, still at work, when the window has ended;
	// may be nil.
	look func(context.Context, *app.Processor) error
}

// Name implements Variant.
func (*pipeline) Name() string { return "processor" }

// Verified implements Variant.
func (*pipeline) Verified() bool { return true }

// Run implements Variant. The window starts when every slot has partitions and
// every partition is ready, and ends when Redis holds the last event of each,
// which is after its commit.
func (v *pipeline) Run(ctx context.Context, p *place, ends []int64, m *Meter) (Window, error) {
	view, err := newView(ctx, p, ends)
	if err != nil {
		return Window{}, err
	}
	defer view.close()
	runtime.GC()
	rt := p.rt
	rt.Metrics = telemetry.New()
	processor := app.NewProcessor(rt, v.program)
	working, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	start, err := m.Read()
	if err != nil {
		return Window{}, err
	}
	go func() { ended <- processor.Run(working) }()
	w, err := v.measure(ctx, view, processor, ended, m, start)
	stop()
	if last := <-ended; err == nil && last != nil {
		err = fmt.Errorf("stop the processor: %w", last)
	}
	if err == nil {
		w.Commits, w.CommitTime, err = commits(rt.Metrics)
	}
	return w, err
}

// commits reads from the processor's own metrics how many transactions it
// committed and how long they took on average.
func commits(metrics *telemetry.Metrics) (n int64, mean time.Duration, err error) {
	families, err := metrics.Registry.Gather()
	if err != nil {
		return 0, 0, fmt.Errorf("read the processor's metrics: %w", err)
	}
	for _, f := range families {
		if f.GetName() == "veltrix_processor_commit_seconds" {
			h := f.GetMetric()[0].GetHistogram()
			n = int64(h.GetSampleCount())
			mean = time.Duration(h.GetSampleSum() / float64(max(n, 1)) * float64(time.Second))
			return n, mean, nil
		}
	}
	return 0, 0, errors.New("the processor has no metric veltrix_processor_commit_seconds")
}

func (v *pipeline) measure(ctx context.Context, view *view, processor *app.Processor, ended chan error, m *Meter, start Reading) (Window, error) {
	ready := func() (bool, error) {
		if settled(processor, len(view.ends)) {
			return true, nil
		}
		return view.done(ctx) // a short run may be over before it is seen to be ready
	}
	if err := await(ctx, ended, ready); err != nil {
		return Window{}, fmt.Errorf("wait for the processor to be ready: %w", err)
	}
	before, err := view.applied(ctx)
	if err != nil {
		return Window{}, err
	}
	from, err := m.Read()
	if err != nil {
		return Window{}, err
	}
	if v.steady != nil {
		if err := v.steady(true); err != nil {
			return Window{}, err
		}
	}
	last := func() (bool, error) {
		done, err := view.done(ctx)
		return done && (v.also == nil || v.also()), err
	}
	if err := await(ctx, ended, last); err != nil {
		return Window{}, fmt.Errorf("wait for the last event: %w", err)
	}
	to, err := m.Read()
	if err != nil {
		return Window{}, err
	}
	if v.steady != nil {
		if err := v.steady(false); err != nil {
			return Window{}, err
		}
	}
	if v.look != nil {
		if err := v.look(ctx, processor); err != nil {
			return Window{}, err
		}
	}
	return enclose(m, start, from, to, view.total, before), nil
}

// settled reports that the slots share the partitions and all are ready.
func settled(processor *app.Processor, partitions int) bool {
	views, owned := processor.Views(), 0
	for _, v := range views {
		if v == nil || len(v.Status) == 0 && len(views) <= partitions {
			return false
		}
		for _, s := range v.Status {
			if s.Phase != "ready" {
				return false
			}
			owned++
		}
	}
	return len(views) > 0 && owned == partitions
}

// errEnded: the processor came to an end by itself.
var errEnded = errors.New("the processor ended before its work was done")

// patience is how long a round may go without coming to its end.
const patience = 10 * time.Minute

// await asks every few milliseconds, which costs nothing that is measured.
func await(ctx context.Context, ended chan error, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-ended:
			ended <- err // for whoever waits for its end
			if err == nil {
				err = errEnded
			}
			return err
		case <-tick.C:
		}
	}
}

// view watches how far Redis is. What the processor publishes of itself is
// older, and may be much older once it has nothing to do.
type view struct {
	state *redisstore.State
	ends  []int64
	total int64
	next  int // the partitions before it are at their ends
	close func()
}

func newView(ctx context.Context, p *place, ends []int64) (*view, error) {
	manifest, err := kafkalog.ReadManifest(ctx, p.kafka)
	if err != nil {
		return nil, err
	}
	cfg, err := p.rt.Redis()
	if err != nil {
		return nil, err
	}
	client := redisstore.Open(cfg)
	space := redisstore.Space{Prefix: p.kafka.Prefix, Generation: manifest.Generation, Buckets: p.rt.Config.Processor.Buckets}
	v := &view{state: redisstore.NewState(client, space, nil), ends: ends, close: func() { _ = client.Close() }}
	for _, end := range ends {
		v.total += end
	}
	return v, nil
}

// applied returns how many events are in Redis.
func (v *view) applied(ctx context.Context) (int64, error) {
	total := int64(0)
	for p := range v.ends {
		meta, err := v.state.Meta(ctx, int32(p))
		if err != nil {
			return 0, err
		}
		total += meta.Applied
	}
	return total, nil
}

// done reports that every partition is at its end. It asks for one after the
// other: whichever comes last, it is seen at once.
func (v *view) done(ctx context.Context) (bool, error) {
	for ; v.next < len(v.ends); v.next++ {
		if v.ends[v.next] == 0 {
			continue
		}
		meta, err := v.state.Meta(ctx, int32(v.next))
		if err != nil {
			return false, err
		}
		if meta.Applied < v.ends[v.next] {
			return false, nil
		}
	}
	return true, nil
}
