package preflight

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every row says all that the doctor says of it, and stands in one place.
func TestCatalogueIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range Catalogue() {
		if !regexp.MustCompile(`^[KCPRNS]\d\d$`).MatchString(e.ID) || seen[e.ID] {
			t.Errorf("the ID %q is none, or there twice", e.ID)
		}
		seen[e.ID] = true
		for name, text := range map[string]string{"title": e.Title, "harm": e.Harm, "players": e.Players, "look": e.Look, "fix": e.Fix} {
			if text == "" || strings.HasSuffix(text, ".") || strings.Contains(text, "|") {
				t.Errorf("%s: its %s is %q", e.ID, name, text)
			}
		}
		if !slices.Contains([]Severity{Critical, High, Medium}, e.Severity) || len(e.Services) == 0 {
			t.Errorf("%s: severity %q, concerns %v", e.ID, e.Severity, e.Services)
		}
		if explained := e.Explain(); !strings.Contains(explained, e.Fix) || strings.Contains(explained, notYet) != e.NotDetected {
			t.Errorf("%s is explained as\n%s", e.ID, explained)
		}
	}
	if len(seen) != 47 {
		t.Errorf("%d rows", len(seen))
	}
	for _, s := range Symptoms() {
		if !slices.ContainsFunc(Catalogue(), func(e Entry) bool { return slices.Contains(e.Symptoms, s) }) {
			t.Errorf("nothing looks like %s", s)
		}
	}
}

func TestChoose(t *testing.T) {
	all := []Check{{ID: "K02"}, {ID: "K05"}, {ID: "R01"}}
	for _, c := range []struct{ only, skip, want, wrong string }{
		{want: "K02 K05 R01"},
		{only: "k02,R", want: "K02 R01"},
		{only: "K", skip: "K05", want: "K02"},
		{skip: "R", want: "K02 K05"},
		{only: "K99", wrong: "veltrix doctor list"},
		{skip: "nonsense", wrong: "veltrix doctor list"},
		{only: "P01", wrong: "not detected yet"},
		{only: "K02", skip: "K02", wrong: "no check is left"},
	} {
		split := func(s string) []string { return strings.FieldsFunc(s, func(r rune) bool { return r == ',' }) }
		chosen, err := Choose(all, split(c.only), split(c.skip))
		var got []string
		for _, x := range chosen {
			got = append(got, x.ID)
		}
		if strings.Join(got, " ") != c.want || (err != nil) != (c.wrong != "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("only %q skip %q: %v, %v", c.only, c.skip, got, err)
		}
	}
}

func TestWaiversFile(t *testing.T) {
	read := func(text string) ([]Waiver, error) {
		path := filepath.Join(t.TempDir(), "waivers.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return ReadWaivers(path)
	}
	const good = "- id: K02\n  reason: two brokers yet\n  expires: 2026-12-31\n- {id: R01, reason: a cache beside it, expires: \"2027-01-01\"}\n"
	waivers, err := read(good)
	if err != nil || len(waivers) != 2 || waivers[0] != (Waiver{"K02", "two brokers yet", time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}) {
		t.Fatalf("%+v, %v", waivers, err)
	}
	for _, empty := range []string{"", "# nothing\n", "null\n", "[]\n"} {
		if waivers, err := read(empty); err != nil || len(waivers) != 0 {
			t.Errorf("%q: %v, %v", empty, waivers, err)
		}
	}
	for text, want := range map[string]string{
		good + "- id: K99\n  reason: r\n  expires: 2026-12-31\n":   `waivers.yaml:5: no check has the ID "K99"`,
		good + "- {id: k05, reason: r, expires: 2026-12-31}\n":     `:5: no check has the ID "k05"`,
		good + "- {reason: r, expires: 2026-12-31}\n":              `:5: no check has the ID ""`,
		"- id: K05\n  expires: 2026-12-31\n":                       ":1: give a reason for the waiver of K05",
		"- {id: K05, reason: ' ', expires: 2026-12-31}\n":          ":1: give a reason",
		"- id: K05\n  reason: r\n":                                 ":1: give the last day on which the waiver of K05 holds",
		"- id: K05\n  reason: r\n  expires: next year\n":           `:3: expires "next year" is not a day`,
		"- id: K05\n  reason: r\n  expires: 2026-02-30\n":          `:3: expires "2026-02-30" is not a day`,
		"- id: K05\n  reason: r\n  expire: 2026-12-31\n":           `:3: "expire" is not a part of a waiver`,
		"- {id: K05, reason: [r], expires: 2026-12-31}\n":          ":1: reason takes one text",
		"- {id: K05, id: K05, reason: r, expires: 2026-12-31}\n":   "given twice",
		good + "- {id: K02, reason: again, expires: 2026-12-31}\n": ":5: K02 is waived twice",
		"id: K05\n":     ":1: must be a list",
		"- K05\n":       ":1: a waiver has id, reason and expires",
		"- [\n":         "is not YAML",
		"[]\n---\n[]\n": "more than one document",
		"- *nothing\n":  "is not YAML",
	} {
		if _, err := read(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if _, err := read("- {}\n- {id: K02}\n"); err == nil || strings.Count(err.Error(), "\n") != 4 {
		t.Errorf("not all mistakes at once: %v", err)
	}
	if _, err := ReadWaivers(filepath.Join(t.TempDir(), "gone")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// TestWaiverEndsWithItsLastDay: through that day it holds, a moment later the
// failure counts, and the report says why it is back.
func TestWaiverEndsWithItsLastDay(t *testing.T) {
	waivers := []Waiver{{ID: "K05", Reason: "migrating", Expires: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}}
	at := func(now time.Time) Result {
		return Run(t.Context(), []Check{check("K05", Critical, Failed("a", "b", "c"))}, Options{Waivers: waivers, Now: now}).Results[0]
	}
	if r := at(time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC)); r.Waived != "migrating" || r.Until != "2026-12-31" || r.Expired != "" || r.Shown() != "waived" {
		t.Errorf("on its last day: %+v", r)
	}
	if r := at(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)); r.Waived != "" || r.Expired != "2026-12-31: migrating" || r.Shown() != "fail" {
		t.Errorf("the day after: %+v", r)
	}
}

// TestEveryRowHasItsTest: whoever doubts a row finds the test that makes its
// misconfiguration by its ID.
func TestEveryRowHasItsTest(t *testing.T) {
	named := regexp.MustCompile(`func Test((?:[A-Z]\d\d)+)`)
	tested := map[string]bool{}
	for _, dir := range []string{"..", "../../cmd", "../../test/e2e"} {
		err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range named.FindAllSubmatch(source, -1) {
				for ids := string(m[1]); len(ids) >= 3; ids = ids[3:] {
					tested[ids[:3]] = true
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range Catalogue() {
		if !tested[e.ID] {
			t.Errorf("no test is called Test%s…", e.ID)
		}
		if e.NotDetected {
			t.Errorf("nothing looks for %s", e.ID)
		}
	}
}
