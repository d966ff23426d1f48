package fold_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/fold"
	"github.com/veltrix/veltrix/internal/participant"
	hunt "github.com/veltrix/veltrix/internal/participant/participanttest"
	"github.com/veltrix/veltrix/internal/rules"
	"github.com/veltrix/veltrix/internal/wire"
)

// everyFate returns records that meet every fate, in order.
func everyFate() (records []*wire.Record, fates []participant.Fate) {
	add := func(fate participant.Fate, r *wire.Record) {
		r.Offset = int64(len(records))
		records, fates = append(records, r), append(fates, fate)
	}
	add(participant.Applied, finding(0, "a", 0, "oak", 60))
	add(participant.Applied, finding(0, "b", 60*second, "elm", 6_000))
	add(participant.Duplicate, finding(0, "b", 60*second, "elm", 6_000))
	add(participant.Conflict, finding(0, "b", 60*second, "elm", 7))
	add(participant.Late, finding(0, "c", 29*second, "ash", 1))
	ahead := finding(0, "d", 200*second, "ash", 1)
	ahead.Timestamp = start + 100*second
	add(participant.Future, ahead)
	elsewhere := finding(0, "e", 61*second, "ash", 1)
	elsewhere.Partition = (home + 1) % partitions
	add(participant.Rerouted, elsewhere)
	add(participant.Malformed, record(0, "f", "find", 61*second, `{"clue":`))
	nobody := set(finding(0, "g", 61*second, "ash", 1), "ce_partitionkey", "")
	nobody.Key = nil
	add(participant.NoParticipant, nobody)
	add(participant.SchemaMismatch, record(0, "h", "find", 61*second, `{"clue":7,"points":1}`))
	add(participant.TooLarge, record(0, "i", "find", 61*second, `{"clue":"`+strings.Repeat("x", participant.DefaultEventBytesMax)+`"}`))
	add(participant.RuleError, record(0, "j", "spend", 61*second, `{"points":100000}`))
	add(participant.Overflow, record(0, "k", "double", 62*second, `{}`))
	add(participant.Applied, record(0, "l", "unheard.of", 63*second, `{"any":["thing"]}`))
	return records, fates
}

// TestEveryFate shows that each record has one fate, and that each fate but
// applied leaves one output that shows it.
func TestEveryFate(t *testing.T) {
	f := newFold(hunt.DefaultOrder())
	s := f.New()
	records, fates := everyFate()
	met := map[participant.Fate]bool{}
	for i, r := range records {
		var out engine.Outputs
		before := f.Encode(nil, s)
		got := step(t, f, s, r, &out)
		if got != fates[i] {
			t.Fatalf("record %d: %s, want %s: %s", i, got, fates[i], last(&out))
		}
		met[got] = true
		if got == participant.Applied {
			continue
		}
		if !bytes.Equal(before, f.Encode(nil, s)) {
			t.Fatalf("record %d: the state changed on %s", i, got)
		}
		if len(out.List) != 1 {
			t.Fatalf("record %d: %d outputs on %s", i, len(out.List), got)
		}
		o := &out.List[0]
		if got == participant.Rerouted {
			continue // shown by TestReroute
		}
		if o.Topic != engine.Rejected || o.Partition != r.Partition || headerOf(o, "veltrix-reason") != got.String() ||
			headerOf(o, "veltrix-source-offset") != fmt.Sprint(r.Offset) || !bytes.Equal(o.Key, r.Key) {
			t.Fatalf("record %d: %s is shown as %+v", i, got, o)
		}
	}
	for fate := range participant.FateCount {
		if !met[fate] {
			t.Errorf("no record met the fate %s", fate)
		}
	}
}

