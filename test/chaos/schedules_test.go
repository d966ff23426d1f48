package chaos

import (
	"os"
	"slices"
	"testing"
)

// sample are the seeds that are played beside the directed schedules.
const (
	sampleSeed = 1
	sampleSize = 10
)

// TestSchedules plays every directed schedule, and a sample of seeds, with real
// processes on real brokers and a real Redis.
func TestSchedules(t *testing.T) {
	// A failed schedule's logs, the brokers' too, are left for whoever has to explain it.
	dir, err := os.MkdirTemp("", "veltrix-schedules-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the logs are in %s", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	env, err := Start(dir, 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(env.Close)
	all := directed(t)
	for i := range sampleSize {
		all = append(all, Random(sampleSeed+uint64(i)))
	}
	for _, s := range all {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			result, err := env.Run(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			t.Log(result)
			if !result.Passed {
				t.Errorf("play it again: go run ./test/chaos/veltrix-chaos run FILE, where the file is\n%s", s)
			}
			recovered(t, s, result)
		})
	}
}

// recovered holds a processor's death against what its session allows: others
// go on once it has ended, and need no longer than that again to do so; whoever
// takes the same slot at once does not wait for it at all.
func recovered(t *testing.T, s *Schedule, result *Result) {
	t.Helper()
	session := s.Processes.Session.Seconds()
	var same []float64
	for _, i := range result.Injected {
		switch {
		case !i.Measured:
		case i.Fault == "processor-kill, same slot":
			same = append(same, i.RecoverySeconds)
		case i.Fault == "processor-kill, taken over" && len(s.Steps) <= 2 && !s.hitsBrokers() && i.RecoverySeconds > 2*session+1:
			t.Errorf("after the kill at %.1f s it took %.1f s until all partitions went on, more than %.1f s", i.AtSeconds, i.RecoverySeconds, 2*session+1)
		}
	}
	slices.Sort(same)
	if n := len(same); n == len(s.Steps) && n >= 5 && same[n/2] > session {
		t.Errorf("restarts with the same slot took %.1f s, half of them more than the session's %.1f s", same, session)
	}
}
