package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/bench"
)

// guardOptions are what bench guard is asked for.
type guardOptions struct {
	file      string
	tolerance float64 // in percent
	attempts  int
	record    bool
}

func benchGuardCommand() *cobra.Command {
	var (
		events   int64
		workload string
		guard    guardOptions
		opts     bench.Options
	)
	cmd := &cobra.Command{
		Use:   "guard",
		Short: "Fail where an event costs more CPU than it did",
		Long: "Measures as bench does, and compares the processor's CPU for an event, in units of the bare consume loop of\n" +
			"the same run, with what is recorded in a file. Where it is more, it measures again, up to --attempts times:\n" +
			"a busy machine makes things dearer now and then, a regression does so each time.\n\n" +
			"It exits with 0 when one attempt is within the tolerance, and with 1 when none is, when nothing is recorded of\n" +
			"this workload with so many events, or when the results are not the fold of the events.",
		Example: "  go run ./test/broker/run -- go run ./cmd/veltrix bench guard\n" +
			"  veltrix bench guard --workload wide --tolerance 10\n" +
			"  veltrix bench guard --record",
		Args: cobra.NoArgs,
	}
	config.Flags(cmd, "kafka", "redis", "processor")
	flags := cmd.Flags()
	for _, name := range benchDecides {
		flags.Lookup(name).Hidden = true
	}
	flags.StringVar(&guard.file, "file", "bench/guard.json", "where the costs are recorded")
	flags.Float64Var(&guard.tolerance, "tolerance", 15, "how much more is allowed, in percent")
	flags.IntVar(&guard.attempts, "attempts", 3, "measure again so often where it is more")
	flags.BoolVar(&guard.record, "record", false, "record what is measured instead")
	flags.StringVar(&workload, "workload", "core", "the events: "+strings.Join(bench.Workloads(), ", "))
	flags.Int64Var(&events, "events", 1_000_000, "events in each round, copies included")
	flags.Int32Var(&opts.Partitions, "partitions", 8, "partitions of the topics")
	flags.IntVar(&opts.Rounds, "rounds", 5, "rounds that are measured")
	flags.IntVar(&opts.Warmups, "warmups", 1, "rounds before them that are not")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := benchConfig(cmd)
		if err != nil {
			return err
		}
		if opts.Workload, err = bench.NewWorkload(workload, events, 0, bench.Structured); err != nil {
			return err
		}
		opts.ProcessorOnly = true
		opts.Progress = benchProgress(cmd)
		return guard.run(cmd, app.NewRuntime(cfg, version), opts)
	}
	return cmd
}

// run measures until an attempt is within the tolerance, or records the first.
func (o *guardOptions) run(cmd *cobra.Command, rt app.Runtime, opts bench.Options) error {
	if o.tolerance < 0 || o.attempts < 1 {
		return fmt.Errorf("a guard has a tolerance of 0 %% or more and 1 attempt or more, not %v %% and %d", o.tolerance, o.attempts)
	}
	guards, err := bench.ReadGuards(o.file)
	if err != nil {
		return err
	}
	record := fmt.Sprintf("veltrix bench guard --record --file %s --workload %s --events %d", o.file, opts.Workload.Name, opts.Workload.Events)
	for n := 1; ; n++ {
		report, err := bench.Run(cmd.Context(), rt, opts)
		if err != nil {
			return err
		}
		key, is, err := report.Guarded()
		if err != nil {
			return err
		}
		if o.record {
			guards[key] = is
			if err := guards.Write(o.file); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "recorded in %s: an event of %s takes %.2f times the CPU of the bare consume loop (%.0f and %.0f ns)\n", o.file, key, is.Ratio, is.Processor, is.Loop)
			return err
		}
		err = guards.Check(key, is, o.tolerance/100, record)
		var dearer *bench.RegressionError
		switch {
		case err == nil:
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "an event of %s takes %.2f times the CPU of the bare consume loop; recorded are %.2f, and %.0f %% more are allowed\n", key, is.Ratio, guards[key].Ratio, o.tolerance)
			return err
		case n == o.attempts || !errors.As(err, &dearer):
			return err
		}
		opts.Progress("attempt %d of %d: %.2f times the bare consume loop, %.2f are recorded; measuring again", n, o.attempts, is.Ratio, guards[key].Ratio)
	}
}
