package enginetest_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/veltrix/veltrix/internal/engine/enginetest"
)

var rewrite = flag.Bool("rewrite", false, "write what happens into the scenario files")

// recorded separates a scenario from what happened in it.
const recorded = "\n--- what happens\n"

// TestScenarios plays the files of testdata and compares what happens with
// what they say.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d scenarios, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		if name == "README" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			steps, want, _ := strings.Cut(string(b), recorded)
			got, err := enginetest.Play(steps)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(got, "VIOLATION") {
				t.Errorf("an invariant is broken:\n%s", got)
			}
			if *rewrite {
				if err := os.WriteFile(file, []byte(steps+recorded+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("other things happen than recorded: %s", difference(got, want))
			}
		})
	}
}

// difference returns the first line that differs.
func difference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return "got " + g[i] + "; want " + w[i]
		}
	}
	return "one is longer than the other"
}
