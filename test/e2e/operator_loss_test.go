package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/veltrix/veltrix/internal/repair"
	"github.com/veltrix/veltrix/internal/wire"
)

// deletedTo removes the log of a partition below an offset, as retention does.
func (d *deployment) deletedTo(partition int32, offset int64) {
	d.t.Helper()
	remove := kadm.Offsets{}
	remove.AddOffset(d.kafka.Topic("events"), partition, offset, -1)
	answers, err := d.admin.DeleteRecords(d.t.Context(), remove)
	d.must(err)
	d.must(answers.Error())
}

// comparedFromBase verifies, and expects one partition to be compared from its
// declared beginning and the whole to be clean.
func (d *deployment) comparedFromBase(partition int32, at int64) {
	d.t.Helper()
	for _, p := range d.verified(nil).Partitions {
		if rebased := p.Partition == partition; p.Rebased != rebased || rebased && p.Start != at {
			d.t.Errorf("partition %d was compared from %d, rebased: %t", p.Partition, p.Start, p.Rebased)
		}
	}
}

// losing is a deployment of which one partition's log lost records that were not
// yet processed.
func losing(t *testing.T, at place, gone int64) (d *deployment, sent []string, k int64) {
	t.Helper()
	source, sent := lines(t, "flights", 3_000)
	d = deploy(t, at, 2, source)
	cl := d.client()
	d.must(d.send(t.Context(), cl, sent[:1_000]))
	_, stop := d.processor()
	d.processed()
	stop()
	d.emptied()
	d.must(d.send(t.Context(), cl, sent[1_000:2_000]))
	k = d.untouched(0).committed.Offset
	d.deletedTo(0, k+gone)
	return d, sent, k
}

// TestRebaseAcceptsLoss deletes records before they were processed. The
// partition is refused; the operator is told how many are gone, gives them up,
// and everything else goes on, also after Redis was lost.
func TestRebaseAcceptsLoss(t *testing.T) {
	onEach(t, func(t *testing.T, at place) {
		const gone = 40
		d, sent, k := losing(t, at, gone)
		rest := sent[2_000:]
		d.refusals(map[int32]string{0: "lost-log"})
		if _, said, code := d.veltrix("rebase", "--partition", "0", "--reason", "x", "--yes"); code != 1 || !strings.Contains(said, "--accept-loss") {
			t.Errorf("without --accept-loss it ended with %d: %s", code, said)
		}
		if _, said, code := d.veltrix("rebase", "--partition", "1", "--reason", "x", "--accept-loss", "--yes"); code != 1 || !strings.Contains(said, "nothing has to be given up") {
			t.Errorf("of a partition in order it ended with %d: %s", code, said)
		}
		before := d.untouched(0)
		out, _ := d.operate("rebase", "--partition", "0", "--reason", "retention", "--accept-loss", "--dry-run", "--json")
		var plans []repair.Plan
		if err := json.Unmarshal([]byte(out), &plans); err != nil || len(plans) != 1 || plans[0].LostRecords() != gone || plans[0].To != k+gone || plans[0].OriginAt != k {
			t.Fatalf("the plan is %s, want %d of %d given up: %v", out, gone, k, err)
		}
		if is := d.untouched(0); is != before || len(d.manifest().Operations) != 0 {
			t.Errorf("a dry run left %+v, was %+v", is, before)
		}
		text, _ := d.operate("rebase", "--partition", "0", "--reason", "retention", "--accept-loss", "--yes")
		if want := fmt.Sprintf("%d offsets, %d to %d", gone, k, k+gone-1); !strings.Contains(text, want) {
			t.Errorf("it does not say %q: %s", want, text)
		}
		if is := d.untouched(0); is.notifications != before.notifications || is.rejected != before.rejected || is.view.Exists {
			t.Errorf("the rebase left %+v, was %+v", is, before)
		}
		if _, said, code := d.veltrix("rebase", "--partition", "0", "--reason", "x", "--accept-loss", "--yes"); code != 1 || !strings.Contains(said, "begins at") {
			t.Errorf("a second time it ended with %d: %s", code, said)
		}
		p, stop := d.processor()
		d.processed()
		d.ready(p)
		d.comparedFromBase(0, k+gone)
		d.must(d.send(t.Context(), d.client(), rest[:len(rest)/2]))
		d.processed()
		stop()
		// The life that begins at the base is rebased and rebuilt as any other.
		d.emptied()
		d.must(d.redis.FlushAll(t.Context()).Err())
		d.without(0)
		d.operate("rebase", "--partition", "0", "--reason", "the group was deleted", "--yes")
		d.must(d.send(t.Context(), d.client(), rest[len(rest)/2:]))
		p, _ = d.processor()
		d.processed()
		d.ready(p)
		d.comparedFromBase(0, k+gone)
		d.sameStates(d.survivors(sent, 1_000, gone))
	})
}

