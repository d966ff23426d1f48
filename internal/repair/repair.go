package repair

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/fold"
)

// Modes of a rebase.
const (
	Lossless   = "lossless"
	AcceptLoss = "accept-loss"
)

// Steps of a rebase, in their order.
const (
	StepSnapshot = "snapshot"
	StepBase     = "base"
	StepNote     = "note"
	StepCommit   = "commit"
	StepForget   = "forget"
)

// ErrMembers says that processors are running.
var ErrMembers = errors.New("the processors' group has members")

// Repairer works on one deployment.
type Repairer struct {
	Log       Log
	View      View
	Snapshots Snapshots
	Journal   Journal
	Fold      *fold.Fold
	Token     string // of this deployment
	Who       string // user@host, for the audit
	Reason    string // why, in the operator's words
	Audit     *slog.Logger
	Now       func() time.Time
	// Progress is told how many records were folded; it may be nil.
	Progress func(partition int32, records int64)
	// Before is called before each step; its error ends the work there. It may
	// be nil.
	Before func(step string) error
}

// Range is offsets that are given up: [From, To).
type Range struct {
	From int64  `json:"from"`
	To   int64  `json:"to"`
	Why  string `json:"why"`
}

// Plan is what a rebase of one partition would do.
type Plan struct {
	Partition    int32    `json:"partition"`
	Mode         string   `json:"mode"`
	Finding      string   `json:"finding"`     // what is wrong, in a sentence
	Committed    int64    `json:"committed"`   // now; −1: nothing
	Applied      int64    `json:"applied"`     // R; −1: Redis has no position
	LogStart     int64    `json:"log_start"`   //
	LogEnd       int64    `json:"log_end"`     //
	LastOutput   int64    `json:"last_output"` // the highest cause of a committed output; −1: none
	To           int64    `json:"to"`          // the offset to be committed
	Origin       string   `json:"origin"`      // what the state is folded from
	OriginAt     int64    `json:"origin_offset"`
	Folded       int64    `json:"folded"` // records folded onto it
	Participants int64    `json:"participants"`
	Lost         []Range  `json:"lost,omitempty"` // offsets given up
	Stamp        string   `json:"stamp"`
	Steps        []string `json:"steps"` // what is left to do; empty: the commit is in order
	Members      []string `json:"members,omitempty"`

	commit engine.Commit
	meta   engine.Meta
	base   Base // its snapshot has no ID yet
	state  *folded
}

// Empty reports that there is nothing to do.
func (p *Plan) Empty() bool { return len(p.Steps) == 0 }

func (p *Plan) command() string {
	if p.Mode == Promote {
		return "promote"
	}
	return "rebase"
}

// LostRecords counts the offsets that are given up.
func (p *Plan) LostRecords() (n int64) {
	for _, r := range p.Lost {
		n += r.To - r.From
	}
	return n
}

func orNone(offset int64) string {
	if offset < 0 {
		return "none"
	}
	return fmt.Sprint(offset)
}

// String shows the plan to a person.
func (p *Plan) String() string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-14s %s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&b, "partition %d: %s\n", p.Partition, p.Finding)
	line("committed", "%s", orNone(p.Committed))
	line("redis", "%s", orNone(p.Applied))
	line("log", "%d to %d", p.LogStart, p.LogEnd)
	line("last output of", "%s", orNone(p.LastOutput))
	if p.Empty() {
		return b.String()
	}
	line("commit", "%d (%s)", p.To, p.Mode)
	line("state from", "%s, and %d records folded onto it", p.Origin, p.Folded)
	line("participants", "%d", p.Participants)
	for _, r := range p.Lost {
		line("given up", "%d offsets, %d to %d: %s", r.To-r.From, r.From, r.To-1, r.Why)
	}
	line("steps", "%s", strings.Join(p.Steps, ", "))
	return b.String()
}

// Apply does what the plan says. Repeated after an interruption, with a plan
// made anew, it does what is left.
func (r *Repairer) Apply(ctx context.Context, p *Plan) error {
	if len(p.Members) > 0 {
		return fmt.Errorf("%w: %s: stop all processors first, and wait until their session timeout has passed", ErrMembers, strings.Join(p.Members, ", "))
	}
	for _, step := range p.Steps {
		if r.Before != nil {
			if err := r.Before(step); err != nil {
				return err
			}
		}
		if err := r.step(ctx, p, step); err != nil {
			return fmt.Errorf("%s partition %d, step %s: %w", p.command(), p.Partition, step, err)
		}
	}
	if !p.Empty() {
		r.audit(p.command(), p.Mode, p.Partition, p.Committed, p.To)
	}
	return nil
}

func (r *Repairer) step(ctx context.Context, p *Plan, step string) error {
	switch step {
	case StepSnapshot:
		w, err := r.Snapshots.Write(ctx, p.Partition)
		if err != nil {
			return err
		}
		_, err = p.state.copyTo(ctx, w, p.base.Snapshot)
		return err
	case StepBase:
		w, err := r.Snapshots.WriteBase(ctx, p.Partition)
		if err != nil {
			return err
		}
		p.base.Snapshot, err = p.state.copyTo(ctx, w, p.base.Snapshot)
		return err
	case StepNote:
		e := Entry{r.Now(), r.Who, p.command(), p.Mode, p.Partition, p.Committed, p.To, r.Reason}
		if p.Mode == Lossless {
			return r.Journal.Note(ctx, e, nil)
		}
		return r.Journal.Note(ctx, e, &p.base)
	case StepCommit:
		return r.Log.Commit(ctx, p.Partition, p.commit)
	case StepForget:
		return r.forget(ctx, p.Partition, p.meta)
	}
	panic("repair: unknown step " + step)
}

// forgetAttempts bounds the compare-and-sets against a view that moves.
const forgetAttempts = 200

// forget drops the life that was seen, wherever its position is by now. Another
// life is what was wanted, and somebody else was faster.
func (r *Repairer) forget(ctx context.Context, partition int32, seen engine.Meta) error {
	for range forgetAttempts {
		now, err := r.View.Meta(ctx, partition)
		if err != nil {
			return err
		}
		if !now.Exists || now.Generation != seen.Generation {
			return nil
		}
		if now, err = r.View.Forget(ctx, partition, now); err != nil {
			return err
		}
		if !now.Exists {
			return nil
		}
	}
	return fmt.Errorf("the view of partition %d moved each time it was to be dropped: try again", partition)
}

func (r *Repairer) audit(command, mode string, partition int32, from, to int64) {
	r.Audit.Info("audit", "command", command, "mode", mode, "partition", partition, "from", from, "to", to, "who", r.Who, "reason", r.Reason)
}
