package bench

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGuards(t *testing.T) {
	r := report()
	key, is, err := r.Guarded()
	if err != nil || is.Ratio <= 1 || is.Ratio != is.Processor/is.Loop {
		t.Fatalf("%s %+v, %v", key, is, err)
	}
	path := filepath.Join(t.TempDir(), "guard.json")
	guards, err := ReadGuards(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := guards.Check(key, is, 0.15, "record it"); err == nil || !strings.Contains(err.Error(), "record it") {
		t.Errorf("what is not recorded: %v", err)
	}
	guards[key] = is
	if err := guards.Write(path); err != nil {
		t.Fatal(err)
	}
	if guards, err = ReadGuards(path); err != nil {
		t.Fatal(err)
	}
	for times, dearer := range map[float64]bool{0.5: false, 1: false, 1.14: false, 1.16: true} {
		now := is
		now.Ratio *= times
		var regression *RegressionError
		if err := guards.Check(key, now, 0.15, "record it"); errors.As(err, &regression) != dearer {
			t.Errorf("%.2f times as dear: %v", times, err)
		}
	}
	for text, want := range map[string]string{`{"core/1": {"ratio": 0}}`: "no ratio", `{"core/1": {"rate": 1}}`: "rate", `[`: path} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadGuards(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("of %s: %v, want %s", text, err, want)
		}
	}
}

// Without CPU time there is no ratio, and not one of nothing.
func TestGuardNeedsFigures(t *testing.T) {
	r := report()
	for i := range r.Variants[0].Rounds {
		r.Variants[0].Rounds[i].Own = 0
	}
	if key, is, err := r.Guarded(); err == nil {
		t.Errorf("%s is %+v", key, is)
	}
}
