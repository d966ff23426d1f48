package veltrixtest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"

	"github.com/veltrix/veltrix/internal/ingest"
	"github.com/veltrix/veltrix/internal/wire"
)

// log is the events topic in memory: the records of all partitions in the order
// in which they arrived.
type log struct {
	records []wire.Record
	ends    [partitions]int64

	// The records from window on are still on their way in an order of their
	// own, for disorder; nil: there are none.
	disorder *failure
	window   int
}

var errUnavailable = errors.New("the test asked for an Unavailable")

// appender is the log as the gateway sees it.
type appender struct{ v *Veltrix }

// Append implements ingest.Appender. The request's fault comes with ctx.
func (a appender) Append(ctx context.Context, records []wire.Record) ([]ingest.Position, error) {
	v := a.v
	v.mu.Lock()
	defer v.mu.Unlock()
	f := faultOf(ctx)
	if f.is(Unavailable) {
		return nil, errUnavailable
	}
	if v.log.disorder != f {
		v.log.settle(v.random)
	}
	if f.is(Reorder) && v.log.disorder == nil {
		v.log.disorder, v.log.window = f, len(v.log.records)
	}
	now := v.now.UnixMicro()
	positions := v.log.append(records, now)
	if f.is(Duplicate) {
		v.log.append(records, now)
	}
	return positions, nil
}

func (l *log) append(records []wire.Record, now int64) []ingest.Position {
	positions := make([]ingest.Position, len(records))
	for i := range records {
		r := clone(&records[i])
		r.Partition, r.Timestamp = wire.PartitionFor(r.Key, partitions), now
		r.Offset = l.ends[r.Partition]
		l.ends[r.Partition]++
		l.records = append(l.records, r)
		positions[i] = ingest.Position{Partition: r.Partition, Offset: r.Offset}
	}
	return positions
}

// clone copies a record, whose memory belongs to the request.
func clone(r *wire.Record) wire.Record {
	c := *r
	c.Key, c.Value = bytes.Clone(r.Key), bytes.Clone(r.Value)
	c.Headers = make([]wire.Header, len(r.Headers))
	for i, h := range r.Headers {
		c.Headers[i] = wire.Header{Key: h.Key, Value: bytes.Clone(h.Value)}
	}
	return c
}

// settle ends the window: its records arrive together, when the last of them was
// sent, and those of one participant in another order. The places stay, so what
// was answered of them still bounds where they are.
func (l *log) settle(random *rand.Rand) {
	if l.disorder == nil {
		return
	}
	window := l.records[l.window:]
	l.disorder = nil
	places := map[string][]int{}
	var keys []string // in the order of the log: a map has none
	for i := range window {
		key := string(window[i].Key)
		if places[key] == nil {
			keys = append(keys, key)
		}
		places[key] = append(places[key], i)
	}
	was := append([]wire.Record(nil), window...)
	for _, key := range keys {
		at := places[key]
		for to, from := range derange(random, len(at)) {
			place, moved := &window[at[to]], &was[at[from]]
			place.Key, place.Value, place.Headers = moved.Key, moved.Value, moved.Headers
		}
	}
	for i := range window {
		window[i].Timestamp = window[len(window)-1].Timestamp
	}
}

// derange is an order of n that is not the given one, where there is another.
func derange(random *rand.Rand, n int) []int {
	order := random.Perm(n)
	for i := range order {
		if order[i] != i {
			return order
		}
	}
	for i := range order {
		order[i] = (i + 1) % n
	}
	return order
}
