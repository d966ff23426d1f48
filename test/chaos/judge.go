package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/kafkalog"
)

const (
	stall    = 60 * time.Second // without any movement
	longest  = 3 * time.Minute  // in all
	holdStil = 1500 * time.Millisecond
)

// judge waits until everything has come to rest, compares, and lets the
// operator repair what was refused.
func (r *run) judge(ctx context.Context, result *Result) error {
	if err := r.feeder.failed; err != nil {
		r.problem("the load could not be sent: %v", err)
	}
	switch {
	case r.s.Expect.Stopped != "":
		return r.judgeStopped(ctx)
	case r.s.Expect.Refused != nil:
		if !r.judgeRefused(ctx, result) || r.s.Expect.Repair == "" {
			return ctx.Err()
		}
		if err := r.repair(ctx); err != nil {
			r.problem("the repair: %v", err)
			return ctx.Err()
		}
	}
	if err := r.restored(ctx); err != nil {
		result.Stuck++
		r.problem("%v", err)
		return ctx.Err()
	}
	return r.verify(ctx, result, nil)
}

// holesMax bounds how often an operator gives up a hole of the log: the next one
// is met only where the processors get to it.
const holesMax = 10

// restored waits until everything has come to rest, and gives up every hole
// where the schedule says so.
func (r *run) restored(ctx context.Context) error {
	for range holesMax {
		err := r.settled(ctx, nil)
		if r.s.Expect.Repair != "rebase-accept-loss" || !errors.Is(err, errRefusedAgain) {
			return err
		}
		if err := r.repair(ctx); err != nil {
			return fmt.Errorf("the repair: %w", err)
		}
	}
	return fmt.Errorf("it is refused still, after %d repairs", holesMax)
}

var errRefusedAgain = errors.New("refused again")

