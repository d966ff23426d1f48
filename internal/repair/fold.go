package repair

import (
	"context"
	"errors"
	"fmt"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/fold"
	"github.com/veltrix/veltrix/internal/wire"
)

// origin is a state from which the log can be folded on.
type origin struct {
	name   string // for a person
	offset int64
	stamp  engine.Stamp
	read   func(ctx context.Context, fn func([]engine.KeyValue) error) error // nil: nobody has a state
}

// folded is a state at a position.
type folded struct {
	origin  origin
	oracle  *fold.Oracle
	at      int64
	stamp   engine.Stamp
	records int64
	people  int64
	holes   []Range
}

// errUnusable says that an origin is not what it claims to be.
var errUnusable = errors.New("the state is not usable")

// ErrHole says that records are missing from the log.
var ErrHole = errors.New("records are missing from the log")

// foldTo reads the origin and folds [origin, to) onto it. Records that are
// missing are an error, or with lenient are listed.
func (r *Repairer) foldTo(ctx context.Context, partition int32, o origin, to int64, lenient bool) (*folded, error) {
	f := &folded{origin: o, at: o.offset, stamp: o.stamp, oracle: fold.NewOracleAt(r.Fold, partition, o.offset)}
	if err := f.seed(ctx); err != nil {
		return nil, err
	}
	start, stable, err := r.Log.Bounds(ctx, "events", partition)
	if err != nil {
		return nil, err
	}
	if to > stable {
		return nil, fmt.Errorf("partition %d of events ends at %d, before %d", partition, stable, to)
	}
	if err := f.miss(min(start, to), lenient, "removed by retention or a deletion"); err != nil {
		return nil, err
	}
	err = r.Log.Read(ctx, "events", partition, f.at, to, func(records []wire.Record) error {
		for i := range records {
			if err := f.feed(&records[i], lenient); err != nil {
				return err
			}
		}
		if r.Progress != nil {
			r.Progress(partition, f.records)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := f.miss(to, lenient, "not in the log"); err != nil {
		return nil, err
	}
	f.sum()
	return f, nil
}

// seed reads the origin's values and holds them against their digest.
func (f *folded) seed(ctx context.Context) error {
	if f.origin.read == nil {
		return nil
	}
	var digest uint64
	seen := map[string]struct{}{} // a scan may return a participant twice
	err := f.origin.read(ctx, func(values []engine.KeyValue) error {
		for _, v := range values {
			if _, again := seen[v.Key]; again {
				continue
			}
			seen[v.Key] = struct{}{}
			digest += engine.ValueDigest(v.Key, v.Value)
			if err := f.oracle.Seed(v.Key, v.Value); err != nil {
				return fmt.Errorf("%w: %w", errUnusable, err)
			}
		}
		return nil
	})
	switch {
	case errors.Is(err, engine.ErrSnapshotBroken):
		return fmt.Errorf("%w: %w", errUnusable, err)
	case err != nil:
		return err
	case digest != f.stamp.Digest:
		return fmt.Errorf("%w: the values of %s have the digest %016x, and it says %016x", errUnusable, f.origin.name, digest, f.stamp.Digest)
	}
	return nil
}

func (f *folded) feed(record *wire.Record, lenient bool) error {
	if err := f.miss(record.Offset, lenient, "not in the log"); err != nil {
		return err
	}
	if _, err := f.oracle.Feed(record); err != nil {
		return err
	}
	f.stamp.Chain = engine.Chain(f.stamp.Chain, record)
	f.at++
	f.records++
	return nil
}

// miss notes that nothing comes before an offset.
func (f *folded) miss(next int64, lenient bool, why string) error {
	if next <= f.at {
		return nil
	}
	if !lenient {
		return fmt.Errorf("%w: after %d comes %d", ErrHole, f.at-1, next)
	}
	f.holes = append(f.holes, Range{f.at, next, why})
	f.at = next
	f.oracle.Skip(next)
	return nil
}

func (f *folded) sum() {
	f.stamp.Digest, f.people = 0, 0
	for who, value := range f.oracle.States() {
		f.stamp.Digest += engine.ValueDigest(who, value)
		f.people++
	}
}

// copyChunk bounds the values handed on at once.
const copyChunk = 1000

// copyTo writes the state as a snapshot.
func (f *folded) copyTo(ctx context.Context, w engine.SnapshotWriter, s engine.Snapshot) (engine.Snapshot, error) {
	defer w.Abort()
	var values []engine.KeyValue
	for who, value := range f.oracle.States() {
		values = append(values, engine.KeyValue{Key: who, Value: append([]byte(nil), value...)})
		if len(values) == copyChunk {
			if err := w.Add(ctx, values); err != nil {
				return s, err
			}
			values = nil
		}
	}
	if err := w.Add(ctx, values); err != nil {
		return s, err
	}
	return w.Finish(ctx, s)
}
