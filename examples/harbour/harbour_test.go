package harbour

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

const grace = 30 * time.Second // of rules.yaml

func generate(t *testing.T, change func(*Options)) ([]Record, []byte) {
	t.Helper()
	o := Default()
	o.Teams, o.Length = 30, time.Hour
	if change != nil {
		change(&o)
	}
	records, err := Generate(o)
	if err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	if err := Write(&lines, records); err != nil {
		t.Fatal(err)
	}
	return records, lines.Bytes()
}

func TestSameSeedSameBytes(t *testing.T) {
	_, first := generate(t, nil)
	_, second := generate(t, nil)
	if !bytes.Equal(first, second) {
		t.Error("two hunts with the same options differ")
	}
	if _, other := generate(t, func(o *Options) { o.Seed++ }); bytes.Equal(first, other) {
		t.Error("another seed gives the same hunt")
	}
}

// The bytes of the default seed are part of what others build on: a change is
// deliberate and moves this summary.
func TestDefaultHunt(t *testing.T) {
	records, err := Generate(Default())
	if err != nil {
		t.Fatal(err)
	}
	got := Summarize(records)
	want := Summary{
		Sendings: 40_734, Events: 38_192, Repeats: 2_542, Participants: 1_000,
		Disordered: 990, LagMax: 13_206 * time.Millisecond,
	}
	if got != want {
		t.Errorf("summary is\n%+v, want\n%+v", got, want)
	}
}

func TestNothingIsLateUnlessAsked(t *testing.T) {
	worst := offlineMax + latencyMax - latencyMin + 2*skewMax
	for n := range retriesMax {
		worst += retryAfter << n
	}
	if worst >= grace {
		t.Errorf("the network may hold an event back by %s, which the grace of %s does not cover", worst, grace)
	}
	for seed := range uint64(5) {
		records, _ := generate(t, func(o *Options) { o.Seed = seed })
		s := Summarize(records)
		if s.Late != 0 || s.LagMax >= grace {
			t.Errorf("seed %d: %d late, up to %s behind", seed, s.Late, s.LagMax)
		}
		if s.Disordered < 50 || s.Repeats < 50 {
			t.Errorf("seed %d: the network is too good: %+v", seed, s)
		}
	}
}

func TestLateOnRequest(t *testing.T) {
	records, _ := generate(t, func(o *Options) { o.Late = 40 })
	newest := map[string]time.Time{}
	late := 0
	for _, r := range records {
		behind := newest[r.Participant].Sub(r.Time)
		if behind > grace {
			late++
		}
		if r.Late != (behind > grace) {
			t.Errorf("%s is %s behind, held back: %v", r.Line, behind, r.Late)
		}
		if r.Time.After(newest[r.Participant]) {
			newest[r.Participant] = r.Time
		}
	}
	if late != 40 {
		t.Errorf("%d events are late, want 40", late)
	}
}

func TestEvents(t *testing.T) {
	records, _ := generate(t, nil)
	seen := map[string]string{}   // by source and id
	sequence := map[string]bool{} // by source, participant and sequence
	kinds := map[string]int{}
	for _, r := range records {
		var e event
		if err := json.Unmarshal(r.Line, &e); err != nil {
			t.Fatalf("%s: %v", r.Line, err)
		}
		identity := e.Source + " " + e.ID
		before, again := seen[identity]
		if again != r.Repeat {
			t.Fatalf("%s: seen before %v, marked as a repeat %v", r.Line, again, r.Repeat)
		}
		if again {
			if before != string(r.Line) {
				t.Fatalf("a repeat differs:\n%s\n%s", before, r.Line)
			}
			continue
		}
		seen[identity] = string(r.Line)
		count := strings.Join([]string{e.Source, e.PartitionKey, e.Sequence}, " ")
		if sequence[count] {
			t.Fatalf("%s: the sequence is used twice", r.Line)
		}
		sequence[count] = true
		at, err := time.Parse(time.RFC3339, e.Time)
		if err != nil || !at.Equal(r.Time) || e.PartitionKey != r.Participant {
			t.Fatalf("%s: time %v or participant %s differs", r.Line, r.Time, r.Participant)
		}
		// A clock may be ahead of the gateway's, but not by the minute that
		// makes an event one of the future.
		if at.Sub(r.Sent) > skewMax {
			t.Fatalf("%s: sent at %s, before its time", r.Line, r.Sent)
		}
		kinds[e.Type]++
	}
	for _, kind := range []string{"team.joined", "clue.found", "hint.used", "finish.reached", "player.walked"} {
		if kinds[kind] == 0 {
			t.Errorf("there is no %s", kind)
		}
	}
}

// Two phones of a team report one clue, and their clocks disagree about who was
// first: without that, nothing in this hunt depends on order.
func TestClocksDisagree(t *testing.T) {
	records, _ := generate(t, nil)
	type report struct{ sent, time time.Time }
	first := map[string]report{}
	turned := 0
	for _, r := range records {
		var e struct {
			Type string `json:"type"`
			Data found  `json:"data"`
		}
		if err := json.Unmarshal(r.Line, &e); err != nil {
			t.Fatal(err)
		}
		if r.Repeat || e.Type != "clue.found" || e.Data.Distance > 25 {
			continue
		}
		key := r.Participant + " " + e.Data.Clue
		if before, ok := first[key]; !ok {
			first[key] = report{r.Sent, r.Time}
		} else if r.Time.Before(before.time) {
			turned++
		}
	}
	if turned < 10 {
		t.Errorf("%d clues were reported last by the phone that was first", turned)
	}
}

func TestBadOptions(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"teams":        func(o *Options) { o.Teams = 0 },
		"players":      func(o *Options) { o.Players = 9 },
		"length":       func(o *Options) { o.Length = time.Second },
		"late is -1":   func(o *Options) { o.Late = -1 },
		"has room for": func(o *Options) { o.Late = 1_000_000 },
		"start":        func(o *Options) { o.Start = time.Time{} },
	} {
		o := Default()
		o.Teams = 2
		change(&o)
		if _, err := Generate(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want one about %q", err, want)
		}
	}
}
