package enginetest_test

import (
	"flag"
	"maps"
	"slices"
	"testing"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/engine/enginetest"
)

var (
	seeds = flag.Int("seeds", 2000, "seeds to play")
	seed  = flag.Uint64("seed", 0, "the one seed to play; 0: all")
	steps = flag.Int("steps", 1500, "steps with faults")
)

// TestSimulation plays seeds of every fault against the production machine.
func TestSimulation(t *testing.T) {
	total := enginetest.Result{Faults: map[string]int{}}
	for n := uint64(1); n <= uint64(*seeds); n++ {
		if *seed != 0 {
			n = *seed
		}
		cfg := enginetest.Config{Seed: n, Partitions: 1 + int(n%3), Slots: 1 + int(n/3%3), Steps: *steps, CacheBytes: int(n%2) << 20}
		got, err := enginetest.Run(cfg)
		if err != nil {
			t.Fatal(err)
		}
		total.Records += got.Records
		total.Commits += got.Commits
		total.Replayed += got.Replayed
		total.Rebuilt += got.Rebuilt
		for k, v := range got.Faults {
			total.Faults[k] += v
		}
		if *seed != 0 {
			break
		}
	}
	t.Logf("seeds %d: %d records, %d commits, %d replayed, %d rebuilt", *seeds, total.Records, total.Commits, total.Replayed, total.Rebuilt)
	for _, k := range slices.Sorted(maps.Keys(total.Faults)) {
		t.Logf("%8d %s", total.Faults[k], k)
		if *seed == 0 && total.Faults[k] == 0 {
			t.Errorf("fault %q never happened", k)
		}
	}
}

func TestSimulatedStore(t *testing.T) {
	enginetest.StoreSuite(t, func(*testing.T) engine.Store { return enginetest.NewStore(2) })
}
