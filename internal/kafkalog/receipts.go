package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"sync"

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
	x := wire.Receipt{
		Notification: receipt.Notification, Revision: uint32(receipt.Revision), Participant: receipt.Participant,
		Channel: receipt.Channel, Target: receipt.Target, Outcome: string(receipt.Outcome), Attempt: receipt.Attempt,
		At: receipt.At.UTC(), Reason: receipt.Reason, TraceParent: receipt.TraceParent,
	}
	rec := &kgo.Record{Topic: r.cfg.Topic("receipts"), Partition: receipt.Partition}
	key, value, headers := x.Encode("notifier")
	rec.Key, rec.Value = key, value
	for _, h := range headers {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
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
