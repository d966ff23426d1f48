package examples

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/examples/harbour"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// folded is what a hunt's events come to.
type folded struct {
	fates    map[string]int
	ops      map[string]int // by class and operation
	standing map[string]int // by class: sent, and not retracted since
	finished int
	// states holds each participant's state as it is now; notices what stands.
	states  map[string]string
	notices map[participant.Identity]string
}

func foldAll(t *testing.T, program participant.Program, lines []string, events []event) *folded {
	t.Helper()
	f := &folded{
		fates: map[string]int{}, ops: map[string]int{}, standing: map[string]int{},
		states: map[string]string{}, notices: map[participant.Identity]string{},
	}
	schema := program.Schema()
	apply := participant.NewFold(program)
	histories := map[string]*participant.History{}
	classes := map[participant.Identity]string{}
	var out participant.Outcome
	for i, line := range lines {
		e := contentOf(t, line, &events[i], schema, int64(i))
		h := histories[e.Participant]
		if h == nil {
			h = participant.NewHistory(schema)
			histories[e.Participant] = h
		}
		apply.Apply(h, e, &out)
		f.fates[out.Fate.String()]++
		for _, n := range out.Notifications {
			class := program.Template(n.Key).Class.Name
			f.ops[class+" "+n.Op.String()]++
			classes[n.ID] = class
			if n.Op == participant.Retract {
				delete(f.notices, n.ID)
			} else {
				f.notices[n.ID] = n.Title + "\n" + n.Body
			}
		}
	}
	for id := range f.notices {
		f.standing[classes[id]]++
	}
	for name, h := range histories {
		state := wire.StateJSON(h.Head, schema)
		if state["finished"] != nil {
			f.finished++
		}
		text, err := json.Marshal(state)
		if err != nil {
			t.Fatal(err)
		}
		f.states[name] = string(text)
	}
	return f
}

func (f *folded) String() string {
	var b strings.Builder
	for _, m := range []struct {
		name string
		of   map[string]int
	}{{"fates", f.fates}, {"notifications", f.ops}, {"standing", f.standing}} {
		fmt.Fprintf(&b, "%s:", m.name)
		for _, k := range slices.Sorted(maps.Keys(m.of)) {
			fmt.Fprintf(&b, " %s=%d", k, m.of[k])
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "participants: %d, finished: %d\n", len(f.states), f.finished)
	return b.String()
}

// contentOf reads one of the examples' own lines against the contract of its
// rules. That is the wire's business; this one is kept apart from it so that a
// mistake there cannot hide here.
func contentOf(t *testing.T, line string, in *event, s *participant.Schema, offset int64) *participant.Event {
	t.Helper()
	index := s.TypeIndex(in.Type)
	if index < 0 {
		t.Fatalf("the rules do not declare %s", in.Type)
	}
	declared := s.Types[index].Fields
	e := &participant.Event{
		Source: in.Source, ID: in.ID, Type: in.Type, Participant: in.PartitionKey,
		Time: in.Time.UnixMicro(), TimeGiven: true, Sequence: in.Sequence,
		Identity:  participant.IdentityOf(in.Source, in.ID),
		Content:   participant.IdentityOf(in.Type, line).Lo,
		TypeIndex: index, Fields: make([]participant.Value, len(declared)),
		Arrival: participant.Arrival{Offset: offset, Time: arrival},
	}
	known := 0
	for i := range declared {
		given, ok := in.Data[declared[i].Name]
		if !ok {
			if !declared[i].Optional {
				t.Fatalf("%s: %s is missing", line, declared[i].Name)
			}
			continue
		}
		known++
		e.Fields[i] = value(t, given, &declared[i])
	}
	if len(in.Data) > known {
		t.Fatalf("%s: the rules do not declare all of %v", line, in.Data)
	}
	return e
}

func value(t *testing.T, given any, f *participant.Field) participant.Value {
	t.Helper()
	switch n, isNumber := given.(json.Number); {
	case f.Kind == participant.KindInt && isNumber:
		i, err := n.Int64()
		if err != nil || i < f.IntMin || i > f.IntMax {
			t.Fatalf("%s is %s, outside its bounds (%v)", f.Name, n, err)
		}
		return participant.Value{Kind: participant.KindInt, Int: i}
	case f.Kind == participant.KindDouble && isNumber:
		x, err := n.Float64()
		if err != nil || f.HasMin && x < f.Min {
			t.Fatalf("%s is %s, outside its bounds (%v)", f.Name, n, err)
		}
		return participant.Value{Kind: participant.KindDouble, Int: int64(math.Float64bits(x))}
	case f.Kind == participant.KindBool:
		truth, ok := given.(bool)
		if !ok {
			t.Fatalf("%s is %v, no bool", f.Name, given)
		}
		v := participant.Value{Kind: participant.KindBool}
		if truth {
			v.Int = 1
		}
		return v
	case f.Kind == participant.KindTime:
		text, _ := given.(string)
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			t.Fatalf("%s is %v, no time: %v", f.Name, given, err)
		}
		return participant.Value{Kind: participant.KindTime, Int: at.UnixMicro()}
	case f.Kind == participant.KindString:
		text, ok := given.(string)
		if !ok || len(text) > f.BytesMax || len(f.Enum) > 0 && !slices.Contains(f.Enum, text) {
			t.Fatalf("%s is %v, no string of %d bytes, one of %v where the rules list some", f.Name, given, f.BytesMax, f.Enum)
		}
		return participant.Value{Kind: participant.KindString, Str: text}
	}
	t.Fatalf("%s is %v, want a %s", f.Name, given, f.Kind)
	return participant.Value{}
}

