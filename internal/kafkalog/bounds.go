package kafkalog

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What ListOffsets takes for a time.
const (
	listNewest = -1
	listOldest = -2
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
		var err error
		*list.offset, err = listOffset(ctx, cl, topic, partition, list.at, list.isolation)
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			return b, fmt.Errorf("%w: there is no %s/%d", ErrNoTopic, topic, partition)
		}
		if err != nil {
			return b, fmt.Errorf("list the %s offset of %s/%d: %w", list.what, topic, partition, err)
		}
	}
	return b, nil
}

func listOffset(ctx context.Context, cl *kgo.Client, topic string, partition int32, at int64, isolation int8) (int64, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.IsolationLevel = -1, isolation
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.Timestamp = partition, at
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return 0, err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if t.Topic == topic && p.Partition == partition {
				return p.Offset, kerr.ErrorForCode(p.ErrorCode)
			}
		}
	}
	return 0, errors.New("the answer leaves it out")
}
