package rules

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/veltrix/veltrix/internal/participant"
)

// Fixtures are tests of a rules file, as data: events in, state and
// notifications out.
type Fixtures struct {
	File    string
	Program *Program
	Tests   []Fixture
}

// Fixture is one test: the events of one participant, and what they lead to.
type Fixture struct {
	Name, Participant string
	Line              int
	// AnyOrder says that the outcome is the same in whatever order the events arrive.
	AnyOrder bool
	Events   []FixtureEvent // in the order of their arrival
	State    []FixtureSlot  // those that the test speaks of
	// Notifications are those that stand at the end, by the order of their
	// events; Told says that the test speaks of them.
	Notifications []FixtureNotification
	Told          bool
}

// FixtureEvent is an event, with the fate that it must have. Times are in µs
// since the Unix epoch.
type FixtureEvent struct {
	ID, Source, Type string
	Time, Arrival    int64
	Data             []byte // JSON
	Fate             participant.Fate
	Line             int
}

// FixtureSlot is what a slot of the state must be.
type FixtureSlot struct {
	Slot int // place in Schema().Slots
	Want participant.Value
	Line int
}

// FixtureNotification is a notification that must stand. What is nil may be anything.
type FixtureNotification struct {
	Line                                  int
	Event, Rule, Name, Class, Title, Body *string
}

// Defaults of a fixture.
const (
	fixtureStart       = "2026-01-01T00:00:00Z"
	fixtureParticipant = "player"
	fixtureSource      = "/test"
	fixtureTestsMax    = 1000
	fixtureEventsMax   = 1000
)

func (r *reader) tests(f *Fixtures, m map[string]*yaml.Node) {
	start, _ := time.Parse(time.RFC3339, fixtureStart)
	t := &fixtureReader{reader: r, schema: f.Program.Schema(), start: start.UnixMicro()}
	if n := m["start"]; n != nil {
		t.start, _ = t.moment(n, "start")
	}
	list := r.items(m["tests"], "tests")
	if len(list) == 0 && len(r.problems) == 0 {
		r.at(place{1, 1}, "the file holds no tests")
	}
	if len(list) > fixtureTestsMax {
		r.note(m["tests"], "%d tests, at most %d are allowed", len(list), fixtureTestsMax)
		return
	}
	names := map[string]int{}
	for _, n := range list {
		test := t.test(n)
		if line, twice := names[test.Name]; twice && test.Name != "" {
			r.note(n, "there is a test `%s` already, in line %d", cut(test.Name, 80), line)
		}
		names[test.Name] = n.Line
		f.Tests = append(f.Tests, test)
	}
}

// fixtureReader reads tests against the schema of their rules.
type fixtureReader struct {
	*reader
	schema *participant.Schema
	start  int64
}

func (t *fixtureReader) test(n *yaml.Node) Fixture {
	test := Fixture{Line: n.Line, Participant: fixtureParticipant}
	m := t.fields(n, "a test", "name", "participant", "order", "events", "state", "notifications")
	if n.Kind != yaml.MappingNode {
		return test
	}
	if m["name"] == nil || m["events"] == nil {
		t.note(n, "a test has a name and events")
		return test
	}
	test.Name, _ = t.text(m["name"], "name")
	if p := m["participant"]; p != nil {
		test.Participant, _ = t.text(p, "participant")
	}
	if o := m["order"]; o != nil {
		order, _ := t.choice(o, "order", "given", "any")
		test.AnyOrder = order == "any"
	}
	events := t.items(m["events"], "events")
	if len(events) > fixtureEventsMax {
		t.note(m["events"], "%d events, at most %d are allowed", len(events), fixtureEventsMax)
		return test
	}
	for i, e := range events {
		test.Events = append(test.Events, t.event(e, i))
	}
	for _, e := range t.entries(m["state"], "state") {
		test.State = append(test.State, t.slot(e))
	}
	test.Told = m["notifications"] != nil
	for _, e := range t.items(m["notifications"], "notifications") {
		test.Notifications = append(test.Notifications, t.notification(e, &test))
	}
	return test
}

func (t *fixtureReader) event(n *yaml.Node, at int) FixtureEvent {
	e := FixtureEvent{ID: strconv.Itoa(at + 1), Source: fixtureSource, Line: n.Line, Data: []byte("{}")}
	m := t.fields(n, "an event", "id", "source", "type", "at", "arrives", "data", "fate")
	if n.Kind != yaml.MappingNode {
		return e
	}
	if m["type"] == nil || m["at"] == nil {
		t.note(n, "an event has a type, and at: when it happened, such as 90s after the start")
		return e
	}
	for _, part := range []struct {
		key string
		to  *string
	}{{"id", &e.ID}, {"source", &e.Source}, {"type", &e.Type}} {
		if v := m[part.key]; v != nil {
			*part.to, _ = t.text(v, part.key)
		}
	}
	if t.schema.TypeIndex(e.Type) < 0 && m["fate"] == nil {
		t.note(m["type"], "unknown event type `%s`%s (to send it all the same, say which fate it must have)", cut(e.Type, 80), suggestion(e.Type, t.schema.TypeNames()))
	}
	e.Time, _ = t.moment(m["at"], "at")
	e.Arrival = e.Time
	if v := m["arrives"]; v != nil {
		e.Arrival, _ = t.moment(v, "arrives")
	}
	if v := m["fate"]; v != nil {
		e.Fate = t.fate(v)
	}
	if v := m["data"]; v != nil {
		e.Data = t.json(v)
	}
	return e
}

