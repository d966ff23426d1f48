package rules

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// TestBadFiles holds every message, its place and its order. Each .yaml file
// has its messages beside it.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			p, err := Load(name, []byte(readFile(t, file)))
			var problems Problems
			if p != nil || !errors.As(err, &problems) || len(problems) == 0 {
				t.Fatalf("a bad file was loaded, or without a reason: %v", err)
			}
			if first := new(Problem); !errors.As(err, &first) || first != problems[0] || first.File != name {
				t.Errorf("the first problem is %v, want %v", first, problems[0])
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".txt"
			got := err.Error() + "\n"
			if *rewrite {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := readFile(t, golden); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// TestPlacesPointAtTheMistake reads the file at each place that is told: the
// misspelt name must stand there, or a dot before it.
func TestPlacesPointAtTheMistake(t *testing.T) {
	src := readFile(t, "testdata/bad/positions.yaml")
	_, err := Load("positions.yaml", []byte(src))
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatal(err)
	}
	lines := strings.Split(src, "\n")
	checked := 0
	for _, p := range problems {
		_, name, found := strings.Cut(p.Message, "unknown field `")
		if !found {
			continue
		}
		name, _, _ = strings.Cut(name, "`")
		line := []rune(lines[p.Line-1])
		if rest := string(line[min(p.Column-1, len(line)):]); !strings.HasPrefix(rest, "."+name) {
			t.Errorf("%v: there stands %q", p, rest)
		}
		checked++
	}
	if checked != 7 {
		t.Errorf("checked %d places, want 7:\n%v", checked, err)
	}
}

func TestWarnings(t *testing.T) {
	p := mustLoad(t, hunt(`
  - {name: dead, on: go, when: false, set: {count: "1"}, notify: [{name: n, class: c, title: t}]}
`))
	got := p.Warnings().Error()
	for _, want := range []string{"rules.yaml:29:32: this is never true", "no rule is on event type `stop`", "no rule sets slot `kills`"} {
		if !strings.Contains(got, want) {
			t.Errorf("no warning %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "`c`") || strings.Contains(got, "`go`") || strings.Contains(got, "`count`") {
		t.Errorf("what is used is warned of:\n%s", got)
	}
}

func TestLoadFile(t *testing.T) {
	if _, err := LoadFile("testdata/harbour.yaml"); err != nil {
		t.Error(err)
	}
	if _, err := LoadFile("testdata/none.yaml"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	big := filepath.Join(t.TempDir(), "big.yaml")
	if err := os.WriteFile(big, make([]byte, 2*fileBytesMax), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadFile(big); err == nil || !strings.Contains(err.Error(), "more than 1048576 bytes") {
		t.Errorf("got %v", err)
	}
}

// TestHostileFiles holds that a file made to hurt is refused, and soon.
func TestHostileFiles(t *testing.T) {
	deep := func(open, inner, close string, n int) string {
		return strings.Repeat(open, n) + inner + strings.Repeat(close, n)
	}
	rule := func(expression string) string {
		return hunt(fmt.Sprintf("\n  - {name: r, on: go, when: '%s', set: {count: \"1\"}}", expression))
	}
	var laughs strings.Builder
	laughs.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&laughs, "a%d: &a%d [%s*a%d]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9), i-1)
	}
	var dear strings.Builder
	for i := range 200 {
		fmt.Fprintf(&dear, "\n  - {name: r%d, on: go, when: '%s', set: {count: \"1\"}}", i,
			strings.TrimSuffix(strings.Repeat(`event.data.s + "a" != "b" || `, 2), " || "))
	}
	for _, c := range []struct{ name, src, want string }{
		{"deep yaml", deep("[", "", "]", 100_000), "exceeded max depth"},
		{"deep mapping", "hunt: " + deep("{a: ", "b", "}", 5_000), "hunt must be a name"},
		{"laughs", laughs.String(), "aliases are not allowed"},
		{"parentheses", rule(deep("(", "true", ")", 2_000)), "recursion limit"},
		{"calls", rule(deep("string(", "true", ")", 200) + ` == ""`), "recursion limit"},
		{"conditionals", rule(strings.Repeat("true ? true : ", 200) + "true"), "recursion limit"},
		{"long expression", rule(strings.Repeat("true && ", 600) + "true"), "size: 4804"},
		{"dear rules", hunt(dear.String()), "an event of type `go` may cost"},
		{"many problems", "hunt: h\n" + strings.Repeat("x y: 1\n", 40_000), "`x y` stands twice"},
		{"binary", "\x00\xff\xfe\x01", "not YAML"},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := time.Now()
			_, err := Load("rules.yaml", []byte(c.src))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %.300v, want %q", err, c.want)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("refusing took %v", took)
			}
		})
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(readFile(f, "testdata/harbour.yaml")))
	files, _ := filepath.Glob("testdata/bad/*.yaml")
	for _, file := range files {
		f.Add([]byte(readFile(f, file)))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		var p *Program
		var err error
		took := time.Hour
		for tries := 0; took > time.Second && tries < 3; tries++ { // a machine that stands still does so once
			start := time.Now()
			p, err = Load("rules.yaml", src)
			took = min(took, time.Since(start))
		}
		if took > time.Second {
			t.Fatalf("loading %d bytes took %v", len(src), took)
		}
		var problems Problems
		if (p == nil) == (err == nil) || err != nil && !errors.As(err, &problems) {
			t.Fatalf("program %v, error %v", p, err)
		}
		for _, problem := range problems {
			if problem.Line < 1 || problem.Column < 1 || problem.Message == "" {
				t.Fatalf("a problem without a place: %+v", problem)
			}
		}
		if p == nil {
			return
		}
		// What was accepted runs, whatever the event holds.
		for i := range p.Schema().Types {
			o := event(t, p, p.Schema().Types[i].Name)
			for j, field := range p.Schema().Types[i].Fields {
				if !field.Optional {
					o.Fields[j].Kind = field.Kind
				}
			}
			_, _ = p.Step(p.Schema().Initial(), o, nil)
		}
	})
}

