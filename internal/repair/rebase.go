package repair

import (
	"context"
	"errors"
	"fmt"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/wire"
)

// ErrLoss says that a partition cannot be put right without giving records up.
var ErrLoss = errors.New("records are lost, and only --accept-loss goes on without them")

// ErrNothingLost says that accept-loss was asked for where nothing has to be
// given up.
var ErrNothingLost = errors.New("nothing has to be given up: run it without --accept-loss")

// ErrForeign says that the commit belongs to another deployment.
var ErrForeign = errors.New("the commit was written under another cluster, topic, rules version or processor.buckets: run with the configuration that wrote it")

// ErrUnknowable says that nothing tells how far the partition was processed.
var ErrUnknowable = errors.New("nothing is left that says how far the partition was processed: the commit, redis, the snapshots and the newest outputs are gone; --accept-loss goes on at the log's start")

// begun starts a plan with what is known.
func (r *Repairer) begun(ctx context.Context, partition int32, mode string) (*Plan, *evidence, error) {
	members, err := r.Log.Members(ctx)
	if err != nil {
		return nil, nil, err
	}
	e, err := r.look(ctx, partition)
	if err != nil {
		return nil, nil, err
	}
	if e.foreign {
		return nil, nil, fmt.Errorf("partition %d: %w: it carries %q and this is %q", partition, ErrForeign, e.promised.Token, r.Token)
	}
	p := &Plan{
		Partition: partition, Mode: mode, Members: members, meta: e.meta,
		Committed: -1, Applied: -1, LogStart: e.committed.LogStart, LogEnd: e.committed.LogEnd, LastOutput: e.last,
	}
	if !e.committed.Absent {
		p.Committed = e.committed.Offset
	}
	if e.meta.Exists {
		p.Applied = e.meta.Applied
	}
	return p, e, nil
}

// Plan says where the partition's commit belongs, and changes nothing. It fails
// with ErrLoss where no offset is right without a loss.
func (r *Repairer) Plan(ctx context.Context, partition int32) (*Plan, error) {
	p, e, err := r.begun(ctx, partition, Lossless)
	if err != nil {
		return nil, err
	}
	p.To = e.position()
	switch {
	case !e.valid && !e.trusted && e.snapshot == nil && e.base == nil && e.last < 0 && e.lastGone:
		return nil, fmt.Errorf("partition %d: %w", partition, ErrUnknowable)
	case p.To > p.LogEnd:
		return nil, fmt.Errorf("partition %d was processed up to %d and the log ends at %d (truncated): %w", partition, p.To, p.LogEnd, ErrLoss)
	case p.To < p.LogStart:
		return nil, fmt.Errorf("partition %d was processed up to %d and the log starts at %d (lost-log): %w", partition, p.To, p.LogStart, ErrLoss)
	}
	f, err := r.foldFrom(ctx, partition, r.origins(partition, e, p.To), p.To, false)
	switch {
	case errors.Is(err, errNoState):
		return nil, fmt.Errorf("%w: %w", ErrLoss, err)
	case err != nil:
		return nil, err
	}
	inOrder := e.valid && e.committed.Offset == p.To
	moved := inOrder && e.promised != f.stamp
	if moved {
		given := f.stamp
		if f, err = r.unmoved(ctx, partition, e, f.origin); err != nil {
			return nil, err
		}
		if f == nil {
			return nil, fmt.Errorf("partition %d: the fold up to %d gives %q and the commit promises %q (diverged): %w", partition, p.To, given, e.promised, ErrLoss)
		}
		p.To = f.at
	}
	p.found(f)
	switch {
	case moved:
		p.Finding = fmt.Sprintf("the commit was moved forward: its stamp is that of %d", p.To)
	case inOrder:
		p.Finding = "the commit is where it belongs"
		return p, nil
	case e.committed.Absent:
		p.Finding = "the commit is gone"
	case !e.valid:
		p.Finding = "the commit was not written by a processor"
	default:
		p.Finding = "the commit went back"
	}
	if e.lastGone {
		p.Finding += "; the newest outputs are gone too, so the position of what is left is believed"
	}
	p.Steps = []string{StepNote, StepCommit}
	return p, nil
}

// unmoved looks for the offset that a commit's stamp was made for, and returns
// the state there. It returns nil where there is none, or where something tells
// that more was processed.
func (r *Repairer) unmoved(ctx context.Context, partition int32, e *evidence, o origin) (*folded, error) {
	at, err := r.stampedAt(ctx, partition, o, e)
	if err != nil || at < 0 || at <= e.last || e.trusted && at < e.meta.Applied {
		return nil, err
	}
	f, err := r.foldTo(ctx, partition, o, at, false)
	if err != nil || f.stamp != e.promised {
		return nil, err
	}
	return f, nil
}

// stampedAt returns the offset up to which the records have the chain that the
// commit promises; −1: there is none before the committed offset.
func (r *Repairer) stampedAt(ctx context.Context, partition int32, o origin, e *evidence) (int64, error) {
	at, chain := int64(-1), o.stamp.Chain
	if chain == e.promised.Chain {
		return o.offset, nil
	}
	err := r.Log.Read(ctx, "events", partition, o.offset, e.committed.Offset, func(records []wire.Record) error {
		for i := range records {
			chain = engine.Chain(chain, &records[i])
			if chain == e.promised.Chain {
				at = records[i].Offset + 1
			}
		}
		return nil
	})
	return at, err
}

func (p *Plan) found(f *folded) {
	p.state = f
	p.Origin, p.OriginAt, p.Folded, p.Participants, p.Lost = f.origin.name, f.origin.offset, f.records, f.people, f.holes
	p.Stamp = f.stamp.String()
	p.commit = engine.Commit{Offset: p.To, Metadata: p.Stamp}
}

