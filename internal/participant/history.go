package participant

import (
	"math"
	"slices"
)

// History is what is kept of one participant. It belongs to one goroutine at a
// time. Of the events themselves it keeps hashes and typed fields; sources and
// ids are not stored.
type History struct {
	// Base is the state after all events at or before Floor, by slot.
	Base []Value
	// Head is Base with Tail folded on top: the state as it is now.
	Head []Value
	// Floor is the last settled place in the order: nothing at or before it is
	// accepted any more. It never goes back.
	Floor Stamp
	// Newest is the latest time of an accepted event, µs since the Unix epoch.
	Newest int64
	// Ring holds a fragment of the identity of the last events that entered the
	// base, oldest first. It only tells a duplicate from a late event.
	Ring []uint64
	// Tail holds the events after Floor, by ascending Stamp.
	Tail []Entry
}

// Entry is one event of the tail. Emitted is immutable: whoever changes it
// replaces the slice, so that clones may share it.
type Entry struct {
	Stamp   Stamp
	Content uint64
	// TypeIndex is the place in Schema.Types, or -1 for a type unknown there.
	TypeIndex int32
	// Failed says that the event has no effect, because its step fails where
	// it stands now.
	Failed  bool
	Fields  Packed     // empty for a type unknown there, and for one without any
	Emitted []Emission // by ascending Key
}

// Emission is a notification that a tail event has emitted.
type Emission struct {
	Key      uint32
	Revision uint32 // of the last operation, from 1
	Content  uint64 // hash of title and body
	// Retracted says that the last operation was a retraction.
	Retracted bool
}

// NewHistory returns the history of a participant who has no events.
func NewHistory(s *Schema) *History {
	return &History{
		Base:   s.Initial(),
		Head:   s.Initial(),
		Floor:  Stamp{Time: math.MinInt64},
		Newest: math.MinInt64,
	}
}

// Fresh says that no event has been accepted yet.
func (h *History) Fresh() bool { return h.Newest == math.MinInt64 }

// Clone returns a copy that may change without touching h. Collections, fields
// and emissions are shared, because nobody changes them in place.
func (h *History) Clone() *History {
	c := new(History)
	c.Become(h)
	return c
}

// Become makes h a copy of another one, in the memory that it has.
func (h *History) Become(of *History) {
	tail := h.Tail
	if n := len(of.Tail); cap(tail) < n {
		tail = make([]Entry, 0, n+2+n/4) // a copy is made to be changed: leave room for what comes next
	}
	used := len(tail)
	tail = append(tail[:0], of.Tail...)
	clear(tail[len(tail):max(used, len(tail))]) // of what it was, nothing is held back
	*h = History{
		Base: append(h.Base[:0], of.Base...), Head: append(h.Head[:0], of.Head...),
		Floor: of.Floor, Newest: of.Newest,
		Ring: append(h.Ring[:0], of.Ring...), Tail: tail,
	}
}

// Sizes in memory, in bytes, on a 64-bit machine.
const (
	historyBytes    = 192
	valueBytes      = 40
	entryBytes      = 80
	emissionBytes   = 24
	stringBytes     = 16
	collectionBytes = 48
	// sampled bounds how many members of a collection Bytes looks at.
	sampled = 8
)

// Bytes estimates the memory that h holds. Collections that base and head share
// are counted once.
func (h *History) Bytes() int {
	n := historyBytes + 8*cap(h.Ring) + entryBytes*cap(h.Tail)
	n += valueBytes * (cap(h.Base) + cap(h.Head))
	for i := range h.Base {
		n += h.Base[i].outside()
	}
	for i := range h.Head {
		if i < len(h.Base) && h.Head[i].Coll != nil && h.Head[i].Coll == h.Base[i].Coll {
			continue
		}
		n += h.Head[i].outside()
	}
	for i := range h.Tail {
		t := &h.Tail[i]
		n += len(t.Fields) + emissionBytes*len(t.Emitted)
	}
	return n
}

// outside estimates what v holds besides itself, in bytes.
func (v *Value) outside() int {
	n := len(v.Str)
	if v.Coll == nil {
		return n
	}
	keys := v.Coll.Keys
	n += collectionBytes + stringBytes*len(keys) + 8*len(v.Coll.Ints)
	stride := 1 + len(keys)/sampled
	for i := 0; i < len(keys); i += stride {
		n += len(keys[i]) * stride
	}
	return n
}

// Equal says whether two values are the same. An empty collection equals none.
func (v *Value) Equal(w *Value) bool {
	if v.Kind != w.Kind || v.Int != w.Int || v.Str != w.Str {
		return false
	}
	if v.Coll == w.Coll {
		return true
	}
	if v.Coll.Len() != w.Coll.Len() {
		return false
	}
	return slices.Equal(v.Coll.keys(), w.Coll.keys()) && slices.Equal(v.Coll.ints(), w.Coll.ints())
}

// place returns where an event with that stamp belongs in the tail. It looks
// from the end, where events in order arrive.
func (h *History) place(s Stamp) int {
	at := len(h.Tail)
	if at == 0 || h.Tail[at-1].Stamp.Compare(s) < 0 {
		return at
	}
	at, _ = slices.BinarySearchFunc(h.Tail, s, func(t Entry, s Stamp) int { return t.Stamp.Compare(s) })
	return at
}

// find returns the tail's entry with that identity, or nil. The place in the
// order is no help here: a copy without a time of its own, and a conflicting
// event, stand elsewhere than the original.
func (h *History) find(id Identity) *Entry {
	for i := len(h.Tail) - 1; i >= 0; i-- {
		if h.Tail[i].Stamp.Hash == id {
			return &h.Tail[i]
		}
	}
	return nil
}

// remember appends an identity to the ring of at most size.
func (h *History) remember(id Identity, size int) { h.rememberFragment(id.fragment(), size) }

func (h *History) rememberFragment(fragment uint64, size int) {
	if size <= 0 {
		return
	}
	if over := len(h.Ring) - (size - 1); over > 0 {
		h.Ring = h.Ring[:copy(h.Ring, h.Ring[over:])]
	}
	h.Ring = append(h.Ring, fragment)
}

func (id Identity) fragment() uint64 { return id.Hi }

// drop removes the first k entries of the tail.
func (h *History) drop(k int) {
	rest := len(h.Tail) - k
	if rest > shortTail && rest > 4*k {
		// Moving a long tail for every event costs more than the next append's
		// growth, which leaves the dropped part behind.
		clear(h.Tail[:k])
		h.Tail = h.Tail[k:]
		return
	}
	copy(h.Tail, h.Tail[k:])
	clear(h.Tail[rest:])
	h.Tail = h.Tail[:rest]
}

// shortTail is the length up to which the tail is moved rather than resliced.
const shortTail = 32
