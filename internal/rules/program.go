package rules

import (
	"maps"
	"slices"
	"sync"

	"github.com/veltrix/veltrix/internal/participant"
)

// Program is a compiled rules file: it implements participant.Program and is
// safe for concurrent use.
type Program struct {
	schema    *participant.Schema
	rules     [][]rule // by the event type's place in the schema
	templates map[uint32]*participant.Template
	outlines  []Outline
	warnings  Problems
	frames    sync.Pool
}

var _ participant.Program = (*Program)(nil)

// rule is a rule as one type of event sees it.
type rule struct {
	place   int      // in Schema.Rules
	when    fn[bool] // nil: always
	actions []action
	notices []notice
}

type action struct {
	slot int
	// next gives the slot's next value; where it is a number that is written at
	// once, number does so instead, of that kind.
	next   fn[participant.Value]
	number fn[int64]
	kind   participant.Kind
	// atOnce says that no later action of the rule reads the slot.
	atOnce bool
}

type notice struct {
	key         uint32
	when        fn[bool] // nil: always
	title, body fn[string]
}

// Schema returns the contract and the state's shape.
func (p *Program) Schema() *participant.Schema { return p.schema }

// Template describes the notification with that key, or is nil for a key of
// other rules. Keys are hashes of rule and name, so they outlive a new version.
func (p *Program) Template(key uint32) *participant.Template { return p.templates[key] }

// Warnings returns what is allowed but looks like a mistake: an unreachable
// rule, a class or an event type that nothing uses. Sorted by position.
func (p *Program) Warnings() Problems { return p.warnings }

// Step applies one event. The rules run in file order, each on what the ones
// before it left. All `set` expressions of a rule read the state before it;
// `notify` reads the state after. A rejection is shared by all steps that end in
// it: callers leave it as it is.
func (p *Program) Step(state []participant.Value, o *participant.Occurrence, notices []participant.Notice) ([]participant.Notice, error) {
	if o.TypeIndex < 0 {
		return notices, nil
	}
	f, _ := p.frames.Get().(*frame)
	f.state, f.fields, f.participant, f.time = state, o.Fields, o.Participant, o.Time
	var fault *participant.Rejection
	for i := range p.rules[o.TypeIndex] {
		r := &p.rules[o.TypeIndex][i]
		held := true
		if r.when != nil {
			held, fault = r.when(f)
		}
		if held && fault == nil {
			o.Held = append(o.Held, r.place)
			fault = r.apply(f)
		}
		if held && fault == nil && !o.Quiet {
			notices, fault = r.notify(f, notices)
		}
		if fault != nil {
			break
		}
	}
	if fault != nil {
		clear(f.pending)
		p.release(f)
		return notices, fault
	}
	p.release(f)
	return notices, nil
}

// release gives a frame back without holding on to anyone's state.
func (p *Program) release(f *frame) {
	f.state, f.fields, f.participant = nil, nil, ""
	p.frames.Put(f)
}

// notify appends what the rule has to say about the state it left.
func (r *rule) notify(f *frame, notices []participant.Notice) ([]participant.Notice, *participant.Rejection) {
	for i := range r.notices {
		n := &r.notices[i]
		if n.when != nil {
			ok, fault := n.when(f)
			if fault != nil {
				return notices, fault
			}
			if !ok {
				continue
			}
		}
		title, fault := n.title(f)
		if fault != nil {
			return notices, fault
		}
		body, fault := n.body(f)
		if fault != nil {
			return notices, fault
		}
		notices = append(notices, participant.Notice{Key: n.key, Title: title, Body: body})
	}
	return notices, nil
}

// apply evaluates all of the rule's actions before it writes what another one
// reads, so that each reads the state before the rule.
func (r *rule) apply(f *frame) *participant.Rejection {
	waiting := false
	for i := range r.actions {
		a := &r.actions[i]
		if a.number != nil {
			n, fault := a.number(f)
			if fault != nil {
				return fault
			}
			v := &f.state[a.slot] // of a number, the rest is empty
			v.Kind, v.Int = a.kind, n
			continue
		}
		value, fault := a.next(f)
		switch {
		case fault != nil:
			return fault
		case a.atOnce:
			f.state[a.slot] = value
		default:
			f.pending[i], waiting = value, true
		}
	}
	for i := 0; waiting && i < len(r.actions); i++ {
		if a := &r.actions[i]; !a.atOnce {
			f.state[a.slot], f.pending[i] = f.pending[i], participant.Value{}
		}
	}
	return nil
}

// Classes returns the classes that notifications are of, by name.
func (p *Program) Classes() []*participant.Class {
	byName := map[string]*participant.Class{}
	for _, key := range slices.Sorted(maps.Keys(p.templates)) {
		if c := p.templates[key].Class; c != nil {
			byName[c.Name] = c
		}
	}
	var all []*participant.Class
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		all = append(all, byName[name])
	}
	return all
}
