package bench

import (
	"debug/elf"
	"debug/gosym"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/pprof/profile"
)

// stack is a sample of so many ns, from the leaf on.
func stack(ns int64, functions ...string) *profile.Sample {
	s := &profile.Sample{Value: []int64{1, ns}}
	for _, f := range functions {
		s.Location = append(s.Location, &profile.Location{Line: []profile.Line{{Function: &profile.Function{Name: f}}}})
	}
	return s
}

// A sample belongs to the innermost function that a cost centre names: the rules' texts to
// the rules, though the order called them, and what the runtime does for somebody to them.
func TestExplain(t *testing.T) {
	p := &profile.Profile{SampleType: []*profile.ValueType{{}, {}}, Sample: []*profile.Sample{
		stack(40, "runtime.memmove", ours+"rules.(*rule).apply", ours+"participant.(*Fold).step", ours+"engine.(*Machine).foldRun"),
		stack(30, ours+"participant.(*Fold).settle", ours+"fold.(*Fold).Apply", ours+"engine.(*Machine).foldRun"),
		stack(20, "runtime.mallocgc", ours+"engine.(*Machine).prepare"),
		stack(5, "runtime.scanobject", "runtime.gcDrain", "runtime.gcBgMarkWorker"),
		stack(3, "runtime.gcAssistAlloc", "runtime.mallocgc", ours+"wire.CheckEvent"),
		stack(2, "runtime.findRunnable", "runtime.schedule"),
	}}
	got := map[string]float64{}
	sum := 0.0
	for _, c := range explain(p, 10) {
		got[c.Name] = c.Nanos
		sum += c.Share
	}
	for name, want := range map[string]float64{"rules": 4, "order": 3, "engine": 2, "collector": 0.8, elsewhereSpent: 0.2} {
		if got[name] != want {
			t.Errorf("%s takes %v ns an event, want %v", name, got[name], want)
		}
		delete(got, name)
	}
	if len(got) > 0 || math.Abs(sum-1) > 1e-9 {
		t.Errorf("besides %v, all shares are %v", got, sum)
	}
	var b strings.Builder
	if err := writeCosts(&b, explain(p, 10)); err != nil || !strings.Contains(b.String(), "runtime.memmove") || !strings.Contains(b.String(), "all") {
		t.Errorf("%v\n%s", err, b.String())
	}
	if _, err := Explain(filepath.Join(t.TempDir(), "none"), 1); err == nil {
		t.Error("no profile is explained")
	}
}

// Every cost centre names functions that there are: one that was renamed would count as rest.
func TestCostCentresNameFunctions(t *testing.T) {
	names := symbols(t)
	for _, p := range costCentres {
		for _, prefix := range p.prefixes {
			if !strings.Contains(names, "\n"+prefix) {
				t.Errorf("%s: no function begins with %s", p.name, prefix)
			}
		}
	}
}

// symbols returns the functions of this binary, each after a new line.
func symbols(t *testing.T) string {
	t.Helper()
	file, err := elf.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	lines, err := file.Section(".gopclntab").Data()
	if err != nil {
		t.Fatal(err)
	}
	table, err := gosym.NewTable(nil, gosym.NewLineTable(lines, file.Section(".text").Addr))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for i := range table.Funcs {
		b.WriteString("\n" + table.Funcs[i].Name)
	}
	return b.String()
}

// TestFloor: consuming, encoding and Redis are the least; where a part was not
// measured, nothing is claimed.
func TestFloor(t *testing.T) {
	r := report()
	r.Profile = []Cost{{Name: encoding, Nanos: 500_000}}
	// The loop takes 1 ms own and 0.5 of the broker, Redis 0.6 for the processor, which
	// has 3 own and 1.5 of the broker: 2.6 ms at least, and 5.1 in all.
	if got := r.floor(); !strings.Contains(got, "no less than 2600000 ns") || !strings.Contains(got, "it is 5100000, 2.0 times that") {
		t.Errorf("the floor: %s", got)
	}
	r.Redis = Process{Reason: elsewhere}
	if got := r.floor(); got != "" {
		t.Errorf("without Redis: %s", got)
	}
}
