package kafkalog

import "context"

// BoundsOf is boundsOf on this reader's connections.
func (r *Reader) BoundsOf(ctx context.Context, topic string, partition int32) (PartitionBounds, error) {
	return boundsOf(ctx, r.cl, topic, partition)
}
