package kafkalog

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// After returns the offset of the first record of a partition of a topic (its full
// name) whose timestamp is at or after a moment; its end where there is none.
func (r *Reader) After(ctx context.Context, topic string, partition int32, at time.Time) (int64, error) {
	listed, err := kadm.NewClient(r.cl).ListOffsetsAfterMilli(ctx, at.UnixMilli(), topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("look in %s for %s: %w", topic, at.UTC().Format(time.RFC3339), err)
	}
	o, ok := listed.Lookup(topic, partition)
	if !ok {
		return 0, fmt.Errorf("%w: %s has no partition %d", ErrNoTopic, topic, partition)
	}
	return o.Offset, nil
}
