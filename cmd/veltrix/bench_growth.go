package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/bench"
)

func benchGrowthCommand() *cobra.Command {
	var (
		write  string
		extras benchExtras
		opts   bench.GrowthOptions
	)
	cmd := &cobra.Command{
		Use:   "growth",
		Short: "Measure how the cost of an event grows with participants, partitions, tails and rules",
		Long: "Runs the processor over the workload core, with one thing more of in each dimension: participants, partitions,\n" +
			"the tail (events of a participant that the rules keep open for late ones), rules for each event. The points of\n" +
			"a dimension take turns, each time another one first, and each round starts from nothing.\n\n" +
			"For each point it shows events a second, CPU time for an event by process, and what a participant takes in\n" +
			"Redis and in the processor's cache; for each dimension the slope, by least squares over the rounds, for twice as\n" +
			"much or for one more, whichever line leaves less unexplained. Before any figure is printed, everything that was\n" +
			"committed and every state in Redis is compared with the sequential fold of the events, in each round.\n\n" +
			"The points of the tail have fewer participants, so that each has the events that fill it, and smaller commits.\n" +
			"What it made is removed. Give it a quiet machine.\n\n" +
			"It exits with 0 when the figures stand, and with 1 when the results are not the fold of the events.",
		Example: "  veltrix bench growth --kafka-brokers 127.0.0.1:9092 --redis-addrs 127.0.0.1:6379\n" +
			"  veltrix bench growth --dimension rules --points 1,5,25 --rounds 5 --json > figures.json\n" +
			"  veltrix bench growth --dimension participants,partitions --html growth.html\n" +
			"  go run ./test/broker/run -- go run ./cmd/veltrix bench growth --write docs/performance.md",
		Args: cobra.NoArgs,
	}
	config.Flags(cmd, "kafka", "redis", "processor")
	flags := cmd.Flags()
	for _, name := range benchDecides {
		flags.Lookup(name).Hidden = true
	}
	flags.StringSliceVar(&opts.Dimensions, "dimension", nil, "what grows: "+strings.Join(bench.Dimensions(), ", ")+" (default all)")
	flags.IntSliceVar(&opts.Points, "points", nil, "where to measure one dimension (default 10000,100000,1000000 participants; 4,32,256 partitions; tails of 2,16,128; 1,10,50 rules)")
	flags.Int64Var(&opts.Events, "events", 400_000, "events in each round")
	flags.IntVar(&opts.Rounds, "rounds", 3, "rounds of each point that are measured")
	flags.IntVar(&opts.Warmups, "warmups", 1, "rounds of core before them that are not")
	flags.StringVar(&write, "write", "", "write the report into this page too, between its marks")
	extras.flags(flags)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := benchConfig(cmd)
		if err != nil {
			return err
		}
		opts.Progress = benchProgress(cmd)
		return extras.with(cmd.Context(), app.NewRuntime(cfg, version), func(rt app.Runtime) error {
			report, err := bench.Growth(cmd.Context(), rt, opts)
			if err != nil {
				return err
			}
			if write != "" {
				if err := report.WritePage(write, called()); err != nil {
					return err
				}
			}
			return extras.show(cmd.OutOrStdout(), report)
		})
	}
	return cmd
}

// benchConfig reads the configuration; what a round starts and stops is not news
// where nobody asked for it.
func benchConfig(cmd *cobra.Command) (*config.Config, error) {
	cfg, err := config.Load(cmd.Flags())
	if err == nil && !cfg.Explicit("log.level") {
		cfg.Log.Level = "warn"
	}
	return cfg, err
}

// benchProgress says on the error stream what a bench is at.
func benchProgress(cmd *cobra.Command) func(format string, args ...any) {
	return func(format string, args ...any) {
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...)
	}
}

// called is how this command was called, for a report.
func called() string { return strings.Join(append([]string{"veltrix"}, os.Args[1:]...), " ") }

// benchExtras are what several benches offer beside their own.
type benchExtras struct {
	json     bool
	html     string
	embedded bool
}

func (e *benchExtras) flags(flags *pflag.FlagSet) {
	flags.BoolVar(&e.json, "json", false, "print the report as JSON")
	flags.StringVar(&e.html, "html", "", "write the report into this file too, as one HTML page with plots")
	flags.BoolVar(&e.embedded, "embedded", false, "bring an embedded broker and a Redis along, to try it out: no figure then says anything of Kafka")
}

// with does something, on the embedded broker where that is wished for.
func (e *benchExtras) with(ctx context.Context, rt app.Runtime, do func(app.Runtime) error) error {
	if !e.embedded {
		return do(rt)
	}
	rt, end, err := bench.Embed(ctx, rt)
	if err != nil {
		return err
	}
	err = do(rt)
	return errors.Join(err, end())
}

// benchReport is a report with all of its faces.
type benchReport interface {
	WriteText(w io.Writer) error
	WriteJSON(w io.Writer) error
	HTML(command string) ([]byte, error)
}

// show writes the page, where one is wished for, and prints the report.
func (e *benchExtras) show(out io.Writer, report benchReport) error {
	if e.html != "" {
		page, err := report.HTML(called())
		if err != nil {
			return err
		}
		if err := os.WriteFile(e.html, page, 0o644); err != nil {
			return fmt.Errorf("write the report as HTML: %w", err)
		}
	}
	if e.json {
		return report.WriteJSON(out)
	}
	return report.WriteText(out)
}
