package kafkalog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/test/broker"
)

// TestOneTurnServesAllWhoWait has many come while work is under way: none of them is
// served by that, which began before they came, and all by the next, which is given all
// of their partitions.
func TestOneTurnServesAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, begun, goOn := kafkalog.NewTurns(), int32(0), make(chan struct{})
		work := func(partitions []int32) (*kafkalog.Manifest, error) {
			begun++
			m := &kafkalog.Manifest{Partitions: begun, Initialized: partitions}
			<-goOn
			return m, nil
		}
		var wait sync.WaitGroup
		take := func(partition, turn int32, partitions int) {
			wait.Go(func() {
				got, err := s.Take(t.Context(), partition, work)
				if err != nil || got.Partitions != turn || len(got.Initialized) != partitions || !slices.Contains(got.Initialized, partition) {
					t.Errorf("partition %d was served by %+v, %v; want turn %d with %d partitions", partition, got, err, turn, partitions)
				}
			})
		}
		take(0, 1, 1)
		synctest.Wait()
		for p := range int32(100) {
			take(p, 2, 100)
		}
		synctest.Wait()
		close(goOn)
		wait.Wait()
		if begun != 2 {
			t.Errorf("there were %d turns", begun)
		}
	})
}

// TestTurnThatIsGivenUp: what ends with its caller is not the others' answer, and what
// fails otherwise is. The partition of who gives up is still worked on.
func TestTurnThatIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, broken := kafkalog.NewTurns(), errors.New("broken")
		var begun []string
		busy := make(chan struct{})
		var wait sync.WaitGroup
		wait.Go(func() {
			_, _ = s.Take(t.Context(), 9, func([]int32) (*kafkalog.Manifest, error) { <-busy; return nil, nil })
		})
		synctest.Wait()
		gone, leave := context.WithCancel(t.Context())
		defer leave()
		late, leaveEarly := context.WithCancel(t.Context())
		defer leaveEarly()
		failed := make([]error, 4)
		for i, ctx := range []context.Context{gone, late, t.Context(), t.Context()} {
			wait.Go(func() {
				_, failed[i] = s.Take(ctx, int32(i), func(partitions []int32) (*kafkalog.Manifest, error) {
					begun = append(begun, fmt.Sprint(partitions))
					if ctx == gone {
						leave()
						return nil, ctx.Err()
					}
					return nil, broken
				})
			})
			synctest.Wait() // they have their turns in this order
		}
		leaveEarly()
		synctest.Wait()
		close(busy)
		wait.Wait()
		want := fmt.Sprint([]error{context.Canceled, context.Canceled, broken, broken}, []string{"[0 1 2 3]", "[0 1 2 3]"})
		if got := fmt.Sprint(failed, begun); got != want {
			t.Errorf("answers and turns are %s, want %s", got, want)
		}
	})
}

// TestTurnThatFailed: whoever could not be served has an error, and is served when it
// comes again.
func TestTurnThatFailed(t *testing.T) {
	t.Parallel()
	s, broken := kafkalog.NewTurns(), errors.New("broken")
	if _, err := s.Take(t.Context(), 3, func([]int32) (*kafkalog.Manifest, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("what was not written has the answer %v", err)
	}
	var wrote []int32
	for _, p := range []int32{5, 3} {
		if _, err := s.Take(t.Context(), p, func(partitions []int32) (*kafkalog.Manifest, error) {
			wrote = append(wrote, partitions...)
			return nil, nil
		}); err != nil {
			t.Error(err)
		}
	}
	if fmt.Sprint(wrote) != "[5 3]" {
		t.Errorf("written were %v", wrote)
	}
}

// TestManyFirstCommits notes the first commits of many partitions at once, as a
// process has them that begins with all of them. All are noted, and the manifest is
// written a few times and not once for each.
func TestManyFirstCommits(t *testing.T) {
	t.Parallel()
	const partitions = 200
	cfg := kafkalog.Config{Brokers: broker.Shared(t).Addrs, Prefix: fmt.Sprintf("turns.%d", runs.Add(1))}
	if _, err := kafkalog.ApplyTopics(withTimeout(t), cfg, kafkalog.TopicPlanOptions{Profile: "dev", Partitions: 2}); err != nil {
		t.Fatal(err)
	}
	manifest := func() int64 {
		bounds, err := kafkalog.Bounds(withTimeout(t), cfg, cfg.Topic("manifest"))
		if err != nil {
			t.Fatal(err)
		}
		return bounds[0].End
	}
	positions, err := kafkalog.NewPositions(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(positions.Close)
	before := manifest()
	var wait sync.WaitGroup
	failed := make([]error, partitions)
	for i := range failed {
		wait.Go(func() { failed[i] = positions.MarkInitialized(withTimeout(t), int32(i)) })
	}
	wait.Wait()
	if err := errors.Join(failed...); err != nil {
		t.Fatal(err)
	}
	m, err := kafkalog.ReadManifest(withTimeout(t), cfg)
	if err != nil || len(m.Initialized) != partitions {
		t.Errorf("noted are %d of %d partitions, %v", len(m.Initialized), partitions, err)
	}
	if written := manifest() - before; written > partitions/4 { // a record and a marker each
		t.Errorf("the manifest grew by %d offsets for %d partitions", written, partitions)
	}
}

// TestManyAskWhetherTheyHadACommit has many partitions without a commit decided at once: each
// is told of its own whether it has had one.
func TestManyAskWhetherTheyHadACommit(t *testing.T) {
	t.Parallel()
	const partitions = 40
	cfg := kafkalog.Config{Brokers: broker.Shared(t).Addrs, Prefix: fmt.Sprintf("turns.%d", runs.Add(1))}
	if _, err := kafkalog.ApplyTopics(withTimeout(t), cfg, kafkalog.TopicPlanOptions{Profile: "dev", Partitions: partitions}); err != nil {
		t.Fatal(err)
	}
	begun(t, cfg) // partition 2 has a commit
	positions, err := kafkalog.NewPositions(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(positions.Close)
	ask := func(had func(p int) bool) {
		t.Helper()
		var wait sync.WaitGroup
		for p := range partitions {
			wait.Go(func() {
				got, err := positions.Committed(withTimeout(t), int32(p))
				if err != nil || got.Absent == (p == 2) || got.Initialized != had(p) {
					t.Errorf("partition %d is %+v, %v; initialized must be %t", p, got, err, had(p))
				}
			})
		}
		wait.Wait()
	}
	ask(func(int) bool { return false })
	for _, p := range []int32{2, 5, 7} {
		if err := positions.MarkInitialized(withTimeout(t), p); err != nil {
			t.Fatal(err)
		}
	}
	ask(func(p int) bool { return p == 2 || p == 5 || p == 7 })
}
