package rules

import (
	"math"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/veltrix/veltrix/internal/participant"
)

// The bounds of a rules file. They keep a mistake from becoming an outage: a
// file near any of them is a file that nobody can review.
const (
	fileBytesMax      = 1 << 20
	eventTypesMax     = 256
	fieldsMax         = 128
	slotsMax          = 128
	rulesMax          = 1000
	noticesMax        = 16
	classesMax        = 64
	membersMax        = 1 << 16
	stringBytesMax    = 1 << 16
	fieldBytesDefault = 1024
	enumMax           = 256
)

// memberBytesMax bounds a member of a set and a key of a map, in bytes.
const memberBytesMax = 1024

var fieldKinds = map[string]participant.Kind{
	"string": participant.KindString, "int": participant.KindInt, "number": participant.KindDouble,
	"bool": participant.KindBool, "time": participant.KindTime,
}

var slotKinds = map[string]participant.Kind{
	"int": participant.KindInt, "bool": participant.KindBool, "string": participant.KindString,
	"time": participant.KindTime, "set": participant.KindSet, "map": participant.KindMap,
}

func (r *reader) events(n *yaml.Node) []participant.EventType {
	var types []participant.EventType
	if n == nil {
		return nil
	}
	for _, e := range r.entries(n, "events") {
		name, ok := r.name(e.key, "event type", typeName)
		if !ok {
			continue
		}
		t := participant.EventType{Name: name}
		if e.value.ShortTag() != "!!null" || e.value.Kind != yaml.ScalarNode {
			what := "event `" + name + "`"
			for _, d := range r.entries(r.fields(e.value, what, "data")["data"], "data of "+what) {
				if field, ok := r.field(d); ok {
					t.Fields = append(t.Fields, field)
				}
			}
		}
		if len(t.Fields) > fieldsMax {
			r.note(e.key, "event `%s` has %d fields, at most %d are allowed", name, len(t.Fields), fieldsMax)
		}
		types = append(types, t)
	}
	if len(types) > eventTypesMax {
		r.note(n, "%d event types, at most %d are allowed", len(types), eventTypesMax)
	}
	return types
}

func (r *reader) field(e entry) (participant.Field, bool) {
	var f participant.Field
	name, ok := r.name(e.key, "field", identName)
	if !ok {
		return f, false
	}
	f.Name = name
	what := "field `" + name + "`"
	m := r.fields(e.value, what, "type", "optional", "min", "max", "enum")
	kind, ok := r.kind(e, m["type"], what, "string", "int", "number", "bool", "time")
	f.Kind = fieldKinds[kind]
	if n := m["optional"]; n != nil {
		f.Optional, _ = r.boolean(n, "optional")
	}
	if !ok {
		return f, true // so that its uses are not reported as well
	}
	switch f.Kind {
	case participant.KindInt:
		f.IntMin, f.HasMin = r.bound(m["min"], "min")
		f.IntMax, f.HasMax = r.bound(m["max"], "max")
		f.Min, f.Max = float64(f.IntMin), float64(f.IntMax)
		if f.HasMin && f.HasMax && f.IntMin > f.IntMax {
			r.note(m["min"], "min %d of %s is more than its max %d", f.IntMin, what, f.IntMax)
		}
	case participant.KindDouble:
		f.Min, f.HasMin = r.doubleBound(m["min"], "min")
		f.Max, f.HasMax = r.doubleBound(m["max"], "max")
		if f.HasMin && f.HasMax && f.Min > f.Max {
			r.note(m["min"], "min %v of %s is more than its max %v", f.Min, what, f.Max)
		}
	case participant.KindString:
		r.stringField(&f, m)
	}
	r.unsuitable(m, what, kind, f.Kind == participant.KindInt || f.Kind == participant.KindDouble, "min")
	r.unsuitable(m, what, kind, f.Kind != participant.KindBool && f.Kind != participant.KindTime, "max")
	r.unsuitable(m, what, kind, f.Kind == participant.KindString, "enum")
	return f, true
}

func (r *reader) stringField(f *participant.Field, m map[string]*yaml.Node) {
	f.BytesMax = fieldBytesDefault
	if n := m["max"]; n != nil {
		bytes, _ := r.integer(n, "max", 1, stringBytesMax)
		f.BytesMax = int(bytes)
	}
	n := m["enum"]
	if n == nil {
		return
	}
	seen := make(map[string]bool)
	for _, item := range r.items(n, "enum") {
		word, ok := r.text(item, "a value of enum")
		switch {
		case !ok:
		case seen[word]:
			r.note(item, "`%s` stands twice in enum", cut(word, 80))
		case len(word) > f.BytesMax:
			r.note(item, "`%s` is longer than the field's max of %d bytes", cut(word, 80), f.BytesMax)
		default:
			seen[word] = true
			f.Enum = append(f.Enum, word)
		}
	}
	if len(f.Enum) == 0 || len(f.Enum) > enumMax {
		r.note(n, "enum must hold 1 to %d values", enumMax)
	}
}

