package saramaeos

import (
	"fmt"
	"maps"
	"os"
	"time"

	"github.com/IBM/sarama"

	"github.com/veltrix/veltrix/bench/peers/hand"
	"github.com/veltrix/veltrix/bench/peers/task"
)

// runMost is how many messages a claim hands over at once: what lies there already.
const runMost = 256

// member is one client. Its claims hand their messages to one loop, so that a
// transaction holds those of all its partitions.
type member struct {
	task     *task.Task
	course   *task.Course
	number   int
	producer sarama.AsyncProducer
	batch    *hand.Batch[hand.State]
	event    hand.Event
	folded   int
	broken   error // not to be gone on with

	// Of one session.
	session sarama.ConsumerGroupSession
	runs    chan []*sarama.ConsumerMessage
	stop    chan struct{} // closed when a transaction failed: the session ends, and its offsets are read again
	ended   chan struct{} // closed when the loop has
}

// Setup implements sarama.ConsumerGroupHandler.
func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.session, m.runs, m.stop, m.ended = session, make(chan []*sarama.ConsumerMessage), make(chan struct{}), make(chan struct{})
	m.course.Owns(m.number, len(session.Claims()[m.task.Events]))
	go m.loop()
	return nil
}

// Cleanup implements sarama.ConsumerGroupHandler: no claim hands over any more, and
// the partitions are still ours.
func (m *member) Cleanup(session sarama.ConsumerGroupSession) error {
	close(m.runs)
	<-m.ended
	m.course.Owns(m.number, -len(session.Claims()[m.task.Events]))
	return m.broken
}

// ConsumeClaim implements sarama.ConsumerGroupHandler.
func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	over := session.Context().Done()
	select {
	case <-m.course.Ready():
	case <-over:
		return nil
	}
	for {
		var run []*sarama.ConsumerMessage
		select {
		case msg, ok := <-claim.Messages():
			if !ok {
				return nil
			}
			run = behind(msg, claim.Messages())
		case <-m.stop:
			return nil
		case <-over:
			return nil
		}
		select {
		case m.runs <- run:
		case <-m.stop:
			return nil
		case <-over:
			return nil
		}
	}
}

// behind returns a message with those that wait behind it.
func behind(msg *sarama.ConsumerMessage, waiting <-chan *sarama.ConsumerMessage) []*sarama.ConsumerMessage {
	run := append(make([]*sarama.ConsumerMessage, 0, runMost), msg)
	for len(run) < runMost {
		select {
		case next, ok := <-waiting:
			if !ok {
				return run
			}
			run = append(run, next)
		default:
			return run
		}
	}
	return run
}

// loop folds and commits until the session ends, or a transaction fails.
func (m *member) loop() {
	defer close(m.ended)
	late := time.NewTimer(time.Hour)
	defer late.Stop()
	for {
		var err error
		select {
		case run, ok := <-m.runs:
			if !ok {
				m.settle(m.commit())
				return
			}
			if m.folded == 0 {
				late.Reset(m.task.CommitInterval)
			}
			if err = m.fold(run); err == nil && m.folded >= m.task.CommitRecords {
				err = m.commit()
			}
		case <-late.C:
			err = m.commit()
		}
		if err != nil {
			m.settle(err)
			close(m.stop)
			return
		}
	}
}

// settle takes back what a failed transaction did, and leaves its offsets to the next
// session.
func (m *member) settle(err error) {
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "a transaction is aborted and done again:", err)
	m.batch.Undo()
	m.folded = 0
	switch status := m.producer.TxnStatus(); {
	case status&sarama.ProducerTxnFlagFatalError != 0:
		m.broken = fmt.Errorf("the producer cannot go on: %w", err)
	case status&(sarama.ProducerTxnFlagInTransaction|sarama.ProducerTxnFlagInError) != 0:
		if abort := m.producer.AbortTxn(); abort != nil {
			m.broken = fmt.Errorf("abort the transaction: %w, after: %w", abort, err)
		}
	}
}

func (m *member) fold(run []*sarama.ConsumerMessage) error {
	if m.folded == 0 {
		if err := m.producer.BeginTxn(); err != nil {
			return fmt.Errorf("begin a transaction: %w", err)
		}
	}
	m.folded += len(run)
	for _, msg := range run {
		if err := m.event.Scan(msg.Value); err != nil {
			m.broken = fmt.Errorf("%s/%d at %d: %w", msg.Topic, msg.Partition, msg.Offset, err)
			return m.broken
		}
		state := m.batch.State(msg.Partition, msg.Offset, msg.Key)
		if m.task.Rules.Apply(state, &m.event) {
			m.producer.Input() <- &sarama.ProducerMessage{
				Topic: m.task.Outputs, Partition: msg.Partition, Key: sarama.ByteEncoder(msg.Key),
				Value: sarama.ByteEncoder(m.task.Rules.Output(make([]byte, 0, 192), &m.event, state)),
			}
		}
	}
	return nil
}

// commit ends the transaction with the offsets behind what was folded.
func (m *member) commit() error {
	if m.folded == 0 {
		return nil
	}
	var offsets []*sarama.PartitionOffsetMetadata
	for partition, next := range m.batch.Next {
		offsets = append(offsets, &sarama.PartitionOffsetMetadata{Partition: partition, Offset: next, LeaderEpoch: -1})
	}
	of := sarama.NewConsumerGroupMetadataFromSession(m.session, m.task.Group, nil)
	if err := m.producer.AddOffsetsToTxnWithGroupMetadata(map[string][]*sarama.PartitionOffsetMetadata{m.task.Events: offsets}, of); err != nil {
		return fmt.Errorf("add offsets to a transaction: %w", err)
	}
	if err := m.producer.CommitTxn(); err != nil {
		return fmt.Errorf("commit a transaction: %w", err)
	}
	next := maps.Clone(m.batch.Next)
	m.batch.Keep()
	m.folded = 0
	m.course.Committed(next)
	return nil
}
