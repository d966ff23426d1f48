package enginetest

import (
	"fmt"
	"maps"
	"math/rand/v2"

	"github.com/veltrix/veltrix/internal/engine"
)

// committed is a partition's offset in the group.
type committed struct {
	set      bool
	offset   int64
	metadata string
}

// view is a partition in Redis.
type view struct {
	meta   engine.Meta
	values map[string][]byte // generation + "/" + participant
}

func (v *view) clone() *view { return &view{v.meta, maps.Clone(v.values)} }

// world is the broker and Redis, as one sequential program sees them.
type world struct {
	rng        *rand.Rand
	logs       [][]engine.Record
	offsets    []committed
	outputs    []map[int64]string // partition → offset of the cause → committed output
	known      map[int32]bool     // the manifest
	views      []*view
	history    [][]*view // older copies, for rollbacks
	owner      []*process
	generation int
	pending    []*transaction // by partition: offsets committed in a transaction that has not ended
	epochs     map[int]int    // transactional ID → producer epoch
	inits      int
	faults     map[string]int
	oracle     []*oracle
	trace      []string
}

func (w *world) note(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

// transaction is what one producer epoch has under way.
type transaction struct {
	slot, epoch int
	outputs     []engine.Output
	offsets     map[int32]engine.Commit
}

// oracle folds one partition's log sequentially, as far as it was asked for.
type oracle struct {
	next    int64
	states  map[string]engine.State
	outputs map[int64]string
	history []map[string]string // after each offset: participant → encoded state
}

func newWorld(seed uint64, partitions int) *world {
	w := &world{
		rng: rand.New(rand.NewPCG(seed, 1)), logs: make([][]engine.Record, partitions),
		offsets: make([]committed, partitions), known: map[int32]bool{}, views: make([]*view, partitions),
		history: make([][]*view, partitions), owner: make([]*process, partitions), pending: make([]*transaction, partitions),
		epochs: map[int]int{}, faults: map[string]int{},
	}
	for p := range partitions {
		w.outputs = append(w.outputs, map[int64]string{})
		w.views[p] = &view{values: map[string][]byte{}}
		w.oracle = append(w.oracle, &oracle{states: map[string]engine.State{}, outputs: map[int64]string{}, history: []map[string]string{{}}})
	}
	return w
}

// chance is true in one of n cases, and counts the fault.
func (w *world) chance(n int, fault string) bool {
	if n <= 0 || w.rng.IntN(n) != 0 {
		return false
	}
	w.faults[fault]++
	return true
}

// append adds an event to a log.
func (w *world) append() {
	p := int32(w.rng.IntN(len(w.logs)))
	value := fmt.Sprintf("v%d", w.rng.IntN(1000))
	switch w.rng.IntN(12) {
	case 0:
		value = "poison" + value
	case 1:
		value = "noop"
	}
	key := fmt.Sprintf("p%d", w.rng.IntN(5))
	w.logs[p] = append(w.logs[p], engine.Record{
		Partition: p, Offset: int64(len(w.logs[p])), Key: []byte(key), Value: []byte(value),
	})
}

// fold advances the oracle of a partition to offset.
func (w *world) fold(p int32, to int64) *oracle {
	o := w.oracle[p]
	for ; o.next < to; o.next++ {
		r := &w.logs[p][o.next]
		item := (Fold{}).Decode(r)
		after := maps.Clone(o.history[o.next])
		var s engine.State
		if item.Key != "" {
			if s = o.states[item.Key]; s == nil {
				s = (Fold{}).New()
			}
		}
		var out engine.Outputs
		(Fold{}).Apply(s, r, item, &out)
		if item.Key != "" {
			o.states[item.Key] = s
			if enc := string((Fold{}).Encode(nil, s)); enc != string((Fold{}).Encode(nil, (Fold{}).New())) {
				after[item.Key] = enc
			}
		}
		o.outputs[o.next] = string(out.List[0].Value)
		o.history = append(o.history, after)
	}
	return o
}

// commit makes a transaction's offsets and outputs visible, and checks I1, I2
// and I4 against the oracle.
func (w *world) commit(t *transaction) error {
	for p, c := range t.offsets {
		if w.offsets[p].set && c.Offset < w.offsets[p].offset {
			return fmt.Errorf("I4: partition %d goes back from %d to %d", p, w.offsets[p].offset, c.Offset)
		}
		w.offsets[p] = committed{true, c.Offset, c.Metadata}
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
		for i := range c.Offset {
			if _, ok := w.outputs[p][i]; !ok {
				return fmt.Errorf("I3: partition %d is committed at %d, but %d has no outcome", p, c.Offset, i)
			}
		}
	}
	return nil
}

// apply moves a view, and checks I5 and I6.
func (w *world) apply(p int32, m engine.Move) error {
	w.move(p, m)
	return w.checkView(p)
}

// move is the compare-and-set of the store.
func (w *world) move(p int32, m engine.Move) {
	v := w.views[p]
	if !v.meta.Intact || !v.meta.Same(engine.Meta{Exists: true, Token: m.Token, Generation: m.Generation, Applied: m.From}) {
		return
	}
	w.history[p] = append(w.history[p], v.clone())
	for _, kv := range m.Values {
		v.values[m.Generation+"/"+kv.Key] = kv.Value
	}
	v.meta.Applied, v.meta.Chain, v.meta.Digest = m.To, m.Chain, m.Digest
}

func (w *world) checkView(p int32) error {
	v := w.views[p]
	if !v.meta.Exists || !v.meta.Intact {
		return nil
	}
	if v.meta.Applied > 0 && v.meta.Applied > w.offsets[p].offset {
		return fmt.Errorf("I6: partition %d: R %d is ahead of K %d", p, v.meta.Applied, w.offsets[p].offset)
	}
	want := w.fold(p, v.meta.Applied).history[v.meta.Applied]
	for key, state := range want {
		if got := string(v.values[v.meta.Generation+"/"+key]); got != state {
			return fmt.Errorf("I5: partition %d at %d: %s is %x, the oracle says %x", p, v.meta.Applied, key, got, state)
		}
	}
	return nil
}

// init is the store's Init.
func (w *world) init(p int32, old engine.Meta, token string, start int64) engine.Meta {
	v := w.views[p]
	if v.meta.Exists == old.Exists && (!old.Exists || v.meta.Same(old)) {
		w.inits++
		v.meta = engine.Meta{Exists: true, Intact: true, Token: token, Generation: fmt.Sprint(w.inits), Start: start, Applied: start}
	}
	return v.meta
}

// load is the store's Load.
func (w *world) load(r engine.LoadRequest) engine.LoadResult {
	v := w.views[r.Partition]
	out := engine.LoadResult{Meta: v.meta}
	for _, key := range r.Keys {
		out.Values = append(out.Values, v.values[r.Generation+"/"+key])
	}
	return out
}
