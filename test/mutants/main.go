// Command mutants takes protections out of the code, one at a time, and runs
// the test that has to notice. Production files are not touched: what changes
// is laid over them for one build. It prints a table of what was found, and
// ends with 1 where a mutant survived.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

func main() {
	only := flag.String("only", "", "try only mutants whose row matches this expression")
	rows := flag.Bool("doctor", false, "try those of the doctor's rows, and not those of the pipeline")
	write := flag.String("write", "", "write the table into this page too, where it says so")
	jobs := flag.Int("jobs", 2, "mutants under test at the same time")
	flag.Parse()
	root, err := filepath.Abs(".")
	if err != nil {
		fail(err)
	}
	match, err := regexp.Compile(*only)
	if err != nil {
		fail(err)
	}
	if *only != "" && *write != "" {
		fail(fmt.Errorf("a part of the mutants makes no page"))
	}
	var chosen []mutant
	set, tell, marks := pipeline(), table, pipelineMarks
	if *rows {
		set, tell, marks = doctor(), rowsTable, doctorMarks
	}
	for _, m := range set {
		if match.MatchString(m.protection + ": " + m.without + ": " + m.test) {
			chosen = append(chosen, m)
		}
	}
	began := time.Now()
	outcomes := tryAll(root, chosen, *jobs)
	text, ok := table(chosen, outcomes)
	fmt.Print(text)
	text, _ = tell(chosen, outcomes)
	fmt.Fprintf(os.Stderr, "%.0f s\n", time.Since(began).Seconds())
	if *write != "" && ok {
		if err := writePage(*write, text, marks); err != nil {
			fail(err)
		}
	}
	if !ok {
		os.Exit(1)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "mutants:", err)
	os.Exit(2)
}

func tryAll(root string, chosen []mutant, jobs int) []outcome {
	outcomes := make([]outcome, len(chosen))
	slots := make(chan struct{}, jobs)
	var wait sync.WaitGroup
	for i, m := range chosen {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			outcomes[i] = try(root, m)
			fmt.Fprintf(os.Stderr, "%s: %s: %s\n", m.protection, m.without, outcomes[i].summary())
		})
	}
	wait.Wait()
	return outcomes
}

// table is the page's table, with its totals; ok says that all were killed.
func table(chosen []mutant, outcomes []outcome) (text string, ok bool) {
	var b strings.Builder
	killed, survived, untried := 0, 0, 0
	fmt.Fprintf(&b, "| protection | without it | what notices | what it says |\n|---|---|---|---|\n")
	for i, m := range chosen {
		o := outcomes[i]
		by, why := testName(m), o.why
		switch {
		case o.err != nil:
			untried++
			by, why = by+": CANNOT BE TRIED", o.err.Error()
		case !o.killed:
			survived++
			by, why = by+": SURVIVED", ""
		default:
			killed++
			if o.found != "" {
				by += ", " + o.found
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", m.protection, m.without, by, cell(why))
	}
	fmt.Fprintf(&b, "\nkilled: %d, survived: %d", killed, survived)
	if untried > 0 {
		fmt.Fprintf(&b, ", cannot be tried: %d", untried)
	}
	b.WriteString("\n")
	return b.String(), survived+untried == 0
}

// testName names a test as the page of the failure matrix does.
func testName(m mutant) string {
	if m.test == campaign {
		return "`" + campaign + "`"
	}
	if strings.HasPrefix(m.test, "TestScenarios/") {
		return "`" + m.test + "`"
	}
	return "`" + filepath.Base(m.pkg) + "." + m.test + "`"
}

// cell makes text fit into a table.
func cell(text string) string {
	text = strings.NewReplacer("|", "/", "\n", " ", "<", "‹", ">", "›", "*", "∗", "_", "\\_").Replace(text)
	if len(text) > 110 {
		text = strings.ToValidUTF8(text[:110], "") + "…"
	}
	return text
}

// rowsTable is the doctor's table, a line for each row of its catalogue. The totals
// are table's.
func rowsTable(chosen []mutant, outcomes []outcome) (text string, ok bool) {
	var b strings.Builder
	fmt.Fprintf(&b, "| row | what of its detection is taken out | what notices |\n|---|---|---|\n")
	for begin := 0; begin < len(chosen); {
		id := row(chosen[begin])
		var parts, tests []string
		end := begin
		for ; end < len(chosen); end++ {
			if row(chosen[end]) != id {
				break
			}
			part := strings.TrimPrefix(strings.TrimPrefix(chosen[end].protection, id), " ")
			if strings.HasPrefix(part, ",") || strings.HasPrefix(part, "and ") {
				part = "what it shares with others"
			}
			if part != "" {
				parts = append(parts, part)
			}
			tests = append(tests, testName(chosen[end]))
		}
		fmt.Fprintf(&b, "| %s | %s: %d | %s |\n", id, strings.Join(slices.Compact(slices.Sorted(slices.Values(parts))), ", "), end-begin, strings.Join(slices.Compact(slices.Sorted(slices.Values(tests))), ", "))
		begin = end
	}
	whole, ok := table(chosen, outcomes)
	return b.String() + whole[strings.LastIndex(whole, "\nkilled:"):], ok
}

// marks stand around a table in the page.
type marks struct{ begin, end string }

var (
	pipelineMarks = marks{"<!-- mutants: begin -->\n", "<!-- mutants: end -->\n"}
	doctorMarks   = marks{"<!-- doctor's mutants: begin -->\n", "<!-- doctor's mutants: end -->\n"}
)

// writePage puts the table between its marks.
func writePage(path, text string, m marks) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok1 := strings.Cut(string(b), m.begin)
	_, after, ok2 := strings.Cut(rest, m.end)
	if !ok1 || !ok2 {
		return fmt.Errorf("%s has no place for the table", path)
	}
	return os.WriteFile(path, []byte(before+m.begin+text+m.end+after), 0o644)
}
