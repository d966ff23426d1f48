package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var readmeBlock = regexp.MustCompile("(?ms)`([a-z.]+\\.yaml)`[^`]*:\n\n```yaml\n(.*?)^```\n")

// TestReadmeHunt writes the hunt of the README's own down, and does with it what
// the README does.
func TestReadmeHunt(t *testing.T) {
	dir := t.TempDir()
	blocks := readmeBlock.FindAllStringSubmatch(textOf(t, "../../README.md"), -1)
	if len(blocks) != 2 {
		t.Fatalf("the README has %d files, want the rules and their tests", len(blocks))
	}
	for _, b := range blocks {
		if err := os.WriteFile(filepath.Join(dir, b[1]), []byte(b[2]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	if out, code := veltrix(t, "rules", "check", "docks.yaml"); code != 0 {
		t.Errorf("check ends with %d: %s", code, out)
	}
	if out, code := veltrix(t, "rules", "test", "docks.test.yaml"); code != 0 || !strings.Contains(out, "passed") {
		t.Errorf("test ends with %d: %s", code, out)
	}
}
