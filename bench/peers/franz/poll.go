package franz

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/bench/peers/task"
)

// options are what both have in common. Nothing is fetched before resume. A client
// forgets the partitions that it loses.
func options(t *task.Task, c *task.Course, client int, forget func(partition int32)) []kgo.Opt {
	gone := func(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
		for _, partition := range lost[t.Events] {
			forget(partition)
		}
		c.Owns(client, -len(lost[t.Events]))
	}
	return []kgo.Opt{
		kgo.SeedBrokers(t.Brokers...), kgo.ConsumerGroup(t.Group), kgo.ConsumeTopics(t.Events),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.DefaultProduceTopic(t.Outputs), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MetadataMinAge(task.MetadataMinAge), kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, got map[string][]int32) { c.Owns(client, len(got[t.Events])) }),
		kgo.OnPartitionsRevoked(gone), kgo.OnPartitionsLost(gone),
	}
}

// resume lets fetch once all partitions have an owner. It returns false where the
// work has ended before.
func resume(working context.Context, t *task.Task, c *task.Course, cl *kgo.Client) bool {
	select {
	case <-c.Ready():
		cl.ResumeFetchTopics(t.Events)
		return true
	case <-working.Done():
		return false
	}
}

// poll hands the records of one batch to each: what comes within the interval after
// the first, and no more than a commit has. There are none where the work has ended.
func poll(working context.Context, t *task.Task, cl *kgo.Client, each func([]*kgo.Record) error) error {
	n, err := pollOnce(working, cl, t.CommitRecords, each)
	if err != nil || n == 0 {
		return err
	}
	within, cancel := context.WithTimeout(working, t.CommitInterval)
	defer cancel()
	for err == nil && n < t.CommitRecords && within.Err() == nil {
		var more int
		more, err = pollOnce(within, cl, t.CommitRecords-n, each)
		n += more
	}
	return err
}

// pollOnce waits for records until ctx ends, which is no error.
func pollOnce(ctx context.Context, cl *kgo.Client, most int, each func([]*kgo.Record) error) (int, error) {
	fetches := cl.PollRecords(ctx, most)
	for _, e := range fetches.Errors() {
		if !errors.Is(e.Err, context.Canceled) && !errors.Is(e.Err, context.DeadlineExceeded) {
			return 0, fmt.Errorf("fetch %s/%d: %w", e.Topic, e.Partition, e.Err)
		}
	}
	records := fetches.Records()
	return len(records), each(records)
}
