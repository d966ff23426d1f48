package rules

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/participant"
)

// noon is the time of every event in these tests, unless they say otherwise.
var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC).UnixMicro()

func mustLoad(t testing.TB, src string) *Program {
	t.Helper()
	p, err := Load("rules.yaml", []byte(src))
	if err != nil {
		t.Fatalf("load:\n%v", err)
	}
	return p
}

// event builds an occurrence; data is name, value, name, value.
func event(t testing.TB, p *Program, name string, data ...any) *participant.Occurrence {
	t.Helper()
	index := p.Schema().TypeIndex(name)
	if index < 0 {
		t.Fatalf("event type %q is not declared", name)
	}
	fields := p.Schema().Types[index].Fields
	o := &participant.Occurrence{
		Participant: "ada", Time: noon, TypeIndex: index, Fields: make([]participant.Value, len(fields)),
	}
	for i := 0; i < len(data); i += 2 {
		at := fieldIndex(fields, data[i].(string))
		if at < 0 {
			t.Fatalf("event type %q has no field %q", name, data[i])
		}
		o.Fields[at] = value(t, fields[at].Kind, data[i+1])
	}
	return o
}

func value(t testing.TB, kind participant.Kind, x any) participant.Value {
	t.Helper()
	v := participant.Value{Kind: kind}
	switch x := x.(type) {
	case int:
		v.Int = int64(x)
	case int64:
		v.Int = x
	case float64:
		v.Int = int64(math.Float64bits(x))
	case string:
		v.Str = x
	case bool:
		if x {
			v.Int = 1
		}
	default:
		t.Fatalf("no value of %T", x)
	}
	return v
}

// player folds events in order, as the core does.
type player struct {
	p     *Program
	state []participant.Value
}

func newPlayer(p *Program) *player { return &player{p, p.Schema().Initial()} }

// step applies one event; on a rejection the state stays as it was.
func (a *player) step(t testing.TB, name string, data ...any) ([]participant.Notice, error) {
	t.Helper()
	state := slices.Clone(a.state)
	notices, err := a.p.Step(state, event(t, a.p, name, data...), nil)
	if err != nil {
		return nil, err
	}
	a.state = state
	return notices, nil
}

func (a *player) must(t testing.TB, name string, data ...any) []participant.Notice {
	t.Helper()
	notices, err := a.step(t, name, data...)
	if err != nil {
		t.Fatalf("%s %v: %v", name, data, err)
	}
	return notices
}

func (a *player) rejected(t testing.TB, fate participant.Fate, sentence, name string, data ...any) {
	t.Helper()
	_, err := a.step(t, name, data...)
	var r *participant.Rejection
	if !errors.As(err, &r) || r.Fate != fate || !strings.Contains(r.Reason, sentence) {
		t.Errorf("%s %v: got %v, want %s with %q", name, data, err, fate, sentence)
	}
}

func (a *player) want(t testing.TB, slot, want string) {
	t.Helper()
	if got := show(a.state[slotIndex(a.p.Schema().Slots, slot)]); got != want {
		t.Errorf("slot %s is %s, want %s", slot, got, want)
	}
}

func show(v participant.Value) string {
	switch v.Kind {
	case participant.KindNone:
		return "unset"
	case participant.KindString:
		return fmt.Sprintf("%q", v.Str)
	case participant.KindBool:
		return fmt.Sprint(v.Int == 1)
	case participant.KindTime:
		return string(appendTime(nil, v.Int))
	case participant.KindSet:
		return fmt.Sprint(keysOf(v))
	case participant.KindMap:
		out := []string{}
		for i, k := range keysOf(v) {
			out = append(out, fmt.Sprintf("%s=%d", k, v.Coll.Ints[i]))
		}
		return fmt.Sprint(out)
	}
	return fmt.Sprint(v.Int)
}

func keysOf(v participant.Value) []string {
	if v.Coll == nil {
		return []string{}
	}
	return v.Coll.Keys
}

