package main

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/internal/service"
)

// Only the very word is an answer.
func TestAsk(t *testing.T) {
	for answer, want := range map[string]error{"3\n": nil, " 3 ": nil, "y\n": errDeclined, "33\n": errDeclined, "": errDeclined} {
		var said bytes.Buffer
		if err := ask(strings.NewReader(answer), &said, "3"); !errors.Is(err, want) {
			t.Errorf("the answer %q: %v, want %v", answer, err, want)
		}
		if !strings.Contains(said.String(), "type 3") {
			t.Errorf("it asked %q", &said)
		}
	}
}

// A job's input is no terminal, whatever it is.
func TestConfirmWithoutATerminal(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	cmd := &cobra.Command{}
	for _, in := range []*os.File{null, read} {
		cmd.SetIn(in)
		if err := confirm(cmd, false, "3"); service.ExitCode(err) != exitUsage {
			t.Errorf("it asked %s: %v", in.Name(), err)
		}
		if err := confirm(cmd, true, "3"); err != nil {
			t.Errorf("with --yes: %v", err)
		}
	}
}

// Commands that say too little fail before they connect to anything.
func TestRepairUsage(t *testing.T) {
	for _, args := range []string{
		"rebase", "rebase --partition 1", "rebase --all", "rebase --all --partition 1 --reason x", "rebuild --reason x", "rebuild --all",
	} {
		cmd := command()
		cmd.SetArgs(strings.Fields(args))
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		if err := cmd.ExecuteContext(t.Context()); service.ExitCode(err) != exitUsage {
			t.Errorf("veltrix %s: %v", args, err)
		}
	}
}
