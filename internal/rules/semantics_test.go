package rules

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/veltrix/veltrix/internal/participant"
)

// hunt wraps rules that act on one kind of event, go, with a field of each type.
func hunt(rules string) string {
	return `
hunt: test
version: 1
events:
  go:
    data:
      n: {type: int}
      x: {type: number, optional: true}
      b: {type: bool, optional: true}
      s: {type: string, max: 4096}
      t: {type: time, optional: true}
      o: {type: string, optional: true}
  stop: {data: {s: {type: string, max: 64}, n: {type: int, optional: true}}}
state:
  count: {type: int, initial: 1}
  other: {type: int}
  flag: {type: bool}
  word: {type: string, max: 8, initial: none}
  brief: {type: string, max: 3, overflow: drop}
  at: {type: time}
  begun: {type: time, initial: "2026-01-01T00:00:00Z"}
  found: {type: set, max: 3}
  few: {type: set, max: 1, overflow: drop}
  kills: {type: map, max: 2}
classes:
  c: {channels: [inbox]}
rules:
` + rules
}

func TestEverySlotTypeChanges(t *testing.T) {
	a := newPlayer(mustLoad(t, hunt(`
  - name: all
    on: go
    set:
      count: state.count * 2 + event.data.n
      flag: "!state.flag"
      word: event.data.s
      brief: event.data.s
      at: event.time + duration("90s")
      begun: unset()
      found: add(event.data.s)
      few: add(event.data.s)
      kills: increment(event.data.s, event.data.n)
`)))
	a.want(t, "count", "1")
	a.want(t, "word", `"none"`)
	a.want(t, "at", "unset")
	a.want(t, "begun", "2026-01-01T00:00:00Z")
	a.must(t, "go", "n", 5, "s", "ab")
	a.must(t, "go", "n", -1, "s", "fern")
	for slot, want := range map[string]string{
		"count": "13", "other": "0", "flag": "false", "word": `"fern"`, "brief": `"ab"`,
		"at": "2026-07-01T12:01:30Z", "begun": "unset", "found": "[ab fern]", "few": "[ab]", "kills": "[ab=5 fern=-1]",
	} {
		a.want(t, slot, want)
	}
}

func TestSetReadsTheStateBeforeItsRule(t *testing.T) {
	a := newPlayer(mustLoad(t, hunt(`
  - {name: swap, on: go, set: {count: state.other, other: state.count}}
  - {name: later, on: go, when: state.other == 1, set: {word: '"swapped"'}}
`)))
	a.must(t, "go", "s", "")
	a.want(t, "count", "0")
	a.want(t, "other", "1")
	a.want(t, "word", `"swapped"`) // the later rule saw the earlier one's effect
}

func TestNotifyReadsTheStateAfterItsRule(t *testing.T) {
	a := newPlayer(mustLoad(t, hunt(`
  - name: up
    on: go
    set: {count: state.count + 1}
    notify:
      - {name: now, class: c, when: state.count == 2, title: "at ${state.count}"}
      - {name: not, class: c, when: state.count == 1, title: never}
  - {name: more, on: go, set: {count: state.count + 10}}
`)))
	got := a.must(t, "go", "s", "")
	if len(got) != 1 || got[0].Title != "at 2" || got[0].Body != "" {
		t.Errorf("notices %+v", got)
	}
	a.want(t, "count", "12")
}

