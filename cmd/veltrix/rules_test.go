package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/veltrix/veltrix/internal/service"
)

// TestRulesCheck checks a file that is in order, one with two mistakes, and one
// that is not there, and reads what is said of them as a person and as a machine.
func TestRulesCheck(t *testing.T) {
	const good = "../../examples/harbour/rules.yaml"
	source, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	broken := strings.Replace(string(source), "\nversion:", "\nverzion:", 1) + "\nnonsense: 1\n"
	if err := os.WriteFile(bad, []byte(broken), 0o600); err != nil {
		t.Fatal(err)
	}
	check := func(args ...string) (string, int) { return veltrix(t, append([]string{"rules", "check"}, args...)...) }
	if said, code := check(good); code != 0 || !strings.Contains(said, good+": in order: hunt ") {
		t.Errorf("code %d, %s", code, said)
	}
	said, code := check(good, bad, bad+".gone")
	if code != service.ExitConfig {
		t.Errorf("mistakes end with %d, want %d", code, service.ExitConfig)
	}
	for _, want := range []string{good + ": in order", bad + ":", "did you mean `version`?", "`nonsense`", bad + ".gone: open"} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
	said, code = check("--json", good, bad)
	lines := strings.Split(strings.TrimSpace(said), "\n")
	if code != service.ExitConfig || len(lines) != 2 {
		t.Fatalf("code %d, %d lines: %s", code, len(lines), said)
	}
	var first, second checked
	for i, into := range []*checked{&first, &second} {
		if err := json.Unmarshal([]byte(lines[i]), into); err != nil {
			t.Fatal(err)
		}
	}
	if !first.OK || first.Version == 0 || len(first.Digest) != 64 || len(first.Types) == 0 || len(first.Problems) != 0 {
		t.Errorf("of the good one: %+v", first)
	}
	if second.OK || len(second.Problems) < 2 || second.Problems[0].Line == 0 || second.Problems[0].Column == 0 {
		t.Errorf("of the bad one: %+v", second)
	}
}

// TestRulesCheckWarns checks rules whose condition no event can meet.
func TestRulesCheckWarns(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rules.yaml")
	const source = "hunt: h\nversion: 1\nevents: {e: {data: {n: {type: int, max: 5}}}}\nstate: {score: {type: int}}\n" +
		"rules:\n  - {name: r, on: e, when: event.data.n > 5, set: {score: \"1\"}}\n"
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	said, code := veltrix(t, "rules", "check", file)
	if want := file + ":6:41: warning: this is never true: "; code != service.ExitWarnings || !strings.Contains(said, want) {
		t.Errorf("code %d, it does not say %q:\n%s", code, want, said)
	}
	if said, code = veltrix(t, "rules", "check", "--json", file); code != service.ExitWarnings || !strings.Contains(said, `"warnings":[{"line":6,`) {
		t.Errorf("code %d: %s", code, said)
	}
}

