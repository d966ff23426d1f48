package trail

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"time"

	"github.com/veltrix/veltrix/internal/wire"
)

// ErrGone says that the log does not hold the event any more.
var ErrGone = errors.New("the log does not hold this event any more")

// ErrUnknown says that the log has no such event: nothing was written there, or a
// marker of a transaction.
var ErrUnknown = errors.New("there is no event at this place")

const (
	// probe is how many offsets are read at a time when looking for a record:
	// most of them are records.
	probe = 32
	// receiptsMax bounds the receipts that are looked through.
	receiptsMax = 200_000
	// skew is how far the clocks of brokers may be apart.
	skew = 5 * time.Minute
	// settle is how often outputs are asked for again that were committed a
	// moment ago: they can be read some milliseconds after the offset.
	settle = 20 * time.Millisecond
)

// Find tells what became of the event at a place of the log, and up to where the
// processors have committed the partition.
func (t *Teller) Find(ctx context.Context, partition int32, offset int64) (_ *Entry, committed int64, _ error) {
	if partition < 0 || partition >= t.Partitions {
		return nil, 0, ErrUnknown
	}
	b, err := t.Log.Bounds(ctx, "events", partition)
	if err != nil {
		return nil, 0, err
	}
	switch {
	case offset < b.Start && offset >= 0:
		return nil, 0, ErrGone
	case offset < 0 || offset >= b.Stable:
		return nil, 0, ErrUnknown
	}
	var entry *Entry
	err = t.Log.Read(ctx, "events", partition, offset, offset+1, func(records []wire.Record) error {
		for i := range records {
			e := EntryOf(&records[i])
			entry = &e
		}
		return nil
	})
	if err == nil && entry == nil {
		err = ErrUnknown
	}
	if err != nil {
		return nil, 0, err
	}
	if committed, err = t.Log.Committed(ctx, partition); err != nil || committed <= offset {
		return entry, committed, err
	}
	j := joiner{Teller: t, partition: partition, from: offset, to: offset + 1, entries: map[int64]*Entry{offset: entry}}
	return entry, committed, j.join(ctx)
}

// joiner adds to entries what the other topics say of them.
type joiner struct {
	*Teller
	partition int32
	from, to  int64 // the offsets that the entries are of
	entries   map[int64]*Entry
}

func (j *joiner) join(ctx context.Context) error {
	for _, e := range j.entries {
		e.Status = Applied
		if wire.PartitionFor([]byte(e.Event.Participant), j.Partitions) != j.partition {
			e.Status = Rerouted // unless it is found rejected
		}
	}
	err := j.outputs(ctx, "rejected", func(r *wire.Record, e *Entry) error {
		x, err := wire.DecodeRejected(r)
		if err == nil {
			e.reject(x)
		}
		return err
	})
	if err != nil {
		return err
	}
	err = j.outputs(ctx, "notifications", func(r *wire.Record, e *Entry) error {
		n, err := wire.DecodeNotification(r)
		if err == nil {
			e.Told(n)
		}
		return err
	})
	if err != nil {
		return err
	}
	return j.receipts(ctx)
}

// outputs calls fn with each output of a topic that an entry caused.
func (j *joiner) outputs(ctx context.Context, topic string, fn func(*wire.Record, *Entry) error) error {
	b, err := j.decided(ctx, topic)
	if err != nil {
		return err
	}
	at, err := j.seek(ctx, topic, b)
	if err != nil {
		return err
	}
	for past := false; at < b.Stable && !past; {
		next := min(at+probe+(j.to-j.from), b.Stable)
		err := j.Log.Read(ctx, topic, j.partition, at, next, func(records []wire.Record) error {
			for i := range records {
				cause, err := causeOf(&records[i])
				if err != nil {
					return fmt.Errorf("%s/%d at %d: %w", topic, j.partition, records[i].Offset, err)
				}
				past = past || cause >= j.to
				if e := j.entries[cause]; e != nil {
					if err := fn(&records[i], e); err != nil {
						return fmt.Errorf("%s/%d at %d: %w", topic, j.partition, records[i].Offset, err)
					}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		at = next
	}
	return nil
}

// decided waits until all that a topic holds now is decided: a committed offset
// can be seen before what was committed with it.
func (j *joiner) decided(ctx context.Context, topic string) (Bounds, error) {
	for end := int64(-1); ; {
		b, err := j.Log.Bounds(ctx, topic, j.partition)
		if err != nil {
			return b, err
		}
		if end < 0 {
			end = b.End
		}
		if b.Stable >= end {
			return b, nil
		}
		select {
		case <-ctx.Done():
			return b, fmt.Errorf("partition %d of %s is held back at %d by an open transaction: %w", j.partition, topic, b.Stable, ctx.Err())
		case <-time.After(settle):
		}
	}
}

// seek returns an offset of a topic such that everything before it was caused by
// records before j.from. A partition's outputs are committed in the order of their
// causes, so it is found by halves.
func (j *joiner) seek(ctx context.Context, topic string, b Bounds) (int64, error) {
	var failed error
	n := sort.Search(int(b.Stable-b.Start), func(i int) bool {
		if failed != nil {
			return true
		}
		cause, found, err := j.first(ctx, topic, b.Start+int64(i), b.Stable)
		failed = err
		return err != nil || !found || cause >= j.from
	})
	return b.Start + int64(n), failed
}

// first returns the cause of the first record from an offset on.
func (j *joiner) first(ctx context.Context, topic string, from, stable int64) (cause int64, found bool, err error) {
	for ; from < stable && !found; from += probe {
		err = j.Log.Read(ctx, topic, j.partition, from, min(from+probe, stable), func(records []wire.Record) error {
			if found || len(records) == 0 {
				return nil
			}
			found = true
			var err error
			cause, err = causeOf(&records[0])
			return err
		})
		if err != nil {
			return 0, false, fmt.Errorf("look through %s/%d: %w", topic, j.partition, err)
		}
	}
	return cause, found, nil
}

// causeOf returns the offset of the record that caused an output.
func causeOf(r *wire.Record) (int64, error) {
	cause, err := strconv.ParseInt(string(r.Header(wire.HeaderSourceOffset)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("its header %s is %q", wire.HeaderSourceOffset, r.Header(wire.HeaderSourceOffset))
	}
	return cause, nil
}

// receipts adds what the notifiers have reported on the entries' notifications.
func (j *joiner) receipts(ctx context.Context) error {
	type key struct {
		id       string
		revision uint32
	}
	wanted := map[key]*Notification{}
	var since time.Time
	for _, e := range j.entries {
		for i := range e.Notifications {
			n := &e.Notifications[i]
			wanted[key{n.ID, n.Revision}] = n
			if since.IsZero() || e.Arrived.Before(since) {
				since = e.Arrived
			}
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	b, err := j.Log.Bounds(ctx, "receipts", j.partition)
	if err != nil {
		return err
	}
	from, err := j.Log.After(ctx, "receipts", j.partition, since.Add(-skew))
	if err != nil {
		return err
	}
	from = max(from, b.Start, b.Stable-receiptsMax)
	if from >= b.Stable {
		return nil
	}
	return j.Log.Read(ctx, "receipts", j.partition, from, b.Stable, func(records []wire.Record) error {
		for i := range records {
			x, err := wire.DecodeReceipt(&records[i])
			if err != nil {
				return fmt.Errorf("receipts/%d at %d: %w", j.partition, records[i].Offset, err)
			}
			if n := wanted[key{x.Notification, x.Revision}]; n != nil {
				n.received(x)
			}
		}
		return nil
	})
}
