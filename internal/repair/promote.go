package repair

import (
	"context"
	"errors"
	"fmt"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/fold"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// Promote is the mode of a plan that puts a partition under changed rules.
const Promote = "promote"

// ErrUnsettled says that a partition has to be put right before its rules can
// change.
var ErrUnsettled = errors.New("its commit is not where it belongs: run veltrix rebase first")

// Next are the rules that are to become the deployment's.
type Next struct {
	Fold      *fold.Fold
	Token     string
	Migration *participant.Migration
}

// PlanPromotion says how a partition gets under the next rules, and changes
// nothing. The barrier is the committed offset: what is before it was folded by
// the present rules and is never folded again, since the states there, carried
// over, become the partition's beginning; what is behind it is folded by the
// next ones. A plan without steps is of a partition that is there already, or
// of one that has not begun.
//
// The crash windows are those of a rebase with accept-loss. Between two
// partitions, processors of either rules refuse those of the other.
func (r *Repairer) PlanPromotion(ctx context.Context, partition int32, next Next) (*Plan, error) {
	c, err := r.Log.Committed(ctx, partition)
	if err != nil {
		return nil, err
	}
	stamp, err := engine.ParseStamp(c.Metadata)
	switch {
	case c.Absent && !c.Initialized:
		return &Plan{Partition: partition, Mode: Promote, Finding: "nothing of it was processed yet", Committed: -1, Applied: -1}, nil
	case err == nil && !c.Absent && stamp.Token == next.Token:
		return &Plan{Partition: partition, Mode: Promote, Finding: "it is under the next rules", Committed: c.Offset, Applied: -1, To: c.Offset}, nil
	}
	p, err := r.Plan(ctx, partition)
	if err != nil {
		return nil, err
	}
	if !p.Empty() {
		return nil, fmt.Errorf("partition %d: %w", partition, ErrUnsettled)
	}
	e, err := r.look(ctx, partition)
	if err != nil {
		return nil, err
	}
	carried, err := r.carry(p, next)
	if err != nil {
		return nil, err
	}
	p.Mode, p.Finding = Promote, "the barrier is the committed offset"
	p.found(carried)
	p.base = Base{
		Snapshot: engine.Snapshot{
			Token: next.Token, Start: p.To, Offset: p.To, Digest: carried.stamp.Digest, Participants: carried.people,
		},
		Notifications: e.ends["notifications"], Rejected: e.ends["rejected"],
	}
	p.Steps = []string{StepSnapshot, StepBase, StepNote, StepCommit}
	if e.meta.Exists {
		p.Steps = append(p.Steps, StepForget)
	}
	return p, nil
}

// carry takes a state over to the next rules.
func (r *Repairer) carry(p *Plan, next Next) (*folded, error) {
	f := &folded{
		origin: p.state.origin, at: p.To, records: p.state.records,
		stamp:  engine.Stamp{Token: next.Token, Start: p.To},
		oracle: fold.NewOracleAt(next.Fold, p.Partition, p.To),
	}
	for who, value := range p.state.oracle.States() {
		asOf, h, err := wire.DecodeStored(value, r.Fold.Schema())
		if err == nil {
			h, err = next.Migration.Apply(h)
		}
		if err == nil {
			err = f.oracle.Seed(who, wire.AppendStored(nil, asOf, h, next.Fold.Schema()))
		}
		if err != nil {
			return nil, fmt.Errorf("partition %d: participant %q: %w", p.Partition, who, err)
		}
	}
	f.sum()
	return f, nil
}
