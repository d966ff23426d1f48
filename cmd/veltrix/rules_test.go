package main

import (
	"bytes"
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
	run := func(args ...string) (string, int) { return veltrix(t, append([]string{"rules", "check"}, args...)...) }
	if said, code := run(good); code != 0 || !strings.Contains(said, good+": in order: hunt ") {
		t.Errorf("code %d, %s", code, said)
	}
	said, code := run(good, bad, bad+".gone")
	if code != service.ExitConfig {
		t.Errorf("mistakes end with %d, want %d", code, service.ExitConfig)
	}
	for _, want := range []string{good + ": in order", bad + ":", "did you mean `version`?", "`nonsense`", bad + ".gone: open"} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
	said, code = run("--json", good, bad)
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

// veltrix runs the command, and returns what it printed and its exit code.
func veltrix(t *testing.T, args ...string) (string, int) {
	t.Helper()
	var out bytes.Buffer
	cmd := command()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetOut(&out)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), service.ExitCode(err)
}
