package enginetest

import (
	"hash/maphash"
	"math/bits"
	"reflect"
	"slices"
	"strings"

	"github.com/veltrix/veltrix/internal/engine"
)

var hashSeed = maphash.MakeSeed()

// digest is a hash of everything that decides what can happen from here on.
// Each process is hashed with what belongs to its slot, and two slots may
// exchange their places: nothing else tells them apart.
func (s *sim) digest(c *path) uint64 {
	w := s.w
	h := hasher{plans: c.plans}
	h.number(uint64(c.faults))
	h.truth(s.harmed)
	h.value(reflect.ValueOf(w.offsets), 0)
	h.value(reflect.ValueOf(w.known), 0)
	h.value(reflect.ValueOf(w.views), 0)
	h.value(reflect.ValueOf(w.outputs), 0)
	h.value(reflect.ValueOf(w.inits), 0)
	if c.faults > 0 {
		h.value(reflect.ValueOf(w.history), 0)
	}
	var slots uint64
	for slot, pr := range s.procs {
		one := h.fresh()
		if len(s.procs) > 2 {
			one.number(uint64(slot)) // who comes after whom makes a difference
		}
		if pr != nil {
			one.process(pr)
		}
		one.number(s.attached(&h, slot))
		slots += mix(one.sum)
	}
	h.number(slots)
	return h.sum
}

// attached is a hash of what belongs to a slot beside its process: pending
// transactions, requests in flight, replaced processes. They are in no order.
func (s *sim) attached(h *hasher, slot int) uint64 {
	w := s.w
	var all uint64
	add := func(kind uint64, fill func(one *hasher)) {
		one := h.fresh()
		one.number(kind)
		fill(&one)
		all += mix(one.sum)
	}
	for _, t := range w.pending {
		if t.slot == slot {
			add(1, func(one *hasher) { one.transaction(t) })
		}
	}
	for _, f := range w.wire {
		if f.from.slot != slot {
			continue
		}
		add(2, func(one *hasher) {
			one.truth(f.from == s.procs[slot])
			one.truth(slices.Contains(s.zombies, f.from))
			if f.txn != nil {
				one.truth(slices.Contains(w.pending, f.txn))
				one.transaction(f.txn)
				return
			}
			one.newest = newest(f.from)
			one.value(reflect.ValueOf(&f.effect).Elem(), 0)
		})
	}
	for _, pr := range s.zombies {
		if pr.slot == slot {
			add(3, func(one *hasher) { one.process(pr) })
		}
	}
	return all
}

// newest is the newest ownership epoch of a process.
func newest(pr *process) uint64 {
	return reflect.ValueOf(pr.machine).Elem().FieldByName("epochs").Uint()
}

// hasher hashes values by what they hold, the fields that are not exported
// included.
type hasher struct {
	sum    uint64
	newest uint64 // ownership epoch: others are told by their distance to it
	plans  plans
}

// plans keeps how the types are hashed.
type plans map[reflect.Type][]field

// field is one that decides something.
type field struct {
	index int
	how   how
}

type how uint8

const (
	whole    how = iota
	epoch        // an ownership epoch
	presence     // what it says decides nothing
)

// fresh hashes something that is in no order.
func (h *hasher) fresh() hasher { return hasher{newest: h.newest, plans: h.plans} }

// mix spreads each bit over all of them.
func mix(n uint64) uint64 {
	n = (n ^ n>>30) * 0xBF58476D1CE4E5B9
	n = (n ^ n>>27) * 0x94D049BB133111EB
	return n ^ n>>31
}

func (h *hasher) number(n uint64) {
	h.sum = bits.RotateLeft64(h.sum^mix(n+0x9E3779B97F4A7C15), 29)*0x9E3779B185EBCA87 + 0x165667B19E3779F9
}

func (h *hasher) truth(b bool) {
	if b {
		h.number(1)
		return
	}
	h.number(0)
}

func (h *hasher) transaction(t *transaction) {
	h.value(reflect.ValueOf(t.outputs), 0)
	h.value(reflect.ValueOf(t.offsets), 0)
}

