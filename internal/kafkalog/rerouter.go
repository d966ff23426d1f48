package kafkalog

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/wire"
)

// reroutesKept bounds what a Rerouter remembers.
const reroutesKept = 100_000

// Rerouter appends records that stood on a wrong partition to their right one.
// It is idempotent and never transactional: offsets of the events topic stay
// without gaps. All sessions of a process share it, because it remembers what
// it has appended: a batch that is folded again, here or by the partition's
// next owner in this process, needs no second copy. A crash may still make one,
// which the identity makes a duplicate.
type Rerouter struct {
	cl   *kgo.Client
	mu   sync.Mutex
	done map[string]struct{} // "partition/offset" of where the record was
}

// NewRerouter returns a rerouter; close it.
func NewRerouter(cfg Config, deliveryTimeout time.Duration) (*Rerouter, error) {
	cl, err := kgo.NewClient(cfg.Options(
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0),
		kgo.RecordDeliveryTimeout(deliveryTimeout),
	)...)
	if err != nil {
		return nil, fmt.Errorf("create the producer that reroutes: %w", err)
	}
	return &Rerouter{cl: cl, done: make(map[string]struct{})}, nil
}

// Close ends the producer.
func (r *Rerouter) Close() { r.cl.Close() }

// Append returns once every in-sync replica has the records, whether they were
// appended now or before.
func (r *Rerouter) Append(ctx context.Context, records []*kgo.Record) error {
	fresh := make([]*kgo.Record, 0, len(records))
	r.mu.Lock()
	for _, rec := range records {
		if _, done := r.done[origin(rec)]; !done {
			fresh = append(fresh, rec)
		}
	}
	r.mu.Unlock()
	if len(fresh) == 0 {
		return nil
	}
	results := r.cl.ProduceSync(ctx, fresh...)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.done) > reroutesKept {
		clear(r.done)
	}
	for _, res := range results {
		if res.Err == nil {
			r.done[origin(res.Record)] = struct{}{}
		}
	}
	return results.FirstErr()
}

func origin(rec *kgo.Record) string {
	for i := len(rec.Headers) - 1; i >= 0; i-- {
		if rec.Headers[i].Key == wire.HeaderReroutedFrom {
			return string(rec.Headers[i].Value)
		}
	}
	return ""
}
