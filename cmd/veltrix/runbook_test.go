package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

const runbook = "../../docs/runbook/"

func textOf(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// pages returns the runbook's pages by name, without the index.
func pages(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob(runbook + "*.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, name := range names {
		if page := strings.TrimSuffix(filepath.Base(name), ".md"); page != "README" {
			all[page] = textOf(t, name)
		}
	}
	return all
}

// resolves reports why an operator could not type a command line.
func resolves(line string) string {
	cmd, rest, err := command().Find(wordsOf(line)[1:])
	if err != nil {
		return err.Error()
	}
	if !cmd.Runnable() {
		return "it is not a whole command"
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err.Error()
	}
	if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
		return err.Error()
	}
	if err := cmd.ValidateRequiredFlags(); err != nil {
		return err.Error()
	}
	reason := cmd.Flags().Lookup("reason")
	changes := reason != nil && cmd.Flags().Lookup("dry-run").Value.String() == "false"
	if changes && reason.Value.String() == "" {
		return "it would ask for --reason"
	}
	return ""
}

// wordsOf splits a line as a shell does, as far as the pages need it.
func wordsOf(line string) (words []string) {
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			words = append(words, part)
			continue
		}
		words = append(words, strings.Fields(part)...)
	}
	return words
}

var (
	refusalReason = regexp.MustCompile(`return Refusal\{\s*"([a-z-]+)"`)
	namedCommand  = regexp.MustCompile("veltrix ((?:topics |rules )?[a-z]+)((?: --[a-z-]+(?: %d)?)*)")
	shell         = regexp.MustCompile("(?s)```sh\n(.*?)```")
	metricName    = regexp.MustCompile("`(veltrix_[a-z_]+)")
)

// Every reason for a refusal has its page, which the index names, and every
// command that a refusal names is one.
func TestRefusalsHavePagesAndCommands(t *testing.T) {
	source, index, all := textOf(t, "../../internal/engine/refusal.go"), textOf(t, runbook+"README.md"), pages(t)
	reasons := map[string]bool{}
	for _, found := range refusalReason.FindAllStringSubmatch(source, -1) {
		reasons[found[1]] = true
	}
	if len(reasons) != 8 {
		t.Errorf("found the reasons %v in refusal.go", reasons)
	}
	for reason := range reasons {
		if page := all[reason]; !strings.HasPrefix(page, "# Refused: "+reason+"\n") || !strings.Contains(page, `reason="`+reason+`"`) {
			t.Errorf("the reason %s has no page", reason)
		}
	}
	commands := namedCommand.FindAllStringSubmatch(source, -1)
	if len(commands) < 4 {
		t.Errorf("refusals name only %v", commands)
	}
	for _, found := range commands {
		line := "veltrix " + found[1] + strings.ReplaceAll(found[2], "%d", "3")
		if strings.Contains(line, "rebase") || strings.Contains(line, "promote") {
			line += ` --reason "why"` // said when it is left out
		}
		if why := resolves(line); why != "" {
			t.Errorf("a refusal names %q: %s", line, why)
		}
	}
	for page := range all {
		if !strings.Contains(index, "]("+page+".md)") {
			t.Errorf("the index does not name %s", page)
		}
	}
}

// Every page says the same five things, and what it tells to type or to look at
// is there.
func TestRunbookPages(t *testing.T) {
	declared := map[string]bool{}
	for _, found := range metricName.FindAllStringSubmatch(textOf(t, "../../docs/metrics.md"), -1) { // generated
		declared[found[1]] = true
	}
	texts := pages(t)
	texts["README"] = textOf(t, runbook+"README.md")
	for name, text := range texts {
		if name != "README" {
			at := -1
			for _, heading := range []string{"What you see", "What happened", "What players notice", "What to do", "How to prevent it"} {
				next := strings.Index(text, "\n## "+heading+"\n")
				if next <= at {
					t.Errorf("%s does not say in its place: %s", name, heading)
				}
				at = next
			}
		}
		for _, block := range shell.FindAllStringSubmatch(text, -1) {
			for line := range strings.Lines(block[1]) {
				line = strings.TrimSpace(line)
				if line == "" {
					continue // the last one, indented as the list is
				}
				if !strings.HasPrefix(line, "veltrix ") {
					t.Errorf("%s: %q is not tested here", name, line)
				} else if why := resolves(line); why != "" {
					t.Errorf("%s: %q: %s", name, line, why)
				}
			}
		}
		for _, found := range metricName.FindAllStringSubmatch(text, -1) {
			if !declared[found[1]] {
				t.Errorf("%s names the metric %s, which is not declared", name, found[1])
			}
		}
	}
}

// What the operator's commands share with every other one is documented there.
func TestRepairCommandsAreExplained(t *testing.T) {
	for _, name := range []string{"rebase", "rebuild"} {
		cmd, _, err := command().Find([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		if cmd.Long == "" || strings.Count(cmd.Example, "veltrix "+name) < 3 {
			t.Errorf("veltrix %s has no help with examples", name)
		}
		for line := range strings.Lines(cmd.Example) {
			if why := resolves(strings.TrimSpace(line)); why != "" {
				t.Errorf("the example %q: %s", strings.TrimSpace(line), why)
			}
		}
		var missing []string
		for _, flag := range []string{"yes", "json", "dry-run", "reason", "partition", "all"} {
			if cmd.Flags().Lookup(flag) == nil {
				missing = append(missing, flag)
			}
		}
		if len(missing) > 0 {
			t.Errorf("veltrix %s has no --%s", name, strings.Join(missing, ", --"))
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("veltrix %s: --%s is not explained", name, f.Name)
			}
		})
	}
	if !slices.Contains(wordsOf(`a "b c" d`), "b c") {
		t.Error("quotes are not read")
	}
}
