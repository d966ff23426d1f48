package main

import (
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/veltrix/veltrix/internal/preflight"
)

const root = "../.."

// Every edit still fits the code, exactly once, and leaves something that
// parses. Whether it compiles shows when it is tried.
func TestMutantsFit(t *testing.T) {
	rows := map[string]bool{}
	for _, m := range all() {
		name := m.protection + ": " + m.without
		if rows[name] {
			t.Errorf("%s is there twice", name)
		}
		rows[name] = true
		texts, err := apply(root, m)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for path, text := range texts {
			was, err := os.ReadFile(filepath.Join(root, path))
			if err != nil {
				t.Fatal(err)
			}
			if text == string(was) {
				t.Errorf("%s changes nothing in %s", name, path)
			}
			if strings.HasSuffix(path, ".go") {
				if _, err := parser.ParseFile(token.NewFileSet(), path, text, 0); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
}

// The test that is named for a mutant exists, and so does its scenario.
func TestNamedTestsExist(t *testing.T) {
	for _, m := range all() {
		if err := exists(m); err != nil {
			t.Errorf("%s: %s: %v", m.protection, m.without, err)
		}
	}
	for _, m := range []mutant{
		{test: "TestThatNobodyWrote", pkg: sim}, {test: "TestScenarios/99-that-nobody-wrote", pkg: sim}, {test: "TestMutantsFit", pkg: part},
	} {
		if exists(m) == nil {
			t.Errorf("%s passes for a test of %s", m.test, m.pkg)
		}
	}
}

func exists(m mutant) error {
	name, sub, _ := strings.Cut(m.test, "/")
	if m.test == campaign {
		name = "TestSimulation" // of the same package: the campaign with fewer seeds
	}
	files, err := filepath.Glob(filepath.Join(root, m.pkg, "*_test.go"))
	if err != nil {
		return err
	}
	found := slices.ContainsFunc(files, func(file string) bool {
		b, err := os.ReadFile(file)
		return err == nil && strings.Contains(string(b), "\nfunc "+name+"(t *testing.T) {")
	})
	if !found {
		return fmt.Errorf("%s has no test %s", m.pkg, name)
	}
	if name == "TestScenarios" {
		_, err = os.Stat(filepath.Join(root, m.pkg, "testdata", sub+".txt"))
	}
	return err
}

// Each protection that the guarantee stands on has a mutant.
func TestRequiredProtections(t *testing.T) {
	for _, name := range required {
		if !slices.ContainsFunc(pipeline(), func(m mutant) bool { return m.protection == name }) {
			t.Errorf("nothing takes %s out", name)
		}
	}
}

// Each row of the doctor's catalogue has a mutant that takes out of its detection.
func TestEveryRowHasItsMutant(t *testing.T) {
	for _, entry := range preflight.Catalogue() {
		if !slices.ContainsFunc(doctor(), func(m mutant) bool { return row(m) == entry.ID }) {
			t.Errorf("nothing takes out how %s is found (%s)", entry.ID, entry.Title)
		}
	}
}

// The page shows every mutant of the pipeline as killed, each by the test that is
// named here, and every row of the doctor's.
func TestPageIsCurrent(t *testing.T) {
	for _, c := range []struct {
		list []mutant
		marks
		tell func([]mutant, []outcome) (string, bool)
	}{{pipeline(), pipelineMarks, table}, {doctor(), doctorMarks, rowsTable}} {
		lines := shown(t, c.marks)
		outcomes := make([]outcome, len(c.list))
		for i := range outcomes {
			outcomes[i].killed = true
		}
		text, _ := c.tell(c.list, outcomes)
		for i, want := range strings.Split(strings.TrimSpace(text), "\n") {
			want = strings.TrimSuffix(want, " |  |") // what notices in it, and what it says
			if i >= len(lines) || !strings.HasPrefix(lines[i], want) {
				t.Fatalf("line %d is not %q: run make mutants or make mutants-doctor", i+1, want)
			}
		}
	}
}

// shown are the lines of the page's table between marks.
func shown(t *testing.T, m marks) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "docs/mutants.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), m.begin)
	text, _, found := strings.Cut(rest, m.end)
	if !found {
		t.Fatal("the page has no place for the table")
	}
	return strings.Split(strings.TrimSpace(text), "\n")
}

// A change that does no harm survives, and one that does is killed: the same
// machinery says both. A mutant that cannot be built counts as neither.
func TestSurvivorIsReported(t *testing.T) {
	top, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	floor := func(new string) mutant {
		return in(part, "late floor", new, "TestLateAndRing", "fold.go", "if stamp.Compare(h.Floor) <= 0 {", new)
	}
	chosen := []mutant{
		floor("if stamp.Compare(h.Floor) < 1 {"), floor("if stamp.Compare(h.Floor) < -1 {"), floor("if stamp.Compare(h.Ceiling) {"),
	}
	outcomes := tryAll(top, chosen, 2)
	if o := outcomes[0]; o.killed || o.err != nil {
		t.Errorf("the same comparison in other words: %+v", o)
	}
	if o := outcomes[1]; !o.killed || o.err != nil || o.why == "" {
		t.Errorf("without the floor: %+v", o)
	}
	if o := outcomes[2]; o.err == nil || o.killed {
		t.Errorf("what does not compile: %+v", o)
	}
	text, ok := table(chosen, outcomes)
	if ok || !strings.HasSuffix(text, "\nkilled: 1, survived: 1, cannot be tried: 1\n") || strings.Count(text, "SURVIVED") != 1 {
		t.Errorf("%t:\n%s", ok, text)
	}
	if text, ok := table(chosen[1:2], outcomes[1:2]); !ok || !strings.HasSuffix(text, "\nkilled: 1, survived: 0\n") {
		t.Errorf("%t:\n%s", ok, text)
	}
}

// What the campaign says is read as a kill only where it found something.
func TestCampaignIsJudged(t *testing.T) {
	for _, c := range []struct {
		out  string
		code int
		want outcome
	}{
		{"seeds 1 to 10000: 0 violations\n", 0, outcome{}},
		{"VIOLATION: seed 7, step 9: I1: two outcomes\nreplay: …", 1, outcome{killed: true, found: "seed 7", why: "I1: two outcomes"}},
		{"sim: never happened: [fault: kill]", 1, outcome{killed: true, found: "at its end", why: "never happened: [fault: kill]"}},
		{"panic: out of memory", 2, outcome{err: errors.New("")}},
		{"", -1, outcome{err: errors.New("")}},
	} {
		got := judgeCampaign([]byte(c.out), c.code)
		if (got.err != nil) != (c.want.err != nil) || got.killed != c.want.killed || got.found != c.want.found || got.why != c.want.why {
			t.Errorf("%q: %+v, want %+v", c.out, got, c.want)
		}
	}
}

// A page without its marks is not written over.
func TestPageIsWrittenBetweenItsMarks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(file, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writePage(file, "table\n", pipelineMarks); err == nil {
		t.Error("a page without a place was written")
	}
	if err := os.WriteFile(file, []byte("before\n"+pipelineMarks.begin+"old\n"+pipelineMarks.end+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writePage(file, "table\n", pipelineMarks); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if want := "before\n" + pipelineMarks.begin + "table\n" + pipelineMarks.end + "after\n"; err != nil || string(b) != want {
		t.Errorf("%q, %v", b, err)
	}
	if regexp.MustCompile(`[|<>]`).MatchString(cell("a|b <c>")) {
		t.Error("a cell breaks the table")
	}
}
