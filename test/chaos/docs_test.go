package chaos

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "write the table of faults into docs/chaos.md")

const page = "../../docs/chaos.md"

// TestDocsNameEveryFault holds the page against the table of faults.
func TestDocsNameEveryFault(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	want, err := between(string(text), "faults", faultTables())
	if err != nil {
		t.Fatal(err)
	}
	if *rewrite {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(text) != want {
		t.Errorf("%s does not say what the code does: go test ./test/chaos -run TestDocs -rewrite", page)
	}
}

func faultTables() string {
	var b strings.Builder
	for _, f := range Faults() {
		fmt.Fprintf(&b, "### %s\n%s Ends: %s.\n\n", f.Name, f.Does, f.Ends)
		if len(f.Params) == 0 {
			continue
		}
		b.WriteString("| parameter | must be | default | is |\n|---|---|---|---|\n")
		for _, p := range f.Params {
			fmt.Fprintf(&b, "| `%s` | %s | `%v` | %s |\n", p.Name, p.Must(), p.Default, p.Does)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// TestDocsExamplesAreSchedules reads every example of the page that has steps.
func TestDocsExamplesAreSchedules(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		if !strings.Contains(block[1], "steps:") {
			continue
		}
		read++
		if _, err := Parse([]byte(block[1])); err != nil {
			t.Errorf("%v in\n%s", err, block[1])
		}
	}
	if read == 0 {
		t.Error("the page has no example")
	}
}

// TestEachFaultHasAFile wants a directed schedule for each fault.
func TestEachFaultHasAFile(t *testing.T) {
	used := map[string]bool{}
	for _, s := range directed(t) {
		for _, step := range s.Steps {
			used[step.Do] = true
		}
	}
	for _, name := range faultNames() {
		if !used[name] {
			t.Errorf("no file of testdata has the fault %s", name)
		}
	}
}

// directed reads the schedules of testdata.
func directed(t *testing.T) (all []*Schedule) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no schedules in testdata: %v", err)
	}
	for _, file := range files {
		s, err := ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// TestMistakesAreNamed gives schedules with mistakes. Each has to be refused
// with the line and the field.
func TestMistakesAreNamed(t *testing.T) {
	const good = "seed: 1\nload: {events: 1000}\nsteps:\n  - at: 1s\n    do: redis-kill\n    with: {down: 1s}\nexpect: clean\n"
	if _, err := Parse([]byte(good)); err != nil {
		t.Fatalf("without a mistake: %v", err)
	}
	for _, c := range []struct{ old, new, want string }{
		{"seed", "sede", "line 1: sede"},
		{"seed: 1", "seed: one", "line 1: seed"},
		{"events: 1000", "events: 0", "line 2: load.events: is 0"},
		{"events: 1000", "events: 1000, duplicates: 5", "line 2: load: \"5\" is no share"},
		{"events: 1000", "events: 99999, rate: 1", "line 2: load.rate"},
		{"events: 1000}", "events: 1000}\ntopology: {partitions: 99}", "line 3: topology.partitions: is 99, must be 1 to 12"},
		{"at: 1s", "at: soon", "line 4: steps"},
		{"at: 1s", "after: 10", "line 4: steps"},
		{"at: 1s", "after: 5000 committed", "line 4: steps[0].after: only 1000"},
		{"at: 1s\n    do", "do", "line 4: steps[0].at: say when"},
		{"redis-kill", "redis-kil", "line 5: steps[0].do: there is no fault"},
		{"down: 1s", "down: 2m", "line 6: steps[0].with.down"},
		{"down: 1s", "down: 1s, lose: many", "line 6: steps[0].with.lose: is many"},
		{"down: 1s", "dwon: 1s", "line 6: steps[0].with.dwon: redis-kill has no such parameter; it has down, lose"},
		{"expect: clean\n", "", "expect: say how it has to end"},
		{"expect: clean", "expect: broken", "line 7: expect"},
		{"expect: clean", "expect: {refused: {reason: mood}}", "line 7: expect"},
		{"expect: clean", "expect: {refused: {reason: stamp, partition: 1}}", "expect.refused has no \"partition\""},
		{"expect: clean", "expect: {refused: {reason: stamp, partitions: [4]}}", "line 7: expect.refused.partitions: is 4"},
		{"expect: clean", "expect: {refused: {reason: stamp}, repair: prayer}", "there is no repair \"prayer\""},
		{"expect: clean\n", "expect: clean\n---\nseed: 2\n", "one schedule"},
	} {
		_, err := Parse([]byte(strings.Replace(good, c.old, c.new, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("with %q for %q: %v, want %q", c.new, c.old, err, c.want)
		}
	}
}

// TestScheduleIsReadAsItIsWritten writes every directed schedule and reads it
// again.
func TestScheduleIsReadAsItIsWritten(t *testing.T) {
	for _, s := range directed(t) {
		again, err := Parse([]byte(s.String()))
		if err != nil {
			t.Errorf("%s: %v in\n%s", s.Name, err, s)
		} else if again.String() != s.String() {
			t.Errorf("%s became\n%s, was\n%s", s.Name, again, s)
		}
	}
}

// TestSeedsMakeEveryFault makes schedules of many seeds: each is its seed's, is
// what its file says, and together they have every fault that a seed may draw.
func TestSeedsMakeEveryFault(t *testing.T) {
	used := map[string]bool{}
	for seed := range uint64(1000) {
		s := Random(seed)
		again, err := Parse([]byte(s.String()))
		if err != nil || again.String() != s.String() || Random(seed).String() != s.String() {
			t.Fatalf("seed %d: %v: is not what it is written as:\n%s", seed, err, s)
		}
		for _, step := range s.Steps {
			used[step.Do] = true
		}
	}
	for _, name := range faultNames() {
		// It ends the processors for good: there is nothing to mix it with.
		if !used[name] && name != "topic-recreate" {
			t.Errorf("no seed has the fault %s", name)
		}
	}
}

// TestSummary adds two results up.
func TestSummary(t *testing.T) {
	sum := Summarise([]*Result{
		{Passed: true, Events: 5, Injected: []Injected{
			{Fault: "a", Measured: true, RecoverySeconds: 3}, {Fault: "a", Measured: true, RecoverySeconds: 1}, {Fault: "b"},
		}},
		{Lost: 2, Duplicated: 3, Wrong: 4, Stuck: 1, Injected: []Injected{{Fault: "a", Measured: true, RecoverySeconds: 2}}},
	})
	want := "| a | 2 | 3 | 2 | 3 | 4 | 1 | 1 | 2.0 s | 3.0 s |\n| b | 1 | 1 | 0 | 0 | 0 | 0 | 0 | – | – |\n"
	if got := sum.Table(); !strings.HasSuffix(got, want) || sum.Schedules != 2 || sum.Passed != 1 || sum.Events != 5 {
		t.Errorf("the summary is %+v\n%s, want\n%s", sum, got, want)
	}
}

// TestLoadIsItsSeeds wants the same load of the same seed, and another one of
// another.
func TestLoadIsItsSeeds(t *testing.T) {
	l := Defaults().Load
	all, order := l.events(7)
	again, orderAgain := l.events(7)
	other, _ := l.events(8)
	if fmt.Sprint(all, order) != fmt.Sprint(again, orderAgain) || fmt.Sprint(all) == fmt.Sprint(other) {
		t.Error("the load is not that of its seed")
	}
	late, seen, twice := 0, map[int]bool{}, 0
	highest := 0
	for _, n := range order {
		if seen[n] {
			twice++
		} else if n < highest {
			late++
		}
		seen[n], highest = true, max(highest, n)
	}
	if len(seen) != l.Events || twice*100 < l.Events*3 || late*100 < l.Events*10 {
		t.Errorf("of %d events %d are sent, %d twice and %d late", l.Events, len(seen), twice, late)
	}
	if d := begin.Add(time.Duration(l.Events) * time.Second); d.After(time.Now()) {
		t.Errorf("the last event happens in the future, at %s", d)
	}
}
