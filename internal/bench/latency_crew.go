package bench

import (
	"context"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"time"
)

// crew are the processors of a place, each in a process of its own, as in
// production: what one uses is told apart from the sender and the consumer, and
// one can be killed.
type crew struct {
	load  *loaded
	place *place
	live  []*part
	ended time.Duration // CPU time of those that are no more
}

// start starts a processor. It takes the slots again that an instance of its name
// had.
func (c *crew) start(instance string) (*part, error) {
	p, err := startPart(c.load.opts.Part(PartProcessor), PartProcessor, map[string]string{
		"VELTRIX_PREFIX":             c.place.kafka.Prefix,
		"VELTRIX_PROCESSOR_INSTANCE": instance,
		"VELTRIX_METRICS_LISTEN":     "127.0.0.1:0",
	}, c.load.failing)
	if err == nil {
		c.live = append(c.live, p)
	}
	return p, err
}

// ready waits until a processor has its partitions and goes on with them.
func (c *crew) ready(ctx context.Context, p *part) error {
	ctx, cancel := context.WithTimeout(ctx, c.load.rt.Config.StartTimeout+time.Minute)
	defer cancel()
	return p.ready(ctx)
}

// kill ends a processor with SIGKILL, and returns when that was.
func (c *crew) kill(p *part) (time.Time, error) {
	used, err := c.load.meter.spent(Process{PIDs: []int{p.PID()}})
	if err != nil {
		return time.Time{}, fmt.Errorf("read the processor's CPU time: %w", err)
	}
	c.ended += used
	p.left()
	at := time.Now()
	p.Kill()
	p.closeEnds()
	c.live = slices.DeleteFunc(c.live, func(q *part) bool { return q == p })
	return at, nil
}

// stop ends those that are left in order.
func (c *crew) stop() {
	for _, p := range c.live {
		p.stop()
	}
	c.live = nil
}

// crewReading is a reading, with the processors' CPU time.
type crewReading struct {
	Reading
	processors time.Duration
}

func (c *crew) read() (r crewReading, err error) {
	if r.Reading, err = c.load.meter.Read(); err != nil {
		return r, err
	}
	var pids []int
	for _, p := range c.live {
		pids = append(pids, p.PID())
	}
	if r.processors, err = c.load.meter.spent(Process{PIDs: pids}); err != nil {
		return r, fmt.Errorf("read the processors' CPU time: %w", err)
	}
	r.processors += c.ended
	return r, nil
}

// LoadWindow is what passed under a load. Own is the sender and the consumer.
type LoadWindow struct {
	Window
	Processors time.Duration `json:"processors_cpu_ns"`
}

// between returns the window between two readings: the processors are no other
// load.
func (c *crew) between(from, to crewReading, events int64) LoadWindow {
	w := LoadWindow{c.load.meter.Between(from.Reading, to.Reading, events), to.processors - from.processors}
	if w.Other >= 0 {
		w.Other = max(0, w.Other-w.Processors.Seconds()/(w.Wall.Seconds()*float64(runtime.NumCPU())))
	}
	w.Noisy = w.Other > noisyAbove
	return w
}

// owns matches what a processor says of a partition that it owns.
var owns = regexp.MustCompile(`(?m)^veltrix_processor_committed_offset\{partition="(\d+)"\}`)

// partitions returns which of so many a processor owns.
func (p *part) partitions(ctx context.Context, most int32) ([]bool, error) {
	body, _, err := p.ask(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	owned := make([]bool, most)
	for _, found := range owns.FindAllSubmatch(body, -1) {
		n, err := strconv.Atoi(string(found[1]))
		if err != nil || n >= len(owned) {
			return nil, fmt.Errorf("the %s says that it owns partition %s of %d", p.name, found[1], most)
		}
		owned[n] = true
	}
	return owned, nil
}
