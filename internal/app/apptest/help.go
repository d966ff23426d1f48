// Package apptest holds every command to what a user may expect of its help.
//
// Invariant: each command says what it does and shows a line to try, and no
// flag's type is a value out of its description.
package apptest

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Help checks a command and all below it.
func Help(t *testing.T, cmd *cobra.Command) {
	t.Helper()
	if cmd.Short == "" || cmd.Example == "" {
		t.Errorf("%s: has no description or no example", cmd.CommandPath())
	}
	for line := range strings.Lines(cmd.Example) {
		if text := strings.TrimSpace(line); text != "" && !strings.Contains(text, cmd.Root().Name()) && !strings.HasPrefix(text, "#") && !strings.HasPrefix(text, "go ") {
			t.Errorf("%s: the example %q is no call of it", cmd.CommandPath(), text)
		}
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Usage == "" || strings.Contains(f.Usage, "`") {
			t.Errorf("%s --%s: is described as %q", cmd.CommandPath(), f.Name, f.Usage)
		}
	})
	for _, sub := range cmd.Commands() {
		Help(t, sub)
	}
}
