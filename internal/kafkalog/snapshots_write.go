package kafkalog

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/engine"
)

// Write implements engine.Snapshots: it takes the place that does not hold the
// newest intact copy.
func (s *Snapshots) Write(ctx context.Context, partition int32) (engine.SnapshotWriter, error) {
	seen, err := s.search(ctx, partition, (*snapshotPlaces).complete)
	if err != nil {
		return nil, fmt.Errorf("begin a snapshot of partition %d: %w", partition, err)
	}
	kept := seen.newest(func(h *snapshotHead) bool { return !s.isBroken(h.id()) })
	name := snapshotInTurn[0]
	if kept != nil && kept.Place == name {
		name = snapshotInTurn[1]
	}
	return s.writeTo(partition, seen.of(name)), nil
}

// WriteBase begins the copy that is the partition's declared beginning from now
// on. The one before is gone once a value was added, whatever becomes of the new
// one: there must be another copy of what is still needed.
func (s *Snapshots) WriteBase(ctx context.Context, partition int32) (engine.SnapshotWriter, error) {
	seen, err := s.search(ctx, partition, func(p *snapshotPlaces) bool { return p.of(snapshotBase).head != nil })
	if err != nil {
		return nil, fmt.Errorf("begin the base of partition %d: %w", partition, err)
	}
	return s.writeTo(partition, seen.of(snapshotBase)), nil
}

func (s *Snapshots) writeTo(partition int32, place *snapshotPlace) engine.SnapshotWriter {
	w := &snapshotWriter{of: s, partition: partition, place: place.name, extent: place.extent, first: -1}
	if place.head != nil {
		w.extent, w.leftover = max(w.extent, place.head.Chunks), place.head.Extent
	}
	var id [12]byte
	rand.Read(id[:]) //nolint:errcheck // never fails
	w.copy = hex.EncodeToString(id[:])
	return w
}

// snapshotWriter takes one copy.
type snapshotWriter struct {
	of        *Snapshots
	partition int32
	place     string
	copy      string
	extent    int64 // one past the highest chunk number that may be in the place
	leftover  int64 // the same, as the head before knew it: it may not have deleted them

	stream []byte
	chunks int64 // handed over
	over   bool

	mu      sync.Mutex
	pending int           // chunks that are not acknowledged
	idle    chan struct{} // closed when there are none, once somebody waits
	first   int64         // offset of the first chunk
	err     error         // the first failure
}

var errSnapshotOver = errors.New("the copy was finished or given up before")

// Add implements engine.SnapshotWriter. It waits where too much is on its way.
func (w *snapshotWriter) Add(ctx context.Context, values []engine.KeyValue) error {
	if w.over {
		return errSnapshotOver
	}
	for i := range values {
		w.stream = binary.AppendUvarint(w.stream, uint64(len(values[i].Key)))
		w.stream = append(w.stream, values[i].Key...)
		w.stream = binary.AppendUvarint(w.stream, uint64(len(values[i].Value)))
		w.stream = append(w.stream, values[i].Value...)
		for len(w.stream) >= snapshotChunkBytes {
			w.send(ctx, w.stream[:snapshotChunkBytes])
			w.stream = append([]byte(nil), w.stream[snapshotChunkBytes:]...)
		}
	}
	return w.failure()
}

func (w *snapshotWriter) send(ctx context.Context, chunk []byte) {
	number := w.chunks
	w.chunks++
	r := w.record(strconv.FormatInt(number, 10), chunk)
	r.Headers = []kgo.RecordHeader{{Key: snapshotCopyHeader, Value: []byte(w.copy)}}
	w.mu.Lock()
	w.pending++
	w.mu.Unlock()
	w.of.cl.Produce(ctx, r, func(r *kgo.Record, err error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.pending--; w.pending == 0 && w.idle != nil {
			close(w.idle)
		}
		if err != nil && w.err == nil {
			w.err = fmt.Errorf("write a chunk of the snapshot of partition %d: %w", w.partition, err)
		}
		if number == 0 {
			w.first = r.Offset
		}
	})
}

func (w *snapshotWriter) record(what string, value []byte) *kgo.Record {
	return &kgo.Record{Topic: w.of.topic, Partition: w.partition, Key: []byte(w.place + "/" + what), Value: value}
}

// acknowledged waits for all chunks. A record that is on its way cannot be taken
// back from an idempotent producer, so ctx ends the waiting and not the record.
func (w *snapshotWriter) acknowledged(ctx context.Context) error {
	w.mu.Lock()
	idle := make(chan struct{})
	if w.pending == 0 {
		close(idle)
	} else {
		w.idle = idle
	}
	w.mu.Unlock()
	select {
	case <-idle:
		return w.failure()
	case <-ctx.Done():
		return fmt.Errorf("wait for the chunks of the snapshot of partition %d: %w", w.partition, ctx.Err())
	}
}

func (w *snapshotWriter) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Finish implements engine.SnapshotWriter. The head goes out only when every
// chunk is acknowledged: one that was not may never be there.
func (w *snapshotWriter) Finish(ctx context.Context, s engine.Snapshot) (engine.Snapshot, error) {
	if w.over {
		return s, errSnapshotOver
	}
	w.over = true
	if len(w.stream) > 0 {
		w.send(ctx, w.stream)
		w.stream = nil
	}
	if err := w.acknowledged(ctx); err != nil {
		return s, err
	}
	h := snapshotHead{
		Layout: snapshotLayout, Copy: w.copy, Place: w.place, Chunks: w.chunks, First: max(w.first, 0), Extent: max(w.extent, w.chunks),
		Token: s.Token, Start: s.Start, Offset: s.Offset, Participants: s.Participants,
		Chain: strconv.FormatUint(s.Chain, 16), Digest: strconv.FormatUint(s.Digest, 16),
		chain: s.Chain, digest: s.Digest,
	}
	text, err := json.Marshal(&h)
	if err != nil {
		return s, fmt.Errorf("encode the snapshot's head: %w", err)
	}
	if h.at, err = w.produceHead(ctx, text); err != nil {
		return s, fmt.Errorf("write the head of the snapshot of partition %d: %w", w.partition, err)
	}
	w.clear(ctx)
	return h.snapshot(), nil
}

func (w *snapshotWriter) produceHead(ctx context.Context, text []byte) (at int64, err error) {
	type answer struct {
		at  int64
		err error
	}
	done := make(chan answer, 1)
	w.of.cl.Produce(ctx, w.record(snapshotHeadName, text), func(r *kgo.Record, err error) { done <- answer{r.Offset, err} })
	select {
	case a := <-done:
		return a.at, a.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// clear deletes chunks of a longer copy that was in the place before. Where it
// fails, the next writer into the place does it.
func (w *snapshotWriter) clear(ctx context.Context) {
	for n := w.chunks; n < max(w.extent, w.leftover); n++ {
		w.of.cl.Produce(ctx, w.record(strconv.FormatInt(n, 10), nil), nil)
	}
}

// Abort implements engine.SnapshotWriter. Chunks that are there stay, without a
// head, until the place is written again.
func (w *snapshotWriter) Abort() {
	w.over = true
	w.stream = nil
}
