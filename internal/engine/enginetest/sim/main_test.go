package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// build builds the command without the race detector, with the edits laid over
// production files, and returns its path.
func build(t *testing.T, edits ...[3]string) string {
	t.Helper()
	dir := t.TempDir()
	replace := map[string]string{}
	for i, e := range edits {
		path, err := filepath.Abs(e[0])
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), e[1]); n != 1 {
			t.Fatalf("%s holds %d times %q", e[0], n, e[1])
		}
		laid := filepath.Join(dir, string(rune('a'+i))+".go")
		if err := os.WriteFile(laid, []byte(strings.Replace(string(text), e[1], e[2], 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[path] = laid
	}
	overlay := filepath.Join(dir, "overlay.json")
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, b, 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "sim")
	if out, err := exec.Command("go", "build", "-overlay", overlay, "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return binary
}

// call runs the command and returns its exit code and all that it wrote.
func call(t *testing.T, binary string, args ...string) (int, string) {
	t.Helper()
	cmd := exec.Command(binary, args...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// Two processes that play the same seed write the same bytes: nothing of a run
// depends on the time, on the order of maps or on which process plays it.
func TestSeedReplaysByteIdentically(t *testing.T) {
	binary := build(t)
	traces := map[string]bool{}
	for _, seed := range []string{"1", "7", "8", "12", "29"} {
		code, first := call(t, binary, "-seed", seed, "-steps", "1500")
		if code != 0 || !strings.HasSuffix(first, "seed "+seed+", 1500 steps: 0 violations\n") {
			t.Fatalf("seed %s ended with %d: %s", seed, code, last(first))
		}
		if strings.Count(first, "--- step ") != 1500 || !strings.Contains(first, "FAULT") {
			t.Errorf("seed %s has no whole trace", seed)
		}
		for range 2 {
			if _, again := call(t, binary, "-seed", seed, "-steps", "1500"); again != first {
				t.Fatalf("seed %s: %s", seed, difference(first, again))
			}
		}
		traces[first] = true
	}
	if len(traces) != 5 {
		t.Errorf("five seeds gave %d runs", len(traces))
	}
}

// A machine that takes an abort for a commit is found; the command ends
// with 1 and says how to see the violation again, which then happens again.
func TestBrokenMachineIsReported(t *testing.T) {
	binary := build(t, [3]string{"../../batch.go", "\t\tm.uncertain()\n", "\t\tm.committed()\n"})
	code, out := call(t, binary, "-seeds", "500", "-steps", "1000")
	if code != 1 || !strings.HasPrefix(out, "VIOLATION: seed ") {
		t.Fatalf("a broken machine ended with %d: %s", code, last(out))
	}
	line := regexp.MustCompile(`(?m)^replay: make sim SEED=(\d+) STEPS=(\d+)$`).FindStringSubmatch(out)
	kept := regexp.MustCompile(`(?m)^(\d+) of the first (\d+) steps are enough.*: (I\d): `).FindStringSubmatch(out)
	if line == nil || kept == nil {
		t.Fatalf("no way to see it again: %s", last(out))
	}
	if len(kept[1]) > 2 {
		t.Errorf("%s steps are left: the shortest way is not short", kept[1])
	}
	if strings.Count(out, "--- step ") == 0 {
		t.Error("no trace")
	}
	code, again := call(t, binary, "-seed", line[1], "-steps", line[2])
	if code != 1 || again != out {
		t.Errorf("the replay ended with %d: %s", code, difference(out, again))
	}
}

// A small world is searched whole, and a broken machine does not get through.
func TestSmallWorldIsSearched(t *testing.T) {
	code, out := call(t, build(t), "-exhaust", "1/1")
	if code != 0 || strings.Count(out, "(all of them)") != 2 || strings.Count(out, ": 0 violations\n") != 2 {
		t.Errorf("it ended with %d: %s", code, out)
	}
	broken := build(t, [3]string{"../../batch.go", "case !c.Absent && c.Offset != p.position, c.Absent && p.known:", "case false:"})
	code, out = call(t, broken, "-exhaust", "1/1")
	if code != 1 || !strings.Contains(out, "VIOLATION") || !strings.Contains(out, "FAULT committed, but answered not committed") {
		t.Errorf("without the comparison of K it ended with %d: %s", code, last(out))
	}
}

func TestFlagsThatMakeNoSense(t *testing.T) {
	for _, args := range [][]string{{"-steps", "-1"}, {"-seed", "x"}, {"1"}, {"-exhaust", "3"}, {"-exhaust", "0/1"}} {
		var out, errOut bytes.Buffer
		if code := run(args, &out, &errOut); code != 2 || errOut.Len() == 0 {
			t.Errorf("%q ended with %d and %q", args, code, errOut.String())
		}
	}
}

func last(text string) string { return text[max(0, len(text)-2000):] }

// difference returns the first line that differs.
func difference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return "one has " + x[i] + ", the other " + y[i]
		}
	}
	return "one is longer than the other"
}
