package participant

import (
	"errors"
	"fmt"
)

// Migration carries histories from one version of the rules to the next, at a
// barrier: a place in the log before which everything was folded by the one
// and after which everything is by the other. No refold crosses it, so a
// history is closed there: all its events enter the base, its state is carried
// over by the slots' names, and what is not after its newest event is late.
type Migration struct {
	Kept, Added, Dropped []string // slots, in the order of their schema

	to   *Schema
	from []int // by slot of to: the slot of the old schema, or -1
}

// NewMigration compares the two versions. A slot that keeps its name keeps its
// kind; one that has another kind needs another name.
func NewMigration(from, to *Schema) (*Migration, error) {
	m := &Migration{to: to, from: make([]int, len(to.Slots))}
	old := make(map[string]int, len(from.Slots))
	for i := range from.Slots {
		old[from.Slots[i].Name] = i
	}
	var errs []error
	carried := make(map[string]bool, len(to.Slots))
	for i := range to.Slots {
		name := to.Slots[i].Name
		k, ok := old[name]
		if !ok {
			m.from[i] = -1
			m.Added = append(m.Added, name)
			continue
		}
		if a, b := from.Slots[k].Kind, to.Slots[i].Kind; a != b {
			errs = append(errs, fmt.Errorf("the state %q is of type %s and would be of type %s: give it another name", name, a, b))
		}
		m.from[i], carried[name] = k, true
		m.Kept = append(m.Kept, name)
	}
	for i := range from.Slots {
		if name := from.Slots[i].Name; !carried[name] {
			m.Dropped = append(m.Dropped, name)
		}
	}
	return m, errors.Join(errs...)
}

// closed is behind every event of its microsecond.
var closed = Identity{Hi: 1<<64 - 1, Lo: 1<<64 - 1}

// Apply returns h as the new version has it. The error names a value that does
// not fit the new bounds. h is unchanged, and shares collections with the
// result.
func (m *Migration) Apply(h *History) (*History, error) {
	next := NewHistory(m.to)
	if h.Fresh() {
		return next, nil
	}
	for i, k := range m.from {
		if k < 0 {
			continue
		}
		v, slot := h.Head[k], &m.to.Slots[i]
		size := v.Coll.Len()
		if v.Kind == KindString {
			size = len(v.Str)
		}
		if slot.Max > 0 && size > slot.Max {
			return nil, fmt.Errorf("the state %q holds %d and the new rules allow %d", slot.Name, size, slot.Max)
		}
		next.Base[i], next.Head[i] = v, v
	}
	next.Newest = h.Newest
	next.Floor = Stamp{Time: h.Newest, Hash: closed}
	if next.Floor.Compare(h.Floor) < 0 {
		next.Floor = h.Floor
	}
	for _, fragment := range h.Ring {
		next.rememberFragment(fragment, m.to.Order.Ring)
	}
	for i := range h.Tail {
		next.remember(h.Tail[i].Stamp.Hash, m.to.Order.Ring)
	}
	return next, nil
}
