package quiz

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func generate(t *testing.T, change func(*Options)) ([]Event, string) {
	t.Helper()
	o := Default()
	if change != nil {
		change(&o)
	}
	events, err := Generate(o)
	if err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	if err := Write(&lines, events); err != nil {
		t.Fatal(err)
	}
	return events, lines.String()
}

func TestSameSeedSameBytes(t *testing.T) {
	t.Parallel()
	_, first := generate(t, nil)
	if _, second := generate(t, nil); first != second {
		t.Error("two quizzes with the same options differ")
	}
	if _, other := generate(t, func(o *Options) { o.Seed++ }); first == other {
		t.Error("another seed gives the same quiz")
	}
}

// The bytes of the default seed are part of what others build on: a change is
// deliberate and moves these counts.
func TestDefaultQuiz(t *testing.T) {
	t.Parallel()
	events, _ := generate(t, nil)
	kinds, sources, players, ids := map[string]int{}, map[string]int{}, map[string]bool{}, map[string]bool{}
	for i, e := range events {
		if i > 0 && e.at.Before(events[i-1].at) {
			t.Fatalf("event %d is earlier than the one before", i)
		}
		if ids[e.Source+" "+e.ID] {
			t.Fatalf("%s of %s is there twice", e.ID, e.Source)
		}
		kinds[e.Type]++
		sources[e.Source]++
		players[e.PartitionKey], ids[e.Source+" "+e.ID] = true, true
	}
	if len(events) != 6_127 || len(players) != 180 || len(sources) != 3 || len(kinds) != 4 {
		t.Errorf("%d events of %d players by %v: %v", len(events), len(players), sources, kinds)
	}
}

// In the seconds after a question everybody answers: that is the load a quiz has.
func TestBursts(t *testing.T) {
	t.Parallel()
	events, _ := generate(t, nil)
	answers := map[string]map[time.Time]int{}
	for _, e := range events {
		if a, ok := e.Data.(answered); ok {
			if answers[a.Question] == nil {
				answers[a.Question] = map[time.Time]int{}
			}
			answers[a.Question][e.at.Truncate(30*time.Second)]++
		}
	}
	if len(answers) != rounds*questions {
		t.Fatalf("%d questions are answered, want %d", len(answers), rounds*questions)
	}
	for q, at := range answers {
		if len(at) > 2 {
			t.Errorf("%s is answered over %v", q, at)
		}
	}
}

// Whoever taps twice in a hurry says two things, and by the replicas' clocks the
// second can be the first: without that, the clocks would change nothing.
func TestClocksDisagree(t *testing.T) {
	t.Parallel()
	o := Default()
	o.Replicas = 1
	one, err := Generate(o)
	if err != nil {
		t.Fatal(err)
	}
	several, _ := generate(t, nil)
	if turned(one) != 0 || turned(several) < 10 {
		t.Errorf("turned round are %d pairs by one clock, %d by several", turned(one), turned(several))
	}
}

// turned counts the pairs of answers whose second tap has the earlier time.
func turned(events []Event) (n int) {
	type key struct{ player, question string }
	first := map[key]Event{}
	for _, e := range events {
		a, ok := e.Data.(answered)
		if !ok {
			continue
		}
		k := key{e.PartitionKey, a.Question}
		if before, again := first[k]; again && before.tap > e.tap {
			n++
		}
		first[k] = e
	}
	return n
}

func TestBadOptions(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Options){
		"players is 0":  func(o *Options) { o.Players = 0 },
		"replicas is 0": func(o *Options) { o.Replicas = 0 },
		"start":         func(o *Options) { o.Start = time.Time{} },
	} {
		o := Default()
		change(&o)
		if _, err := Generate(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want one about %q", err, want)
		}
	}
}
