package enginetest

import (
	"fmt"
	"maps"
	"slices"

	"github.com/veltrix/veltrix/internal/engine"
)

// committed is a partition's offset in the group.
type committed struct {
	set      bool
	offset   int64
	metadata string
	epoch    int32 // the leader's that wrote the record before
}

// log is a partition of the source topic. Records keep their place in the
// slice when they can no longer be read, so that they can be brought back.
type log struct {
	records  []engine.Record
	start    int64
	cut      int64 // the records from here on are gone; -1: none
	hole     int64 // this record is gone; -1: none
	epoch    int32 // of the leader
	startWas int64 // before somebody advanced it
	// originals are what stood in the place of records that were changed.
	originals []engine.Record
}

// replace puts other records in the places of [from, to), written by the
// present leader.
func (l *log) replace(from, to int, value string) {
	l.originals = slices.Clone(l.records[from:to])
	l.records = slices.Clone(l.records)
	for i := from; i < to; i++ {
		l.records[i].Value, l.records[i].LeaderEpoch = []byte(value), l.epoch
	}
}

// putBack undoes replace.
func (l *log) putBack() {
	for _, r := range l.originals {
		l.records[r.Offset] = r
	}
	l.originals = nil
}

// epochAt is the leader epoch of the record before offset.
func (l *log) epochAt(offset int64) int32 {
	if offset == 0 {
		return 0
	}
	return l.records[offset-1].LeaderEpoch
}

// epochEnd is where the records of later epochs begin.
func (l *log) epochEnd(epoch int32) int64 {
	for i := range l.records {
		if l.records[i].LeaderEpoch > epoch {
			return int64(i)
		}
	}
	return l.end()
}

func (l *log) end() int64 {
	if l.cut >= 0 {
		return l.cut
	}
	return int64(len(l.records))
}

// read returns the records of [from, to) that exist.
func (l *log) read(from, to int64) []engine.Record {
	var out []engine.Record
	for i := from; i < min(to, l.end()); i++ {
		if i != l.hole {
			out = append(out, l.records[i])
		}
	}
	return out
}

// world is the broker and Redis, as one sequential program sees them.
type world struct {
	chooser
	logs       []*log
	offsets    []committed
	commits    []map[int64]string // by partition: what was committed with an offset
	high       []int64            // the highest offset that a transaction committed
	outputs    []map[int64]string // partition → offset of the cause → committed output
	decided    []int64            // all records below have an output
	known      map[int32]bool     // the manifest
	views      []*view
	history    [][]*view // older copies, for rollbacks
	keeps      bool      // snapshots
	snapshots  [][]*copied
	staged     map[string]map[string][]byte // generation → participant → value
	wire       []flight
	owner      []*process
	generation int
	pending    []*transaction // offsets were committed in them, and they have not ended
	epochs     map[int]int    // transactional ID → producer epoch
	token      string         // the cluster that processes are started for
	changed    []string       // by partition: what an operator or a fault of the infrastructure changed
	saved      []committed    // what a reset replaced
	excused    []map[string]bool
	tainted    []bool // the view was folded from records that were not the log's
	inits      int
	saves      int
	faults     map[string]int
	restarts   map[string]int
	refusals   map[string]int
	oracle     []*oracle
	tracing    bool
	trace      []string
}

func (w *world) note(format string, args ...any) {
	if w.tracing {
		w.trace = append(w.trace, fmt.Sprintf(format, args...))
	}
}

// transaction is what one producer epoch has under way.
type transaction struct {
	slot    int
	outputs []engine.Output
	offsets map[int32]engine.Commit
}

func newWorld(ch chooser, partitions int) *world {
	w := &world{
		chooser: ch, token: "sim", offsets: make([]committed, partitions), high: make([]int64, partitions),
		commits: make([]map[int64]string, partitions),
		decided: make([]int64, partitions), known: map[int32]bool{}, history: make([][]*view, partitions),
		owner: make([]*process, partitions), epochs: map[int]int{},
		snapshots: make([][]*copied, partitions), staged: map[string]map[string][]byte{},
		changed: make([]string, partitions), saved: make([]committed, partitions), tainted: make([]bool, partitions),
		faults: map[string]int{}, restarts: map[string]int{}, refusals: map[string]int{},
	}
	for p := range partitions {
		w.commits[p] = map[int64]string{}
		w.logs = append(w.logs, &log{cut: -1, hole: -1})
		w.outputs = append(w.outputs, map[int64]string{})
		w.views = append(w.views, &view{values: map[string][]byte{}})
		w.excused = append(w.excused, map[string]bool{})
		w.oracle = append(w.oracle, newOracle())
	}
	return w
}

// chance is true in one of n cases, and counts the fault.
func (w *world) chance(n int, fault string) bool {
	if !w.fault(n, fault) {
		return false
	}
	w.count(fault)
	return true
}

func (w *world) count(fault string) {
	w.faults[fault]++
	w.note("FAULT %s", fault)
}

