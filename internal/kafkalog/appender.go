package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/ingest"
	"github.com/veltrix/veltrix/internal/wire"
)

// Appender writes to the events topic, for the gateway and the loader. It is
// idempotent and never transactional: an aborted transaction would leave gaps
// in the offsets, and every gap there is taken for lost records.
type Appender struct {
	topic      string
	cl         *kgo.Client
	partitions int32
}

var _ ingest.Appender = (*Appender)(nil)

// NewAppender returns a writer for a topic of that many partitions, which the
// manifest pins. bufferBytesMax bounds what waits for the brokers; nothing is
// contacted before the first write.
func NewAppender(cfg Config, partitions int32, bufferBytesMax int) (*Appender, error) {
	if partitions < 1 {
		return nil, fmt.Errorf("open the events' producer: the manifest says %d partitions", partitions)
	}
	cl, err := kgo.NewClient(cfg.Options(
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(time.Millisecond),
		kgo.MaxBufferedRecords(1_000_000),
		kgo.MaxBufferedBytes(bufferBytesMax),
	)...)
	if err != nil {
		return nil, fmt.Errorf("open the events' producer: %w", err)
	}
	return &Appender{topic: cfg.Topic("events"), cl: cl, partitions: partitions}, nil
}

// appending is one call of Append, which records may outlive.
type appending struct {
	mu        sync.Mutex
	left      int
	err       error
	positions []ingest.Position
	done      chan struct{}
}

func (a *appending) finished(i int, r *kgo.Record, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		if a.err == nil || errors.Is(err, kerr.MessageTooLarge) {
			a.err = err
		}
	} else {
		a.positions[i] = ingest.Position{Partition: r.Partition, Offset: r.Offset}
	}
	if a.left--; a.left == 0 {
		close(a.done)
	}
}

// Append implements ingest.Appender. When ctx ends, records that were never
// sent are dropped; those whose answer is outstanding may still arrive, because
// an idempotent producer cannot take them back.
func (a *Appender) Append(ctx context.Context, records []wire.Record) ([]ingest.Position, error) {
	if len(records) == 0 {
		return nil, nil
	}
	call := &appending{left: len(records), positions: make([]ingest.Position, len(records)), done: make(chan struct{})}
	for i := range records {
		r := &records[i]
		out := &kgo.Record{
			Topic: a.topic, Partition: wire.PartitionFor(r.Key, a.partitions),
			Key: r.Key, Value: r.Value, Headers: make([]kgo.RecordHeader, len(r.Headers)),
		}
		for j, h := range r.Headers {
			out.Headers[j] = kgo.RecordHeader{Key: h.Key, Value: h.Value}
		}
		a.cl.Produce(ctx, out, func(r *kgo.Record, err error) { call.finished(i, r, err) })
	}
	select {
	case <-call.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("append %d events: the brokers did not answer: %w", len(records), ctx.Err())
	}
	switch {
	case call.err == nil:
		return call.positions, nil
	case errors.Is(call.err, kerr.MessageTooLarge), errors.Is(call.err, kerr.RecordListTooLarge):
		return nil, fmt.Errorf("append %d events: %w: %w", len(records), ingest.ErrTooLarge, call.err)
	}
	return nil, fmt.Errorf("append %d events: %w", len(records), call.err)
}

// Close waits for what is on its way, until ctx ends, and closes the client.
func (a *Appender) Close(ctx context.Context) error {
	err := a.cl.Flush(ctx)
	a.cl.Close()
	if err != nil {
		return fmt.Errorf("flush events: %w", err)
	}
	return nil
}

// Ping says whether a broker answers.
func (a *Appender) Ping(ctx context.Context) error { return a.cl.Ping(ctx) }
