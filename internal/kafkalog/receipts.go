package kafkalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/wire"
)

type (
	commitRequest  = kmsg.OffsetCommitRequest
	commitResponse = kmsg.OffsetCommitResponse
)

// Receipts implements delivery.Receipts on an idempotent producer. What the
// brokers did not take stays queued, so a receipt is written at least once
// before the offset of its notification is committed.
type Receipts struct {
	cfg Config
	cl  *kgo.Client

	mu    sync.Mutex
	queue []*kgo.Record
	flush sync.Mutex // one flush at a time: the next one takes what it left
}

var _ delivery.Receipts = (*Receipts)(nil)

// NewReceipts returns a writer that connects when it first writes.
func NewReceipts(cfg Config) (*Receipts, error) {
	cl, err := kgo.NewClient(cfg.Options(
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0),
		// A record may be given up although the brokers took it: it is written
		// again, and both receipts and parked records may come twice.
		kgo.AllowIdempotentProduceCancellation(),
	)...)
	if err != nil {
		return nil, fmt.Errorf("open the receipts' producer: %w", err)
	}
	return &Receipts{cfg: cfg, cl: cl}, nil
}

// Write implements delivery.Receipts. The queue is bounded by the records that
// a dispatcher holds between two commits.
func (r *Receipts) Write(receipt delivery.Receipt) {
	value, err := json.Marshal(&receipt)
	if err != nil {
		panic(err) // strings, numbers and a time
	}
	rec := &kgo.Record{
		Topic: r.cfg.Topic("receipts"), Partition: receipt.Partition, Key: []byte(receipt.Participant), Value: value,
	}
	add := func(key, value string) {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
	}
	add("ce_specversion", "1.0")
	add("ce_id", fmt.Sprintf("%s.%d.%s.%s.%d.%s", receipt.Notification, receipt.Revision, receipt.Channel,
		receipt.Target, receipt.Attempt, receipt.Outcome))
	add("ce_source", "/veltrix/notifier")
	add("ce_type", "veltrix.receipt.v1")
	add("ce_time", receipt.At.UTC().Format(time.RFC3339Nano))
	add("ce_partitionkey", receipt.Participant)
	add("content-type", "application/json")
	if receipt.TraceParent != "" {
		add("ce_traceparent", receipt.TraceParent)
	}
	r.mu.Lock()
	r.queue = append(r.queue, rec)
	r.mu.Unlock()
}

// Flush implements delivery.Receipts.
func (r *Receipts) Flush(ctx context.Context) error {
	r.flush.Lock()
	defer r.flush.Unlock()
	r.mu.Lock()
	batch := r.queue
	r.queue = nil
	r.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	var left []*kgo.Record
	var failed error
	for _, res := range r.cl.ProduceSync(ctx, batch...) {
		if res.Err != nil {
			left, failed = append(left, again(res.Record)), res.Err
		}
	}
	if failed == nil {
		return nil
	}
	r.mu.Lock()
	r.queue = append(left, r.queue...)
	r.mu.Unlock()
	return fmt.Errorf("write %d receipts: %w", len(left), failed)
}

// again is a record as it was before the client handled it.
func again(rec *kgo.Record) *kgo.Record {
	return &kgo.Record{Topic: rec.Topic, Partition: rec.Partition, Key: rec.Key, Value: rec.Value, Headers: rec.Headers}
}

// Park implements delivery.Receipts.
func (r *Receipts) Park(ctx context.Context, topic string, p delivery.Parked) error {
	rec, err := p.Encode()
	if err != nil {
		return err
	}
	if err := r.cl.ProduceSync(ctx, r.record(topic, rec)).FirstErr(); err != nil {
		return fmt.Errorf("park in %s: %w", r.cfg.Topic(topic), err)
	}
	return nil
}

func (r *Receipts) record(topic string, in wire.Record) *kgo.Record {
	out := &kgo.Record{Topic: r.cfg.Topic(topic), Partition: in.Partition, Key: in.Key, Value: in.Value}
	for _, h := range in.Headers {
		out.Headers = append(out.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return out
}

// Close writes what is queued, at most until ctx ends, and closes the producer.
func (r *Receipts) Close(ctx context.Context) error {
	err := r.Flush(ctx)
	r.cl.Close()
	if errors.Is(err, kgo.ErrClientClosed) {
		return nil
	}
	return err
}

// Ping says whether a broker answers.
func (r *Receipts) Ping(ctx context.Context) error { return r.cl.Ping(ctx) }