// TestUnreachable holds conditions that no event can meet, and some like them
// that one can.
func TestUnreachable(t *testing.T) {
	const file = `
hunt: h
version: 1
events:
  e: {data: {kind: {type: string, enum: [small, large]}, n: {type: int, min: 0, max: 10}, x: {type: number, min: 0.5}, free: {type: int}}}
  f: {data: {n: {type: int, min: 5, max: 20}}}
state: {score: {type: int}, found: {type: set, max: 3}}
rules:
  - name: r
    on: [%s]
    when: %s
    set: {score: "1", found: add("a")}
  - {name: other, on: [e, f], set: {score: "2"}}
`
	for _, test := range []struct{ on, when, want string }{
		{"e", `event.data.kind == "lage"`, "`kind` cannot be \"lage\", did you mean `large`?"},
		{"e", `event.data.kind == "large"`, ""},
		{"e", `event.data.kind != "lage"`, ""},
		{"e", `event.data.n > 10`, "`event.data.n` is between 0 and 10 here"},
		{"e", `10 < event.data.n`, "`event.data.n` is between 0 and 10 here"},
		{"e", `event.data.n >= 10`, ""},
		{"e", `event.data.n == 11`, "`event.data.n` is between 0 and 10 here"},
		{"e", `event.data.n > 4 && event.data.free == 1 && event.data.n < 5`, "`event.data.n` is between 5 and 10 here"},
		{"e", `event.data.n > 4 && event.data.n < 6`, ""},
		{"e", `event.data.x < 0.5`, "`event.data.x` is at least 0.5 here"},
		{"e", `event.data.x <= 0.5`, ""},
		{"e", `event.data.free < -9000000000`, ""},
		{"e", `size(state.found) > 3`, "`size(state.found)` is between 0 and 3 here"},
		{"e", `size(state.found) == 3 || event.data.n > 10`, ""},
		{"e", `state.score > 5 && (event.data.n == 1 && state.score <= 5)`, "`state.score` is at least 6 here"},
		{"e, f", `event.data.n > 10`, ""},
		{"e, f", `event.data.n > 20`, "`event.data.n` is between 0 and 20 here"},
		{"e", `false`, "it is false"},
	} {
		p, err := Load("rules.yaml", fmt.Appendf(nil, file, test.on, "'"+test.when+"'"))
		if err != nil {
			t.Fatalf("%s: %v", test.when, err)
		}
		got := ""
		for _, w := range p.Warnings() {
			if _, why, found := strings.Cut(w.Message, "this is never true: "); found {
				got = why
			}
		}
		if got != test.want {
			t.Errorf("of %s it says %q, want %q", test.when, got, test.want)
		}
	}
}

// TestHostileRules builds files that would take a processor's time: each is
// refused at load, by what it may cost, and never by running it.
func TestHostileRules(t *testing.T) {
	const head = "hunt: h\nversion: 1\nevents: {e: {data: {s: {type: string, max: 65536}, k: {type: string, max: 64}}}}\n" +
		"state: {score: {type: int}, text: {type: string, max: 4096}, m: {type: map, max: 1000}}\nrules:\n"
	rule := func(i int, when string) string {
		return fmt.Sprintf("  - {name: r%d, on: e, when: '%s', set: {score: \"1\"}}\n", i, when)
	}
	many := head
	for i := range rulesMax {
		many += rule(i, strings.TrimSuffix(strings.Repeat("get(state.m, event.data.k, 0) > 1 && ", 20), " && "))
	}
	for name, test := range map[string]struct{ src, want string }{
		"many rules, each of them cheap": {many, "an event of type `e` may cost "},
		"one rule more":                  {head + strings.Repeat(rule(0, "true"), rulesMax+1), "at most 1000 are allowed"},
		"a text searched in a text":      {head + rule(0, "event.data.s.contains(event.data.s)"), "at most 2000 are allowed"},
		"a text that doubles":            {head + rule(0, `size(event.data.s + event.data.s) > 1`), "at most 2000 are allowed"},
		"an expression without an end":   {head + rule(0, strings.Repeat("1 + ", 2000)+"1 > 0"), "expression"},
		"parentheses":                    {head + rule(0, strings.Repeat("(", 1500)+"true"+strings.Repeat(")", 1500)), "expression"},
		"conditions within conditions":   {head + rule(0, strings.Repeat("true ? (", 300)+"true"+strings.Repeat(") : false", 300)), "expression"},
	} {
		if _, err := Load("rules.yaml", []byte(test.src)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %.300v", name, err)
		}
	}
}
