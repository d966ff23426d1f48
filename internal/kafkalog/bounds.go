package kafkalog

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What ListOffsets takes for a time, beside milliseconds.
const (
	listNewest   = -1
	listOldest   = -2
	maxTimestamp = -3 // the record with the latest time
)

// boundsOf returns the bounds of one partition, whatever becomes of the others. Who has
// many partitions and asks for each of them would be told of all, a thousand times.
//
// The end is listed last, as eachBounds does.
func boundsOf(ctx context.Context, cl *kgo.Client, topic string, partition int32) (PartitionBounds, error) {
	b := PartitionBounds{Partition: partition}
	for _, list := range []struct {
		what      string
		at        int64
		isolation int8
		offset    *int64
	}{
		{"log start", listOldest, 0, &b.Start},
		{"last stable", listNewest, 1, &b.Stable},
		{"end", listNewest, 0, &b.End},
	} {
		listed, err := listOffsets(ctx, cl, topic, []int32{partition}, list.at, list.isolation)
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			return b, fmt.Errorf("%w: there is no %s/%d", ErrNoTopic, topic, partition)
		}
		if err != nil {
			return b, fmt.Errorf("list the %s offset of %w", list.what, err)
		}
		*list.offset = listed[partition].Offset
	}
	return b, nil
}

// listOffsets asks for each partition's first record at or after a time in
// milliseconds, or what a negative one stands for. Its errors begin with what they are
// of, a topic or a partition.
func listOffsets(ctx context.Context, cl *kgo.Client, topic string, partitions []int32, at int64, isolation int8) (map[int32]kmsg.ListOffsetsResponseTopicPartition, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.IsolationLevel = isolation
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	for _, id := range partitions {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp = id, at
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", topic, err)
	}
	found := map[int32]kmsg.ListOffsetsResponseTopicPartition{}
	for i := range resp.Topics {
		for _, p := range resp.Topics[i].Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, fmt.Errorf("%s/%d: %w", topic, p.Partition, err)
			}
			found[p.Partition] = p
		}
	}
	if len(found) != len(partitions) {
		return nil, fmt.Errorf("%s: %d of %d partitions were answered for", topic, len(found), len(partitions))
	}
	return found, nil
}
