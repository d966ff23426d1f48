package bench

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/veltrix/veltrix/internal/app"
)

// SoakOptions say under which load a processor's memory is watched, and how long.
type SoakOptions struct {
	LoadOptions
	Level int // % of the maximum
	For   time.Duration
}

// Bounds of a soak.
const (
	soakMost    = 24 * time.Hour
	sampleEvery = time.Second
	// besidesHeap is what a process holds that its heap's limit does not cover: the
	// program itself, and what the system keeps for it.
	besidesHeap = 64 << 20
)

func (o *SoakOptions) check() error {
	if err := o.LoadOptions.check(); err != nil {
		return err
	}
	if err := checkLevel(o.Level); err != nil {
		return err
	}
	if o.For < 5*sampleEvery || o.For > soakMost {
		return fmt.Errorf("watch the processor for %s to %s, not %s", 5*sampleEvery, soakMost, o.For)
	}
	return nil
}

// SoakReport is what was seen of a processor under a steady load.
type SoakReport struct {
	LoadHead
	Level     int           `json:"level_percent"`
	Rate      float64       `json:"due_events_per_s"`
	For       time.Duration `json:"for_ns"`
	Budget    int64         `json:"budget_bytes"`   // by app.MemoryLimit, and besidesHeap
	Resident  []int64       `json:"resident_bytes"` // each second
	Cache     int64         `json:"cache_bytes"`    // at the end
	Hits      int64         `json:"cache_hits"`
	Misses    int64         `json:"cache_misses"`
	Evictions int64         `json:"cache_evictions"`
	LoadWindow
}

// Peak is the most that was resident, in bytes.
func (r *SoakReport) Peak() int64 { return slices.Max(r.Resident) }

// half returns the median of what was resident in one half of the time, in bytes.
func (r *SoakReport) half(second bool) int64 {
	n := len(r.Resident) / 2
	part := r.Resident[:n]
	if second {
		part = r.Resident[n:]
	}
	return slices.Sorted(slices.Values(part))[len(part)/2]
}

// BudgetError says that a processor held more than its configuration allows.
type BudgetError struct{ Report *SoakReport }

func (e *BudgetError) Error() string {
	return fmt.Sprintf("the processor held up to %d MiB and its budget is %d MiB: twice processor.cache_bytes, what is beside it, and the program",
		e.Report.Peak()>>20, e.Report.Budget>>20)
}

// Soak keeps a processor under a steady load and looks at its memory each second.
// Where what it left is not the fold of its events it returns a DirtyError and no
// report; where it held more than its budget, a report and a BudgetError.
func Soak(ctx context.Context, rt app.Runtime, opts SoakOptions) (*SoakReport, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	opts.Workload = "hot"
	report := &SoakReport{Level: opts.Level, For: opts.For, Budget: app.MemoryLimit(rt.Config) + besidesHeap}
	err := underLoad(ctx, rt, opts.LoadOptions, func(ctx context.Context, l *loaded) error {
		report.Rate = l.rate(opts.Level)
		err := report.soak(ctx, l)
		report.LoadHead = l.head
		return err
	})
	if err != nil {
		return nil, err
	}
	return report, report.verdict()
}

// verdict is a BudgetError where the processor held too much.
func (r *SoakReport) verdict() error {
	if r.Peak() > r.Budget {
		return &BudgetError{r}
	}
	return nil
}

func (r *SoakReport) soak(ctx context.Context, l *loaded) error {
	plan := schedule{rate: r.Rate}
	w, err := l.workload(max(plan.count(r.For), 1))
	if err != nil {
		return err
	}
	l.say("%s events/s for %s, %s in all", thousands(r.Rate), r.For, thousands(float64(w.Events)))
	return l.within(ctx, "soak", func(p *place, c *crew) error {
		processor, err := c.start("bench")
		if err == nil {
			err = c.ready(ctx, processor)
		}
		if err != nil {
			return err
		}
		plan.start = time.Now().Add(headStart)
		f := l.flow(ctx, p, w, plan, w.Events, nil)
		defer f.close()
		from, err := c.read()
		if err == nil {
			err = r.watch(ctx, l, f, processor)
		}
		if err != nil {
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
		r.LoadWindow = c.between(from, to, sent)
		if err := r.cache(ctx, processor); err != nil {
			return err
		}
		f.close()
		c.stop()
		return l.compare(ctx, p, w)
	})
}

// watch samples what is resident until all is sent.
func (r *SoakReport) watch(ctx context.Context, l *loaded, f *flow, processor *part) error {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		bytes, err := processor.resident(l.meter.Proc)
		if err != nil {
			return err
		}
		if r.Resident = append(r.Resident, bytes); len(r.Resident)%60 == 0 {
			l.say("  %d MiB after %d minutes", bytes>>20, len(r.Resident)/60)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-f.sending:
			return nil
		case <-tick.C:
		}
	}
}

// cache reads what the processor says of its cache.
func (r *SoakReport) cache(ctx context.Context, processor *part) error {
	body, _, err := processor.ask(ctx, "/metrics")
	if err != nil {
		return err
	}
	sums := sumsOf(string(body))
	r.Cache, r.Evictions = int64(sums["veltrix_processor_cache_bytes"]), int64(sums["veltrix_processor_cache_evictions_total"])
	r.Hits, r.Misses = lookups(string(body), "hit"), lookups(string(body), "miss")
	if r.Hits+r.Misses == 0 {
		return fmt.Errorf("the processor counts no lookups of its cache")
	}
	return nil
}

// lookups reads how many states were looked up with an outcome.
func lookups(metrics, outcome string) (n int64) {
	prefix := `veltrix_processor_cache_lookups_total{outcome="` + outcome + `"} `
	for line := range strings.Lines(metrics) {
		if value, ok := strings.CutPrefix(line, prefix); ok {
			var f float64
			if _, err := fmt.Sscan(value, &f); err == nil {
				n = int64(f)
			}
		}
	}
	return n
}

// WriteJSON writes the report for machines.
func (r *SoakReport) WriteJSON(w io.Writer) error {
	return writeJSON(w, r)
}

// WriteText writes the report for people.
func (r *SoakReport) WriteText(w io.Writer) error {
	var b strings.Builder
	r.write(&b)
	fmt.Fprintf(&b, "soak       %s events/s (%d %% of the maximum) for %s, processor.cache_bytes %d MiB\n", thousands(r.Rate), r.Level, r.For, r.Processor.CacheBytes>>20)
	fmt.Fprintf(&b, "resident   at most %d MiB, of %d MiB that are allowed; median of the first half %d MiB, of the second %d MiB\n",
		r.Peak()>>20, r.Budget>>20, r.half(false)>>20, r.half(true)>>20)
	fmt.Fprintf(&b, "cache      %d MiB at the end; %.2f %% of %s lookups were hits, %s states were dropped for want of room\n",
		r.Cache>>20, 100*float64(r.Hits)/float64(max(r.Hits+r.Misses, 1)), thousands(float64(r.Hits+r.Misses)), thousands(float64(r.Evictions)))
	fmt.Fprintf(&b, "CPU        processor %.0f %% of one, other load of the machine %s\n", percent(r.Processors, r.Wall), otherLoad(r.Window))
	for _, note := range r.notes() {
		fmt.Fprintf(&b, "%s\n", note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WritePage puts the report, with the command that made it, between the page's marks.
func (r *SoakReport) WritePage(path, command string) error {
	return writePage(path, "bench soak", command, r.WriteText)
}
