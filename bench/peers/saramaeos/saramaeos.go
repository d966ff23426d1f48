// Package saramaeos is the peer on IBM/sarama: its consumer group and its transactional
// producer, exactly once in Kafka, with its states in memory alone.
package saramaeos

import (
	"context"
	"fmt"
	"io"
	"log"
	"time"

	"github.com/IBM/sarama"

	"github.com/veltrix/veltrix/bench/peers/hand"
	"github.com/veltrix/veltrix/bench/peers/task"
)

// backoff is how long to wait until the transaction before is over, which takes a few
// milliseconds. The library's own is 100 ms, for each commit.
const backoff = 10 * time.Millisecond

// config is what exactly once asks for, and the backoff; the rest is the library's default.
func config(id string) *sarama.Config {
	cfg := sarama.NewConfig()
	cfg.Version = sarama.MaxVersion
	cfg.ClientID = id
	cfg.Consumer.IsolationLevel = sarama.ReadCommitted
	cfg.Consumer.Offsets.Initial = sarama.OffsetOldest
	cfg.Consumer.Offsets.AutoCommit.Enable = false
	cfg.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategySticky()}
	cfg.Producer.Transaction.ID = id
	cfg.Producer.Idempotent = true
	cfg.Producer.RequiredAcks = sarama.WaitForAll
	cfg.Producer.Partitioner = sarama.NewManualPartitioner
	cfg.Producer.Return.Successes = false
	cfg.Producer.Transaction.Retry.Backoff, cfg.Producer.Transaction.Retry.Max = backoff, 500
	cfg.Net.MaxOpenRequests = 1
	return cfg
}

// Run is the peer.
func Run(ctx context.Context, t *task.Task, c *task.Course, partitions int) error {
	sarama.Logger = log.New(io.Discard, "", 0)
	store := hand.NewStore(partitions)
	return c.Run(ctx, func(ctx, working context.Context, number int) (err error) {
		cfg := config(fmt.Sprintf("%s-%d", t.Group, number))
		producer, err := sarama.NewAsyncProducer(t.Brokers, cfg)
		if err != nil {
			return fmt.Errorf("create a transactional producer: %w", err)
		}
		group, err := sarama.NewConsumerGroup(t.Brokers, t.Group, cfg)
		if err != nil {
			producer.AsyncClose()
			return fmt.Errorf("create a member of the group: %w", err)
		}
		failed := make(chan struct{})
		go func() {
			defer close(failed)
			for range producer.Errors() { // each makes its transaction fail, which says why
			}
		}()
		defer func() {
			_ = group.Close() // what it says was committed, or is not ours to commit
			producer.AsyncClose()
			<-failed
		}()
		m := &member{task: t, course: c, number: number, producer: producer, batch: store.Batch(number)}
		for working.Err() == nil {
			if err := group.Consume(working, []string{t.Events}, m); err != nil && working.Err() == nil {
				return fmt.Errorf("consume %s: %w", t.Events, err)
			}
			if m.broken != nil {
				return m.broken
			}
		}
		return ctx.Err()
	})
}
