package deliverytest

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/wire"
)

// ErrFenced is a commit's error after another member took over.
var ErrFenced = errors.New("another member took the partitions")

// Log is a log in memory with one group of at most one member, and with the
// receipts and retry topics that the group writes.
type Log struct {
	mu         sync.Mutex
	partitions int32
	records    map[delivery.TopicPartition][]wire.Record
	committed  map[delivery.TopicPartition]int64
	receipts   []delivery.Receipt
	grown      chan struct{}
	generation int
}

// NewLog returns an empty log whose topics have that many partitions.
func NewLog(partitions int32) *Log {
	return &Log{
		partitions: partitions, records: map[delivery.TopicPartition][]wire.Record{},
		committed: map[delivery.TopicPartition]int64{}, grown: make(chan struct{}),
	}
}

// Record is a notification as a record of the notifications topic.
func Record(n *delivery.Notification, partition int32) wire.Record {
	value, err := json.Marshal(n)
	if err != nil {
		panic(err)
	}
	return wire.Record{
		Partition: partition, Key: []byte(n.Participant), Value: value, Timestamp: n.Recorded.UnixMicro(),
		Headers: []wire.Header{{Key: "ce_time", Value: []byte(n.Arrival.Format(time.RFC3339Nano))}},
	}
}

// Add appends a notification and returns its offset.
func (l *Log) Add(n *delivery.Notification, partition int32) int64 {
	return l.append(delivery.NotificationsTopic, Record(n, partition))
}

// AddRecord appends any record to the notifications topic.
func (l *Log) AddRecord(rec wire.Record) int64 { return l.append(delivery.NotificationsTopic, rec) }

func (l *Log) append(topic string, rec wire.Record) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	tp := delivery.TopicPartition{Topic: topic, Partition: rec.Partition}
	rec.Offset = int64(len(l.records[tp]))
	l.records[tp] = append(l.records[tp], rec)
	close(l.grown)
	l.grown = make(chan struct{})
	return rec.Offset
}

// Committed returns the committed offset of a partition of the notifications.
func (l *Log) Committed(partition int32) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.committed[delivery.TopicPartition{Topic: delivery.NotificationsTopic, Partition: partition}]
}

// Done reports whether everything in the log, retry topics included, is
// committed.
func (l *Log) Done() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for tp, recs := range l.records {
		if l.committed[tp] < int64(len(recs)) {
			return false
		}
	}
	return true
}

// Parked returns how many records a retry topic ever took.
func (l *Log) Parked(topic string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := 0
	for tp, recs := range l.records {
		if tp.Topic == topic {
			sum += len(recs)
		}
	}
	return sum
}

// Receipts returns the receipts that were flushed.
func (l *Log) Receipts() []delivery.Receipt {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.receipts)
}

// Join makes holder the group's only member; whoever was it can no longer commit.
func (l *Log) Join(holder delivery.Holder, retries []delivery.RetryTopic) delivery.Source {
	l.mu.Lock()
	l.generation++
	s := &source{
		l: l, holder: holder, generation: l.generation,
		at: map[delivery.TopicPartition]int64{}, paused: map[delivery.TopicPartition]bool{},
	}
	topics := []string{delivery.NotificationsTopic}
	for _, r := range retries {
		topics = append(topics, r.Name)
	}
	for _, topic := range topics {
		for p := range l.partitions {
			tp := delivery.TopicPartition{Topic: topic, Partition: p}
			s.parts = append(s.parts, tp)
			s.at[tp] = l.committed[tp]
		}
	}
	l.mu.Unlock()
	holder.Assigned(s.parts)
	return s
}

type source struct {
	l          *Log
	holder     delivery.Holder
	parts      []delivery.TopicPartition
	generation int
	at         map[delivery.TopicPartition]int64
	paused     map[delivery.TopicPartition]bool
}

func (s *source) Poll(ctx context.Context, recordsMax int) ([]delivery.Fetch, error) {
	for {
		s.l.mu.Lock()
		var out []delivery.Fetch
		for _, tp := range s.parts {
			all := s.l.records[tp]
			from := s.at[tp]
			to := min(int64(len(all)), from+int64(recordsMax))
			if s.paused[tp] || from >= to {
				continue
			}
			out = append(out, delivery.Fetch{
				TopicPartition: tp, Records: slices.Clone(all[from:to]), Next: to, End: int64(len(all)),
			})
			s.at[tp] = to
		}
		grown := s.l.grown
		s.l.mu.Unlock()
		if len(out) > 0 {
			return out, nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return nil, nil
		case <-time.After(5 * time.Millisecond): // a partition may have been resumed
		}
	}
}

func (s *source) Release() {}

func (s *source) Pause(tp delivery.TopicPartition)  { s.pause(tp, true) }
func (s *source) Resume(tp delivery.TopicPartition) { s.pause(tp, false) }

func (s *source) pause(tp delivery.TopicPartition, on bool) {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	s.paused[tp] = on
}

func (s *source) Commit(_ context.Context, offsets map[delivery.TopicPartition]int64) error {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if s.generation != s.l.generation {
		return ErrFenced
	}
	for tp, at := range offsets {
		s.l.committed[tp] = at
	}
	return nil
}

func (s *source) Close() { s.holder.Revoked(s.parts) }

// Writer returns the log's receipts and retry topics, as one member writes them.
func (l *Log) Writer() delivery.Receipts { return &writer{l: l} }

type writer struct {
	l     *Log
	mu    sync.Mutex
	queue []delivery.Receipt
}

func (w *writer) Write(r delivery.Receipt) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = append(w.queue, r)
}

func (w *writer) Flush(context.Context) error {
	w.mu.Lock()
	queue := w.queue
	w.queue = nil
	w.mu.Unlock()
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	w.l.receipts = append(w.l.receipts, queue...)
	return nil
}

func (w *writer) Park(_ context.Context, topic string, p delivery.Parked) error {
	rec, err := p.Encode()
	if err != nil {
		return err
	}
	rec.Timestamp = time.Now().UnixMicro()
	w.l.append(topic, rec)
	return nil
}
