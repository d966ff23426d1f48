package enginetest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/veltrix/veltrix/internal/engine"
)

// Scope bounds an exhaustive search: every order in which the parts of the
// small world can go on, with every fault at every place, up to Faults in a
// run. Records are in the log from the beginning, in one partition.
type Scope struct {
	Slots, Records, Faults int
	CacheBytes             int
	States                 int // stop after so many; 0: none
	Stop                   time.Duration
}

// Exhausted is what a search saw.
type Exhausted struct {
	States, Transitions, Ends int
	Complete                  bool
}

func (e Exhausted) String() string {
	how := "all of them"
	if !e.Complete {
		how = "stopped before the end"
	}
	return fmt.Sprintf("%d states, %d transitions, %d ends (%s)", e.States, e.Transitions, e.Ends, how)
}

// path chooses along a path that the search has laid, and beyond its end the
// first of everything.
type path struct {
	choices, widths []int
	at              int
	faults          int // that may still happen
}

func (c *path) pick(n int) int {
	if n == 1 {
		return 0
	}
	if c.at == len(c.choices) {
		c.choices, c.widths = append(c.choices, 0), append(c.widths, n)
	}
	c.at++
	return c.choices[c.at-1]
}

func (c *path) fault(_ int, name string) bool {
	// A client that skips is refused, and so never comes to an end by itself.
	if c.faults == 0 || name == "client skips a record" || c.pick(2) == 0 {
		return false
	}
	c.faults--
	return true
}

// next moves on to the next path, and reports whether there is one.
func (c *path) next() bool {
	for i := len(c.choices) - 1; i >= 0; i-- {
		if c.choices[i]+1 < c.widths[i] {
			c.choices, c.widths = c.choices[:i+1], c.widths[:i+1]
			c.choices[i]++
			return true
		}
	}
	return false
}

// Exhaust searches a scope. A state that was seen with as many faults left is
// not searched twice. Where nothing can go on, R = K = end must hold.
func Exhaust(scope Scope) (Exhausted, error) {
	var out Exhausted
	began := time.Now()
	seen := map[uint64]struct{}{}
	c := &path{}
	for {
		c.at, c.faults = 0, scope.Faults
		s := newSmall(scope, c)
		laid := len(c.choices)
		for {
			if c.at >= laid {
				state := s.digest(c.faults)
				if _, ok := seen[state]; ok {
					break
				}
				seen[state] = struct{}{}
			}
			more, err := s.small()
			if c.at >= laid {
				out.Transitions++
			}
			if err != nil {
				return out, tell(scope, c, err)
			}
			if !more {
				out.Ends++
				if !s.done() {
					return out, tell(scope, c, fmt.Errorf("I8: nothing goes on any more: %s", s.where()))
				}
				break
			}
		}
		out.States = len(seen)
		if !c.next() {
			out.Complete = true
			return out, nil
		}
		if scope.States > 0 && out.States >= scope.States || scope.Stop > 0 && time.Since(began) > scope.Stop {
			return out, nil
		}
	}
}

func newSmall(scope Scope, c *path) *sim {
	cfg := Config{Partitions: 1, Slots: scope.Slots, CacheBytes: scope.CacheBytes}
	s := &sim{cfg: cfg, w: newWorld(c, 1), procs: make([]*process, cfg.Slots)}
	for i := range scope.Records {
		s.w.add(0, fmt.Sprint("p", i%2), fmt.Sprint("v", i))
	}
	for i := range s.procs {
		s.start(i)
	}
	s.hand(0)
	return s
}

// tell plays a path again and records it.
func tell(scope Scope, c *path, err error) error {
	again := &path{choices: c.choices[:c.at], widths: c.widths[:c.at], faults: scope.Faults}
	s := newSmall(scope, again)
	s.w.tracing = true
	for more, again := true, error(nil); more && again == nil; {
		more, again = s.small()
	}
	return &Violation{s.cfg, c.at, err, s.w.trace}
}