// PlanLoss says what would be given up and where the partition would begin
// again, and changes nothing. It fails with ErrNothingLost where a rebase
// without a loss is enough.
func (r *Repairer) PlanLoss(ctx context.Context, partition int32) (*Plan, error) {
	p, e, err := r.begun(ctx, partition, AcceptLoss)
	if err != nil {
		return nil, err
	}
	if e.valid && e.base != nil && e.committed.Offset == e.base.Snapshot.Offset && e.promised.Start == e.base.Snapshot.Offset && e.committed.Offset <= p.LogEnd && e.committed.Offset >= p.LogStart {
		return r.resumed(p, e)
	}
	at := e.position()
	var f *folded
	switch {
	case at > p.LogEnd:
		p.Finding = fmt.Sprintf("the log ends at %d and the partition was processed up to %d", p.LogEnd, at)
		p.To = p.LogEnd
		f, err = r.refold(ctx, partition, e, p.To)
		if err == nil {
			f.holes = append(f.holes, Range{p.LogEnd, at, "lost by the brokers after they had been processed: their outputs stay, what they did to the states is gone"})
		}
	default:
		p.To = max(at, p.LogStart)
		f, err = r.onward(ctx, p, e)
	}
	if err != nil {
		return nil, err
	}
	if err := r.hole(ctx, p, f); err != nil {
		return nil, err
	}
	if len(f.holes) == 0 {
		return nil, fmt.Errorf("partition %d: %w", partition, ErrNothingLost)
	}
	f.stamp.Start, f.stamp.Chain, f.stamp.Token = p.To, 0, r.Token
	p.found(f)
	p.base = Base{
		Snapshot: engine.Snapshot{
			Token: r.Token, Start: p.To, Offset: p.To, Digest: f.stamp.Digest, Participants: f.people,
		},
		Notifications: e.ends["notifications"], Rejected: e.ends["rejected"],
	}
	p.Steps = []string{StepSnapshot, StepBase, StepNote, StepCommit}
	if e.meta.Exists {
		p.Steps = append(p.Steps, StepForget)
	}
	return p, nil
}

// resumed finds the commit at the declared beginning: what may be left is the
// view of the life before.
func (r *Repairer) resumed(p *Plan, e *evidence) (*Plan, error) {
	p.To = e.committed.Offset
	if !e.meta.Exists || e.meta.Start == p.To {
		return nil, fmt.Errorf("partition %d begins at %d since it was rebased: %w", p.Partition, p.To, ErrNothingLost)
	}
	p.Finding = "the commit is at the declared beginning, and redis is of the life before"
	p.Origin, p.OriginAt, p.Participants, p.Stamp = "the base", p.To, e.base.Snapshot.Participants, e.promised.String()
	p.Steps = []string{StepForget}
	return p, nil
}

// onward folds what is there of the log up to the position. Where all is there
// and does not lead to what was committed, the log as it is now is folded.
func (r *Repairer) onward(ctx context.Context, p *Plan, e *evidence) (*folded, error) {
	origins := r.origins(p.Partition, e, p.To)
	f, err := r.foldFrom(ctx, p.Partition, origins, p.To, false)
	switch {
	case err == nil && e.valid && e.committed.Offset == p.To && e.promised != f.stamp:
		switch there, err := r.unmoved(ctx, p.Partition, e, f.origin); {
		case err != nil:
			return nil, err
		case there != nil:
			p.To = there.at
			return there, nil
		}
		p.Finding = fmt.Sprintf("the log does not lead to what was committed at %d", p.To)
		if f, err = r.refold(ctx, p.Partition, e, p.To); err == nil {
			from := max(f.origin.offset, p.LogStart)
			f.holes = append(f.holes, Range{from, p.To, "are not all the records that were processed: their outputs stay, the states become what the log says now"})
		}
		return f, err
	case err == nil:
		p.Finding = "the log is whole up to the position"
		return f, nil
	case !errors.Is(err, errNoState):
		return nil, err
	}
	p.Finding = fmt.Sprintf("records are missing between what is kept of the states and %d", p.To)
	return r.foldFrom(ctx, p.Partition, append(origins, e.nothing(r.Token, p.To)), p.To, true)
}

// refold folds the log as it is now: from its start if it reaches back to the
// state's, and otherwise onto what was kept.
func (r *Repairer) refold(ctx context.Context, partition int32, e *evidence, to int64) (*folded, error) {
	var origins []origin
	if e.base == nil && e.start >= e.committed.LogStart && e.start <= to {
		origins = append(origins, emptyAt(r.Token, e.start))
	}
	origins = append(origins, r.origins(partition, e, to)...)
	return r.foldFrom(ctx, partition, append(origins, e.nothing(r.Token, to)), to, true)
}

// errFirst ends a reading at its first record.
var errFirst = errors.New("the first record")

// hole moves the position past records that are missing right behind it.
func (r *Repairer) hole(ctx context.Context, p *Plan, f *folded) error {
	_, stable, err := r.Log.Bounds(ctx, "events", p.Partition)
	if err != nil || stable <= p.To {
		return err
	}
	next := stable
	err = r.Log.Read(ctx, "events", p.Partition, p.To, stable, func(records []wire.Record) error {
		if len(records) == 0 {
			return nil
		}
		next = records[0].Offset
		return errFirst
	})
	if err != nil && !errors.Is(err, errFirst) {
		return err
	}
	if next > p.To {
		p.Finding = fmt.Sprintf("after %d comes %d", p.To-1, next)
		p.To = next
	}
	return f.miss(next, true, "not in the log, and never processed")
}
