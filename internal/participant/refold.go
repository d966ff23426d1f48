package participant

import (
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/zeebo/xxh3"
)

// insert accepts e before the end of the tail, and folds everything behind it
// again.
func (f *Fold) insert(h *History, e *Event, at int, out *Outcome) bool {
	out.state = append(out.state[:0], h.Base...)
	for i := range h.Tail[:at] {
		f.replay(out.state, e.Participant, &h.Tail[i], out)
	}
	entry := entryOf(e)
	if err := f.step(out.state, occurrenceOf(e.Participant, &entry, e.Fields, false), out); err != nil {
		return out.fail(err) // only the scratch state has changed
	}
	out.hold()
	entry.Emitted = f.announce(e.Participant, &entry, out)
	h.Tail = slices.Insert(h.Tail, at, entry)
	for i := at + 1; i < len(h.Tail); i++ {
		f.reconsider(out.state, e.Participant, &h.Tail[i], out)
	}
	copy(h.Head, out.state)
	out.Refolded = len(h.Tail) - 1
	return true
}

// replay applies an entry whose place and predecessors are as they were: its
// outcome is known, and only its effect on state is wanted.
func (f *Fold) replay(state []Value, who string, t *Entry, out *Outcome) {
	if t.Failed {
		return
	}
	out.undo = append(out.undo[:0], state...)
	if f.step(state, occurrenceOf(who, t, f.unpack(t, out), true), out) != nil {
		copy(state, out.undo)
	}
}

// reconsider applies an entry whose predecessors have changed, and announces
// what that changes in its notifications.
func (f *Fold) reconsider(state []Value, who string, t *Entry, out *Outcome) {
	out.undo = append(out.undo[:0], state...)
	err := f.step(state, occurrenceOf(who, t, f.unpack(t, out), false), out)
	if err != nil {
		copy(state, out.undo)
		out.notices = out.notices[:0]
	}
	t.Failed = err != nil
	t.Emitted = f.announce(who, t, out)
}

// unpack returns an entry's fields, valid until the next call.
func (f *Fold) unpack(t *Entry, out *Outcome) []Value {
	if t.TypeIndex < 0 {
		return nil
	}
	n := len(f.schema.Types[t.TypeIndex].Fields)
	out.fields = slices.Grow(out.fields[:0], n)[:n]
	t.Fields.Unpack(out.fields)
	return out.fields
}

// occurrenceOf is what the rules see of an entry with its fields.
func occurrenceOf(who string, t *Entry, fields []Value, quiet bool) Occurrence {
	return Occurrence{Participant: who, Time: t.Stamp.Time, TypeIndex: int(t.TypeIndex), Fields: fields, Quiet: quiet}
}

// step applies an occurrence to state and leaves its notices in out, by ascending
// key. On error, state and notices are to be discarded.
func (f *Fold) step(state []Value, o Occurrence, out *Outcome) error {
	o.Held = out.occurrence.Held[:0]
	out.notices, out.occurrence = out.notices[:0], o
	if o.TypeIndex < 0 {
		return nil
	}
	var err error
	out.notices, err = f.program.Step(state, &out.occurrence, out.notices)
	if err != nil {
		return err
	}
	sortNotices(out.notices)
	return nil
}

// sortNotices orders a step's few notices by key, in place.
func sortNotices(n []Notice) {
	for i := 1; i < len(n); i++ {
		for j := i; j > 0 && n[j].Key <= n[j-1].Key; j-- {
			if n[j].Key == n[j-1].Key {
				panic("participant: a step gave the notice " + strconv.FormatUint(uint64(n[j].Key), 10) + " twice")
			}
			n[j], n[j-1] = n[j-1], n[j]
		}
	}
}

// announce compares what t justifies now (out.notices) with what it has
// emitted, appends the difference to out.Notifications, and returns the new
// record of emissions: t.Emitted itself where nothing changed.
func (f *Fold) announce(who string, t *Entry, out *Outcome) []Emission {
	old, now := t.Emitted, out.notices
	if len(old) == 0 && len(now) == 0 {
		return old
	}
	next := out.emissions[:0]
	changed := false
	for len(old) > 0 || len(now) > 0 {
		switch {
		case len(old) == 0 || (len(now) > 0 && now[0].Key < old[0].Key):
			m := Emission{Key: now[0].Key, Revision: 1, Content: contentOf(&now[0])}
			f.emit(who, t, &m, Send, &now[0], out)
			next, now, changed = append(next, m), now[1:], true
		case len(now) == 0 || old[0].Key < now[0].Key:
			m := old[0]
			// What other rules have said stands: these cannot name it.
			if !m.Retracted && f.program.Template(m.Key) != nil {
				m.Revision++
				m.Retracted, changed = true, true
				f.emit(who, t, &m, Retract, &Notice{}, out)
			}
			next, old = append(next, m), old[1:]
		default:
			m := old[0]
			if content := contentOf(&now[0]); m.Retracted || m.Content != content {
				op := Update
				if m.Retracted {
					op = Send
				}
				m = Emission{Key: m.Key, Revision: m.Revision + 1, Content: content}
				f.emit(who, t, &m, op, &now[0], out)
				changed = true
			}
			next, old, now = append(next, m), old[1:], now[1:]
		}
	}
	out.emissions = next
	if !changed {
		return t.Emitted
	}
	return slices.Clone(next)
}

// emit appends one notification.
func (f *Fold) emit(who string, t *Entry, m *Emission, op Op, n *Notice, out *Outcome) {
	out.Notifications = append(out.Notifications, Notification{
		ID:          NotificationID(t.Stamp.Hash, f.program.Template(m.Key)),
		Op:          op,
		Revision:    m.Revision,
		Key:         m.Key,
		Participant: who,
		Title:       n.Title,
		Body:        n.Body,
		EventTime:   t.Stamp.Time,
		EventType:   f.schema.Types[t.TypeIndex].Name,
	})
}

// NotificationID names a notification by the event that justifies it, the rule
// and the name, so that a refold finds it again and a renumbering of the keys
// does not rename it.
func NotificationID(id Identity, t *Template) Identity {
	var scratch [160]byte
	b := binary.BigEndian.AppendUint64(scratch[:0], id.Hi)
	b = binary.BigEndian.AppendUint64(b, id.Lo)
	b = binary.AppendUvarint(b, uint64(len(t.Rule)))
	b = append(b, t.Rule...)
	b = append(b, t.Name...)
	h := xxh3.Hash128(b)
	return Identity{h.Hi, h.Lo}
}

// contentOf hashes a notice's title and body.
func contentOf(n *Notice) uint64 {
	var scratch [256]byte
	b := binary.AppendUvarint(scratch[:0], uint64(len(n.Title)))
	b = append(b, n.Title...)
	b = append(b, n.Body...)
	return xxh3.Hash(b)
}

func quote(s string) string {
	const longest = 100
	if len(s) > longest {
		s = s[:longest] + "…"
	}
	return strconv.QuoteToGraphic(s)
}
