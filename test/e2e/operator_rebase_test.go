package e2e

import (
	"bytes"
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/repair"
)

// veltrix runs the operator's command as its operator does, and returns what it
// printed and its exit code.
func (d *deployment) veltrix(args ...string) (stdout, stderr string, code int) {
	d.t.Helper()
	cmd := exec.CommandContext(d.t.Context(), binary(d.t, "veltrix"), args...)
	cmd.Env = d.environment()
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		d.t.Fatal(err)
	}
	return out.String(), said.String(), cmd.ProcessState.ExitCode()
}

// operate runs the operator's command and fails the test where it fails.
func (d *deployment) operate(args ...string) (stdout, stderr string) {
	d.t.Helper()
	stdout, stderr, code := d.veltrix(args...)
	if code != 0 {
		d.t.Fatalf("veltrix %s ended with %d: %s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout, stderr
}

// repair opens the deployment as the operator's commands do.
func (d *deployment) repair() *app.Repair {
	d.t.Helper()
	r, err := app.NewRepair(d.t.Context(), d.rt, d.program, "a test")
	d.must(err)
	d.t.Cleanup(r.Close)
	return r
}

func (d *deployment) manifest() *kafkalog.Manifest {
	d.t.Helper()
	m, err := kafkalog.ReadManifest(d.t.Context(), d.kafka)
	d.must(err)
	return m
}

// without deletes a partition's committed offset.
func (d *deployment) without(partition int32) {
	d.t.Helper()
	gone := make(kadm.TopicsSet)
	gone.Add(d.kafka.Topic("events"), partition)
	result, err := d.admin.DeleteOffsets(d.t.Context(), d.kafka.ProcessorGroup(), gone)
	d.must(err)
	d.must(result.Error())
}

// overwritten commits an offset as an administrator's tool does.
func (d *deployment) overwritten(partition int32, at int64, metadata string) {
	d.t.Helper()
	offsets := make(kadm.Offsets)
	offsets.Add(kadm.Offset{Topic: d.kafka.Topic("events"), Partition: partition, At: at, LeaderEpoch: -1, Metadata: metadata})
	d.reset(d.kafka.ProcessorGroup(), offsets)
}

// emptied waits until the group has no members: one whose leaving went wrong is
// there for as long as its session.
func (d *deployment) emptied() {
	d.t.Helper()
	var members []string
	var err error
	for began := time.Now(); time.Since(began) < stall; time.Sleep(100 * time.Millisecond) {
		if members, err = kafkalog.GroupMembers(d.t.Context(), d.kafka, d.kafka.ProcessorGroup()); err == nil && len(members) == 0 {
			return
		}
	}
	d.t.Fatalf("the group has the members %v: %v", members, err)
}

// refusals starts a processor, waits until it refuses these partitions for these
// reasons, and stops it.
func (d *deployment) refusals(want map[int32]string) {
	d.t.Helper()
	p, stop := d.processor()
	for partition, reason := range want {
		if r := refusal(d.t, p, partition); r.Reason != reason || !strings.Contains(r.Fix, "veltrix ") {
			d.t.Errorf("partition %d is refused as %+v, want %s and a command", partition, r, reason)
		}
	}
	stop()
	d.emptied()
}

func number(partition int32) string { return strconv.Itoa(int(partition)) }

// forgotten drops a partition's position in Redis.
func (d *deployment) forgotten(partition int32) {
	d.t.Helper()
	meta, err := d.state.Meta(d.t.Context(), partition)
	d.must(err)
	after, err := d.state.Forget(d.t.Context(), partition, meta)
	d.must(err)
	if !meta.Exists || after.Exists {
		d.t.Fatalf("Redis had %+v and has %+v", meta, after)
	}
}

// TestRebaseWithoutLoss overwrites, deletes and sets back commits, with Redis as
// it was and without. A rebase must find the offset behind the last outcome by
// itself, and everything must go on as if nothing had happened.
func TestRebaseWithoutLoss(t *testing.T) {
	const partitions, overwritten, deleted, unseen, old = 4, 0, 1, 2, 3
	source, sorted := lines(t, "flights", 3_000)
	sent, repeats := disorderly(t, sorted)
	d := deploy(t, real(t), partitions, source)
	cl := d.client()
	third := len(sent) / 3
	d.must(d.send(t.Context(), cl, sent[:third]))
	_, stop := d.processor()
	d.processed()
	before := d.untouched(old).committed
	d.must(d.send(t.Context(), cl, sent[third:2*third]))
	d.processed()
	stop()
	d.emptied()
	if out, said, code := d.veltrix("rebase", "--all", "--reason", "x", "--yes"); code != 0 || len(d.manifest().Operations) != 0 {
		t.Errorf("with every commit in order, it ended with %d: %s%s", code, out, said)
	}
	if _, said, code := d.veltrix("rebase", "--all", "--reason", "x", "--yes", "--processor-buckets", "8"); code != 1 || !strings.Contains(said, "the configuration that wrote it") {
		t.Errorf("as another deployment, it ended with %d: %s", code, said)
	}
	good := map[int32]untouched{}
	for p := range int32(partitions) {
		good[p] = d.untouched(p)
	}
	d.overwritten(overwritten, 0, "")
	d.without(deleted)
	d.overwritten(unseen, 1, "mine")
	d.forgotten(unseen)
	d.overwritten(old, before.Offset, before.Metadata)

	d.must(d.send(t.Context(), cl, sent[2*third:]))
	d.refusals(map[int32]string{overwritten: "stamp", deleted: "no-commit", unseen: "stamp", old: "reset"})
	spoilt := map[int32]untouched{}
	for p := range good {
		spoilt[p] = d.untouched(p)
		if plan, _ := d.operate("rebase", "--partition", number(p), "--dry-run"); !strings.Contains(plan, "note, commit") {
			t.Errorf("the plan of partition %d is %s", p, plan)
		}
	}
	for p, was := range spoilt {
		if is := d.untouched(p); is != was {
			t.Errorf("a dry run left partition %d as %+v, was %+v", p, is, was)
		}
	}
	if _, said, code := d.veltrix("rebase", "--all", "--reason", "x"); code != 2 || !strings.Contains(said, "--yes") {
		t.Errorf("without a terminal and --yes it ended with %d: %s", code, said)
	}
	d.operate("rebase", "--all", "--reason", "the group was reset", "--yes")
	for p, was := range good {
		is := d.untouched(p)
		if is.notifications != was.notifications || is.rejected != was.rejected {
			t.Errorf("the rebase of partition %d produced something: %+v, was %+v", p, is, was)
		}
		// Without Redis, records behind the last output are folded again: they
		// have caused none.
		if is.committed.Offset > was.committed.Offset || p != unseen && (is.committed.Offset != was.committed.Offset || is.committed.Metadata != was.committed.Metadata) {
			t.Errorf("partition %d was rebased to %+v, was %+v", p, is.committed, was.committed)
		}
	}
	d.processor()
	d.processed()
	d.verified(map[string]int64{"applied": int64(len(sorted)), "duplicate": repeats})
	d.sameStates(sent)
	d.remembered(partitions, kafkalog.ManifestOperation{
		Command: "rebase", Mode: repair.Lossless, Partition: old, From: before.Offset, To: good[old].committed.Offset, Reason: "the group was reset",
	})
}

// remembered looks for an operation among the manifest's, none of which declared
// a beginning.
func (d *deployment) remembered(operations int, want kafkalog.ManifestOperation) {
	d.t.Helper()
	m := d.manifest()
	if len(m.Operations) != operations || len(m.Bases) != 0 {
		d.t.Errorf("the manifest remembers %+v, %+v", m.Operations, m.Bases)
	}
	for _, o := range m.Operations {
		if o.Partition != want.Partition {
			continue
		}
		if o.At.IsZero() || !strings.Contains(o.Who, "@") {
			d.t.Errorf("nobody did %+v", o)
		}
		if o.At, o.Who = want.At, want.Who; o != want {
			d.t.Errorf("the manifest remembers %+v, want %+v", o, want)
		}
		return
	}
	d.t.Errorf("the manifest does not remember %+v", want)
}

// TestRebaseNeedsAnEmptyGroup shows that a running processor is never rebased
// under, neither by the command's own look nor by the brokers.
func TestRebaseNeedsAnEmptyGroup(t *testing.T) {
	source, sent := lines(t, "flights", 300)
	d := deploy(t, real(t), 2, source)
	d.must(d.send(t.Context(), d.client(), sent))
	_, stop := d.processor()
	d.processed()
	stop()
	d.emptied()
	d.without(1)
	p, _ := d.processor()
	refusal(t, p, 1)
	was := d.untouched(1)
	// Said before it asks for anything to be confirmed.
	if _, said, code := d.veltrix("rebase", "--partition", "1", "--reason", "x"); code != 1 || !strings.Contains(said, d.kafka.Prefix+".processor.") || !strings.Contains(said, "stop all processors") {
		t.Errorf("with members it ended with %d: %s", code, said)
	}
	r := d.repair()
	plan, err := r.Plan(t.Context(), 1)
	d.must(err)
	plan.Members = nil // as if they had come after the plan
	if err := r.Apply(t.Context(), plan); err == nil || !strings.Contains(err.Error(), repair.StepCommit) {
		t.Errorf("the brokers took a commit beside a member: %v", err)
	}
	if is := d.untouched(1); is != was {
		t.Errorf("partition 1 is now %+v, was %+v", is, was)
	}
}

// TestRebaseTrustsOnlyWhatIsWhole loses commits where one view was edited by
// hand, and where nothing is left that tells how far a partition was processed.
func TestRebaseTrustsOnlyWhatIsWhole(t *testing.T) {
	const edited, blank = 0, 1
	source, sent := lines(t, "flights", 1_000)
	d := deploy(t, real(t), 2, source)
	d.must(d.send(t.Context(), d.client(), sent))
	_, stop := d.processor()
	d.processed()
	stop()
	d.emptied()
	good := d.untouched(edited)
	d.edit(edited)
	d.without(edited)
	plan, err := d.repair().Plan(t.Context(), edited)
	d.must(err)
	if plan.Stamp != good.committed.Metadata || strings.Contains(plan.Origin, "redis") {
		t.Errorf("from an edited view, the plan is %+v, want the stamp %s", plan, good.committed.Metadata)
	}
	d.operate("rebase", "--partition", number(edited), "--reason", "deleted", "--yes")
	d.operate("rebuild", "--partition", number(edited), "--reason", "edited by hand", "--yes")

	d.without(blank)
	d.forgotten(blank)
	for _, topic := range []string{"notifications", "rejected"} {
		remove := kadm.Offsets{}
		remove.AddOffset(d.kafka.Topic(topic), blank, -1, -1) // up to its end
		answers, err := d.admin.DeleteRecords(t.Context(), remove)
		d.must(err)
		d.must(answers.Error())
	}
	if _, err := d.repair().Plan(t.Context(), blank); !errors.Is(err, repair.ErrUnknowable) {
		t.Errorf("without any evidence: %v", err)
	}

	d.processor()
	d.processed(blank)
	report, err := app.Verify(t.Context(), d.rt, d.program, nil)
	d.must(err)
	if p := report.Partitions[edited]; p.Lost+p.Duplicated+p.Wrong+p.Unverifiable > 0 {
		t.Errorf("the edited partition became %+v", p)
	}
}

// edit gives one participant another one's state, behind everybody's back.
func (d *deployment) edit(partition int32) {
	d.t.Helper()
	meta, err := d.state.Meta(d.t.Context(), partition)
	d.must(err)
	keys, err := d.redis.Keys(d.t.Context(), "*/"+number(partition)+"}:"+meta.Generation+":[0-9]*").Result() // the buckets
	d.must(err)
	for _, key := range keys {
		values, err := d.redis.HGetAll(d.t.Context(), key).Result()
		d.must(err)
		delete(values, "") // the sentinel
		first := ""
		for who, value := range values {
			if first == "" {
				first = value
			} else if value != first {
				d.must(d.redis.HSet(d.t.Context(), key, who, first).Err())
				return
			}
		}
	}
	d.t.Fatal("there are no two states to exchange")
}
