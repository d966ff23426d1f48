package bench

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/wire"
)

// notified is one notification, as it comes to a consumer.
type notified struct {
	partition int32
	offset    int64
	late      time.Duration // from when its event was due
	at        time.Time
}

// consumer reads the notifications as a notifier's client does: committed ones only.
type consumer struct {
	schedule
	place *place
	from  int64        // notifications of events before it are not measured
	seen  atomic.Int64 // how many have come
	times samples      // from due to here
	last  atomic.Int64 // when the newest came, in ns since 1970
	tell  func(notified)
}

func (c *consumer) newest() time.Time { return time.Unix(0, c.last.Load()) }

// run reads until ctx ends.
func (c *consumer) run(ctx context.Context) error {
	topic := c.place.kafka.Topic("notifications")
	offsets := map[int32]kgo.Offset{}
	for i := range c.place.partitions {
		offsets[i] = kgo.NewOffset().At(0)
	}
	cl, err := kgo.NewClient(c.place.kafka.Options(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(500*time.Millisecond),
	)...)
	if err != nil {
		return fmt.Errorf("create the client that reads %s: %w", topic, err)
	}
	defer cl.Close()
	for {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read %s: %w", topic, err)
		}
		at := time.Now()
		for records := fetches.RecordIter(); !records.Done(); {
			if err := c.take(records.Next(), at); err != nil {
				return err
			}
		}
	}
}

func (c *consumer) take(r *kgo.Record, at time.Time) error {
	i, err := causedBy(r)
	if err != nil {
		return err
	}
	late := at.Sub(c.due(i))
	if i >= c.from {
		c.times.add(late)
	}
	if c.tell != nil {
		c.tell(notified{r.Partition, r.Offset, late, at})
	}
	c.last.Store(at.UnixNano())
	c.seen.Add(1)
	return nil
}

// causedBy returns the number of the event that caused a notification.
func causedBy(r *kgo.Record) (int64, error) {
	for _, h := range r.Headers {
		if h.Key != wire.HeaderCauseID {
			continue
		}
		id, err := strconv.ParseInt(string(h.Value), 10, 64)
		if err != nil || id < firstID {
			return 0, fmt.Errorf("the notification at %d of partition %d was caused by event %q, which nobody sent", r.Offset, r.Partition, h.Value)
		}
		return id - firstID, nil
	}
	return 0, fmt.Errorf("the notification at %d of partition %d does not say what caused it: it has no %s", r.Offset, r.Partition, wire.HeaderCauseID)
}