// TestRulesTest plays tests that pass, one that fails, and a file that is none.
func TestRulesTest(t *testing.T) {
	const good = "../../examples/harbour/rules.test.yaml"
	source, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := filepath.Abs("../../examples/harbour/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "bad.test.yaml")
	broken := strings.NewReplacer("rules: rules.yaml", "rules: "+rules, "walked: 4100", "walked: 4101").Replace(string(source))
	if err := os.WriteFile(bad, []byte(broken), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, code := veltrix(t, "rules", "test", good); code != 0 || !strings.HasSuffix(said, "7 tests passed\n") {
		t.Errorf("code %d: %s", code, said)
	}
	said, code := veltrix(t, "rules", "test", "--run", "praise|twice", bad)
	for _, want := range []string{"ok   sent twice, it counts once (2 orders)\n", bad + ":", "FAIL praise", "want 4101", "got  4100", "player.walked: applied"} {
		if code != 1 || !strings.Contains(said, want) {
			t.Errorf("code %d, it does not say %q:\n%s", code, want, said)
		}
	}
	said, code = veltrix(t, "rules", "test", "--run", "praise", "--json", bad)
	var result tested
	if err := json.Unmarshal([]byte(said), &result); err != nil || code != 1 {
		t.Fatalf("code %d, %v: %s", code, err, said)
	}
	if result.File != bad || result.Passed || len(result.Differences) != 1 || result.Differences[0].What != "state.walked" || len(result.Steps) != 4 {
		t.Errorf("as JSON it is %+v", result)
	}
	for args, want := range map[string]int{"--run nothing " + good: exitUsage, "--run ( " + good: exitUsage, bad + ".gone": service.ExitConfig} {
		if said, code := veltrix(t, append([]string{"rules", "test"}, strings.Fields(args)...)...); code != want {
			t.Errorf("%s ends with %d, want %d: %s", args, code, want, said)
		}
	}
}

// TestRulesSchema writes each document, and all of them as files.
func TestRulesSchema(t *testing.T) {
	const file = "../../examples/harbour/rules.yaml"
	for args, want := range map[string]string{
		"--type clue.found":                 `"const": "clue.found"`,
		"":                                  `"$ref": "#/$defs/clue.found"`,
		"--format asyncapi --prefix autumn": `"address": "autumn.notifications"`,
		"--format openapi --server https://e.org": `"url": "https://e.org"`,
	} {
		said, code := veltrix(t, append(append([]string{"rules", "schema"}, strings.Fields(args)...), file)...)
		if code != 0 || !json.Valid([]byte(said)) || !strings.Contains(said, want) {
			t.Errorf("%s: code %d, it does not say %s:\n%.300s", args, code, want, said)
		}
	}
	dir := filepath.Join(t.TempDir(), "new")
	said, code := veltrix(t, "rules", "schema", "--out", dir, file)
	if code != 0 || strings.Count(said, "\n") != 7 {
		t.Errorf("code %d: %s", code, said)
	}
	for _, name := range []string{"asyncapi.json", "openapi.json", "clue.found.schema.json"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !json.Valid(b) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for args, want := range map[string]int{"--type clue.fond " + file: exitUsage, "--format xml " + file: exitUsage, file + ".gone": service.ExitConfig} {
		if said, code := veltrix(t, append([]string{"rules", "schema"}, strings.Fields(args)...)...); code != want {
			t.Errorf("%s ends with %d, want %d: %s", args, code, want, said)
		}
	}
}

// TestRulesExplain reads the explanation of one type of event as a person and
// as a machine.
func TestRulesExplain(t *testing.T) {
	const file = "../../examples/harbour/rules.yaml"
	said, code := veltrix(t, "rules", "explain", "--type", "clue.found", file)
	for _, want := range []string{
		"clue.found\n", "    photo: string, at most 128 bytes, optional\n",
		"  1. clue-found when event.data.distance_m <= 25.0 && !(event.data.clue in state.found)\n       sets found: add(event.data.clue)\n",
		"       tells next (clue, by inbox) when size(state.found) < 12\n         Clue ${event.data.clue} found\n", "  2. photo when ", " of 50000 units\n",
	} {
		if code != 0 || !strings.Contains(said, want) {
			t.Errorf("code %d, it does not say %q:\n%s", code, want, said)
		}
	}
	said, code = veltrix(t, "rules", "explain", "--json", file)
	lines := strings.Split(strings.TrimSpace(said), "\n")
	var e explained
	if err := json.Unmarshal([]byte(lines[1]), &e); err != nil || code != 0 || len(lines) != 5 {
		t.Fatalf("code %d, %v, %d lines", code, err, len(lines))
	}
	if e.Type != "clue.found" || len(e.Fields) != 5 || len(e.Rules) != 2 || e.Cost == 0 || e.Cost != e.Rules[0].Cost+e.Rules[1].Cost {
		t.Errorf("as JSON it is %+v", e)
	}
	if _, code := veltrix(t, "rules", "explain", "--type", "nothing", file); code != exitUsage {
		t.Errorf("an unknown type ends with %d", code)
	}
}

// veltrix runs the command, and returns what it printed and its exit code.
func veltrix(t *testing.T, args ...string) (string, int) {
	t.Helper()
	said, err := run(t, args...)
	return said, service.ExitCode(err)
}
