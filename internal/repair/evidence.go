package repair

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/wire"
)

// evidence is all that is known of a partition before anything is changed.
type evidence struct {
	committed engine.Committed
	promised  engine.Stamp // of the commit
	valid     bool         // the commit carries a stamp of this deployment
	foreign   bool         // it carries a stamp of another one
	meta      engine.Meta
	trusted   bool // the view is whole, of this deployment and of this life
	snapshot  *engine.Snapshot
	base      *Base
	last      int64 // the highest cause of an output of this life; −1: none
	lastGone  bool  // the outputs are gone that would say it
	ends      map[string]int64
	start     int64 // the first offset that the state's fold began with; −1: not known
}

var outputTopics = []string{"notifications", "rejected"}

// look gathers the evidence: R before K, as a processor does.
func (r *Repairer) look(ctx context.Context, partition int32) (*evidence, error) {
	e := &evidence{last: -1, start: -1, ends: map[string]int64{}}
	var err error
	if e.base, err = r.Journal.Base(ctx, partition); err != nil {
		return nil, err
	}
	if e.meta, err = r.View.Meta(ctx, partition); err != nil {
		return nil, err
	}
	if e.committed, err = r.Log.Committed(ctx, partition); err != nil {
		return nil, err
	}
	if !e.committed.Absent {
		e.promised, err = engine.ParseStamp(e.committed.Metadata)
		e.valid = err == nil && e.promised.Token == r.Token
		e.foreign = err == nil && !e.valid
	}
	e.trusted = e.meta.Exists && e.meta.Intact && e.meta.Token == r.Token
	if e.base != nil && !e.inForce() {
		e.base = nil
	}
	if e.base != nil && e.meta.Start != e.base.Snapshot.Offset {
		e.trusted = false
	}
	e.begin()
	if err := r.findSnapshot(ctx, partition, e); err != nil {
		return nil, err
	}
	for _, topic := range outputTopics {
		if err := r.lastCause(ctx, partition, topic, e); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// inForce reports whether the declared beginning is that of the life that is
// committed. It is not where a rebase ended before its commit; then the view, if
// there is one, is of the life before too.
func (e *evidence) inForce() bool {
	at := e.base.Snapshot.Offset
	if e.valid {
		return e.promised.Start == at
	}
	return !e.trusted || e.meta.Start == at
}

// findSnapshot looks for the newest copy of this life. A copy of another one may
// be there from a rebase that ended before its commit.
func (r *Repairer) findSnapshot(ctx context.Context, partition int32, e *evidence) error {
	for notAfter := int64(math.MaxInt64); ; {
		s, found, err := r.Snapshots.Find(ctx, partition, r.Token, notAfter)
		if err != nil || !found {
			return err
		}
		if e.start < 0 || s.Start == e.start {
			e.snapshot, e.start = &s, s.Start
			return nil
		}
		notAfter = s.Offset - 1
	}
}

// begin settles where the state's fold began.
func (e *evidence) begin() {
	switch {
	case e.base != nil:
		e.start = e.base.Snapshot.Offset
	case e.valid:
		e.start = e.promised.Start
	case e.trusted:
		e.start = e.meta.Start
	case e.committed.LogStart == 0:
		e.start = 0
	}
}

// lastCause finds the highest cause among a topic's outputs. All of them are
// read: after faults, their order is not to be relied on.
func (r *Repairer) lastCause(ctx context.Context, partition int32, topic string, e *evidence) error {
	start, stable, err := r.Log.Bounds(ctx, topic, partition)
	if err != nil {
		return err
	}
	e.ends[topic] = stable
	var born int64 // where this life's outputs begin
	if e.base != nil {
		born = map[string]int64{"notifications": e.base.Notifications, "rejected": e.base.Rejected}[topic]
	}
	seen := false
	err = r.Log.Read(ctx, topic, partition, max(start, born), stable, func(records []wire.Record) error {
		for i := range records {
			cause, err := strconv.ParseInt(string(records[i].Header(wire.HeaderSourceOffset)), 10, 64)
			if err != nil {
				return fmt.Errorf("the record at %d of %s/%d names no cause: %w", records[i].Offset, topic, partition, err)
			}
			seen, e.last = true, max(e.last, cause)
		}
		return nil
	})
	if !seen && start > born {
		e.lastGone = true
	}
	return err
}

// position is the lowest offset that is above everything that has an outcome.
func (e *evidence) position() int64 {
	at := e.last + 1
	if e.valid {
		at = max(at, e.committed.Offset)
	}
	if e.trusted {
		at = max(at, e.meta.Applied)
	}
	if e.snapshot != nil {
		at = max(at, e.snapshot.Offset)
	}
	if e.base != nil {
		at = max(at, e.base.Snapshot.Offset)
	}
	return at
}

// origins returns the states that the log can be folded onto up to an offset,
// the one with the least to fold first.
func (r *Repairer) origins(partition int32, e *evidence, upTo int64) (list []origin) {
	add := func(name string, s engine.Snapshot, read func(context.Context, func([]engine.KeyValue) error) error) {
		if s.Offset <= upTo {
			stamp := engine.Stamp{Token: r.Token, Start: s.Start, Chain: s.Chain, Digest: s.Digest}
			list = append(list, origin{fmt.Sprintf("%s at %d", name, s.Offset), s.Offset, stamp, read})
		}
	}
	copied := func(s engine.Snapshot) func(context.Context, func([]engine.KeyValue) error) error {
		return func(ctx context.Context, fn func([]engine.KeyValue) error) error {
			return r.Snapshots.Read(ctx, partition, s, fn)
		}
	}
	if e.trusted {
		m := e.meta
		add("redis", engine.Snapshot{Start: m.Start, Offset: m.Applied, Chain: m.Chain, Digest: m.Digest}, func(ctx context.Context, fn func([]engine.KeyValue) error) error {
			// Only the values are taken over: what was kept beside them is made anew.
			if err := r.View.Scan(ctx, partition, m.Generation, fn); !errors.Is(err, engine.ErrDamaged) {
				return err
			}
			return nil
		})
	}
	if e.snapshot != nil {
		add("the snapshot", *e.snapshot, copied(*e.snapshot))
	}
	if e.base != nil {
		add("the base", e.base.Snapshot, copied(e.base.Snapshot))
	}
	slices.SortStableFunc(list, func(a, b origin) int { return int(b.offset - a.offset) })
	if e.base == nil && e.start >= 0 {
		if o := emptyAt(r.Token, e.start); o.offset <= upTo {
			list = append(list, o)
		}
	}
	return list
}

// nothing is the last resort: all states before the log's start are given up.
func (e *evidence) nothing(token string, upTo int64) origin {
	return emptyAt(token, min(max(e.start, 0), upTo))
}

func emptyAt(token string, offset int64) origin {
	return origin{name: fmt.Sprintf("nothing, from record %d on", offset), offset: offset, stamp: engine.Stamp{Token: token, Start: offset}}
}

// errNoState says that no origin leads to a position.
var errNoState = errors.New("there is no way to the state")

// foldFrom tries the origins one after the other.
func (r *Repairer) foldFrom(ctx context.Context, partition int32, origins []origin, to int64, lenient bool) (*folded, error) {
	var tried []error
	for _, o := range origins {
		f, err := r.foldTo(ctx, partition, o, to, lenient)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, errUnusable) && !errors.Is(err, ErrHole) {
			return nil, err
		}
		tried = append(tried, fmt.Errorf("from %s: %w", o.name, err))
	}
	if len(tried) == 0 {
		tried = append(tried, errors.New("neither redis, nor a snapshot, nor the log's start is left to fold from"))
	}
	return nil, fmt.Errorf("partition %d: %w at %d: %w", partition, errNoState, to, errors.Join(tried...))
}
