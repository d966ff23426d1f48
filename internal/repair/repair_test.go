package repair_test

import (
	"errors"
	"testing"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/repair"
)

var errCrash = errors.New("crashed")

func crashAt(step string) func(string) error {
	return func(next string) error {
		if next == step {
			return errCrash
		}
		return nil
	}
}

// TestTruncatedUnderRedis loses records that Redis has and whose outputs are
// there: the life that begins at the log's end must not be judged by either.
func TestTruncatedUnderRedis(t *testing.T) {
	ctx := t.Context()
	w := newWorld(t)
	w.events(20)
	w.process()
	w.truncate(12)
	r := w.repairer(crashAt(repair.StepForget))
	if _, err := r.Plan(ctx, 0); !errors.Is(err, repair.ErrLoss) {
		t.Errorf("without a loss: %v", err)
	}
	plan, err := r.PlanLoss(ctx, 0)
	w.must(err)
	if plan.To != 12 || plan.LostRecords() != 8 || plan.Lost[0].From != 12 || plan.Participants != 3 {
		t.Errorf("the plan is %+v", plan)
	}
	if err := r.Apply(ctx, plan); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	// Redis is at 20 still, of the life before.
	if plan, err := w.repairer(nil).Plan(ctx, 0); err != nil || !plan.Empty() || plan.To != 12 {
		t.Errorf("a rebase without a loss would do %+v, %v", plan, err)
	}
	r = w.repairer(nil)
	plan, err = r.PlanLoss(ctx, 0)
	w.must(err)
	if len(plan.Steps) != 1 || plan.Steps[0] != repair.StepForget {
		t.Errorf("left to do is %v", plan.Steps)
	}
	w.must(r.Apply(ctx, plan))
	if _, err := r.PlanLoss(ctx, 0); !errors.Is(err, repair.ErrNothingLost) {
		t.Errorf("a third time: %v", err)
	}

	w.events(3)
	w.process()
	good := *w.commit
	w.lost()
	plan, err = r.Plan(ctx, 0)
	w.must(err)
	if plan.To != 15 || plan.Stamp != good.Metadata {
		t.Errorf("after the group and Redis were lost, the plan is %+v, want %+v", plan, good)
	}
}

// TestPositionIsBehindTheLastOutcome loses the commit, with each kind of
// evidence alone.
func TestPositionIsBehindTheLastOutcome(t *testing.T) {
	for name, spoil := range map[string]func(w *world){
		"redis and outputs": func(w *world) { w.commit = nil },
		"redis alone": func(w *world) {
			w.commit = nil
			w.topics["notifications"], w.topics["rejected"] = nil, nil
		},
		"outputs alone": func(w *world) { w.lost() },
		"redis behind": func(w *world) {
			w.commit = nil
			at := newWorld(w.t)
			at.events(7)
			at.process()
			w.meta, w.values = at.meta, at.values
		},
		"redis of another token":              func(w *world) { w.commit, w.meta.Token, w.meta.Applied = nil, "other", 13 },
		"redis without a bucket":              func(w *world) { w.commit, w.meta.Intact, w.meta.Applied = nil, false, 13 },
		"an older commit":                     func(w *world) { w.commit.Offset = 3 },
		"a commit moved forward, redis at it": func(w *world) { w.commit.Offset = 14 },
		"a commit moved forward, redis lost":  func(w *world) { w.commit.Offset, w.meta = 14, engine.Meta{} },
		"a foreign commit":                    func(w *world) { w.commit = &engine.Commit{Offset: 17, Metadata: "mine"} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.events(10)
			w.process()
			good := *w.commit
			w.events(5) // not processed
			spoil(w)
			plan, err := w.repairer(nil).Plan(t.Context(), 0)
			w.must(err)
			if plan.To != 10 || plan.Stamp != good.Metadata || len(plan.Steps) != 2 {
				t.Errorf("the plan is %+v, want %+v", plan, good)
			}
			if lossy, err := w.repairer(nil).PlanLoss(t.Context(), 0); !errors.Is(err, repair.ErrNothingLost) {
				t.Errorf("accepting a loss, the plan is %+v, %v", lossy, err)
			}
			w.must(w.repairer(nil).Apply(t.Context(), plan))
			if *w.commit != good || len(w.entries) != 1 || w.entries[0].To != 10 || w.entries[0].Who != "ada@host" {
				t.Errorf("committed is %+v, want %+v; noted is %+v", *w.commit, good, w.entries)
			}
			if again, err := w.repairer(nil).Plan(t.Context(), 0); err != nil || !again.Empty() {
				t.Errorf("a second time the plan is %+v, %v", again, err)
			}
		})
	}
}