func TestCollections(t *testing.T) {
	a := newPlayer(mustLoad(t, hunt(`
  - {name: add, on: go, when: event.data.n == 1, set: {found: add(event.data.s), kills: 'put(event.data.s, 7)'}}
  - {name: drop, on: go, when: event.data.n == 2, set: {found: remove(event.data.s), kills: remove(event.data.s)}}
  - {name: wipe, on: go, when: event.data.n == 3, set: {found: clear(), kills: clear()}}
  - {name: toggle, on: go, when: event.data.n == 4, set: {found: "event.data.s in state.found ? remove(event.data.s) : add(event.data.s)"}}
  - {name: read, on: go, when: event.data.n == 5, set: {count: 'state.kills[event.data.s]', other: 'get(state.kills, event.data.s, -1) + size(state.kills)'}}
`)))
	a.must(t, "go", "n", 1, "s", "b")
	a.must(t, "go", "n", 1, "s", "a")
	a.must(t, "go", "n", 1, "s", "b")
	a.want(t, "found", "[a b]")
	a.want(t, "kills", "[a=7 b=7]")
	a.must(t, "go", "n", 5, "s", "b")
	a.want(t, "count", "7")
	a.want(t, "other", "9")
	a.rejected(t, participant.RuleError, "no such key", "go", "n", 5, "s", "z")
	a.rejected(t, participant.Overflow, "kills would hold more than 2 members", "go", "n", 1, "s", "c")
	a.want(t, "found", "[a b]") // the rule's other change went with it
	a.must(t, "go", "n", 2, "s", "a")
	a.must(t, "go", "n", 2, "s", "a")
	a.must(t, "go", "n", 4, "s", "a")
	a.must(t, "go", "n", 4, "s", "b")
	a.want(t, "found", "[a]")
	a.want(t, "kills", "[b=7]")
	a.must(t, "go", "n", 3, "s", "")
	a.want(t, "found", "[]")
	a.want(t, "kills", "[]")
}

func TestOverflowPolicies(t *testing.T) {
	a := newPlayer(mustLoad(t, hunt(`
  - {name: s, on: go, when: event.data.n == 1, set: {found: add(event.data.s)}}
  - {name: f, on: go, when: event.data.n == 2, set: {few: add(event.data.s)}}
  - {name: w, on: go, when: event.data.n == 3, set: {word: event.data.s}}
  - {name: b, on: go, when: event.data.n == 4, set: {brief: event.data.s}}
  - {name: k, on: go, when: event.data.n == 5, set: {kills: 'increment("k", 9223372036854775807)'}}
`)))
	for _, s := range []string{"a", "b", "c", "a"} {
		a.must(t, "go", "n", 1, "s", s)
	}
	a.rejected(t, participant.Overflow, `rule "s", line`, "go", "n", 1, "s", "d")
	a.rejected(t, participant.Overflow, "more than 3 members", "go", "n", 1, "s", "d")
	a.must(t, "go", "n", 2, "s", "a")
	a.must(t, "go", "n", 2, "s", "b")
	a.want(t, "few", "[a]")
	a.must(t, "go", "n", 3, "s", "12345678")
	a.rejected(t, participant.Overflow, "more than 8 bytes", "go", "n", 3, "s", "123456789")
	a.must(t, "go", "n", 4, "s", "abc")
	a.must(t, "go", "n", 4, "s", "abcd")
	a.want(t, "brief", `"abc"`)
	a.must(t, "go", "n", 5, "s", "")
	a.rejected(t, participant.RuleError, "64 bits", "go", "n", 5, "s", "")
	a.must(t, "go", "n", 2, "s", strings.Repeat("x", memberBytesMax+1))
	b := newPlayer(a.p)
	b.rejected(t, participant.Overflow, "more than 1024 bytes", "go", "n", 1, "s", strings.Repeat("x", memberBytesMax+1))
}

func TestRuleErrors(t *testing.T) {
	for expression, sentence := range map[string]string{
		"event.data.n + 9223372036854775807":                              "64 bits",
		"-9223372036854775807 - event.data.n - 1":                         "64 bits",
		"event.data.n * 9223372036854775807":                              "64 bits",
		"1 / (event.data.n - 2)":                                          "division by zero",
		"1 % (event.data.n - 2)":                                          "division by zero",
		"int(event.data.x)":                                               "event.data.x is absent; ask with has(event.data.x)",
		"int(1e300 * double(event.data.n))":                               "does not fit into an int",
		"(state.at - event.time).getHours()":                              "state.at is not set; ask with has(state.at)",
		`size(event.data.o)`:                                              "absent",
		`(event.time - timestamp("0001-01-01T00:00:00Z")).getHours()`:     "292 years",
		`(timestamp("9999-12-31T23:59:59Z") + duration("1s")).getHours()`: "years 1 and 9999",
	} {
		p := mustLoad(t, hunt(fmt.Sprintf("\n  - {name: r, on: go, set: {other: '%s'}}", expression)))
		newPlayer(p).rejected(t, participant.RuleError, sentence, "go", "n", 2, "s", "")
	}
}