// TestSeen shows what is counted of events that are no copies: by which rules
// they had effect on their arrival, how late they were, and where a source's own
// count did not go on by one. Folding again counts nothing again.
func TestSeen(t *testing.T) {
	f := newFold(hunt.DefaultOrder())
	s := f.New()
	var out engine.Outputs
	count := func(r *wire.Record, sequence string) *wire.Record { return set(r, "ce_sequence", sequence) }
	for i, c := range []struct {
		r    *wire.Record
		want participant.Fate
	}{
		{count(finding(0, "a", 0, "oak", 60), "1"), participant.Applied},
		{count(finding(1, "d", 3*second, "elm", 5), "4"), participant.Applied}, // a gap
		{count(finding(2, "b", 1*second, "ash", 5), "2"), participant.Applied}, // an inversion, and two events are folded again
		{count(finding(3, "b", 1*second, "ash", 5), "2"), participant.Duplicate},
		{count(record(4, "e", "spend", 4*second, `{"points":100000}`), "5"), participant.RuleError},
		{count(record(5, "f", "spend", 5*second, `{"points":1}`), "5"), participant.Applied},
		{count(finding(6, "g", -99*second, "ash", 5), "3"), participant.Late}, // an inversion
	} {
		if got := step(t, f, s, c.r, &out); got != c.want {
			t.Fatalf("record %d: %s, want %s", i, got, c.want)
		}
	}
	seen := out.Seen
	var breaks []string
	for _, b := range seen.Breaks {
		breaks = append(breaks, b.Source+" "+b.Break.String())
	}
	if got := strings.Join(breaks, ", "); got != "/test gap, /test inversion, /test inversion" {
		t.Errorf("breaks: %s", got)
	}
	if want := []int64{3, 1, 0, 0, 0}; !slices.Equal(seen.Held, want) {
		t.Errorf("rules applied: %v, want %v", seen.Held, want)
	}
	if want := []int64{2 * second, 104 * second}; !slices.Equal(seen.LateBy, want) {
		t.Errorf("late by %v, want %v", seen.LateBy, want)
	}
	if out.Reset(); len(out.Seen.Breaks)+len(out.Seen.LateBy) > 0 || slices.Max(out.Seen.Held) > 0 {
		t.Errorf("after a reset: %+v", out.Seen)
	}
}

func last(out *engine.Outputs) string {
	if len(out.List) == 0 {
		return "no output"
	}
	return string(out.List[len(out.List)-1].Value)
}