// survivors leaves out the first events of partition 0 among those from a line
// on.
func (d *deployment) survivors(sent []string, from, gone int) (left []string) {
	for i, line := range sent {
		if i >= from && gone > 0 && wire.PartitionFor([]byte(keyOf(line)), d.partitions) == 0 {
			gone--
			continue
		}
		left = append(left, line)
	}
	return left
}

// TestRebaseBehindTheLog loses records that Redis needs and that were committed:
// their outputs are there, and must not be written again.
func TestRebaseBehindTheLog(t *testing.T) {
	source, sent := lines(t, "flights", 2_000)
	d := deploy(t, real(t), 2, source)
	d.must(d.send(t.Context(), d.client(), sent[:1_000]))
	_, stop := d.processor()
	d.processed()
	stop()
	d.emptied()
	k := d.untouched(1).committed.Offset
	d.deletedTo(1, k/2)
	d.forgotten(1)
	d.refusals(map[int32]string{1: "lost-log"})
	before := d.untouched(1)
	text, _ := d.operate("rebase", "--partition", "1", "--reason", "no snapshot", "--accept-loss", "--yes")
	if want := fmt.Sprintf("%d offsets, 0 to %d", k/2, k/2-1); !strings.Contains(text, want) {
		t.Errorf("it does not say %q: %s", want, text)
	}
	if is := d.untouched(1); is.committed.Offset != k || is.notifications != before.notifications || is.rejected != before.rejected {
		t.Errorf("the rebase left %+v, was %+v", is, before)
	}
	d.must(d.send(t.Context(), d.client(), sent[1_000:]))
	p, _ := d.processor()
	d.processed()
	d.ready(p)
	d.comparedFromBase(1, k)
}

// TestRebaseIsRepeatedAfterACrash ends a rebase before each of its steps. Nothing
// may be counted or produced meanwhile, and the next run has to finish it.
func TestRebaseIsRepeatedAfterACrash(t *testing.T) {
	const gone = 7
	crash := errors.New("crashed")
	d, sent, k := losing(t, real(t), gone)
	was := d.untouched(0)
	for _, step := range []string{repair.StepSnapshot, repair.StepBase, repair.StepNote, repair.StepCommit, repair.StepForget} {
		r := d.repair()
		r.Before = func(next string) error {
			if next == step {
				return crash
			}
			return nil
		}
		plan, err := r.PlanLoss(t.Context(), 0)
		if err != nil {
			t.Fatalf("before the crash at %s: %v", step, err)
		}
		if plan.LostRecords() != gone || plan.To != k+gone {
			t.Errorf("before the crash at %s the plan is %+v", step, plan)
		}
		if err := r.Apply(t.Context(), plan); !errors.Is(err, crash) {
			t.Fatalf("the crash at %s: %v", step, err)
		}
		if step == repair.StepForget {
			break
		}
		d.refusals(map[int32]string{0: "lost-log"})
		if is := d.untouched(0); is != was {
			t.Errorf("after the crash at %s partition 0 is %+v, was %+v", step, is, was)
		}
	}
	r := d.repair()
	plan, err := r.PlanLoss(t.Context(), 0)
	d.must(err)
	if len(plan.Steps) != 1 || plan.Steps[0] != repair.StepForget {
		t.Errorf("the last run has %v to do", plan.Steps)
	}
	d.must(r.Apply(t.Context(), plan))
	if m := d.manifest(); len(m.Operations) != 1 || len(m.Bases) != 1 {
		t.Errorf("the manifest remembers %+v, %+v", m.Operations, m.Bases)
	}
	d.must(d.send(t.Context(), d.client(), sent[2_000:]))
	p, _ := d.processor()
	d.processed()
	d.ready(p)
	d.comparedFromBase(0, k+gone)
}

// TestProcessorsMeetAnUnfinishedRebase starts processors where the commit is at
// the base and Redis still of the life before.
func TestProcessorsMeetAnUnfinishedRebase(t *testing.T) {
	const gone = 11
	crash := errors.New("crashed")
	d, sent, k := losing(t, real(t), gone)
	r := d.repair()
	r.Before = func(next string) error {
		if next == repair.StepForget {
			return crash
		}
		return nil
	}
	plan, err := r.PlanLoss(t.Context(), 0)
	d.must(err)
	if err := r.Apply(t.Context(), plan); !errors.Is(err, crash) {
		t.Fatal(err)
	}
	d.must(d.send(t.Context(), d.client(), sent[2_000:]))
	p, _ := d.processor()
	d.processed()
	d.ready(p)
	d.comparedFromBase(0, k+gone)
}