func (h *hasher) process(pr *process) {
	w := pr.w
	h.newest = newest(pr)
	h.number(1)
	h.truth(w.owner[0] == pr)
	h.truth(pr.epoch == w.epochs[pr.slot])
	h.truth(pr.generation == w.generation)
	h.value(reflect.ValueOf(pr.machine), 0)
	h.value(reflect.ValueOf(pr.sync), 0)
	var beside uint64 // in no order
	for i := range pr.beside {
		one := h.fresh()
		one.value(reflect.ValueOf(&pr.beside[i]).Elem(), 0)
		beside += mix(one.sum)
	}
	h.number(beside)
	for _, list := range [][]engine.Input{pr.queue, pr.inbox, pr.pending} {
		h.value(reflect.ValueOf(list), 0)
	}
	h.value(reflect.ValueOf(pr.loading), 0)
	h.value(reflect.ValueOf(pr.loaded), 0)
	h.value(reflect.ValueOf(pr.positions), 0)
	h.value(reflect.ValueOf(pr.believed), 0)
	h.value(reflect.ValueOf(pr.paused), 0)
	h.value(reflect.ValueOf(pr.told), 0)
	for _, b := range []bool{pr.held, pr.revoked, pr.swallowed, pr.broken, pr.failed != nil, pr.producing, pr.ending, pr.replaced, pr.refused, pr.stalled > 0, pr.txn != nil} {
		h.truth(b)
	}
	if pr.txn != nil {
		h.transaction(pr.txn)
	}
}

// skipped are fields that decide nothing: counters for people, memory that is
// written before it is read, and links that follow from the rest.
var skipped = map[string]bool{"counts": true, "effects": true, "reuse": true, "folded": true, "order": true, "sorted": true, "warmth": true, "touch": true, "memory": true, "epochs": true, "fold": true, "p": true, "newer": true, "old": true, "refusal": true, "Reason": true}

// plan says how the fields of a struct are hashed.
func (h *hasher) plan(t reflect.Type) []field {
	plan, ok := h.plans[t]
	if ok {
		return plan
	}
	for i := range t.NumField() {
		switch name := t.Field(i).Name; {
		case skipped[name]:
		case name == "Err":
			plan = append(plan, field{i, presence})
		case (name == "epoch" || name == "Epoch") && t.Field(i).Type.Kind() == reflect.Uint64:
			plan = append(plan, field{i, epoch})
		default:
			plan = append(plan, field{i, whole})
		}
	}
	h.plans[t] = plan
	return plan
}

func (h *hasher) value(v reflect.Value, depth int) {
	if depth > 20 {
		panic("a value without an end")
	}
	kind := v.Kind()
	h.number(uint64(kind))
	switch kind {
	case reflect.Bool:
		h.truth(v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		h.number(uint64(v.Int()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		h.number(v.Uint())
	case reflect.String:
		h.number(maphash.String(hashSeed, v.String()))
	case reflect.Pointer:
		if v.IsNil() {
			h.number(0)
			return
		}
		h.value(v.Elem(), depth+1)
	case reflect.Interface:
		if v.IsNil() {
			h.number(0)
			return
		}
		h.number(maphash.String(hashSeed, v.Elem().Type().String()))
		h.value(v.Elem(), depth+1)
	case reflect.Slice, reflect.Array:
		h.elements(v, depth)
	case reflect.Struct:
		h.fields(v, depth)
	case reflect.Map:
		h.entries(v, depth)
	case reflect.Func:
	default:
		panic("a " + strings.ToLower(kind.String()) + " cannot be hashed")
	}
}

func (h *hasher) elements(v reflect.Value, depth int) {
	h.number(uint64(v.Len()))
	if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
		h.number(maphash.Bytes(hashSeed, v.Bytes()))
		return
	}
	for i := range v.Len() {
		h.value(v.Index(i), depth+1)
	}
}

func (h *hasher) fields(v reflect.Value, depth int) {
	for _, f := range h.plan(v.Type()) {
		switch one := v.Field(f.index); f.how {
		case presence:
			h.truth(one.IsNil())
		case epoch:
			h.number(h.newest - one.Uint())
		default:
			h.value(one, depth+1)
		}
	}
}

// entries hashes a map without regard to its order.
func (h *hasher) entries(v reflect.Value, depth int) {
	var sum uint64
	for it := v.MapRange(); it.Next(); {
		one := h.fresh()
		one.value(it.Key(), depth+1)
		one.value(it.Value(), depth+1)
		sum += mix(one.sum)
	}
	h.number(uint64(v.Len()))
	h.number(sum)
}
