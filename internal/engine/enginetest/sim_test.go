package enginetest_test

import (
	"errors"
	"flag"
	"strings"
	"testing"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/engine/enginetest"
)

var (
	seeds = flag.Uint64("seeds", 1500, "seeds to play; see also the command in sim")
	steps = flag.Int("steps", 1000, "steps with faults in a run")
	quick = flag.Bool("quick", false, "do not look for the fewest steps that break an invariant")
	first = flag.Uint64("first", 1, "the first seed")
)

// TestSimulation plays seeds of every fault against the production machine.
func TestSimulation(t *testing.T) {
	var total enginetest.Result
	for n := range *seeds {
		got, err := enginetest.Run(enginetest.ConfigOf(*first+n, *steps))
		var v *enginetest.Violation
		if errors.As(err, &v) {
			if *quick {
				t.Fatal(v)
			}
			small := enginetest.Minimise(v)
			kept, of := small.Kept()
			t.Fatalf("%v\n%d of its first %d steps are enough: %v\n%s", v, kept, of, small.Err, strings.Join(small.Trace, "\n"))
		}
		total.Add(got)
	}
	t.Log(total)
	if *seeds >= 1500 {
		for _, m := range total.Missing() {
			t.Errorf("never happened: %s", m)
		}
	}
}

// TestCalmRunsKeepTheirSessions plays runs in which nothing goes wrong: then
// nothing may be given up, refused or done over.
func TestCalmRunsKeepTheirSessions(t *testing.T) {
	var total enginetest.Result
	for n := range uint64(200) {
		cfg := enginetest.ConfigOf(n, 1000)
		cfg.Calm, cfg.Meddling, cfg.Slots = true, false, 1
		got, err := enginetest.Run(cfg)
		if err != nil {
			t.Fatal(err)
		}
		total.Add(got)
	}
	if len(total.Restarts)+len(total.Refusals)+total.Replayed+total.Rebuilt > 0 {
		t.Errorf("without any fault: %s", total)
	}
}

func TestSimulatedStore(t *testing.T) {
	enginetest.StoreSuite(t, func(*testing.T) engine.Store { return enginetest.NewStore(2) })
}
