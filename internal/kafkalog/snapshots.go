package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/wire"
)

// Snapshots implements engine.Snapshots on a compacted topic, whose partition p
// holds the copies of partition p. It is safe for concurrent use.
//
// A copy is a stream of values (see snapshots_format.go), cut into chunks, and a
// head. Each lies under a key of its place: a/0, a/1, …, a/head. There are two
// places that are written in turn, and a third one, base, for the copy that an
// operator has declared to be a partition's beginning; only the next such
// declaration replaces it.
//
// Invariant: whoever writes leaves the place alone that holds the newest intact
// copy. A head is intact where its chunks stand right before it without anything
// in between, and nothing of its place comes after it: then each chunk is the
// newest record of its key, and compaction keeps it. That is seen from the
// offsets, without reading a chunk.
//
// Crash windows:
//
//	died                            left behind                           what is found
//	between chunks                  chunks without a head, in one place   the copy in the other place; the next writer writes over the chunks
//	after the chunks, before the    the same                              the same
//	head is acknowledged, it is not
//	after the head, before the      the new copy, and chunks beyond it    the new copy; the next writer into that place deletes them
//	tombstones
//	two write at once               chunks of two copies in one place;    the copy in the other place: neither head is intact. Both are offered
//	                                a head of one or of both              last, because up to the next compaction one may be whole
//
// What is read is compared with the head: the copy's own name in every chunk,
// their numbers, the participants' count and their digest.
type Snapshots struct {
	topic string
	cl    *kgo.Client

	mu     sync.Mutex
	broken []string // IDs of copies that were found not to be whole, newest last
}

var _ engine.Snapshots = (*Snapshots)(nil)

// The bounds of reading and writing snapshots.
const (
	snapshotChunkBytes  = 512 << 10 // of one record, before compression
	snapshotWindow      = 16        // offsets looked at first, from the end backwards
	snapshotGrowth      = 4         // each further look is so many times as wide
	snapshotBrokenMax   = 64        // broken copies remembered
	snapshotBufferBytes = 16 << 20  // of chunks that wait for the brokers, over all copies
)

// NewSnapshots returns the snapshots of a deployment; close it.
func NewSnapshots(cfg Config) (*Snapshots, error) {
	cl, err := kgo.NewClient(cfg.Options(
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.ZstdCompression(), kgo.NoCompression()),
		kgo.MaxBufferedBytes(snapshotBufferBytes),
	)...)
	if err != nil {
		return nil, fmt.Errorf("create the client that keeps snapshots: %w", err)
	}
	return &Snapshots{topic: cfg.Topic("snapshots"), cl: cl}, nil
}

// Close ends the connections.
func (s *Snapshots) Close() { s.cl.Close() }

// Find implements engine.Snapshots. Newest is the copy that was written last:
// after an operator has declared a new beginning, an older copy may well be of a
// higher offset.
func (s *Snapshots) Find(ctx context.Context, partition int32, token string, notAfter int64) (engine.Snapshot, bool, error) {
	fits := func(h *snapshotHead) bool {
		return h.Token == token && h.Offset <= notAfter && !s.isBroken(h.id())
	}
	seen, err := s.search(ctx, partition, func(p *snapshotPlaces) bool {
		best := p.newest(fits)
		return p.complete() || best != nil && best.intact()
	})
	if err != nil {
		return engine.Snapshot{}, false, fmt.Errorf("find a snapshot of partition %d: %w", partition, err)
	}
	if best := seen.newest(fits); best != nil {
		return best.snapshot(), true, nil
	}
	return engine.Snapshot{}, false, nil
}

// search looks through the partition from its end backwards, in windows that
// grow, until enough says so. What was written last stands at the end, so one
// look is the usual case.
func (s *Snapshots) search(ctx context.Context, partition int32, enough func(*snapshotPlaces) bool) (*snapshotPlaces, error) {
	r := &Reader{s.cl}
	bounds, err := boundsOf(ctx, s.cl, s.topic, partition)
	if err != nil {
		return nil, err
	}
	seen := &snapshotPlaces{}
	to, window := bounds.End, int64(snapshotWindow)
	for to > bounds.Start && !enough(seen) {
		from := max(to-window, bounds.Start)
		var found snapshotPlaces // of this window, in the order of the log
		err := r.Read(ctx, s.topic, partition, from, to, false, func(records []wire.Record) error {
			for i := range records {
				if err := found.add(&records[i]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		seen.prepend(&found)
		to, window = from, window*snapshotGrowth
	}
	return seen, nil
}

// Read implements engine.Snapshots. What fn got is only to be used where Read
// succeeds: whether the copy is whole is known at its end.
func (s *Snapshots) Read(ctx context.Context, partition int32, want engine.Snapshot, fn func([]engine.KeyValue) error) error {
	err := s.read(ctx, partition, want, fn)
	if errors.Is(err, engine.ErrSnapshotBroken) {
		s.remember(want.ID)
	}
	if err != nil {
		return fmt.Errorf("read the snapshot of partition %d at %d: %w", partition, want.Offset, err)
	}
	return nil
}

func (s *Snapshots) read(ctx context.Context, partition int32, want engine.Snapshot, fn func([]engine.KeyValue) error) error {
	at, err := parseSnapshotID(want.ID)
	if err != nil {
		return err
	}
	in := snapshotReader{at: at, want: want, fn: fn}
	err = (&Reader{s.cl}).Read(ctx, s.topic, partition, at.first, at.head, false, func(records []wire.Record) error {
		for i := range records {
			if err := in.add(&records[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, ErrOutOfRange) {
		return fmt.Errorf("%w: %w", engine.ErrSnapshotBroken, err)
	}
	if err != nil {
		return err
	}
	return in.end()
}

// remember keeps the ID of a copy that is not whole, so that Find offers
// another one.
func (s *Snapshots) remember(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.broken, id) {
		s.broken = append(s.broken, id)
		s.broken = s.broken[max(0, len(s.broken)-snapshotBrokenMax):]
	}
}

func (s *Snapshots) isBroken(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.broken, id)
}
