package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/repair"
	"github.com/veltrix/veltrix/internal/rules"
)

// The first rules count a point a clue, the next ones ten.
const (
	firstRules = `
hunt: promoted
version: 1
events:
  clue.found: {data: {clue: {type: string, max: 64}}}
state:
  score: {type: int}
  found: {type: set, max: 100}
  spare: {type: int}
rules:
  - name: found
    on: clue.found
    set: {score: state.score + 1, found: add(event.data.clue)}
    notify:
      - {name: points, class: clue, title: "Clue ${event.data.clue}", body: "${state.score}"}
classes:
  clue: {channels: [inbox], expires: 2h, on_unknown: resend, hold: 0s}
`
	nextRules = `
hunt: promoted
version: 2
events:
  clue.found: {data: {clue: {type: string, max: 64}}}
state:
  found: {type: set, max: 100}
  level: {type: int}
  score: {type: int}
rules:
  - name: found
    on: clue.found
    set: {score: state.score + 10, found: add(event.data.clue), level: state.level + 1}
    notify:
      - {name: points, class: clue, title: "Clue ${event.data.clue}", body: "${state.score} on level ${state.level}"}
classes:
  clue: {channels: [inbox], expires: 2h, on_unknown: resend, hold: 0s}
`
)

func clues(from, to int) (lines []string) {
	began := time.Date(2026, 5, 1, 9, 0, 0, 0, time.UTC)
	for i := from; i < to; i++ {
		lines = append(lines, fmt.Sprintf(`{"specversion":"1.0","id":"%d","source":"/hunt","type":"clue.found","time":"%s","partitionkey":"p%d","data":{"clue":"c%d"}}`,
			i, began.Add(time.Duration(i)*time.Second).Format(time.RFC3339), i%20, i/20))
	}
	return lines
}

// TestRow38RulesChangeAtABarrier makes changed rules live. What was folded by
// the first rules must never be folded by the next ones: not by a replay, not
// by a rebuild, and not by the events that arrive late.
func TestRow38RulesChangeAtABarrier(t *testing.T) {
	const partitions, before, after = 3, 400, 600
	d := deploy(t, real(t), partitions, []byte(firstRules))
	cl := d.client()
	d.must(d.send(t.Context(), cl, clues(0, before)))
	_, stop := d.processor()
	d.processed()
	stop()
	d.emptied()
	first := d.rulesFile
	next := filepath.Join(t.TempDir(), "next.yaml")
	d.must(os.WriteFile(next, []byte(nextRules), 0o600))
	program, err := rules.LoadFile(next)
	d.must(err)

	// Processors do not start with other rules by themselves.
	present := d.program
	d.program = program
	err = app.NewProcessor(d.rt, program).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "veltrix rules promote") {
		t.Fatalf("a processor with other rules started: %v", err)
	}
	d.crashedPromotion(present, program)
	d.refused(t, present, program)
	if out, _ := d.operate("rules", "promote", "--from", first, "--rules-file", next, "--dry-run"); !strings.Contains(out, "carried over found, score; new level; dropped spare") {
		t.Errorf("the plan is %s", out)
	}
	d.operate("rules", "promote", "--from", first, "--rules-file", next, "--reason", "the finals", "--yes")
	d.rulesFile = next

	// Behind the barrier the next rules count; before it, nothing moves any more.
	d.must(d.send(t.Context(), cl, clues(before, after)))
	d.must(d.send(t.Context(), cl, clues(0, 20)))
	_, stop = d.processor()
	d.processed()
	report := d.verified(nil)
	if report.Fates["applied"] != after-before || report.Fates["late"]+report.Fates["duplicate"] != 20 {
		t.Errorf("behind the barrier the fates are %v", report.Fates)
	}
	d.scores(before/20+10*(after-before)/20, (after-before)/20)
	// Redis is lost: the view comes back from behind the barrier.
	d.must(d.redis.FlushAll(t.Context()).Err())
	d.await("the view to be rebuilt", func(p progress) bool { return p.errs == "" && p.settled && p.applied > 0 })
	d.verified(nil)
	d.scores(before/20+10*(after-before)/20, (after-before)/20)
	stop()
}

// crashedPromotion interrupts a promotion before each of its steps; another run
// has to finish it.
func (d *deployment) crashedPromotion(present, next *rules.Program) {
	d.t.Helper()
	crash := errors.New("crashed")
	for _, at := range []string{repair.StepSnapshot, repair.StepBase, repair.StepNote, repair.StepCommit, repair.StepForget} {
		p, err := app.NewPromotion(d.t.Context(), d.rt, present, next, "a test")
		d.must(err)
		plan, err := p.PlanPromotion(d.t.Context(), 0, p.Next)
		d.must(err)
		if len(plan.Steps) == 0 {
			d.t.Fatalf("before step %s nothing is left to do: %s", at, plan.Finding)
		}
		p.Before = func(step string) error {
			if step == at {
				return crash
			}
			return nil
		}
		if err := p.Apply(d.t.Context(), plan); !errors.Is(err, crash) {
			d.t.Fatalf("not interrupted before %s: %v", at, err)
		}
		p.Close()
	}
}

// refused shows that between two partitions nobody folds the other's.
func (d *deployment) refused(t *testing.T, present, next *rules.Program) {
	t.Helper()
	d.program = present
	p, stop := d.processor()
	if r := refusal(t, p, 0); r.Reason != "token" {
		t.Errorf("a partition under the next rules is refused as %+v by the first", r)
	}
	stop()
	d.emptied()
	d.program = next
}

// scores requires the same of every participant.
func (d *deployment) scores(score, level int) {
	d.t.Helper()
	all := d.statesInRedis()
	if len(all) != 20 {
		d.t.Errorf("%d participants have a state", len(all))
	}
	for who, state := range all {
		if !strings.Contains(state, fmt.Sprintf(`"score":%d`, score)) || !strings.Contains(state, fmt.Sprintf(`"level":%d`, level)) {
			d.t.Errorf("%s has %s, want a score of %d on level %d", who, state, score, level)
		}
	}
}
