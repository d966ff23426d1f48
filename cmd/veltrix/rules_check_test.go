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
	run := func(args ...string) (string, int) {
		var out bytes.Buffer
		cmd := command()
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetOut(&out)
		cmd.SetArgs(append([]string{"rules", "check"}, args...))
		err := cmd.ExecuteContext(t.Context())
		return out.String(), service.ExitCode(err)
	}
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
