package bench

import (
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/fold"
	"github.com/veltrix/veltrix/internal/kafkalog"
)

// What the driver of a machine hands it: a batch as two slots on two cores see it.
const (
	drivenPartitions = 4
	drivenBatch      = 14_000
)

// driver performs a machine's effects at once, in memory: what is measured with
// it is the machine, the fold and the wire formats, and no client.
type driver struct {
	tb      testing.TB
	token   string
	machine *engine.Machine
	inputs  []engine.Input
	outputs int
}

func newDriver(tb testing.TB, w *Workload) *driver {
	program, err := w.Program()
	if err != nil {
		tb.Fatal(err)
	}
	token := engine.Token{ClusterID: "c", TopicID: "t", Partitions: drivenPartitions, Buckets: 1}
	d := &driver{tb: tb, token: token.String(), machine: engine.New(fold.New(program, drivenPartitions), engine.Config{Token: token, CacheBytes: 1 << 30})}
	all := make([]int32, drivenPartitions)
	for i := range all {
		all[i] = int32(i)
	}
	d.step(engine.Assigned{Partitions: all})
	return d
}

// step gives the machine one input, and the answers to all that follows.
func (d *driver) step(in engine.Input) {
	for d.inputs = append(d.inputs[:0], in); len(d.inputs) > 0; {
		in, d.inputs = d.inputs[0], d.inputs[1:]
		for _, e := range d.machine.Step(in) {
			d.perform(e)
		}
	}
}

func (d *driver) perform(e engine.Effect) {
	answer := func(in engine.Input) { d.inputs = append(d.inputs, in) }
	switch e := e.(type) {
	case engine.ReadMeta:
		answer(engine.MetaRead{Partition: e.Partition, Epoch: e.Epoch})
	case engine.ReadCommitted:
		answer(engine.CommittedRead{Partition: e.Partition, Epoch: e.Epoch, Committed: engine.Committed{Absent: true}})
	case engine.Init:
		answer(engine.MetaRead{Partition: e.Partition, Epoch: e.Epoch, Meta: engine.Meta{
			Exists: true, Intact: true, Token: e.Token, Generation: "g", Start: e.Start, Applied: e.Start,
		}})
	case engine.Load:
		results := make([]engine.LoadResult, len(e.Requests))
		for i, r := range e.Requests {
			results[i] = engine.LoadResult{Meta: d.meta(r.Partition), Values: make([][]byte, len(r.Keys))}
		}
		answer(engine.Loaded{Results: results})
	case engine.Produce:
		d.outputs += len(e.Outputs)
		answer(engine.Produced{})
	case engine.End:
		answer(engine.Ended{Committed: e.Commit})
	case engine.Flush:
		answer(engine.Flushed{Partition: e.Partition, Epoch: e.Epoch, Meta: engine.Meta{
			Exists: true, Intact: true, Token: e.Move.Token, Generation: e.Move.Generation,
			Applied: e.Move.To, Chain: e.Move.Chain, Digest: e.Move.Digest,
		}})
	case engine.Refuse:
		d.tb.Fatal(e.Refusal.Sentence)
	case engine.Restart:
		d.tb.Fatal(e.Reason)
	}
}

func (d *driver) meta(partition int32) engine.Meta {
	for _, s := range d.machine.Status() {
		if s.Partition == partition {
			return engine.Meta{Exists: true, Intact: true, Token: d.token, Generation: "g", Applied: s.Applied}
		}
	}
	return engine.Meta{}
}

// batches makes a workload's events as the log hands them out, batch by batch.
func batches(tb testing.TB, w *Workload) [][]engine.Run {
	var all [][]engine.Run
	records, next := make([][]*kgo.Record, drivenPartitions), make([]int64, drivenPartitions)
	n := 0
	cut := func() {
		var runs []engine.Run
		for p := range records {
			runs = append(runs, engine.Run{Partition: int32(p), Records: kafkalog.Records(records[p])})
			records[p] = nil
		}
		all, n = append(all, runs), 0
	}
	err := w.Each(drivenPartitions, func(r *kgo.Record) error {
		r.Offset, r.Timestamp = next[r.Partition], began.AddDate(1, 0, 0)
		next[r.Partition]++
		records[r.Partition] = append(records[r.Partition], r)
		if n++; n == drivenBatch {
			cut()
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

// BenchmarkMachine folds one event of a workload, its share of the batch's states
// and moves included: everything that a processor does but talk to servers.
func BenchmarkMachine(b *testing.B) {
	for _, name := range Workloads() {
		b.Run(name, func(b *testing.B) {
			w, err := NewWorkload(name, 30*drivenBatch, shapes[name].participants/2, Structured)
			if err != nil {
				b.Fatal(err)
			}
			all := batches(b, w)
			d, i := newDriver(b, w), 0
			b.ReportAllocs()
			b.ResetTimer()
			used := -processorTime(b)
			for n := 0; n < b.N; n += drivenBatch {
				if i == len(all) {
					b.StopTimer()
					used += processorTime(b)
					d, i = newDriver(b, w), 0
					used -= processorTime(b)
					b.StartTimer()
				}
				d.step(engine.Polled{Runs: all[i]})
				d.step(engine.Seal{})
				i++
			}
			// Of all threads, the collector's too: what a busy machine does not stretch.
			b.ReportMetric(float64(used+processorTime(b))/float64(b.N), "cpu-ns/op")
		})
	}
}

// processorTime is what this process has used so far.
func processorTime(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestMachineAllocates holds what an event may allocate on its way through a machine
// in the steady state: its fields as the tail keeps them, and its share of outputs and
// of what the batch is noted in.
func TestMachineAllocates(t *testing.T) {
	const warm, measured = 6, 6
	w, err := NewWorkload("core", (warm+measured)*drivenBatch, 5_000, Structured)
	if err != nil {
		t.Fatal(err)
	}
	all, d := batches(t, w), newDriver(t, w)
	play := func(some [][]engine.Run) {
		for _, runs := range some {
			d.step(engine.Polled{Runs: runs})
			d.step(engine.Seal{})
		}
	}
	play(all[:warm])
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	play(all[warm:])
	runtime.ReadMemStats(&after)
	const events = measured * drivenBatch
	allocations, size := float64(after.Mallocs-before.Mallocs)/events, float64(after.TotalAlloc-before.TotalAlloc)/events
	allocationsMax, sizeMax := 2.5, 450.0
	if raced {
		allocationsMax, sizeMax = 7, 750 // the race detector lets pools lose things
	}
	if allocations > allocationsMax || size > sizeMax {
		t.Errorf("an event allocates %.2f times and %.0f bytes, want at most %.1f and %.0f", allocations, size, allocationsMax, sizeMax)
	}
	if want := events / w.Notify; d.outputs < want {
		t.Errorf("%d outputs, want at least %d", d.outputs, want)
	}
}
