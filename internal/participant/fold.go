package participant

import (
	"errors"
	"slices"
	"strconv"
	"time"
)

// Fold applies events to histories by one program. It is safe for concurrent
// use; each history and each outcome belongs to one caller at a time.
type Fold struct {
	program Program
	schema  *Schema
}

// NewFold returns the fold of a program.
func NewFold(p Program) *Fold { return &Fold{program: p, schema: p.Schema()} }

// Program returns the program that the fold runs.
func (f *Fold) Program() Program { return f.program }

// Outcome is what became of one event. Apply overwrites it; reuse one to save
// the memory that it keeps between calls.
type Outcome struct {
	Fate Fate
	// Reason is a sentence for whoever sent the event; empty when applied.
	Reason string
	// Notifications are in order: by the stamp of the event that justifies
	// them, then by key. They are valid until the next Apply.
	Notifications []Notification
	// Refolded counts the tail's events that were folded again.
	Refolded int
	// Held are the rules that the arriving event has had effect by, where it now
	// stands; see Occurrence. It is valid until the next Apply.
	Held []int

	undo, state []Value
	fields      []Value // of an entry that is folded again
	occurrence  Occurrence
	notices     []Notice
	emissions   []Emission
}

// Rejection returns the outcome as a rejection, or nil when applied.
func (o *Outcome) Rejection() *Rejection {
	if o.Fate == Applied {
		return nil
	}
	return &Rejection{Fate: o.Fate, Reason: o.Reason}
}

func (o *Outcome) reset() {
	clear(o.Notifications)
	o.Fate, o.Reason, o.Refolded = Applied, "", 0
	o.Held = o.Held[:0]
	o.Notifications = o.Notifications[:0]
}

// hold keeps what the step just made says of its rules.
func (o *Outcome) hold() { o.Held = append(o.Held, o.occurrence.Held...) }

func (o *Outcome) refuse(fate Fate, reason string) bool {
	o.Fate, o.Reason = fate, reason
	return false
}

// Apply folds e into h, in place, and says in out what became of it. On any
// fate but Applied, h is as it was. On Applied, h keeps e.Packed, and texts of
// e.Fields: their memory, but not the slice itself.
func (f *Fold) Apply(h *History, e *Event, out *Outcome) {
	out.reset()
	if !f.admit(h, e, out) {
		return
	}
	at := h.place(e.Stamp())
	accepted := false
	if at == len(h.Tail) {
		accepted = f.extend(h, e, out)
	} else {
		accepted = f.insert(h, e, at, out)
	}
	if accepted {
		f.settle(h, e, out)
	}
}

// admit decides whether e may take a place in the order. The order of its
// questions is part of the contract: a wrong clock is reported as such even on
// a copy, and an identity still known is a duplicate rather than late.
func (f *Fold) admit(h *History, e *Event, out *Outcome) bool {
	s := f.schema
	if e.TypeIndex < 0 && s.RejectUnknown {
		return out.refuse(SchemaMismatch, "the event type "+quote(e.Type)+" is not declared by the rules of "+quote(s.Hunt))
	}
	if limit := addTime(e.Arrival.Time, s.Order.MaxAhead); e.Time > limit {
		return out.refuse(Future, "its time "+timeText(e.Time)+" is later than its arrival at "+timeText(e.Arrival.Time)+
			" by more than "+spanText(s.Order.MaxAhead)+": check the sender's clock")
	}
	if h.Fresh() {
		return true
	}
	if known := h.find(e.Identity); known != nil {
		if known.Content == e.Content {
			return out.refuse(Duplicate, "this event was already accepted")
		}
		return out.refuse(Conflict, "its source and id were already used by an event with other content: give every event its own id")
	}
	stamp := e.Stamp()
	if slices.Contains(h.Ring, e.Identity.fragment()) {
		return out.refuse(Duplicate, "an event with its source and id was already accepted")
	}
	if stamp.Compare(h.Floor) <= 0 {
		return out.refuse(Late, "its time "+timeText(e.Time)+" is not after the participant's floor "+timeText(h.Floor.Time)+f.floorText(h))
	}
	return true
}

// floorText says why the floor is where it is.
func (f *Fold) floorText(h *History) string {
	if h.Floor.Hash == closed {
		return ": the rules have changed since, and what happened before is closed"
	}
	if h.Floor.Hash != (Identity{}) {
		return ": at least " + strconv.Itoa(f.schema.Order.MaxTail) + " later events have arrived before it"
	}
	return ": events count while they are at most " + spanText(f.schema.Order.Grace) +
		" behind the participant's newest one, at " + timeText(h.Newest)
}

// extend accepts e at the end of the tail: one step, nothing folded again.
func (f *Fold) extend(h *History, e *Event, out *Outcome) bool {
	out.undo = append(out.undo[:0], h.Head...)
	entry := entryOf(e)
	if err := f.step(h.Head, occurrenceOf(e.Participant, &entry, e.Fields, false), out); err != nil {
		copy(h.Head, out.undo)
		return out.fail(err)
	}
	out.hold()
	entry.Emitted = f.announce(e.Participant, &entry, out)
	h.Tail = append(h.Tail, entry)
	return true
}

// settle moves the floor to where the newly accepted event allows, and what is
// then at or below it into the base.
func (f *Fold) settle(h *History, e *Event, out *Outcome) {
	h.Newest = max(h.Newest, e.Time)
	floor := Stamp{Time: addTime(h.Newest, -f.schema.Order.Grace)}
	if floor.Compare(h.Floor) < 0 {
		floor = h.Floor
	}
	k := 0
	for k < len(h.Tail) && h.Tail[k].Stamp.Compare(floor) <= 0 {
		k++
	}
	if over := len(h.Tail) - max(f.schema.Order.MaxTail, 0); over > k {
		k = over
		floor = h.Tail[k-1].Stamp
	}
	h.Floor = floor
	if k == 0 {
		return
	}
	switch {
	case k == len(h.Tail):
		copy(h.Base, h.Head)
	case k == len(h.Tail)-1:
		// All but the last: extend and insert both leave the state before the
		// tail's last event there.
		copy(h.Base, out.undo)
	default:
		for i := range h.Tail[:k] {
			f.replay(h.Base, e.Participant, &h.Tail[i], out)
		}
	}
	for i := range h.Tail[:k] {
		h.remember(h.Tail[i].Stamp.Hash, f.schema.Order.Ring)
	}
	h.drop(k)
}

// fail turns a step's error into the outcome of the arriving event.
func (o *Outcome) fail(err error) bool {
	var r *Rejection
	if errors.As(err, &r) {
		return o.refuse(r.Fate, r.Reason)
	}
	return o.refuse(RuleError, err.Error())
}

func entryOf(e *Event) Entry {
	t := Entry{Stamp: e.Stamp(), Content: e.Content, TypeIndex: int32(e.TypeIndex)}
	if e.TypeIndex < 0 {
		return t
	}
	if e.Packed == "" {
		e.Packed = Pack(e.Fields)
	}
	t.Fields = e.Packed
	return t
}

// addTime adds two times in µs without wrapping around.
func addTime(t, d int64) int64 {
	sum := t + d
	switch {
	case d > 0 && sum < t:
		return 1<<63 - 1
	case d < 0 && sum > t:
		return -1 << 63
	}
	return sum
}

func timeText(us int64) string { return time.UnixMicro(us).UTC().Format(time.RFC3339Nano) }

func spanText(us int64) string { return (time.Duration(us) * time.Microsecond).String() }