// A rebase that ends between its steps is finished by the next one.
func TestRebaseIsFinishedByTheNext(t *testing.T) {
	w := newWorld(t)
	w.events(10)
	w.process()
	good := *w.commit
	w.commit = nil
	for _, step := range []string{repair.StepNote, repair.StepCommit, ""} {
		r := w.repairer(crashAt(step))
		plan, err := r.Plan(t.Context(), 0)
		w.must(err)
		if err := r.Apply(t.Context(), plan); step != "" && (!errors.Is(err, errCrash) || w.commit != nil) {
			t.Errorf("the crash at %s: %v, committed is %+v", step, err, w.commit)
		}
	}
	if w.commit == nil || *w.commit != good {
		t.Errorf("committed is %+v, want %+v", w.commit, good)
	}
}

// A plan that fails has changed nothing, and says what is wrong.
func TestPlansThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(w *world)
		want  error
	}{
		"another token": {func(w *world) {
			w.commit.Metadata = engine.Stamp{Token: "other"}.String()
		}, repair.ErrForeign},
		"records removed before they were processed": {func(w *world) { w.events(9); w.remove(0, 15) }, repair.ErrLoss},
		"a hole below the commit, without redis":     {func(w *world) { w.remove(4, 5); w.meta = engine.Meta{} }, repair.ErrLoss},
		"a stamp older than what was told": {func(w *world) { // moved forward, and put back to an older one
			old := *w.commit
			w.events(9)
			w.process()
			w.commit.Metadata, w.meta = old.Metadata, engine.Meta{}
		}, repair.ErrLoss},
		"a stamp older than redis": {func(w *world) {
			old := *w.commit
			w.events(9)
			w.process()
			w.commit.Metadata = old.Metadata
			w.topics["notifications"], w.topics["rejected"] = nil, nil
			for who := range w.values { // its position is still a witness
				w.values[who] = append(w.values[who], 0)
			}
		}, repair.ErrLoss},
		"moved forward, and another fold": {func(w *world) {
			stamp, err := engine.ParseStamp(w.commit.Metadata)
			w.must(err)
			w.events(9)
			stamp.Digest++
			w.commit.Metadata, w.commit.Offset, w.meta = stamp.String(), 14, engine.Meta{}
		}, repair.ErrLoss},
		"other records than those committed": {func(w *world) {
			w.topics["events"][4].Value = []byte(`{"clue":"other","points":1}`)
			w.meta = engine.Meta{}
		}, repair.ErrLoss},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.events(10)
			w.process()
			c.spoil(w)
			commit := *w.commit
			if plan, err := w.repairer(nil).Plan(t.Context(), 0); !errors.Is(err, c.want) {
				t.Fatalf("the plan is %+v, %v; want %v", plan, err, c.want)
			}
			if *w.commit != commit || len(w.entries) > 0 {
				t.Error("planning changed something")
			}
		})
	}
}

// remove takes records out of the log; from its start, the start moves.
func (w *world) remove(from, to int64) {
	var left []int
	for i := range w.topics["events"] {
		if o := w.topics["events"][i].Offset; o < from || o >= to {
			left = append(left, i)
		}
	}
	events := w.topics["events"]
	w.topics["events"] = nil
	for _, i := range left {
		w.topics["events"] = append(w.topics["events"], events[i])
	}
	if from == w.start {
		w.start = to
	}
}

// TestHoleBelowTheCommit gives up what is missing between Redis and the commit:
// the rest is folded, and nothing is produced again.
func TestHoleBelowTheCommit(t *testing.T) {
	w := newWorld(t)
	w.events(4)
	w.process()
	behind, values := w.meta, map[string][]byte{}
	for who, value := range w.values {
		values[who] = value
	}
	w.events(6)
	w.process()
	w.meta, w.values = behind, values
	w.remove(5, 7)
	plan, err := w.repairer(nil).PlanLoss(t.Context(), 0)
	w.must(err)
	if plan.To != 10 || plan.LostRecords() != 2 || plan.OriginAt != 4 || plan.Folded != 4 {
		t.Errorf("the plan is %+v", plan)
	}
	w.must(w.repairer(nil).Apply(t.Context(), plan))
	outputs := len(w.topics["notifications"])
	w.process()
	if len(w.topics["notifications"]) != outputs || w.commit.Offset != 10 || w.meta.Start != 10 {
		t.Errorf("committed is %+v, Redis has %+v, %d outputs more", w.commit, w.meta, len(w.topics["notifications"])-outputs)
	}
}