// append adds an event to a log.
func (w *world) append() {
	p := int32(w.pick(len(w.logs)))
	value := fmt.Sprintf("v%d", w.pick(1000))
	switch w.pick(12) {
	case 0:
		value = "poison" + value
	case 1:
		value = "noop"
	}
	w.add(p, fmt.Sprintf("p%d", w.pick(5)), value)
}

func (w *world) add(p int32, key, value string) {
	l := w.logs[p]
	if l.cut >= 0 {
		return // what was truncated comes back first
	}
	l.records = append(l.records, engine.Record{
		Partition: p, LeaderEpoch: l.epoch, Offset: int64(len(l.records)), Key: []byte(key), Value: []byte(value),
	})
	w.note("append %d/%d %s=%s", p, len(l.records)-1, key, value)
}

// unstable says that a transaction on the partition has not ended.
func (w *world) unstable(p int32) bool {
	return slices.ContainsFunc(w.pending, func(t *transaction) bool {
		_, ok := t.offsets[p]
		return ok
	})
}

// settled forgets a pending transaction.
func (w *world) settled(t *transaction) {
	w.pending = slices.DeleteFunc(slices.Clone(w.pending), func(o *transaction) bool { return o == t })
}

// commit makes a transaction's offsets and outputs visible, and checks I1 to
// I4 against the oracle.
func (w *world) commit(t *transaction) error {
	for p, c := range t.offsets {
		switch w.changed[p] {
		case "reset back", "reset forward", "group deleted":
			return fmt.Errorf("I7: partition %d is committed at %d in spite of: %s", p, c.Offset, w.changed[p])
		}
		if w.offsets[p].set && c.Offset < w.offsets[p].offset {
			return fmt.Errorf("I4: partition %d goes back from %d to %d", p, w.offsets[p].offset, c.Offset)
		}
		w.offsets[p] = committed{true, c.Offset, c.Metadata, w.logs[p].epochAt(c.Offset)}
		if w.tracing {
			w.commits[p][c.Offset] = c.Metadata
		}
		w.high[p] = max(w.high[p], c.Offset)
	}
	for _, o := range t.outputs {
		var cause int64
		if _, err := fmt.Sscanf(string(o.Value), "%d", &cause); err != nil {
			return err
		}
		if had, twice := w.outputs[o.Partition][cause]; twice {
			return fmt.Errorf("I1: partition %d offset %d has two outcomes: %q and %q", o.Partition, cause, had, o.Value)
		}
		w.outputs[o.Partition][cause] = string(o.Value)
		if want := w.fold(o.Partition, cause+1).outputs[cause]; want != string(o.Value) {
			return fmt.Errorf("I2: partition %d offset %d: output %q, the oracle says %q", o.Partition, cause, o.Value, want)
		}
	}
	for p, c := range t.offsets {
		for ; w.decided[p] < c.Offset; w.decided[p]++ {
			if _, ok := w.outputs[p][w.decided[p]]; !ok {
				return fmt.Errorf("I3: partition %d is committed at %d, but %d has no outcome", p, c.Offset, w.decided[p])
			}
		}
	}
	return nil
}

// checkView checks I5 and I6.
func (w *world) checkView(p int32) error {
	v := w.views[p]
	if !v.meta.Exists || !v.whole() || w.tainted[p] {
		return nil
	}
	if v.meta.Applied > w.high[p] && v.meta.Applied > v.meta.Start {
		return fmt.Errorf("I6: partition %d: R %d is ahead of K %d", p, v.meta.Applied, w.high[p])
	}
	want := w.fold(p, v.meta.Applied).history[v.meta.Applied]
	for key, state := range want {
		if got := string(v.values[v.meta.Generation+"/"+key]); got != state {
			return fmt.Errorf("I5: partition %d at %d: %s is %x, the oracle says %x", p, v.meta.Applied, key, got, state)
		}
	}
	return nil
}

// oracle folds one partition's log sequentially, as far as it was asked for.
type oracle struct {
	next    int64
	states  map[string]engine.State
	outputs map[int64]string
	history []map[string]string // after each offset: participant → encoded state
}

func newOracle() *oracle {
	return &oracle{states: map[string]engine.State{}, outputs: map[int64]string{}, history: []map[string]string{{}}}
}

// fold advances the oracle of a partition to offset.
func (w *world) fold(p int32, to int64) *oracle {
	o := w.oracle[p]
	for ; o.next < to; o.next++ {
		r := &w.logs[p].records[o.next]
		key := string((Fold{}).Key(r))
		after := maps.Clone(o.history[o.next])
		var s engine.State
		if key != "" {
			if s = o.states[key]; s == nil {
				s = (Fold{}).New()
			}
		}
		var out engine.Outputs
		(Fold{}).Apply(s, r, &out)
		if key != "" {
			o.states[key] = s
			if enc := string((Fold{}).Encode(nil, s)); enc != string((Fold{}).Encode(nil, (Fold{}).New())) {
				after[key] = enc
			}
		}
		o.outputs[o.next] = string(out.List[0].Value)
		o.history = append(o.history, after)
	}
	return o
}
