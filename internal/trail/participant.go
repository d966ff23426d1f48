package trail

import (
	"context"
	"slices"
	"time"

	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// Window is a part of a participant's partition.
type Window struct {
	Since   time.Time // zero: what the log holds
	Before  int64     // the offset to end before; 0: the newest record is the last
	Records int64     // at most so many of the partition's records, the newest; 0: all
}

// Trail is a participant's events in the order in which they happened, as their
// times say: not in that of their arrival.
type Trail struct {
	Participant string `json:"participant"`
	Partition   int32  `json:"partition"`
	// Committed is the processors' offset: what is at or after it is accepted.
	Committed int64 `json:"committed"`
	// From and Before are the offsets that were looked through; Start is the
	// log's first one.
	Start   int64   `json:"start"`
	From    int64   `json:"from"`
	Before  int64   `json:"before"`
	Entries []Entry `json:"entries"`
}

// Trail tells a participant's events in a window of their partition. Records of
// the participant that are on another partition are seen once they are rerouted.
// Progress is told how many records were read; it may be nil.
func (t *Teller) Trail(ctx context.Context, who string, w Window, progress func(records int64)) (*Trail, error) {
	out := &Trail{Participant: who, Partition: wire.PartitionFor([]byte(who), t.Partitions), Entries: []Entry{}}
	b, err := t.Log.Bounds(ctx, "events", out.Partition)
	if err != nil {
		return nil, err
	}
	out.Start, out.From, out.Before = b.Start, b.Start, b.Stable
	if w.Before > 0 {
		out.Before = min(w.Before, b.Stable)
	}
	if !w.Since.IsZero() {
		since, err := t.Log.After(ctx, "events", out.Partition, w.Since)
		if err != nil {
			return nil, err
		}
		out.From = max(out.From, since)
	}
	if w.Records > 0 {
		out.From = max(out.From, out.Before-w.Records)
	}
	if out.From >= out.Before {
		out.From = out.Before
	} else if err := t.collect(ctx, out, progress); err != nil {
		return nil, err
	}
	if out.Committed, err = t.Log.Committed(ctx, out.Partition); err != nil {
		return nil, err
	}
	err = t.fates(ctx, out)
	slices.SortStableFunc(out.Entries, func(a, b Entry) int { return a.Event.Time.Compare(b.Event.Time) })
	return out, err
}

// collect reads the participant's records.
func (t *Teller) collect(ctx context.Context, out *Trail, progress func(records int64)) error {
	read := int64(0)
	return t.Log.Read(ctx, "events", out.Partition, out.From, out.Before, func(records []wire.Record) error {
		for i := range records {
			if string(records[i].Key) == out.Participant {
				out.Entries = append(out.Entries, EntryOf(&records[i]))
			}
		}
		if read += int64(len(records)); progress != nil {
			progress(read)
		}
		return nil
	})
}

// fates adds what became of the entries that the processors have passed.
func (t *Teller) fates(ctx context.Context, out *Trail) error {
	j := joiner{Teller: t, partition: out.Partition, entries: map[int64]*Entry{}}
	for i := range out.Entries {
		e := &out.Entries[i]
		if e.Offset >= out.Committed {
			break
		}
		if len(j.entries) == 0 {
			j.from = e.Offset
		}
		j.entries[e.Offset], j.to = e, e.Offset+1
	}
	if len(j.entries) == 0 {
		return nil
	}
	if err := j.join(ctx); err != nil {
		return err
	}
	var counts participant.Sequences
	for i := range out.Entries {
		e := &out.Entries[i]
		if e.Status == Applied || e.Reason == participant.Late.String() {
			e.SequenceBreak = counts.Note(e.Event.Source, e.Event.Sequence).String()
		}
	}
	return nil
}
