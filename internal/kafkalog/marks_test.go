package kafkalog_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/test/broker"
)

// TestManyFirstCommits notes the first commits of many partitions at once, as a
// process has them that begins with all of them. All are noted, and the manifest is
// written a few times and not once for each.
func TestManyFirstCommits(t *testing.T) {
	t.Parallel()
	const partitions = 200
	cfg := kafkalog.Config{Brokers: broker.Shared(t).Addrs, Prefix: fmt.Sprintf("marks.%d", runs.Add(1))}
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

// TestMarkThatFailedIsNoted: whoever could not write has an error, and is noted by the next.
func TestMarkThatFailedIsNoted(t *testing.T) {
	t.Parallel()
	m := kafkalog.NewMarks()
	broken := errors.New("broken")
	if err := m.Note(t.Context(), 3, func([]int32) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("what was not written has the answer %v", err)
	}
	var wrote []int32
	write := func(partitions []int32) error { wrote = append(wrote, partitions...); return nil }
	if err := errors.Join(m.Note(t.Context(), 5, write), m.Note(t.Context(), 3, write)); err != nil || fmt.Sprint(wrote) != "[3 5 3]" {
		t.Errorf("written were %v, %v", wrote, err)
	}
}
