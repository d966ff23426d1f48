package examples

import (
	"path/filepath"
	"testing"

	"github.com/veltrix/veltrix/internal/fixture"
	"github.com/veltrix/veltrix/internal/rules"
)

// TestFixtures plays the tests that stand beside the examples' rules.
func TestFixtures(t *testing.T) {
	files, err := filepath.Glob("*/rules.test.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d files of tests, want one beside each rules file: %v", len(files), err)
	}
	for _, file := range files {
		f, err := rules.LoadFixturesFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i := range f.Tests {
			t.Run(file+"/"+f.Tests[i].Name, func(t *testing.T) {
				t.Parallel()
				result, err := fixture.Play(f, &f.Tests[i])
				if err != nil {
					t.Fatal(err)
				}
				if !result.Passed {
					t.Errorf("\n%s", result)
				}
			})
		}
	}
}
