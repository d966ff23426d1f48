package main

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/internal/fixture"
	"github.com/veltrix/veltrix/internal/rules"
	"github.com/veltrix/veltrix/internal/service"
)

// tested is a test's result with its file; in JSON, one a line.
type tested struct {
	File string `json:"file"`
	*fixture.Result
}

type testFlags struct {
	run    string
	asJSON bool
	steps  bool
}

func testCommand() *cobra.Command {
	var opts testFlags
	cmd := &cobra.Command{
		Use:   "test FILE…",
		Short: "Play tests of rules: events in, state and notifications out",
		Long: "Each file holds tests of the rules file that it names beside it: the events of one participant, and the state,\n" +
			"the notifications and the fates that they lead to. They are played through the fold that processors run. With\n" +
			"order: any a test is played in every order of arrival (of more than six events, in 300), and its outcome must be\n" +
			"the same. No broker and no Redis is needed.\n\n" +
			"It ends with 0 where all tests pass, with 1 where one fails, and with 78 where a file cannot be read.",
		Example: "  veltrix rules test rules.test.yaml\n" +
			"  veltrix rules test --run 'late|twice' --steps hunts/*.test.yaml",
		Args: cobra.MinimumNArgs(1),
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.run, "run", "", "play only tests whose names match this regular expression")
	flags.BoolVar(&opts.steps, "steps", false, "print what each event did, for tests that pass too")
	flags.BoolVar(&opts.asJSON, "json", false, "print a line of JSON for each test")
	cmd.RunE = func(cmd *cobra.Command, files []string) error { return opts.test(cmd.OutOrStdout(), files) }
	return cmd
}

func (opts *testFlags) test(out io.Writer, files []string) error {
	only, err := regexp.Compile(opts.run)
	if err != nil {
		return usage("--run is not a regular expression: %v", err)
	}
	played, failed := 0, 0
	for _, file := range files {
		f, err := rules.LoadFixturesFile(file)
		if err != nil {
			return service.WithExitCode(fmt.Errorf("the tests cannot be played:\n%w", err), service.ExitConfig)
		}
		for i := range f.Tests {
			if !only.MatchString(f.Tests[i].Name) {
				continue
			}
			result, err := fixture.Play(f, &f.Tests[i])
			if err != nil {
				return fmt.Errorf("play a test: %w", err)
			}
			if played++; !result.Passed {
				failed++
			}
			if err := opts.print(out, tested{file, result}); err != nil {
				return fmt.Errorf("print what was found: %w", err)
			}
		}
	}
	switch {
	case played == 0:
		return usage("no test has a name that matches %q", opts.run)
	case failed > 0:
		return fmt.Errorf("%d of %d tests failed", failed, played)
	}
	if !opts.asJSON {
		_, err = fmt.Fprintf(out, "%d tests passed\n", played)
	}
	return err
}

func (opts *testFlags) print(out io.Writer, t tested) error {
	if opts.asJSON {
		return json.NewEncoder(out).Encode(t)
	}
	var b strings.Builder
	if !t.Passed {
		fmt.Fprintf(&b, "%s:%d:\n", t.File, t.Line)
	}
	b.WriteString(t.String())
	if opts.steps || !t.Passed {
		for _, s := range t.Steps {
			fmt.Fprintf(&b, "     %s %s: %s\n", s.Event, s.Type, s.Fate)
			for _, n := range s.Notifications {
				fmt.Fprintf(&b, "       %s\n", n)
			}
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}
