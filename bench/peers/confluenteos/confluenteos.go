// Package confluenteos is the peer on confluent-kafka-go, which is librdkafka: its
// consumer and its transactional producer, exactly once in Kafka, with its states in
// memory alone.
package confluenteos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"github.com/veltrix/veltrix/bench/peers/hand"
	"github.com/veltrix/veltrix/bench/peers/task"
)

// pollMost is how long a poll waits when nothing is there.
const pollMost = 100 * time.Millisecond

// Run is the peer.
func Run(ctx context.Context, t *task.Task, c *task.Course, partitions int) error {
	store := hand.NewStore(partitions)
	return c.Run(ctx, func(ctx, working context.Context, number int) error {
		m := &member{task: t, course: c, number: number, batch: store.Batch(number)}
		if err := m.open(ctx); err != nil {
			return err
		}
		defer m.close()
		for working.Err() == nil {
			if err := m.step(ctx); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
}

// member is one client. All of its calls are made by one goroutine: the library calls
// back within Poll.
type member struct {
	task     *task.Task
	course   *task.Course
	number   int
	consumer *kafka.Consumer
	producer *kafka.Producer
	batch    *hand.Batch[hand.State]
	event    hand.Event
	owned    []kafka.TopicPartition
	paused   bool // what is owned is, until all are ready
	folded   int
	due      time.Time // of the commit
	broken   error     // met in a callback
}

func (m *member) open(ctx context.Context) (err error) {
	brokers := strings.Join(m.task.Brokers, ",")
	m.producer, err = kafka.NewProducer(&kafka.ConfigMap{
		"bootstrap.servers": brokers, "transactional.id": fmt.Sprintf("%s-%d", m.task.Group, m.number),
		"go.delivery.reports": false, // a message that fails makes its transaction fail
	})
	if err != nil {
		return fmt.Errorf("create a transactional producer: %w", err)
	}
	m.consumer, err = kafka.NewConsumer(&kafka.ConfigMap{
		"bootstrap.servers": brokers, "group.id": m.task.Group, "auto.offset.reset": "earliest",
		"enable.auto.commit": false, "isolation.level": "read_committed",
	})
	if err != nil {
		m.producer.Close()
		return fmt.Errorf("create a consumer: %w", err)
	}
	if err = m.producer.InitTransactions(ctx); err == nil {
		err = m.consumer.Subscribe(m.task.Events, m.rebalance)
	}
	if err != nil {
		m.close()
		return fmt.Errorf("begin with transactions: %w", err)
	}
	return nil
}

func (m *member) close() {
	_ = m.consumer.Close() // all that was to be committed is
	m.producer.Close()
}

// rebalance commits what is open before partitions go, and begins with none fetched.
func (m *member) rebalance(c *kafka.Consumer, e kafka.Event) error {
	switch e := e.(type) {
	case kafka.AssignedPartitions:
		m.owned = e.Partitions
		if err := c.Assign(e.Partitions); err != nil {
			return err
		}
		if m.paused = !m.ready(); m.paused {
			if err := c.Pause(e.Partitions); err != nil {
				return err
			}
		}
		m.course.Owns(m.number, len(e.Partitions))
	case kafka.RevokedPartitions:
		m.broken = m.commit(context.Background())
		m.course.Owns(m.number, -len(m.owned))
		m.owned = nil
		return c.Unassign()
	}
	return nil
}

func (m *member) ready() bool {
	select {
	case <-m.course.Ready():
		return true
	default:
		return false
	}
}

// step takes one message, or commits.
func (m *member) step(ctx context.Context) error {
	if m.paused && len(m.owned) > 0 && m.ready() {
		if err := m.consumer.Resume(m.owned); err != nil {
			return fmt.Errorf("resume: %w", err)
		}
		m.paused = false
	}
	wait := pollMost
	if m.paused {
		wait = time.Millisecond // the others may be ready any time
	}
	if m.folded > 0 {
		if wait = time.Until(m.due); wait <= 0 || m.folded >= m.task.CommitRecords {
			return m.commit(ctx)
		}
	}
	switch e := m.consumer.Poll(int(wait.Milliseconds())).(type) {
	case *kafka.Message:
		if err := m.fold(e); err != nil {
			return err
		}
	case kafka.Error:
		if e.IsFatal() {
			return fmt.Errorf("consume: %w", e)
		}
	}
	return m.broken
}

func (m *member) fold(msg *kafka.Message) error {
	if msg.TopicPartition.Error != nil {
		return fmt.Errorf("consume: %w", msg.TopicPartition.Error)
	}
	if m.folded == 0 {
		if err := m.producer.BeginTransaction(); err != nil {
			return fmt.Errorf("begin a transaction: %w", err)
		}
		m.due = time.Now().Add(m.task.CommitInterval)
	}
	m.folded++
	partition, offset := msg.TopicPartition.Partition, int64(msg.TopicPartition.Offset)
	if err := m.event.Scan(msg.Value); err != nil {
		return fmt.Errorf("%s/%d at %d: %w", m.task.Events, partition, offset, err)
	}
	state := m.batch.State(partition, offset, msg.Key)
	if !m.task.Rules.Apply(state, &m.event) {
		return nil
	}
	err := m.producer.Produce(&kafka.Message{
		TopicPartition: kafka.TopicPartition{Topic: &m.task.Outputs, Partition: partition},
		Key:            msg.Key, Value: m.task.Rules.Output(make([]byte, 0, 192), &m.event, state),
	}, nil)
	if err != nil {
		return fmt.Errorf("write to %s: %w", m.task.Outputs, err)
	}
	return nil
}

// commit ends the transaction with the offsets behind what was folded, or aborts it
// and goes back to where it began.
func (m *member) commit(ctx context.Context) error {
	if m.folded == 0 {
		return nil
	}
	m.folded = 0
	var offsets []kafka.TopicPartition
	for partition, next := range m.batch.Next {
		offsets = append(offsets, kafka.TopicPartition{Topic: &m.task.Events, Partition: partition, Offset: kafka.Offset(next)})
	}
	of, err := m.consumer.GetConsumerGroupMetadata()
	if err != nil {
		return fmt.Errorf("ask for the group's metadata: %w", err)
	}
	if err = m.producer.SendOffsetsToTransaction(ctx, offsets, of); err == nil {
		err = m.producer.CommitTransaction(ctx)
	}
	if err != nil {
		return m.abort(ctx, err)
	}
	next := maps.Clone(m.batch.Next)
	m.batch.Keep()
	m.course.Committed(next)
	return nil
}

func (m *member) abort(ctx context.Context, cause error) error {
	var e kafka.Error
	if !errors.As(cause, &e) || !e.TxnRequiresAbort() {
		return fmt.Errorf("commit a transaction: %w", cause)
	}
	if err := m.producer.AbortTransaction(ctx); err != nil {
		return fmt.Errorf("abort a transaction: %w, after: %w", err, cause)
	}
	m.batch.Undo()
	if len(m.owned) == 0 {
		return nil
	}
	const wait = 10_000 // ms
	back, err := m.consumer.Committed(m.owned, wait)
	if err != nil {
		return fmt.Errorf("ask where the transaction began: %w", err)
	}
	for i := range back {
		if back[i].Offset < 0 {
			back[i].Offset = kafka.OffsetBeginning
		}
	}
	if _, err := m.consumer.SeekPartitions(back); err != nil {
		return fmt.Errorf("go back to where the transaction began: %w", err)
	}
	return nil
}