// arrival is when every record arrives: long after the events.
var arrival = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

// byTime returns the lines and their events by event time, each once.
func byTime(lines []string, events []event) ([]string, []event) {
	places := make([]int, len(lines))
	for i := range places {
		places[i] = i
	}
	slices.SortFunc(places, func(a, b int) int {
		if c := events[a].Time.Compare(events[b].Time); c != 0 {
			return c
		}
		return strings.Compare(lines[a], lines[b])
	})
	var sorted []string
	var decoded []event
	for n, i := range places {
		if n > 0 && lines[i] == lines[places[n-1]] {
			continue
		}
		sorted, decoded = append(sorted, lines[i]), append(decoded, events[i])
	}
	return sorted, decoded
}

// What the examples come to, as they are sent (the same numbers stand in
// docs/examples.md). And the order of arrival and repeats change nothing: sorted
// by time, each event once, the same states and the same standing notifications.
func TestFolded(t *testing.T) {
	wanted := map[string]string{
		"flights": `fates: applied=53317 duplicate=1066
notifications: clue retract=8 clue send=12764 clue update=33 nudge send=2187 win retract=3 win send=227
standing: clue=12756 nudge=2187 win=224
participants: 3148, finished: 224
`,
		"harbour": `fates: applied=38192 duplicate=2542
notifications: clue retract=599 clue send=2951 hint send=580 nudge send=2443 win retract=98 win send=261
standing: clue=2352 hint=580 nudge=2443 win=163
participants: 1000, finished: 163
`,
		"quiz": `fates: applied=6127 duplicate=295
notifications: cheer retract=4 cheer send=389 note send=277 result send=169
standing: cheer=385 note=277 result=169
participants: 180, finished: 0
`,
	}
	for _, name := range Names() {
		program := compile(t, name)
		lines, events := sentOf(t, name)
		sent := foldAll(t, program, lines, events)
		if sent.String() != wanted[name] {
			t.Errorf("%s comes to\n%s\nwant\n%s", name, sent, wanted[name])
		}
		lines, events = byTime(lines, events)
		sorted := foldAll(t, program, lines, events)
		if sorted.fates["applied"] != sent.fates["applied"] || len(sorted.fates) != 1 {
			t.Errorf("%s: fates are %v as sent and %v in order", name, sent.fates, sorted.fates)
		}
		if !maps.Equal(sorted.states, sent.states) {
			t.Errorf("%s: states differ", name)
		}
		if !maps.Equal(sorted.notices, sent.notices) {
			t.Errorf("%s: standing notifications differ: %d as sent, %d in order", name, len(sent.notices), len(sorted.notices))
		}
	}
}

// What the generator holds back on request is what the rules call late, and
// nothing else is.
func TestLate(t *testing.T) {
	o := harbour.Default()
	o.Teams, o.Late = 20, 40
	records, err := harbour.Generate(o)
	if err != nil {
		t.Fatal(err)
	}
	lines := make([]string, len(records))
	for i := range records {
		lines[i] = string(records[i].Line)
	}
	s := harbour.Summarize(records)
	got := foldAll(t, compile(t, "harbour"), lines, decodeLines(t, lines))
	want := map[string]int{"applied": s.Events - 40, "late": 40, "duplicate": s.Repeats}
	if !maps.Equal(got.fates, want) {
		t.Errorf("fates are %v, want %v", got.fates, want)
	}
}
