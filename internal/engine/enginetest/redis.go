package enginetest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/veltrix/veltrix/internal/engine"
)

// buckets is the number of hashes that hold a partition's values.
const buckets = 2

func bucketOf(key string) int { return int(key[len(key)-1]) % buckets }

// view is a partition in Redis. Its meta says nothing of Intact: what a reply
// says of it depends on the buckets that the request touches.
type view struct {
	meta   engine.Meta
	lost   [buckets]bool     // without a sentinel
	values map[string][]byte // generation + "/" + participant
}

func (v *view) clone() *view { return &view{v.meta, v.lost, maps.Clone(v.values)} }

func (v *view) whole() bool { return v.lost == [buckets]bool{} }

// seen is the meta as answered to a request that touches these keys.
func (v *view) seen(keys ...string) engine.Meta {
	m := v.meta
	m.Intact = m.Exists
	for _, key := range keys {
		m.Intact = m.Intact && !v.lost[bucketOf(key)]
	}
	return m
}

// metaOf is the store's Meta: it looks at every bucket.
func (w *world) metaOf(p int32) engine.Meta {
	m := w.views[p].meta
	m.Intact = m.Exists && w.views[p].whole()
	return m
}

// load is the store's Load.
func (w *world) load(r engine.LoadRequest) engine.LoadResult {
	v := w.views[r.Partition]
	out := engine.LoadResult{Meta: v.seen(r.Keys...)}
	for _, key := range r.Keys {
		out.Values = append(out.Values, v.values[r.Generation+"/"+key])
	}
	return out
}

// move is the store's Apply: the compare-and-set.
func (w *world) move(p int32, m engine.Move) engine.Meta {
	v := w.views[p]
	keys := make([]string, len(m.Values))
	for i := range m.Values {
		keys[i] = m.Values[i].Key
	}
	seen := v.seen(keys...)
	if !seen.Intact || !seen.Same(engine.Meta{Exists: true, Token: m.Token, Generation: m.Generation, Applied: m.From}) {
		return seen
	}
	w.history[p] = append(w.history[p], v.clone())
	for _, kv := range m.Values {
		v.values[m.Generation+"/"+kv.Key] = bytes.Clone(kv.Value) // the machine writes over its own
	}
	v.meta.Applied, v.meta.Chain, v.meta.Digest = m.To, m.Chain, m.Digest
	return v.seen(keys...)
}

// init is the store's Init. The values of older generations stay: deleting
// them is not part of the same step.
func (w *world) init(p int32, old, next engine.Meta) engine.Meta {
	v := w.views[p]
	staged, ok := w.staged[next.Generation]
	if next.Generation != "" && !ok || v.meta.Exists != old.Exists || old.Exists && !v.meta.Same(old) {
		return v.seen()
	}
	if next.Generation == "" {
		w.inits++
		next.Generation = fmt.Sprint("g", w.inits)
	}
	for key, value := range staged {
		v.values[next.Generation+"/"+key] = value
	}
	delete(w.staged, next.Generation)
	next.Exists, next.Intact = true, false
	v.meta, v.lost = next, [buckets]bool{}
	return v.seen()
}

// stage is the store's Stage.
func (w *world) stage(generation string, values []engine.KeyValue) (string, error) {
	if generation == "" {
		w.inits++
		generation = fmt.Sprint("g", w.inits)
		w.staged[generation] = map[string][]byte{}
	}
	if w.staged[generation] == nil {
		return "", errors.New("what was staged has ended")
	}
	for _, kv := range values {
		w.staged[generation][kv.Key] = kv.Value
	}
	return generation, nil
}

// scan is the store's Scan, of one bucket.
func (w *world) scan(p int32, generation string, bucket int) []engine.KeyValue {
	var out []engine.KeyValue
	v := w.views[p]
	for _, key := range slices.Sorted(maps.Keys(v.values)) {
		if who, ok := strings.CutPrefix(key, generation+"/"); ok && bucketOf(who) == bucket {
			out = append(out, engine.KeyValue{Key: who, Value: v.values[key]})
		}
	}
	return out
}

// flight is a request that was sent and has not arrived, whatever became of
// its sender.
type flight struct {
	from   *process
	effect engine.Effect
	txn    *transaction // instead of an effect: the second half of its commit
}

// sent is an effect as its request holds it: what the machine writes over once it
// has an answer, is in flight as it was.
func sent(e engine.Effect) engine.Effect {
	flush, ok := e.(engine.Flush)
	if !ok {
		return e
	}
	flush.Move.Values = slices.Clone(flush.Move.Values)
	for i := range flush.Move.Values {
		flush.Move.Values[i].Value = bytes.Clone(flush.Move.Values[i].Value)
	}
	return flush
}

// land lets a request in flight arrive. Its sender gets the answer only if it
// still waits for it.
func (w *world) land(i int) error {
	f := w.wire[i]
	w.wire = append(w.wire[:i:i], w.wire[i+1:]...)
	if f.txn != nil {
		if !slices.Contains(w.pending, f.txn) {
			return nil // aborted since
		}
		f.from.note("its commit lands late")
		w.settled(f.txn)
		return w.commit(f.txn)
	}
	f.from.note("lands late: %s", show(f.effect))
	in, err := w.serve(f.effect)
	if err != nil {
		return err
	}
	f.from.answer(f.effect, in)
	return nil
}

// serve performs a write on Redis, and checks what it left.
func (w *world) serve(e engine.Effect) (engine.Input, error) {
	switch e := e.(type) {
	case engine.Flush:
		meta := w.move(e.Partition, e.Move)
		return engine.Flushed{Partition: e.Partition, Epoch: e.Epoch, Meta: meta}, w.checkView(e.Partition)
	case engine.Init:
		meta := w.init(e.Partition, e.Old, engine.Meta{Token: e.Token, Start: e.Start, Applied: e.Start})
		return engine.MetaRead{Partition: e.Partition, Epoch: e.Epoch, Meta: meta}, nil
	case engine.Restore:
		return w.restore(e)
	}
	panic(fmt.Sprintf("%T is no write", e))
}