func TestChangesFailAsAWhole(t *testing.T) {
	for _, change := range []string{
		"found: add(event.data.o)", "found: remove(event.data.o)", "kills: 'put(event.data.o, 1)'",
		"kills: 'put(\"a\", 1 / event.data.n)'", "word: event.data.o", "at: event.data.t", "flag: event.data.b",
	} {
		a := newPlayer(mustLoad(t, hunt(fmt.Sprintf("\n  - {name: r, on: go, set: {count: '7', %s}}", change))))
		a.rejected(t, participant.RuleError, "", "go", "n", 0, "s", "")
		a.want(t, "count", "1")
	}
}

func TestValues(t *testing.T) {
	for expression, want := range map[string]string{
		`7 / 2`: "3", `-7 / 2`: "-3", `-7 % 2`: "-1", `7 - -2`: "9",
		`min(3, event.data.n) + max(3, event.data.n)`:                                                      "5",
		`size("grün") + size(participant)`:                                                                 "7",
		`event.type == "go" ? 1 : 2`:                                                                       "1",
		`has(event.data.o) || !has(event.data.x) ? 1 : 2`:                                                  "1",
		`event.data.n in [1, 2, 3] && "ada" in [participant] ? 1 : 2`:                                      "1",
		`event.time.getFullYear() * 100 + event.time.getMonth()`:                                           "202606",
		`(event.time - state.begun).getHours()`:                                                            fmt.Sprint((31+28+31+30+31+30)*24 + 12),
		`int(2.9) + int(-2.9)`:                                                                             "0",
		`event.data.n <= 2.5 && 2.5 > event.data.n && 1.5 < 2.0 ? 1 : 2`:                                   "1",
		`event.data.s.startsWith("a") && event.data.s.endsWith("c") && event.data.s.contains("b") ? 1 : 2`: "1",
		`false && 1 / 0 == 1 || 1 / 0 == 1 || true ? 1 : 2`:                                                "1", // a decisive side decides
		`size(string(12) + string(true) + string(event.time))`:                                             "26",
		`event.data.s.size()`:                                                                              "3",
		`has(state.at) ? 1 : 2`:                                                                            "2",
		`int(double(event.data.n) / 4.0 * 10.0)`:                                                           "5",
	} {
		a := newPlayer(mustLoad(t, hunt(fmt.Sprintf("\n  - {name: r, on: go, set: {other: '%s'}}", expression))))
		a.must(t, "go", "n", 2, "s", "abc")
		if got := show(a.state[1]); got != want {
			t.Errorf("%s is %s, want %s", expression, got, want)
		}
	}
}

func TestTemplates(t *testing.T) {
	p := mustLoad(t, hunt(`
  - name: r
    on: go
    notify:
      - name: all
        class: c
        title: 'n ${event.data.n}, x ${ event.data.x }, $${b} ${event.data.b}$'
        body: |
          ${event.data.s + "}"} at ${event.time}, ${event.time - state.begun},
          big ${double(event.data.n) * 1e6} ${event.data.t}
`))
	got := newPlayer(p).must(t, "go", "n", -3, "x", 0.1, "b", true, "s", "é", "t", noon+1)
	want := participant.Notice{
		Key: got[0].Key, Title: "n -3, x 0.1, ${b} true$",
		Body: "é} at 2026-07-01T12:00:00Z, 4356h0m0s,\nbig -3000000 2026-07-01T12:00:00.000001Z\n",
	}
	if got[0] != want {
		t.Errorf("got  %+v\nwant %+v", got[0], want)
	}
}