// kind reads a type; e is what lacks one.
func (r *reader) kind(e entry, n *yaml.Node, what string, known ...string) (string, bool) {
	if n == nil {
		if e.value.Kind == yaml.MappingNode {
			r.note(e.key, "%s has no type: write type: %s", what, known[0])
		}
		return "", false
	}
	return r.choice(n, "type", known...)
}

// unsuitable refuses a key that has no meaning for a kind.
func (r *reader) unsuitable(m map[string]*yaml.Node, what, kind string, suits bool, key string) {
	if n := m[key]; n != nil && !suits {
		r.note(n, "%s is of type %s, which has no %s", what, kind, key)
	}
}

func (r *reader) bound(n *yaml.Node, what string) (int64, bool) {
	if n == nil {
		return 0, false
	}
	return r.integer(n, what, math.MinInt64, math.MaxInt64)
}

func (r *reader) doubleBound(n *yaml.Node, what string) (float64, bool) {
	if n == nil {
		return 0, false
	}
	return r.number(n, what)
}

// slot is a place of the state, with what the compiler must know beside it.
type slot struct {
	participant.Slot
	drop bool // leave a change out that does not fit, instead of rejecting the event
}

func (r *reader) state(n *yaml.Node) []slot {
	var slots []slot
	if n == nil {
		return nil
	}
	for _, e := range r.entries(n, "state") {
		if s, ok := r.slot(e); ok {
			slots = append(slots, s)
		}
	}
	if len(slots) > slotsMax {
		r.note(n, "%d slots, at most %d are allowed", len(slots), slotsMax)
	}
	return slots
}

func (r *reader) slot(e entry) (slot, bool) {
	var s slot
	name, ok := r.name(e.key, "slot", identName)
	if !ok {
		return s, false
	}
	what := "slot `" + name + "`"
	m := r.fields(e.value, what, "type", "max", "initial", "overflow")
	kind, ok := r.kind(e, m["type"], what, "int", "bool", "string", "time", "set", "map")
	s.Name, s.Kind = name, slotKinds[kind]
	if !ok {
		return s, true // so that its uses are not reported as well
	}
	bounded := s.Kind == participant.KindString || s.Kind == participant.KindSet || s.Kind == participant.KindMap
	if bounded {
		s.Max = r.slotMax(e, m["max"], what, s.Kind)
	}
	if n := m["overflow"]; n != nil && bounded {
		policy, _ := r.choice(n, "overflow", "reject", "drop")
		s.drop = policy == "drop"
	}
	r.unsuitable(m, what, kind, bounded, "max")
	r.unsuitable(m, what, kind, bounded, "overflow")
	r.unsuitable(m, what, kind, s.Kind != participant.KindSet && s.Kind != participant.KindMap, "initial")
	s.Zero = r.initial(m["initial"], s.Slot)
	return s, true
}

func (r *reader) slotMax(e entry, n *yaml.Node, what string, kind participant.Kind) int {
	unit, most := "members", int64(membersMax)
	if kind == participant.KindString {
		unit, most = "bytes", stringBytesMax
	}
	if n == nil {
		r.note(e.key, "%s has no max: write how many %s it may hold, such as max: 100", what, unit)
		return 0
	}
	bound, _ := r.integer(n, "max", 1, most)
	return int(bound)
}

// initial returns a slot's value before any event. A time begins unset.
func (r *reader) initial(n *yaml.Node, s participant.Slot) participant.Value {
	v := participant.Value{Kind: s.Kind}
	if s.Kind == participant.KindTime {
		v = participant.Value{}
	}
	if n == nil {
		return v
	}
	switch s.Kind {
	case participant.KindInt:
		v.Int, _ = r.integer(n, "initial", math.MinInt64, math.MaxInt64)
	case participant.KindBool:
		if yes, _ := r.boolean(n, "initial"); yes {
			v.Int = 1
		}
	case participant.KindString:
		v.Str, _ = r.text(n, "initial")
		if len(v.Str) > s.Max {
			r.note(n, "initial is longer than the slot's max of %d bytes", s.Max)
		}
	case participant.KindTime:
		t, err := time.Parse(time.RFC3339Nano, n.Value)
		if err != nil || n.Kind != yaml.ScalarNode || t.Nanosecond()%1000 != 0 {
			r.wrong(n, "initial", "a time such as 2026-07-01T12:00:00Z, to the microsecond")
		}
		v = participant.Value{Kind: participant.KindTime, Int: t.UnixMicro()}
	}
	return v
}