func readFile(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestHarbour(t *testing.T) {
	p := mustLoad(t, readFile(t, "testdata/harbour.yaml"))
	a := newPlayer(p)
	got := a.must(t, "clue.found", "clue", "anchor", "distance_m", 12.5, "points", 40)
	if len(got) != 1 || got[0].Title != "Clue anchor found" || got[0].Body != "40 points. 11 to go." {
		t.Errorf("notices %+v", got)
	}
	tpl := p.Template(got[0].Key)
	if tpl.Rule != "clue-found" || tpl.Name != "next" || tpl.Class.ExpiresMs != 2*3600*1000 || !tpl.Class.ResendUnknown {
		t.Errorf("template %+v", tpl)
	}
	a.want(t, "score", "40")
	a.want(t, "found", "[anchor]")
	for _, again := range [][]any{
		{"clue", "anchor", "distance_m", 1.0, "points", 40},  // found before
		{"clue", "compass", "distance_m", 25.5, "points", 1}, // too far
	} {
		if got := a.must(t, "clue.found", again...); len(got) != 0 {
			t.Errorf("%v: notices %+v", again, got)
		}
	}
	a.want(t, "score", "40")
	if got := p.Schema().Leaderboards; len(got) != 1 || got[0].Name != "score" || p.Schema().Slots[got[0].Slot].Name != "score" {
		t.Errorf("leaderboards %+v", got)
	}
}

// The places of the rules whose conditions hold, in the order of the file.
func TestStepNamesItsRules(t *testing.T) {
	p := mustLoad(t, `hunt: h
version: 1
events:
  a: {data: {n: {type: int, min: 0, max: 99}}}
  b: {data: {n: {type: int, min: 0, max: 99}}}
state: {score: {type: int}}
rules:
  - {name: big, on: a, when: event.data.n > 10, set: {score: "state.score + 1"}}
  - {name: other, on: b, set: {score: "state.score + 1"}}
  - {name: always, on: [a, b], set: {score: "state.score + 1"}}
  - {name: halved, on: a, when: event.data.n > 20, set: {score: "100 / (event.data.n - 30)"}}
`)
	for _, c := range []struct {
		kind, n int64
		want    string
		fails   bool
	}{{0, 5, "always", false}, {0, 15, "big always", false}, {1, 5, "other always", false}, {0, 30, "", true}, {0, 40, "big always halved", false}} {
		o := participant.Occurrence{TypeIndex: int(c.kind), Fields: []participant.Value{{Kind: participant.KindInt, Int: c.n}}}
		_, err := p.Step(p.Schema().Initial(), &o, nil)
		if (err != nil) != c.fails {
			t.Fatalf("%+v: %v", c, err)
		}
		var names []string
		for _, place := range o.Held {
			names = append(names, p.Schema().Rules[place])
		}
		if got := strings.Join(names, " "); err == nil && got != c.want {
			t.Errorf("%+v: %q held", c, got)
		}
	}
}

func TestUnknownTypeHasNoEffect(t *testing.T) {
	p := mustLoad(t, readFile(t, "testdata/harbour.yaml"))
	state := p.Schema().Initial()
	notices, err := p.Step(state, &participant.Occurrence{TypeIndex: -1}, nil)
	if err != nil || len(notices) != 0 || !slices.Equal(state, p.Schema().Initial()) {
		t.Errorf("got %v, %v, %v", state, notices, err)
	}
}

func BenchmarkStep(b *testing.B) {
	p := mustLoad(b, readFile(b, "testdata/harbour.yaml"))
	for _, c := range []struct {
		name  string
		clear bool
	}{{"applied", true}, {"no-effect", false}} {
		b.Run(c.name, func(b *testing.B) {
			o := event(b, p, "clue.found", "clue", "anchor", "distance_m", 12.5, "points", 40)
			initial, state := p.Schema().Initial(), p.Schema().Initial()
			var notices []participant.Notice
			b.ReportAllocs()
			for b.Loop() {
				if c.clear {
					copy(state, initial)
				}
				var err error
				if notices, err = p.Step(state, o, notices[:0]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