func TestLongTextsAreCutAtACharacter(t *testing.T) {
	p := mustLoad(t, hunt(`
  - {name: r, on: go, notify: [{name: n, class: c, title: "x${event.data.s}"}]}
`))
	got := newPlayer(p).must(t, "go", "n", 0, "s", strings.Repeat("é", 200))[0].Title
	if want := "x" + strings.Repeat("é", 126) + "…"; got != want {
		t.Errorf("title of %d bytes: %s", len(got), got)
	}
}

func TestRuleOnSeveralTypesReadsTheRightFields(t *testing.T) {
	a := newPlayer(mustLoad(t, hunt(`
  - {name: r, on: [go, stop], when: has(event.data.n), set: {word: event.data.s, other: event.data.n}}
  - {name: k, on: [stop, go], set: {kills: 'increment(event.type, 1)'}}
`)))
	a.must(t, "stop", "s", "first")
	a.want(t, "word", `"none"`)
	a.must(t, "stop", "s", "stop", "n", 4)
	a.want(t, "word", `"stop"`)
	a.want(t, "other", "4")
	a.must(t, "go", "s", "go", "n", 5)
	a.want(t, "word", `"go"`)
	a.want(t, "other", "5")
	a.want(t, "kills", "[go=1 stop=2]")
}

func TestStepLeavesCollectionsOfOthersAlone(t *testing.T) {
	a := newPlayer(mustLoad(t, hunt(`
  - {name: r, on: go, set: {found: add(event.data.s), kills: 'increment(event.data.s, 1)'}}
`)))
	a.must(t, "go", "s", "b")
	base := slices.Clone(a.state)
	a.must(t, "go", "s", "a")
	a.state = base
	a.want(t, "found", "[b]")
	a.want(t, "kills", "[b=1]")
}

