// Command mutants takes the engine's protections out, one at a time, and runs
// the test that has to notice. Production files are not touched: what changes
// is laid over them for one build. It prints a table of what was found, and
// ends with 1 where a mutant survived.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// outcome is what became of a mutant.
type outcome struct {
	killed bool
	found  string // the first seed, or the failing test
	why    string // the first line that says what went wrong
	err    error  // the mutant could not be tried
}

func main() {
	only := flag.String("only", "", "try only mutants whose name matches this expression")
	seeds := flag.Int("seeds", 6000, "seeds that a campaign may take to find a mutant")
	write := flag.String("write", "", "write the table to this file too")
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
	var chosen []mutant
	for _, m := range slices.Concat(machine, world) {
		if match.MatchString(m.name) {
			chosen = append(chosen, m)
		}
	}
	outcomes := make([]outcome, len(chosen))
	slots := make(chan struct{}, *jobs)
	var wait sync.WaitGroup
	for i, m := range chosen {
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			outcomes[i] = try(root, m, *seeds)
			fmt.Fprintf(os.Stderr, "%-52s %s\n", m.name, summary(outcomes[i]))
		})
	}
	wait.Wait()
	text, ok := table(chosen, outcomes)
	fmt.Print(text)
	if *write != "" {
		if err := os.WriteFile(*write, []byte(text), 0o644); err != nil {
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

func summary(o outcome) string {
	switch {
	case o.err != nil:
		return "CANNOT BE TRIED: " + o.err.Error()
	case o.killed:
		return "killed, " + o.found
	}
	return "SURVIVED"
}

// overlay writes the mutated files to dir and returns the overlay's file.
func overlay(root, dir string, m mutant) (string, error) {
	texts := map[string]string{}
	for _, e := range m.edits {
		path := filepath.Join(root, e.file)
		if _, ok := texts[path]; !ok {
			b, err := os.ReadFile(path)
			if err != nil {
				return "", err
			}
			texts[path] = string(b)
		}
		if n := strings.Count(texts[path], e.old); n != 1 {
			return "", fmt.Errorf("%s holds %d times %q: the mutant does not fit the code any more", e.file, n, e.old)
		}
		texts[path] = strings.Replace(texts[path], e.old, e.new, 1)
	}
	replace := map[string]string{}
	for path, text := range texts {
		laid := filepath.Join(dir, fmt.Sprintf("%d%s", len(replace), filepath.Ext(path)))
		if err := os.WriteFile(laid, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[path] = laid
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "overlay.json")
	return file, os.WriteFile(file, b, 0o600)
}

var (
	seedFound = regexp.MustCompile(`seed (\d+), step \d+: (.*)`)
	testFound = regexp.MustCompile(`--- FAIL: (\S+)`)
	lineFound = regexp.MustCompile(`(?m)^\s+\w+_test\.go:\d+: (.*)|^\s+\w+\.go:\d+: (.*)|^panic: (.*)`)
)

// try builds the mutant and runs its test.
func try(root string, m mutant, seeds int) outcome {
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return outcome{err: err}
	}
	defer os.RemoveAll(dir)
	laid, err := overlay(root, dir, m)
	if err != nil {
		return outcome{err: err}
	}
	binary := filepath.Join(dir, "test")
	build := exec.Command("go", "test", "-c", "-overlay", laid, "-o", binary, "./"+m.pkg)
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return outcome{err: fmt.Errorf("%w: %s", err, out)}
	}
	parts := strings.Split(m.test, "/")
	for i := range parts {
		parts[i] = "^" + parts[i] + "$"
	}
	args := []string{"-test.run", strings.Join(parts, "/"), "-test.v", "-test.timeout", "300s"}
	if m.test == "TestSimulation" {
		args = append(args, "-quick", fmt.Sprint("-seeds=", seeds))
	}
	run := exec.Command(binary, args...)
	run.Dir = filepath.Join(root, m.pkg)
	began := time.Now()
	out, err := run.CombinedOutput()
	return judge(m, out, err, time.Since(began))
}

func judge(m mutant, out []byte, err error, took time.Duration) outcome {
	if !bytes.Contains(out, []byte("=== RUN")) {
		return outcome{err: fmt.Errorf("no test %s ran: %s", m.test, out)}
	}
	if err == nil {
		return outcome{}
	}
	o := outcome{killed: true, found: fmt.Sprintf("%.1f s", took.Seconds())}
	if f := testFound.FindAllSubmatch(out, -1); f != nil {
		o.found = string(f[len(f)-1][1])
	}
	if f := lineFound.FindSubmatch(out); f != nil {
		o.why = strings.TrimSpace(string(bytes.Join(f[1:], nil)))
	}
	if f := seedFound.FindSubmatch(out); f != nil {
		o.found, o.why = "seed "+string(f[1]), string(f[2])
	}
	if len(o.why) > 90 {
		o.why = strings.ToValidUTF8(o.why[:90], "") + "…"
	}
	return o
}

func table(chosen []mutant, outcomes []outcome) (string, bool) {
	var b strings.Builder
	killed, survived, untried := 0, 0, 0
	fmt.Fprintf(&b, "| without | the test that notices | found by | what it says |\n|---|---|---|---|\n")
	for i, m := range chosen {
		o := outcomes[i]
		switch {
		case o.err != nil:
			untried++
			fmt.Fprintf(&b, "| %s | %s | CANNOT BE TRIED | %v |\n", m.name, m.test, o.err)
			continue
		case o.killed:
			killed++
		default:
			survived++
			o.found = "SURVIVED"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", m.name, m.test, o.found, strings.ReplaceAll(o.why, "|", "/"))
	}
	fmt.Fprintf(&b, "\nkilled: %d, survived: %d", killed, survived)
	if untried > 0 {
		fmt.Fprintf(&b, ", cannot be tried: %d", untried)
	}
	b.WriteString("\n")
	return b.String(), survived+untried == 0
}
