package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// tryTimeout ends a mutant that makes its test hang; that it hangs is noticed.
const tryTimeout = 5 * time.Minute

// outcome is what became of a mutant.
type outcome struct {
	killed bool
	found  string // where: the first seed, or the subtest
	why    string // the first line that says what went wrong
	err    error  // the mutant could not be tried
}

func (o outcome) summary() string {
	switch {
	case o.err != nil:
		return "CANNOT BE TRIED: " + o.err.Error()
	case o.killed:
		return "killed, " + o.found
	}
	return "SURVIVED"
}

// apply returns the mutant's files as they would be, by path from the root.
func apply(root string, m mutant) (map[string]string, error) {
	texts := map[string]string{}
	for _, e := range m.edits {
		if _, ok := texts[e.file]; !ok {
			b, err := os.ReadFile(filepath.Join(root, e.file))
			if err != nil {
				return nil, err
			}
			texts[e.file] = string(b)
		}
		if n := strings.Count(texts[e.file], e.old); n != 1 {
			return nil, fmt.Errorf("%s holds %d times %q: the mutant does not fit the code any more", e.file, n, e.old)
		}
		texts[e.file] = strings.Replace(texts[e.file], e.old, e.new, 1)
	}
	return texts, nil
}

// overlay writes the mutated files to dir and returns the overlay's file.
func overlay(root, dir string, m mutant) (string, error) {
	texts, err := apply(root, m)
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for path, text := range texts {
		laid := filepath.Join(dir, fmt.Sprintf("%d%s", len(replace), filepath.Ext(path)))
		if err := os.WriteFile(laid, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(root, path)] = laid
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "overlay.json")
	return file, os.WriteFile(file, b, 0o600)
}

// try builds the mutant and runs what has to notice.
func try(root string, m mutant) outcome {
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return outcome{err: err}
	}
	defer os.RemoveAll(dir)
	laid, err := overlay(root, dir, m)
	if err != nil {
		return outcome{err: err}
	}
	binary := filepath.Join(dir, "binary")
	// Nobody debugs it: a third of the linker's work is left out.
	build := []string{"test", "-c", "-vet=off", "-ldflags=-w", "-overlay", laid, "-o", binary, "./" + m.pkg}
	if m.test == campaign {
		build = []string{"build", "-overlay", laid, "-o", binary, "./" + sim + "sim"}
	}
	cmd := exec.Command("go", build...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return outcome{err: fmt.Errorf("%w: %s", err, out)}
	}
	ctx, cancel := context.WithTimeout(context.Background(), tryTimeout)
	defer cancel()
	if m.test == campaign {
		return judgeCampaign(call(ctx, root, binary, "-quick"))
	}
	parts := strings.Split(m.test, "/")
	for i := range parts {
		parts[i] = "^" + parts[i] + "$"
	}
	out, code := call(ctx, filepath.Join(root, m.pkg), binary, "-test.v", "-test.run", strings.Join(parts, "/"), "-test.timeout", (tryTimeout - 10*time.Second).String())
	return judgeTest(m, out, code)
}

func call(ctx context.Context, dir, binary string, args ...string) (out []byte, code int) {
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOMAXPROCS=1")
	out, _ = cmd.CombinedOutput() // its end is in the exit code
	return out, cmd.ProcessState.ExitCode()
}

var (
	seedFound = regexp.MustCompile(`VIOLATION: seed (\d+), step \d+: (.*)`)
	never     = regexp.MustCompile(`sim: (never happened: .*)`)
	testFound = regexp.MustCompile(`--- FAIL: (\S+)`)
	invariant = regexp.MustCompile(`(?m)^\s+VIOLATION (I\d.*)`)
	lineFound = regexp.MustCompile(`(?m)^\s+\w+\.go:\d+: (.*)|^panic: (.*)`)
)

// passing is what differs from one run to the next: generations' names, files.
var passing = regexp.MustCompile(`\b[0-9a-f]{12}\b|/tmp/[\w/.-]+`)

// judgeCampaign takes only what the campaign says for a kill: a command that
// could not be started or was ended by a signal proves nothing.
func judgeCampaign(out []byte, code int) outcome {
	if code == 0 {
		return outcome{}
	}
	if f := seedFound.FindSubmatch(out); f != nil {
		return outcome{killed: true, found: "seed " + string(f[1]), why: string(f[2])}
	}
	if f := never.FindSubmatch(out); f != nil {
		return outcome{killed: true, found: "at its end", why: string(f[1])}
	}
	return outcome{err: fmt.Errorf("the campaign ended with %d: %s", code, out[max(0, len(out)-2000):])}
}

func judgeTest(m mutant, out []byte, code int) outcome {
	if !bytes.Contains(out, []byte("=== RUN")) {
		return outcome{err: fmt.Errorf("no test %s ran: %s", m.test, out)}
	}
	if code == 0 {
		return outcome{}
	}
	o := outcome{killed: true}
	// The test's own name comes after those of its subtests.
	if f := testFound.FindAllSubmatch(out, -1); f != nil {
		if sub := string(f[len(f)-1][1]); sub != m.test {
			o.found = strings.TrimPrefix(sub, m.test+"/")
		}
	}
	if f := invariant.FindSubmatch(out); f != nil {
		o.why = string(f[1])
	} else if f := lineFound.FindSubmatch(out); f != nil {
		o.why = strings.TrimSpace(string(bytes.Join(f[1:], nil)))
	}
	o.why = passing.ReplaceAllString(o.why, "…")
	return o
}