// fate reads one that an event of a test can have: it is where it belongs.
func (t *fixtureReader) fate(n *yaml.Node) participant.Fate {
	var known []string
	for f := range participant.FateCount {
		if f != participant.Rerouted {
			known = append(known, f.String())
		}
	}
	name, _ := t.choice(n, "fate", known...)
	fate, _ := participant.FateByName(name)
	return fate
}

// moment reads a time, or how long after the start one is.
func (t *fixtureReader) moment(n *yaml.Node, what string) (int64, bool) {
	if n.Kind == yaml.ScalarNode {
		if d, err := time.ParseDuration(n.Value); err == nil && d%time.Microsecond == 0 {
			return t.start + d.Microseconds(), true
		}
		if at, err := time.Parse(time.RFC3339Nano, n.Value); err == nil && at.Nanosecond()%1000 == 0 {
			return at.UnixMicro(), true
		}
	}
	t.wrong(n, what, "a duration after the start such as 90s, or a time such as 2026-07-01T12:00:00Z, to the microsecond")
	return 0, false
}

// slot reads what a slot must be. A time that must be unset is ~ (null).
func (t *fixtureReader) slot(e entry) FixtureSlot {
	s := FixtureSlot{Slot: slotIndex(t.schema.Slots, e.key.Value), Line: e.key.Line}
	if s.Slot < 0 {
		t.note(e.key, "unknown slot `%s`%s", cut(e.key.Value, 80), suggestion(e.key.Value, t.schema.SlotNames()))
		return s
	}
	what, kind := "slot `"+e.key.Value+"`", t.schema.Slots[s.Slot].Kind
	s.Want.Kind = kind
	switch kind {
	case participant.KindInt:
		s.Want.Int, _ = t.integer(e.value, what, math.MinInt64, math.MaxInt64)
	case participant.KindBool:
		if yes, _ := t.boolean(e.value, what); yes {
			s.Want.Int = 1
		}
	case participant.KindString:
		s.Want.Str, _ = t.text(e.value, what)
	case participant.KindTime:
		if e.value.ShortTag() == "!!null" {
			s.Want = participant.Value{}
			break
		}
		s.Want.Int, _ = t.moment(e.value, what)
	case participant.KindSet:
		for _, member := range t.items(e.value, what) {
			if key, ok := t.text(member, "a member of "+what); ok {
				s.Want.Coll = s.Want.Coll.With(key, 0, false)
			}
		}
	case participant.KindMap:
		for _, member := range t.entries(e.value, what) {
			n, _ := t.integer(member.value, "a value of "+what, math.MinInt64, math.MaxInt64)
			s.Want.Coll = s.Want.Coll.With(member.key.Value, n, true)
		}
	}
	return s
}

func (t *fixtureReader) notification(n *yaml.Node, test *Fixture) FixtureNotification {
	want := FixtureNotification{Line: n.Line}
	m := t.fields(n, "a notification", "event", "rule", "name", "class", "title", "body")
	for _, part := range []struct {
		key string
		to  **string
	}{{"event", &want.Event}, {"rule", &want.Rule}, {"name", &want.Name}, {"class", &want.Class}, {"title", &want.Title}, {"body", &want.Body}} {
		if v := m[part.key]; v != nil {
			if text, ok := t.text(v, part.key); ok {
				*part.to = &text
			}
		}
	}
	if id := want.Event; id != nil && !slices.ContainsFunc(test.Events, func(e FixtureEvent) bool { return e.ID == *id }) {
		var known []string
		for i := range test.Events {
			known = append(known, test.Events[i].ID)
		}
		t.note(m["event"], "no event of this test has the id `%s`%s", cut(*id, 80), suggestion(*id, known))
	}
	return want
}

// json writes a value of the file as JSON. Numbers keep their spelling: an
// int of 64 bits is no float on the way.
func (t *fixtureReader) json(n *yaml.Node) []byte {
	var b []byte
	switch n.Kind {
	case yaml.MappingNode:
		b = append(b, '{')
		for i, e := range t.entries(n, "data") {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(append(append(b, quoted(e.key.Value)...), ':'), t.json(e.value)...)
		}
		return append(b, '}')
	case yaml.SequenceNode:
		b = append(b, '[')
		for i, item := range n.Content {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, t.json(item)...)
		}
		return append(b, ']')
	}
	switch tag := n.ShortTag(); {
	case tag == "!!null":
		return []byte("null")
	case tag == "!!bool":
		yes, _ := t.boolean(n, "data")
		return strconv.AppendBool(b, yes)
	case (tag == "!!int" || tag == "!!float") && json.Valid([]byte(n.Value)): // spelled as JSON spells it
		return []byte(n.Value)
	}
	return quoted(n.Value)
}

func quoted(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string has a form
	}
	return b
}
