package repair

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/veltrix/veltrix/internal/engine"
)

// Rebuild is what a rebuild of one partition would do.
type Rebuild struct {
	Partition int32  `json:"partition"`
	Applied   int64  `json:"applied"`   // R; −1: Redis has no position
	Committed int64  `json:"committed"` // K; −1: nothing
	LogStart  int64  `json:"log_start"`
	LogEnd    int64  `json:"log_end"`
	Snapshot  int64  `json:"snapshot"` // offset of the newest that fits; −1: none
	From      int64  `json:"from"`     // the first record to be folded again
	Fold      int64  `json:"fold"`     // records to be folded again
	Stamp     string `json:"stamp"`    // what the fold has to come to

	meta engine.Meta
}

// String shows the plan to a person.
func (b *Rebuild) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "partition %d: its view in redis is dropped and made anew\n", b.Partition)
	fmt.Fprintf(&s, "  %-14s %s\n  %-14s %s\n  %-14s %d to %d\n", "redis", orNone(b.Applied), "committed", orNone(b.Committed), "log", b.LogStart, b.LogEnd)
	fmt.Fprintf(&s, "  %-14s %s\n  %-14s %d records, from %d on\n", "snapshot", orNone(b.Snapshot), "folded again", b.Fold, b.From)
	return s.String()
}

// ErrNoWayBack says that a view, once dropped, could not be made anew.
var ErrNoWayBack = errors.New("the view could not be made anew")

// PlanRebuild says what a rebuild would take, and changes nothing.
func (r *Repairer) PlanRebuild(ctx context.Context, partition int32) (*Rebuild, error) {
	meta, err := r.View.Meta(ctx, partition)
	if err != nil {
		return nil, err
	}
	c, err := r.Log.Committed(ctx, partition)
	if err != nil {
		return nil, err
	}
	b := &Rebuild{Partition: partition, Applied: -1, Committed: -1, LogStart: c.LogStart, LogEnd: c.LogEnd, Snapshot: -1, meta: meta}
	if meta.Exists {
		b.Applied = meta.Applied
	}
	if c.Absent {
		return nil, fmt.Errorf("partition %d: %w: nothing is committed that it would have to come to; if it was processed before, run veltrix rebase --partition %d", partition, ErrNoWayBack, partition)
	}
	b.Committed = c.Offset
	stamp, err := engine.ParseStamp(c.Metadata)
	if err != nil || stamp.Token != r.Token {
		return nil, fmt.Errorf("partition %d: %w: the commit at %d carries %q and not a stamp of this deployment: run veltrix rebase --partition %d first", partition, ErrNoWayBack, c.Offset, c.Metadata, partition)
	}
	b.From, b.Stamp = stamp.Start, stamp.String()
	s, found, err := r.Snapshots.Find(ctx, partition, r.Token, c.Offset)
	if err != nil {
		return nil, err
	}
	if found && s.Start == stamp.Start && s.Offset >= c.LogStart {
		b.Snapshot, b.From = s.Offset, s.Offset
	}
	if b.From < c.LogStart {
		return nil, fmt.Errorf("partition %d: %w: the log starts at %d, and without a snapshot the records from %d are needed", partition, ErrNoWayBack, c.LogStart, b.From)
	}
	b.Fold = c.Offset - b.From
	return b, nil
}

// ApplyRebuild drops the view. A running processor notices within a second; if
// none runs, the next one to start does.
func (r *Repairer) ApplyRebuild(ctx context.Context, b *Rebuild) error {
	e := Entry{r.Now(), r.Who, "rebuild", "", b.Partition, b.Applied, b.Applied, r.Reason}
	if err := r.Journal.Note(ctx, e, nil); err != nil {
		return fmt.Errorf("rebuild partition %d: %w", b.Partition, err)
	}
	if b.meta.Exists {
		if err := r.forget(ctx, b.Partition, b.meta); err != nil {
			return fmt.Errorf("rebuild partition %d: %w", b.Partition, err)
		}
	}
	r.audit("rebuild", "", b.Partition, b.Applied, b.Applied)
	return nil
}

// Followed is where a rebuild stands.
type Followed struct {
	Partition int32         `json:"partition"`
	Applied   int64         `json:"applied"` // R; −1: nobody has begun
	Committed int64         `json:"committed"`
	Rate      float64       `json:"rate"` // records a second
	Left      time.Duration `json:"-"`    // as far as can be told; 0: not known
	Done      bool          `json:"done"`
}

// Follow tells every interval how far the rebuild is, until R = K or ctx ends.
func (r *Repairer) Follow(ctx context.Context, b *Rebuild, interval time.Duration, tell func(Followed)) error {
	began, from := time.Time{}, int64(0)
	for {
		now, err := r.followed(ctx, b)
		if err != nil {
			return err
		}
		switch {
		case now.Applied < 0:
		case began.IsZero():
			began, from = r.Now(), now.Applied
		default:
			if seconds := r.Now().Sub(began).Seconds(); seconds > 0 {
				now.Rate = float64(now.Applied-from) / seconds
			}
			if now.Rate > 0 {
				now.Left = time.Duration(float64(now.Committed-now.Applied) / now.Rate * float64(time.Second))
			}
		}
		tell(now)
		if now.Done {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("partition %d is at %d of %d: %w", b.Partition, now.Applied, now.Committed, ctx.Err())
		case <-time.After(interval):
		}
	}
}

func (r *Repairer) followed(ctx context.Context, b *Rebuild) (Followed, error) {
	f := Followed{Partition: b.Partition, Applied: -1}
	meta, err := r.View.Meta(ctx, b.Partition)
	if err != nil {
		return f, err
	}
	c, err := r.Log.Committed(ctx, b.Partition)
	if err != nil {
		return f, err
	}
	f.Committed = c.Offset
	if meta.Exists && meta.Generation != b.meta.Generation {
		f.Applied = meta.Applied
		f.Done = meta.Applied >= c.Offset
	}
	return f, nil
}
