package rules

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBadFixtures holds what is said of files of tests that cannot be played.
func TestBadFixtures(t *testing.T) {
	files, err := filepath.Glob("testdata/tests/*.test.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			f, err := LoadFixturesFile(file)
			var problems Problems
			if f != nil || !errors.As(err, &problems) {
				t.Fatalf("it was taken, or refused without a place: %v", err)
			}
			golden := strings.TrimSuffix(file, ".test.yaml") + ".txt"
			got := err.Error() + "\n"
			if *rewrite {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := readFile(t, golden); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

// TestFixtureData holds the JSON that an event's data becomes.
func TestFixtureData(t *testing.T) {
	const data = `{int: 9007199254740993, negative: -0.50, exponent: 1e3, octal: 0o17, text: "12", quoted: 'it''s', time: 2026-01-01T00:00:00Z, yes: true, none: ~, list: [1, a], nested: {b: c}}`
	const want = `{"int":9007199254740993,"negative":-0.50,"exponent":1e3,"octal":"0o17","text":"12","quoted":"it's","time":"2026-01-01T00:00:00Z","yes":true,"none":null,"list":[1,"a"],"nested":{"b":"c"}}`
	file := filepath.Join(t.TempDir(), "x.test.yaml")
	rules, err := filepath.Abs("testdata/harbour.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if rules, err = filepath.Rel(filepath.Dir(file), rules); err != nil {
		t.Fatal(err)
	}
	src := "rules: " + rules + "\ntests:\n  - name: x\n    events:\n      - {type: clue.found, at: 0s, data: " + data + "}\n"
	if err := os.WriteFile(file, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := LoadFixturesFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(f.Tests[0].Events[0].Data); got != want || !json.Valid([]byte(got)) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// FuzzFixtures reads files of any form against the hunt's rules: nothing
// panics, and a refusal has a place.
func FuzzFixtures(f *testing.F) {
	files, _ := filepath.Glob("testdata/tests/*.test.yaml")
	for _, file := range append(files, "../../examples/harbour/rules.test.yaml") {
		f.Add([]byte(readFile(f, file)))
	}
	program, err := LoadFile("testdata/harbour.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		r := &reader{file: "rules.test.yaml", source: newSource(src)}
		fixtures := &Fixtures{Program: program}
		if root := r.parse(src); root != nil {
			r.tests(fixtures, r.fields(root, "a file of tests", "rules", "start", "tests"))
		}
		for _, problem := range r.problems {
			if problem.Line < 1 || problem.Column < 1 || problem.Message == "" {
				t.Fatalf("a problem without a place: %+v", problem)
			}
		}
		if len(r.problems) > 0 {
			return
		}
		for i := range fixtures.Tests {
			for j := range fixtures.Tests[i].Events {
				if e := &fixtures.Tests[i].Events[j]; !json.Valid(e.Data) {
					t.Errorf("an event's data became %q", e.Data)
				}
			}
		}
	})
}
