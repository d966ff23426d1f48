// Command sim plays seeds of the engine's simulator and ends with 1 where an
// invariant broke: with the seed, the fewest steps that break it, and a trace.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/veltrix/veltrix/internal/engine/enginetest"
)

func main() {
	seeds := flag.Uint64("seeds", 10_000, "seeds to play")
	seed := flag.Uint64("seed", 0, "the one seed to play; 0: all")
	steps := flag.Int("steps", 1500, "steps with faults in a run; afterwards it must settle by itself")
	first := flag.Uint64("first", 1, "the first seed")
	trace := flag.Bool("trace", false, "with -seed: write what happens even if nothing is wrong")
	quick := flag.Bool("quick", false, "write only the first violation, as it was found")
	flag.Parse()
	if *seed != 0 {
		*first, *seeds = *seed, 1
	}
	began := time.Now()
	total, violation := campaign(*first, *seeds, *steps, *trace && *seed != 0)
	if violation != nil {
		report(violation, *quick)
		os.Exit(1)
	}
	fmt.Print(total)
	fmt.Printf("0 violations, %.1f s\n", time.Since(began).Seconds())
	if missing := total.Missing(); *seed == 0 && *seeds >= 1000 && len(missing) > 0 {
		fmt.Fprintln(os.Stderr, "never happened:", missing)
		os.Exit(1)
	}
}

// campaign plays seeds on all processors, up to the first violation.
func campaign(first, seeds uint64, steps int, trace bool) (enginetest.Result, *enginetest.Violation) {
	var next atomic.Uint64
	var mu sync.Mutex
	var total enginetest.Result
	var found *enginetest.Violation
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for {
				n := next.Add(1) - 1
				if n >= seeds {
					return
				}
				cfg := enginetest.ConfigOf(first+n, steps)
				cfg.Trace = trace
				got, err := enginetest.Run(cfg)
				mu.Lock()
				total.Add(got)
				var v *enginetest.Violation
				if errors.As(err, &v) && (found == nil || v.Config.Seed < found.Config.Seed) {
					found = v
					next.Store(seeds) // seeds under way are played to their end
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	if trace && found == nil {
		cfg := enginetest.ConfigOf(first, steps)
		cfg.Trace = true
		for _, line := range enginetest.TraceOf(cfg) {
			fmt.Println(line)
		}
	}
	return total, found
}

func report(v *enginetest.Violation, quick bool) {
	fmt.Printf("VIOLATION: %v\n", v)
	if quick {
		return
	}
	small := enginetest.Minimise(v)
	kept, of := small.Kept()
	fmt.Printf("%d of its first %d steps are enough: %v\n", kept, of, small.Err)
	for _, line := range small.Trace {
		fmt.Println(line)
	}
	fmt.Printf("replay: make sim SEED=%d STEPS=%d\n", v.Config.Seed, v.Config.Steps)
}