// hand gives the partition to a process; the others that are awake lose it.
func (s *sim) hand(slot int) {
	w := s.w
	w.generation++
	for _, pr := range s.procs {
		if pr == nil || pr.held || pr.stalled > 0 {
			continue
		}
		if pr.generation != w.generation-1 && len(pr.positions) > 0 {
			pr.receive(engine.Revoked{Partitions: slices.Sorted(maps.Keys(pr.positions))})
		}
		pr.generation = w.generation
	}
	if pr := s.procs[slot]; pr != nil && pr.generation == w.generation {
		s.give(0, pr)
	} else {
		w.owner[0] = nil
	}
}

// small lets one thing happen, and reports whether anything can.
func (s *sim) small() (bool, error) {
	w := s.w
	var acts []func() error
	for slot, pr := range s.procs {
		acts = append(acts, s.acts(slot, pr)...)
	}
	for i := range w.wire {
		acts = append(acts, func() error { return w.land(i) })
	}
	if c := s.chooser(); c.faults > 0 {
		acts = append(acts, s.strikes(c)...)
	}
	if len(acts) == 0 {
		if !s.harmed || s.done() {
			return false, nil
		}
		// What Redis lost in silence shows at the next look.
		s.harmed = false
		w.note("the partition is looked at again")
		w.owner[0] = nil
		s.hand(0)
		return true, nil
	}
	return true, acts[w.pick(len(acts))]()
}

func (s *sim) chooser() *path { return s.w.chooser.(*path) }

// acts are what a process can do next, and what happens to it by itself.
func (s *sim) acts(slot int, pr *process) []func() error {
	switch {
	case pr == nil:
		return []func() error{func() error { s.start(slot); s.hand(slot); return nil }}
	case pr.stalled > 0:
		return []func() error{func() error { pr.stalled = 0; return nil }}
	}
	var out []func() error
	for choice := range pr.choices() {
		if choice < len(pr.beside) && s.waits(pr.beside[choice]) {
			continue
		}
		out = append(out, func() error { return s.go1(pr, choice) })
	}
	owner := s.w.owner[0]
	lost := owner == nil || owner.generation != s.w.generation || owner.replaced
	if lost && !pr.held {
		out = append(out, func() error { s.hand(slot); return nil })
	}
	return out
}

func (s *sim) waits(e engine.Effect) bool {
	_, read := e.(engine.ReadCommitted)
	return read && s.w.unstable(0)
}

// go1 lets a process do one thing, and then all that nobody else can see.
func (s *sim) go1(pr *process, choice int) error {
	for {
		err := pr.step(choice)
		if errors.Is(err, errRestart) {
			pr.replaced = true
			s.start(pr.slot)
			s.hand(pr.slot)
			return nil
		}
		if err != nil || !pr.private() {
			return err
		}
		choice = len(pr.beside)
	}
}

// private says that the loop's next step touches nothing outside of its
// process: it needs no order among the steps of others.
func (pr *process) private() bool {
	if pr.ending || len(pr.loading) > 0 {
		return false
	}
	if len(pr.sync) > 0 {
		switch pr.sync[0].(type) {
		case engine.Pause, engine.Resume, engine.Begin:
			return true
		}
		return false
	}
	return len(pr.queue) > 0 // what arrives meanwhile comes after it in any case
}

// strikes are the faults that come from outside.
func (s *sim) strikes(c *path) []func() error {
	var out []func() error
	add := func(name string, f func()) {
		out = append(out, func() error {
			c.faults--
			s.w.note("FAULT %s", name)
			f()
			return nil
		})
	}
	for slot, pr := range s.procs {
		if pr == nil || pr.stalled > 0 {
			continue
		}
		other := (slot + 1) % len(s.procs)
		add("kill", func() { s.procs[slot] = nil; s.hand(other) })
		if other != slot {
			add("stop", func() { pr.stalled = 1; s.hand(other) })
			if s.w.owner[0] == pr && !pr.held {
				add("rebalance", func() { s.hand(other) })
			}
		}
		if pr.txn != nil {
			add("transaction timed out", func() { s.w.fence(slot) })
		}
	}
	v := s.w.views[0]
	if v.meta.Exists {
		add("redis lost a meta hash", func() { s.harmed, v.meta = true, engine.Meta{} })
		if v.whole() {
			add("redis lost a bucket", func() { s.harmed = true; s.forget(0, 0) })
		}
		for i := range s.w.history[0] {
			add("redis rolled back", func() { s.harmed, s.w.views[0] = true, s.w.history[0][i].clone() })
		}
	}
	return out
}

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
