// Command sim plays seeds of the engine's simulator, or searches a small world
// whole. It ends with 1 where an invariant broke: with the seed, the fewest
// steps that break it, and a trace. The same seed gives the same run and the
// same output, byte for byte, on every machine.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/veltrix/veltrix/internal/engine/enginetest"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// options are the command's flags.
type options struct {
	seed, seeds, first uint64
	steps              int
	quick              bool
	exhaust            string
}

// run returns the exit code: 1 where an invariant broke or a campaign did not
// meet all that it should, 2 where the flags make no sense.
func run(args []string, out, errOut io.Writer) int {
	var o options
	set := flag.NewFlagSet("sim", flag.ContinueOnError)
	set.SetOutput(errOut)
	set.Uint64Var(&o.seed, "seed", 0, "play this one seed and write what happens; 0: play many")
	set.Uint64Var(&o.seeds, "seeds", 10_000, "how many seeds to play")
	set.Uint64Var(&o.first, "first", 1, "the first of them")
	set.IntVar(&o.steps, "steps", 1500, "steps with faults in a run; afterwards it must settle by itself")
	set.BoolVar(&o.quick, "quick", false, "write a violation as it was found, without looking for the fewest steps")
	set.StringVar(&o.exhaust, "exhaust", "", "instead, search these small worlds whole: records/faults, as in 1/2,3/1")
	if err := set.Parse(args); err != nil {
		return 2
	}
	if o.steps < 0 || set.NArg() > 0 {
		_, _ = fmt.Fprintln(errOut, "sim: -steps is a number of steps, and there are no arguments")
		return 2
	}
	switch {
	case o.exhaust != "":
		return exhaust(o.exhaust, out, errOut)
	case o.seed != 0:
		return replay(o, out)
	}
	return play(o, out, errOut)
}

// play plays many seeds on all processors.
func play(o options, out, errOut io.Writer) int {
	began := time.Now()
	total, violation := campaign(o)
	if violation != nil {
		report(out, violation, o.quick)
		return 1
	}
	_, _ = fmt.Fprint(out, total)
	if missing := total.Missing(); o.seeds >= 1000 && len(missing) > 0 {
		_, _ = fmt.Fprintln(errOut, "sim: never happened:", missing)
		return 1
	}
	_, _ = fmt.Fprintf(out, "seeds %d to %d, %d steps each, %.1f s: 0 violations\n", o.first, o.first+o.seeds-1, o.steps, time.Since(began).Seconds())
	return 0
}

// campaign plays seeds up to the first violation: that of the lowest seed.
func campaign(o options) (enginetest.Result, *enginetest.Violation) {
	var next atomic.Uint64
	var mu sync.Mutex
	var total enginetest.Result
	var found *enginetest.Violation
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for {
				n := next.Add(1) - 1
				if n >= o.seeds {
					return
				}
				got, err := enginetest.Run(enginetest.ConfigOf(o.first+n, o.steps))
				mu.Lock()
				total.Add(got)
				var v *enginetest.Violation
				if errors.As(err, &v) && (found == nil || v.Config.Seed < found.Config.Seed) {
					found = v
					next.Store(o.seeds) // seeds under way are played to their end
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return total, found
}

// replay plays one seed and writes what happens. Nothing of it depends on the
// time that it takes.
func replay(o options, out io.Writer) int {
	cfg := enginetest.ConfigOf(o.seed, o.steps)
	got, trace, err := enginetest.Traced(cfg)
	var v *enginetest.Violation
	if errors.As(err, &v) {
		report(out, v, o.quick)
		return 1
	}
	writeLines(out, trace)
	_, _ = fmt.Fprint(out, got)
	_, _ = fmt.Fprintf(out, "seed %d, %d steps: 0 violations\n", o.seed, o.steps)
	return 0
}

// report says what broke, and the shortest way there that was found.
func report(out io.Writer, v *enginetest.Violation, quick bool) {
	_, _ = fmt.Fprintf(out, "VIOLATION: %v\n", v)
	if !quick {
		small := enginetest.Minimise(v)
		kept, of := small.Kept()
		writeLines(out, small.Trace)
		_, _ = fmt.Fprintf(out, "%d of the first %d steps are enough, which the trace above shows: %v\n", kept, of, small.Err)
	}
	_, _ = fmt.Fprintf(out, "replay: make sim SEED=%d STEPS=%d\n", v.Config.Seed, v.Config.Steps)
}

func writeLines(out io.Writer, lines []string) {
	for _, line := range lines {
		_, _ = fmt.Fprintln(out, line)
	}
}