// settled waits for R = K = end of all partitions but those left out, and for
// the notifiers.
func (r *run) settled(ctx context.Context, without map[int32]string) error {
	var last, now string
	began := time.Now()
	for moved := began; time.Since(moved) < stall && time.Since(began) < longest; {
		var done bool
		now, done = r.standing(ctx, without)
		if done {
			return nil
		}
		if refused := r.refusedNow(); without == nil && len(refused) > 0 {
			return fmt.Errorf("%w: %v, %v", errRefusedAgain, refused, r.causes)
		}
		if now != last {
			last, moved = now, time.Now()
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("stuck after %.0f s: %s", time.Since(began).Seconds(), now)
}

// standing says where everything stands, and whether it has come to rest.
func (r *run) standing(ctx context.Context, without map[int32]string) (text string, done bool) {
	bounds, err := kafkalog.Bounds(ctx, r.kafka, r.kafka.Topic("events"))
	if err != nil {
		return err.Error(), false
	}
	done = true
	for _, b := range bounds {
		if _, skip := without[b.Partition]; skip {
			continue
		}
		c, err := r.positions.Committed(ctx, b.Partition)
		if err != nil {
			return err.Error(), false
		}
		meta, err := r.state.Meta(ctx, b.Partition)
		if err != nil {
			return err.Error(), false
		}
		k := max(c.Offset, 0)
		if b.Partition >= r.s.Topology.Partitions { // added: all that is there is moved away
			text += fmt.Sprintf("added partition %d: K %d, end %d; ", b.Partition, k, b.End)
			done = done && b.End == k
			continue
		}
		text += fmt.Sprintf("partition %d: R %d, K %d, stable %d, end %d; ", b.Partition, meta.Applied, k, b.Stable, b.End)
		done = done && b.End == k && (k == meta.Applied || c.Absent)
	}
	stable, delivered, err := r.delivery(ctx)
	if err != nil {
		return text + err.Error(), false
	}
	return fmt.Sprintf("%snotifications delivered %d of %d", text, delivered, stable), done && delivered >= stable
}

// delivery compares the notifiers' group with its topic.
func (r *run) delivery(ctx context.Context) (stable, delivered int64, err error) {
	topic := r.kafka.Topic("notifications")
	bounds, err := kafkalog.Bounds(ctx, r.kafka, topic)
	if err != nil {
		return 0, 0, err
	}
	offsets, err := r.env.admin.FetchOffsets(ctx, r.kafka.NotifierGroup())
	if err != nil {
		return 0, 0, fmt.Errorf("fetch the notifiers' offsets: %w", err)
	}
	for _, b := range bounds {
		stable += b.Stable
		if o, ok := offsets.Lookup(topic, b.Partition); ok && o.At > 0 {
			delivered += o.At
		}
	}
	return stable, delivered, nil
}

// judgeRefused waits for exactly the refusals that are expected, and compares
// everything else. It says whether there is something to repair.
func (r *run) judgeRefused(ctx context.Context, result *Result) bool {
	want := map[int32]string{}
	for p := range r.s.Topology.Partitions {
		if named := r.s.Expect.Refused.Partitions; len(named) == 0 || slices.Contains(named, p) {
			want[p] = r.s.Expect.Refused.Reason
		}
	}
	for began := time.Now(); time.Since(began) < stall && !maps.Equal(want, r.refusedNow()); {
		if sleep(ctx, 100*time.Millisecond) != nil {
			return false
		}
	}
	before := r.positionsOf(ctx, want)
	if err := r.settled(ctx, want); err != nil {
		result.Stuck++
		r.problem("what was not refused: %v", err)
	}
	_ = sleep(ctx, holdStil) // what is wrongly on its way gets the time to show
	if got := r.refusedNow(); maps.Equal(want, got) {
		result.Refused = r.s.Expect.Refused.Reason
	} else {
		r.problem("refused are %v, want %v: %v", got, want, r.causes)
	}
	if after := r.positionsOf(ctx, want); after != before {
		r.problem("refused partitions moved from %s to %s", before, after)
	}
	if err := r.verify(ctx, result, want); err != nil {
		r.problem("%v", err)
	}
	return ctx.Err() == nil
}

// positionsOf writes K and R of refused partitions down.
func (r *run) positionsOf(ctx context.Context, partitions map[int32]string) (text string) {
	for _, p := range slices.Sorted(maps.Keys(partitions)) {
		c, err := r.positions.Committed(ctx, p)
		meta, metaErr := r.state.Meta(ctx, p)
		text += fmt.Sprintf("%d: K %d %t %v, R %d %v; ", p, c.Offset, c.Absent, err, meta.Applied, metaErr)
	}
	return text
}

// judgeStopped waits until a processor has refused to start, as it is expected.
func (r *run) judgeStopped(ctx context.Context) error {
	var said []string
	for began := time.Now(); time.Since(began) < stall; {
		r.mu.Lock()
		said = slices.Clone(r.stopped)
		r.mu.Unlock()
		if len(said) >= len(r.members("processor")) {
			break
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	if len(said) < len(r.members("processor")) {
		r.problem("%d of %d processors refused to start", len(said), len(r.members("processor")))
	}
	for _, text := range said {
		if !strings.Contains(text, r.s.Expect.Stopped) {
			r.problem("a processor ended with %q, want %q", text, r.s.Expect.Stopped)
		}
	}
	return nil
}

// repair does what the operator does.
func (r *run) repair(ctx context.Context) error {
	defer r.alone()()
	r.stopProcessors()
	if err := r.emptied(ctx); err != nil {
		return err
	}
	refused := r.refusedNow()
	if r.s.Expect.Repair == "restore" {
		for p, c := range r.saved {
			if err := r.commit(ctx, kadm.Offset{Partition: p, At: c.Offset, Metadata: c.Metadata}); err != nil {
				return err
			}
		}
	}
	if r.s.Expect.Repair != "restore" {
		for _, p := range slices.Sorted(maps.Keys(refused)) {
			args := []string{"rebase", "--partition", fmt.Sprint(p), "--reason", "chaos", "--yes"}
			if r.s.Expect.Repair == "rebase-accept-loss" {
				args = append(args, "--accept-loss")
			}
			if err := r.operate(ctx, args...); err != nil {
				return err
			}
		}
	}
	r.mu.Lock()
	clear(r.refusals)
	r.mu.Unlock()
	return r.startProcessors()
}

// operate runs the operator's command.
func (r *run) operate(ctx context.Context, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(r.env.binaries, "veltrix"), args...)
	cmd.Env = append(r.environment(),
		"VELTRIX_KAFKA_BROKERS="+strings.Join(r.env.cluster.Addrs, ","), "VELTRIX_REDIS_ADDRS=unix://"+r.redis.socket())
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	logErr := os.WriteFile(filepath.Join(r.dir, "veltrix-"+args[0]+".log"), out, 0o644)
	if err != nil {
		return fmt.Errorf("veltrix %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return logErr
}

// verify compares everything but what is refused.
func (r *run) verify(ctx context.Context, result *Result, without map[int32]string) error {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	report, err := app.Verify(ctx, r.rt, r.program, nil)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	for _, p := range report.Partitions {
		if _, skip := without[p.Partition]; skip {
			continue
		}
		result.Lost += p.Lost
		result.Duplicated += p.Duplicated
		result.Wrong += p.Wrong
		if n := p.Unverifiable; n > 0 {
			r.problem("%d of partition %d could not be verified", n, p.Partition)
		}
		if p.Applied != p.Committed || p.Committed != p.End {
			r.problem("partition %d: R %d, K %d, end %d", p.Partition, p.Applied, p.Committed, p.End)
		}
	}
	if result.Lost+result.Duplicated+result.Wrong > 0 {
		r.problem("verification: %d lost, %d duplicated, %d wrong: %+v", result.Lost, result.Duplicated, result.Wrong, report.Findings)
		if err := r.dump(ctx); err != nil {
			r.problem("what the brokers have could not be written down: %v", err)
		}
	}
	result.Records, result.Fates = report.Records, report.Fates
	if len(without) > 0 {
		return nil // the participants' sums need all partitions
	}
	return r.count(ctx, result)
}