func TestSameEventsGiveTheSame(t *testing.T) {
	src := readFile(t, "testdata/harbour.yaml")
	fold := func(p *Program) string {
		a := newPlayer(p)
		var out strings.Builder
		for i := range 200 {
			notices := a.must(t, "clue.found", "clue", fmt.Sprint("c", i*7919%31), "distance_m", float64(i%30), "points", i%1000)
			fmt.Fprintln(&out, notices)
		}
		for _, v := range a.state {
			fmt.Fprintln(&out, show(v))
		}
		return out.String()
	}
	p := mustLoad(t, src)
	want := fold(p)
	if !strings.Contains(want, "to go.") {
		t.Fatalf("no notification in %s", want)
	}
	done := make(chan string)
	for i := range 4 {
		go func() {
			if i == 0 {
				done <- fold(mustLoad(t, src)) // another program of the same file
				return
			}
			done <- fold(p) // and one program, at the same time
		}()
	}
	for range 4 {
		if got := <-done; got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}

func TestSchemaDefaultsAndBounds(t *testing.T) {
	p := mustLoad(t, `
hunt: h
version: 3
unknown: reject
order: {grace: 5m, max_ahead: 10s, max_tail: 64, ring: 0}
limits: {event_bytes: 1024}
events:
  e:
    data:
      i: {type: int, min: -9223372036854775808, max: 9007199254740993}
      d: {type: number, min: 0.5, optional: true}
      s: {type: string}
      k: {type: string, max: 5, enum: [red, blue]}
rules: []
classes: {a: {channels: [inbox, webhook], expires: 0s, on_unknown: drop, hold: 3s}}
`)
	s := p.Schema()
	wantOrder := participant.Order{Grace: 300_000_000, MaxAhead: 10_000_000, MaxTail: 64, Ring: 0}
	if s.Hunt != "h" || s.Version != 3 || !s.RejectUnknown || s.Order != wantOrder || s.EventBytesMax != 1024 || len(s.Digest) != 64 {
		t.Errorf("schema %+v", s)
	}
	f := s.Types[0].Fields
	if f[0].IntMin != math.MinInt64 || f[0].IntMax != 9007199254740993 || !f[0].HasMin || !f[0].HasMax {
		t.Errorf("int field %+v", f[0])
	}
	if !f[1].Optional || f[1].Min != 0.5 || !f[1].HasMin || f[1].HasMax || f[1].Kind != participant.KindDouble {
		t.Errorf("number field %+v", f[1])
	}
	if f[2].BytesMax != 1024 || f[3].BytesMax != 5 || !slices.Equal(f[3].Enum, []string{"red", "blue"}) {
		t.Errorf("string fields %+v", f[2:])
	}
	d := mustLoad(t, "hunt: h\nversion: 1\nevents: {}\nrules: []\n").Schema()
	if d.Order.Grace != participant.DefaultGrace || d.Order.Ring != participant.DefaultRing || d.EventBytesMax != participant.DefaultEventBytesMax || d.RejectUnknown {
		t.Errorf("defaults %+v", d)
	}
}

func TestDigestIsOfTheMeaning(t *testing.T) {
	src := readFile(t, "testdata/harbour.yaml")
	digest := func(src string) string { return mustLoad(t, src).Schema().Digest }
	same := "# a comment\n" + strings.Replace(src, "hunt: harbour-2026", "hunt:   'harbour-2026'", 1)
	if digest(same) != digest(src) {
		t.Error("a comment, a space or quotes changed the digest")
	}
	for old, changed := range map[string]string{"25.0": "26.0", "version: 7": "version: 8", "to go.": "to go"} {
		if digest(strings.Replace(src, old, changed, 1)) == digest(src) {
			t.Errorf("%s for %s left the digest as it was", changed, old)
		}
	}
	if a, b := digest("hunt: '1'\nversion: 1\nevents: {}\nrules: []"), digest("hunt: 1\nversion: 1\nevents: {}\nrules: []"); a == b {
		t.Error("a number and a text have one digest")
	}
}

func TestTemplateKeysOutliveAVersion(t *testing.T) {
	const one = "\n  - {name: r, on: go, notify: [{name: n, class: c, title: t}]}"
	const first = "\n  - {name: a, on: stop, notify: [{name: b, class: c, title: t}]}"
	before := newPlayer(mustLoad(t, hunt(one))).must(t, "go", "s", "")
	after := newPlayer(mustLoad(t, hunt(first+one))).must(t, "go", "s", "")
	if before[0].Key != after[0].Key {
		t.Errorf("the key was %d and is %d", before[0].Key, after[0].Key)
	}
	if p := mustLoad(t, hunt(one)); p.Template(before[0].Key+1) != nil {
		t.Error("an unknown key has a template")
	}
}

func TestAStepWithoutEffectAllocatesNothing(t *testing.T) {
	p := mustLoad(t, readFile(t, "testdata/harbour.yaml"))
	o := event(t, p, "clue.found", "clue", "c", "distance_m", 1.0, "points", 1)
	state := p.Schema().Initial()
	notices := make([]participant.Notice, 0, 4)
	if _, err := p.Step(state, o, notices); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = p.Step(state, o, notices) }); n != 0 {
		t.Errorf("a step without effect allocates %v times", n)
	}
}

func TestCriticalClass(t *testing.T) {
	const rules = "\n  - {name: r, on: go, notify: [{name: n, class: c, title: t}]}"
	src := hunt(rules)
	for critical, src := range map[bool]string{false: src, true: strings.Replace(src, "  c: {", "  c: {critical: true, ", 1)} {
		p := mustLoad(t, src)
		got := newPlayer(p).must(t, "go", "s", "")
		if class := p.Template(got[0].Key).Class; class.Critical != critical {
			t.Errorf("class %+v, want critical %t", class, critical)
		}
	}
}
