package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/internal/rules"
	"github.com/veltrix/veltrix/internal/service"
)

// checked is what a check says of one file; in JSON, one a line.
type checked struct {
	File    string   `json:"file"`
	OK      bool     `json:"ok"`
	Hunt    string   `json:"hunt,omitempty"`
	Version int      `json:"version,omitempty"`
	Digest  string   `json:"digest,omitempty"` // what a deployment is pinned to
	Types   []string `json:"types,omitempty"`  // of the events that it knows
	// Problems have line and column 0 where the file could not be read.
	Problems rules.Problems `json:"problems,omitempty"`
	// Warnings are what is allowed and looks like a mistake.
	Warnings rules.Problems `json:"warnings,omitempty"`
}

func checkCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check FILE…",
		Short: "Say everything that is wrong with rules files",
		Long: "Compiles each file as a processor does at its start, and prints every mistake with its line, its column and,\n" +
			"for a name that is not known, the nearest one that is. No broker and no Redis is needed.\n\n" +
			"What is allowed and looks like a mistake, such as a rule that never runs, is a warning.\n\n" +
			"It ends with 0 where all files are in order, with 2 where there are warnings only, and with 78 where one cannot\n" +
			"be run, as a processor would.",
		Example: "  veltrix rules check rules.yaml\n" +
			"  veltrix rules check --json hunts/*.yaml",
		Args: cobra.MinimumNArgs(1),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a line of JSON for each file")
	cmd.RunE = func(cmd *cobra.Command, files []string) error {
		wrong, warned := 0, 0
		for _, file := range files {
			found := check(file)
			switch {
			case !found.OK:
				wrong++
			case len(found.Warnings) > 0:
				warned++
			}
			if err := found.print(cmd.OutOrStdout(), asJSON); err != nil {
				return fmt.Errorf("print what was found: %w", err)
			}
		}
		if wrong > 0 {
			return service.WithExitCode(fmt.Errorf("%d of %d rules files cannot be run", wrong, len(files)), service.ExitConfig)
		}
		if warned > 0 {
			return service.WithExitCode(fmt.Errorf("%d of %d rules files have warnings", warned, len(files)), service.ExitWarnings)
		}
		return nil
	}
	return cmd
}

func check(file string) checked {
	found := checked{File: file}
	program, err := rules.LoadFile(file)
	switch {
	case errors.As(err, &found.Problems):
	case err != nil:
		found.Problems = rules.Problems{{Message: err.Error()}}
	default:
		schema := program.Schema()
		found.Warnings = program.Warnings()
		found.OK, found.Hunt, found.Version, found.Digest = true, schema.Hunt, schema.Version, schema.Digest
		found.Types = schema.TypeNames()
	}
	return found
}

func (c *checked) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(c)
	}
	if c.OK {
		if _, err := fmt.Fprintf(out, "%s: in order: hunt %s, version %d, %d types of event, digest %.12s\n", c.File, c.Hunt, c.Version, len(c.Types), c.Digest); err != nil {
			return err
		}
	}
	for _, p := range c.Warnings {
		if _, err := fmt.Fprintf(out, "%s:%d:%d: warning: %s\n", p.File, p.Line, p.Column, p.Message); err != nil {
			return err
		}
	}
	for _, p := range c.Problems {
		said := p.Error()
		if p.Line == 0 {
			said = c.File + ": " + p.Message
		}
		if _, err := fmt.Fprintln(out, said); err != nil {
			return err
		}
	}
	return nil
}