func TestNotificationsNameTheirCause(t *testing.T) {
	f := newFold(hunt.DefaultOrder())
	s := f.New()
	var out engine.Outputs
	step(t, f, s, finding(7, "b", 20*second, "oak", 45), &out)
	out.Reset()
	cause := set(finding(8, "a", 10*second, "elm", 10), "ce_traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	step(t, f, s, cause, &out)
	var ops []string
	for i := range out.List {
		o := &out.List[i]
		ops = append(ops, headerOf(o, "veltrix-op"))
		if o.Topic != engine.Notifications || o.Partition != home || string(o.Key) != hunt.Player ||
			headerOf(o, "ce_causeid") != "a" || headerOf(o, "veltrix-source-offset") != "8" ||
			!strings.Contains(headerOf(o, "ce_traceparent"), "4bf92f35") {
			t.Errorf("output %+v does not name its cause", o)
		}
	}
	if got := strings.Join(ops, " "); got != "send update send" {
		t.Fatalf("operations %q", got)
	}
}

func TestReroute(t *testing.T) {
	f := newFold(hunt.DefaultOrder())
	r := set(finding(41, "a", 0, "oak", 5), "x-own", "kept")
	r.Partition = (home + 3) % partitions
	if f.Key(r) != nil {
		t.Fatal("a record on the wrong partition asks for a state there")
	}
	var out engine.Outputs
	f.Apply(nil, r, &out)
	if len(out.List) != 1 || out.Fates[participant.Rerouted] != 1 {
		t.Fatalf("%+v", out)
	}
	o := out.List[0]
	if o.Topic != engine.Events || o.Partition != home || string(o.Key) != hunt.Player ||
		headerOf(&o, "x-own") != "kept" || headerOf(&o, wire.HeaderReroutedFrom) != fmt.Sprintf("%d/41", r.Partition) {
		t.Fatalf("%+v", o)
	}
	// The fetch's memory may be used again.
	value := string(r.Value)
	for _, b := range [][]byte{r.Key, r.Value, r.Header("x-own"), r.Header("ce_id")} {
		clear(b)
	}
	if string(o.Key) != hunt.Player || string(o.Value) != value || headerOf(&o, "x-own") != "kept" || headerOf(&o, "ce_id") != "a" {
		t.Fatal("a rerouted record shares the memory of the one it came from")
	}
	// On its right partition it is an event like any other, once.
	there := &wire.Record{Partition: o.Partition, Timestamp: start, Key: o.Key, Value: o.Value, Headers: o.Headers}
	s := f.New()
	if fate := step(t, f, s, there, &out); fate != participant.Applied {
		t.Fatalf("rerouted, its fate is %s: %s", fate, last(&out))
	}
	if fate := step(t, f, s, there, &out); fate != participant.Duplicate {
		t.Fatalf("rerouted twice, its fate is %s: %s", fate, last(&out))
	}
}

// TestOutputsAndStateOwnTheirMemory overwrites every record once it was folded.
func TestOutputsAndStateOwnTheirMemory(t *testing.T) {
	run := func(spoil bool) (state []byte, outputs string) {
		f := newFold(hunt.DefaultOrder())
		s := f.New()
		var out engine.Outputs
		records, _ := everyFate()
		for _, r := range records {
			step(t, f, s, r, &out)
			if !spoil {
				continue
			}
			clear(r.Key)
			clear(r.Value)
			for _, h := range r.Headers {
				clear(h.Value)
			}
		}
		return f.Encode(nil, s), fmt.Sprintf("%q", out.List)
	}
	wantState, wantOutputs := run(false)
	state, outputs := run(true)
	if !bytes.Equal(state, wantState) || outputs != wantOutputs {
		t.Fatal("something folded still points into its record")
	}
}

func TestLoadRefusesDamage(t *testing.T) {
	f := newFold(hunt.DefaultOrder())
	if s, err := f.Load([]byte{9}); err == nil || s != nil {
		t.Fatalf("loaded %v, %v", s, err)
	}
}

// TestConcurrentUse shows, under the race detector, that goroutines share one
// fold without sharing what they get from it.
func TestConcurrentUse(t *testing.T) {
	f := newFold(hunt.DefaultOrder())
	var want []byte
	var wg sync.WaitGroup
	results := make([][]byte, 8)
	for i := range results {
		wg.Go(func() {
			s := f.New()
			var out engine.Outputs
			for j := range 200 {
				r := finding(int64(j), fmt.Sprint(j), int64(j^5)*second, fmt.Sprint("c", j%9), j)
				f.Apply(s, r, &out)
			}
			results[i] = f.Encode(nil, s)
		})
	}
	wg.Wait()
	for _, got := range results {
		if want == nil {
			want = got
		}
		if !bytes.Equal(got, want) {
			t.Fatal("goroutines differ")
		}
	}
}

// TestStateKeepsItsParticipantsName folds another participant's event in the
// memory of the one before.
func TestStateKeepsItsParticipantsName(t *testing.T) {
	program, err := rules.Load("rules.yaml", []byte(`
hunt: names
version: 1
events: {tick: {data: {}}}
state: {owner: {type: string, max: 64}, met: {type: set, max: 4}}
rules:
  - {name: own, on: tick, set: {owner: participant, met: add(participant)}}
`))
	if err != nil {
		t.Fatal(err)
	}
	f := fold.New(program, 1)
	var out engine.Outputs
	event := func(who string) engine.State {
		s, r := f.New(), set(record(0, "a", "tick", 0, `{}`), "ce_partitionkey", who)
		r.Key, r.Partition = []byte(who), 0
		if got := step(t, f, s, r, &out); got != participant.Applied {
			t.Fatalf("%s: %s", got, last(&out))
		}
		return s
	}
	ada := event("ada")
	want := f.Encode(nil, ada)
	event("bob")
	if got := f.Encode(nil, ada); !bytes.Equal(got, want) || bytes.Count(got, []byte("ada")) < 2 {
		t.Errorf("after the event of another one, the state is %q, was %q", got, want)
	}
}
