package examples

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
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

func foldAll(t *testing.T, program participant.Program, lines []string) *folded {
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
		e := decode(t, line, schema, int64(i))
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

// decode reads one of the examples' own lines against the contract of its rules.
// The fields are the wire's business; this one is kept apart from it so that a
// mistake there cannot hide here.
func decode(t *testing.T, line string, s *participant.Schema, offset int64) *participant.Event {
	t.Helper()
	var in event
	d := json.NewDecoder(strings.NewReader(line))
	d.UseNumber()
	if err := d.Decode(&in); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
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
	for i := range declared {
		given, ok := in.Data[declared[i].Name]
		if !ok {
			if !declared[i].Optional {
				t.Fatalf("%s: %s is missing", line, declared[i].Name)
			}
			continue
		}
		delete(in.Data, declared[i].Name)
		e.Fields[i] = value(t, given, &declared[i])
	}
	if len(in.Data) > 0 {
		t.Fatalf("%s: the rules do not declare %v", line, in.Data)
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
	case f.Kind == participant.KindString:
		text, ok := given.(string)
		if !ok || len(text) > f.BytesMax {
			t.Fatalf("%s is %v, no string of %d bytes", f.Name, given, f.BytesMax)
		}
		return participant.Value{Kind: participant.KindString, Str: text}
	}
	t.Fatalf("%s is %v, want a %s", f.Name, given, f.Kind)
	return participant.Value{}
}

// arrival is when every record arrives: long after the events.
var arrival = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

func linesOf(t *testing.T, open opener, name string) []string {
	t.Helper()
	_, content, _, err := open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	all, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(bytes.TrimSpace(all)), "\n")
}

// byTime returns the lines by event time, each once.
func byTime(t *testing.T, lines []string) []string {
	t.Helper()
	at := func(line string) time.Time {
		moment, err := eventTime([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		return moment
	}
	sorted := slices.Clone(lines)
	slices.SortFunc(sorted, func(a, b string) int {
		if c := at(a).Compare(at(b)); c != 0 {
			return c
		}
		return strings.Compare(a, b)
	})
	return slices.Compact(sorted)
}

// What the examples come to, as they are sent. The same numbers stand in
// docs/examples.md.
func TestFolded(t *testing.T) {
	for name, want := range map[string]string{
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
	} {
		got := foldAll(t, compile(t, name), linesOf(t, Open, name))
		if got.String() != want {
			t.Errorf("%s comes to\n%s\nwant\n%s", name, got, want)
		}
	}
}

// The order of arrival and repeats change nothing: sorted by time, each event
// once, the same states and the same standing notifications.
func TestOrderDoesNotMatter(t *testing.T) {
	for _, name := range Names() {
		program, sent := compile(t, name), linesOf(t, Open, name)
		a, b := foldAll(t, program, sent), foldAll(t, program, byTime(t, sent))
		if b.fates["applied"] != a.fates["applied"] || len(b.fates) != 1 {
			t.Errorf("%s: fates are %v as sent and %v in order", name, a.fates, b.fates)
		}
		if !maps.Equal(a.states, b.states) {
			t.Errorf("%s: states differ", name)
		}
		if !maps.Equal(a.notices, b.notices) {
			t.Errorf("%s: standing notifications differ: %d as sent, %d in order", name, len(a.notices), len(b.notices))
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
	got := foldAll(t, compile(t, "harbour"), lines)
	want := map[string]int{"applied": s.Events - 40, "late": 40, "duplicate": s.Repeats}
	if !maps.Equal(got.fates, want) {
		t.Errorf("fates are %v, want %v", got.fates, want)
	}
}
