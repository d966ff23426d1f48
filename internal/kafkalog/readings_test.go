package kafkalog_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/test/broker"
)

// TestOneReadingAnswersAllWhoWait has many ask while a reading is under way: none of them
// is answered by that one, which began before they asked, and all by the next.
func TestOneReadingAnswersAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, begun, goOn := kafkalog.NewReadings(), 0, make(chan struct{})
		read := func() (int, error) {
			begun++
			n := begun
			<-goOn
			return n, nil
		}
		var wait sync.WaitGroup
		ask := func(want int) {
			wait.Go(func() {
				if got, err := s.Ask(t.Context(), read); got != want || err != nil {
					t.Errorf("the answer is that of reading %d, %v; want reading %d", got, err, want)
				}
			})
		}
		ask(1)
		synctest.Wait()
		for range 100 {
			ask(2)
		}
		synctest.Wait()
		close(goOn)
		wait.Wait()
		if begun != 2 {
			t.Errorf("%d readings were made", begun)
		}
	})
}

// TestReadingThatIsGivenUp: what ends with its caller is not the others' answer, and what
// fails otherwise is.
func TestReadingThatIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, broken, begun := kafkalog.NewReadings(), errors.New("broken"), 0
		busy := make(chan struct{})
		var wait sync.WaitGroup
		wait.Go(func() { _, _ = s.Ask(t.Context(), func() (int, error) { <-busy; return 0, nil }) })
		synctest.Wait()
		gone, leave := context.WithCancel(t.Context())
		reads := func(ctx context.Context) func() (int, error) {
			return func() (int, error) {
				begun++
				if ctx == gone {
					leave()
					return 0, ctx.Err()
				}
				return 0, broken
			}
		}
		failed := make([]error, 3)
		for i, ctx := range []context.Context{gone, t.Context(), t.Context()} {
			wait.Go(func() { _, failed[i] = s.Ask(ctx, reads(ctx)) })
			synctest.Wait() // they have their turns in this order
		}
		close(busy)
		wait.Wait()
		if got, want := fmt.Sprint(failed, begun), fmt.Sprint([]error{context.Canceled, broken, broken}, 2); got != want {
			t.Errorf("answers and readings are %s, want %s", got, want)
		}
	})
}

// TestManyAskWhetherTheyHadACommit has many partitions without a commit decided at once: each
// is told of its own whether it has had one.
func TestManyAskWhetherTheyHadACommit(t *testing.T) {
	t.Parallel()
	const partitions = 40
	cfg := kafkalog.Config{Brokers: broker.Shared(t).Addrs, Prefix: fmt.Sprintf("readings.%d", runs.Add(1))}
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
