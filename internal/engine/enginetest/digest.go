package enginetest

import (
	"encoding/binary"
	"hash/maphash"
	"reflect"
	"slices"
	"strings"

	"github.com/veltrix/veltrix/internal/engine"
)

var hashSeed = maphash.MakeSeed()

// digest is a hash of everything that decides what can happen from here on.
func (s *sim) digest(faults int) uint64 {
	w := s.w
	var h hasher
	h.Hash.SetSeed(hashSeed)
	h.number(uint64(faults))
	h.truth(s.harmed)
	h.value(reflect.ValueOf(w.offsets), 0)
	h.value(reflect.ValueOf(w.known), 0)
	h.value(reflect.ValueOf(w.views), 0)
	h.value(reflect.ValueOf(w.history), 0)
	h.value(reflect.ValueOf(w.outputs), 0)
	h.value(reflect.ValueOf(w.inits), 0)
	for _, t := range w.pending {
		h.value(reflect.ValueOf(*t), 0)
		h.number(uint64(w.epochs[t.slot]))
	}
	for slot, pr := range s.procs {
		h.number(uint64(slot))
		if pr == nil {
			continue
		}
		h.process(pr)
		h.truth(w.owner[0] == pr)
	}
	for _, f := range w.wire {
		h.value(reflect.ValueOf(f.effect), 0)
		h.truth(f.from == s.procs[f.from.slot])
		h.truth(f.txn != nil && slices.Contains(w.pending, f.txn))
	}
	return h.Sum64()
}

// hasher hashes values by what they hold, the fields that are not exported
// included.
type hasher struct{ maphash.Hash }

func (h *hasher) number(n uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	_, _ = h.Write(b[:]) // never fails
}

func (h *hasher) truth(b bool) {
	if b {
		h.number(1)
		return
	}
	h.number(0)
}

func (h *hasher) process(pr *process) {
	w := pr.w
	h.truth(pr.epoch == w.epochs[pr.slot])
	h.truth(pr.generation == w.generation)
	h.value(reflect.ValueOf(pr.machine), 0)
	h.value(reflect.ValueOf(pr.sync), 0)
	var beside uint64 // in no order
	for _, e := range pr.beside {
		var one hasher
		one.Hash.SetSeed(hashSeed)
		one.value(reflect.ValueOf(&e).Elem(), 0)
		beside += one.Sum64()
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
	for _, b := range []bool{pr.held, pr.revoked, pr.swallowed, pr.broken, pr.failed != nil, pr.producing, pr.ending, pr.stalled > 0, pr.txn != nil} {
		h.truth(b)
	}
	if pr.txn != nil {
		h.value(reflect.ValueOf(pr.txn.outputs), 0)
	}
}

// skipped are fields that decide nothing: counters for people, memory that is
// written before it is read, and links that follow from the rest.
var skipped = map[string]bool{"counts": true, "effects": true, "fold": true, "p": true, "newer": true, "old": true, "refusal": true, "Reason": true}

func (h *hasher) value(v reflect.Value, depth int) {
	if depth > 20 {
		panic("a value without an end")
	}
	h.number(uint64(v.Kind()))
	switch v.Kind() {
	case reflect.Bool:
		h.truth(v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		h.number(uint64(v.Int()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		h.number(v.Uint())
	case reflect.String:
		h.number(uint64(v.Len()))
		_, _ = h.WriteString(v.String()) // never fails
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			h.number(0)
			return
		}
		if v.Kind() == reflect.Interface {
			_, _ = h.WriteString(v.Elem().Type().String()) // never fails
		}
		h.value(v.Elem(), depth+1)
	case reflect.Slice, reflect.Array:
		h.number(uint64(v.Len()))
		if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
			_, _ = h.Write(v.Bytes()) // never fails
			return
		}
		for i := range v.Len() {
			h.value(v.Index(i), depth+1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			switch name := v.Type().Field(i).Name; {
			case skipped[name]:
			case name == "Err":
				h.truth(v.Field(i).IsNil()) // what it says decides nothing
			default:
				h.value(v.Field(i), depth+1)
			}
		}
	case reflect.Map:
		h.entries(v, depth)
	case reflect.Func:
	default:
		panic("a " + strings.ToLower(v.Kind().String()) + " cannot be hashed")
	}
}

// entries hashes a map without regard to its order.
func (h *hasher) entries(v reflect.Value, depth int) {
	var sum uint64
	for it := v.MapRange(); it.Next(); {
		var one hasher
		one.Hash.SetSeed(hashSeed)
		one.value(it.Key(), depth+1)
		one.value(it.Value(), depth+1)
		sum += one.Sum64()
	}
	h.number(uint64(v.Len()))
	h.number(sum)
}
