package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/bench"
)

func benchCommand() *cobra.Command {
	var (
		events       int64
		participants int
		workload     string
		encoding     string
		extras       benchExtras
		opts         bench.Options
	)
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure the processor on this machine, and compare all it did with the fold",
		Long: "Fills topics of its own with events, then takes turns between a bare consume loop and the whole processor,\n" +
			"which starts from nothing each time and ends when Redis holds the last event; and on another topic runs the\n" +
			"processor with a notifier, up to the last notification in its inbox. Before any figure is printed,\n" +
			"everything that was committed and every state in Redis is compared with the sequential fold of the events.\n\n" +
			"The workloads differ in one thing each: core is what others refer to, wide has 500,000 participants, hot is\n" +
			"about few of them (Zipf 1.1), fan-out notifies at each event, disorder has 10 % copies and 10 % of the others\n" +
			"behind their participant's next, rules has ten rules for each event. A notifier is measured where each\n" +
			"notification is told once: not with hot, fan-out and disorder.\n\n" +
			"It works under a prefix that nobody else has, and removes its topics, group and keys at the end. Rounds in\n" +
			"which other load took more than a tenth of the machine are marked as noisy. Give it a quiet machine: the\n" +
			"brokers, Redis and this process share it when they run on it.\n\n" +
			"It exits with 0 when the figures stand, and with 1 when the results are not the fold of the events.",
		Example: "  veltrix bench --kafka-brokers 127.0.0.1:9092 --redis-addrs 127.0.0.1:6379\n" +
			"  veltrix bench --workload disorder --events 1000000\n" +
			"  veltrix bench --events 4000000 --rounds 5 --json > figures.json\n" +
			"  veltrix bench --embedded --events 100000 --html report.html\n" +
			"  veltrix bench --cpuprofile cpu.out && go tool pprof -top cpu.out",
		Args: cobra.NoArgs,
	}
	config.Flags(cmd, "kafka", "redis", "processor")
	flags := cmd.Flags()
	for _, name := range benchDecides {
		flags.Lookup(name).Hidden = true // the bench decides them
	}
	flags.StringVar(&workload, "workload", "core", "the events: "+strings.Join(bench.Workloads(), ", "))
	flags.Int64Var(&events, "events", 400_000, "events in each round, copies included")
	flags.IntVar(&participants, "participants", 0, "participants among whom they are spread; 0: the workload's own, 20,000, wide 500,000")
	flags.StringVar(&encoding, "encoding", bench.Structured, "how an event is written: structured (all of it JSON) or binary (its attributes as headers)")
	benchFlags(flags, &opts)
	extras.flags(flags)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := benchConfig(cmd)
		if err != nil {
			return err
		}
		if opts.Workload, err = bench.NewWorkload(workload, events, participants, encoding); err != nil {
			return err
		}
		opts.Progress = benchProgress(cmd)
		return extras.with(cmd.Context(), app.NewRuntime(cfg, version), func(rt app.Runtime) error {
			report, err := bench.Run(cmd.Context(), rt, opts)
			if err != nil {
				return err
			}
			return extras.show(cmd.OutOrStdout(), report)
		})
	}
	cmd.AddCommand(benchRebuildCommand(), benchNotifyCommand(), benchLatencyCommand(), benchRecoveryCommand(), benchSoakCommand(), benchIdleCommand(), benchGrowthCommand(), benchGuardCommand())
	return cmd
}

// benchFlags are how it is measured.
func benchFlags(flags *pflag.FlagSet, opts *bench.Options) {
	flags.Int32Var(&opts.Partitions, "partitions", 8, "partitions of the topics")
	flags.IntVar(&opts.Rounds, "rounds", 3, "rounds that are measured")
	flags.IntVar(&opts.Warmups, "warmups", 1, "rounds before them that are not")
	flags.StringVar(&opts.CPUProfile, "cpuprofile", "", "profile a further round of the processor into this file")
}

func benchRebuildCommand() *cobra.Command {
	var (
		events       int64
		participants int
		asJSON       bool
		opts         bench.RebuildOptions
	)
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Measure how long it takes to build anew what Redis lost",
		Long: "Fills topics of its own, folds them, and then takes away what Redis has: one partition goes back to half of its\n" +
			"events, all positions are lost and folded again from the log, and lost once more and restored from snapshots\n" +
			"with the events behind them. Each time is from the loss, noticing it included, until Redis is at the end.\n" +
			"In the end everything is compared with the sequential fold. What it made is removed.",
		Example: "  veltrix bench rebuild --partitions 1 --participants 100000 --events 440000 --tail 40000\n" +
			"  veltrix bench rebuild --participants 1000000 --events 2200000 --tail 200000 --json",
		Args: cobra.NoArgs,
	}
	config.Flags(cmd, "kafka", "redis", "processor")
	flags := cmd.Flags()
	for _, name := range benchDecides {
		flags.Lookup(name).Hidden = true // the bench decides them
	}
	flags.Int64Var(&events, "events", 440_000, "events, those of the tail included")
	flags.Int64Var(&opts.Tail, "tail", 40_000, "events behind the snapshots")
	flags.IntVar(&participants, "participants", 100_000, "participants among whom they are spread")
	flags.Int32Var(&opts.Partitions, "partitions", 8, "partitions of the topics")
	flags.BoolVar(&asJSON, "json", false, "print the report as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := benchConfig(cmd)
		if err != nil {
			return err
		}
		if opts.Workload, err = bench.NewWorkload("core", events, participants, bench.Structured); err != nil {
			return err
		}
		opts.Progress = benchProgress(cmd)
		report, err := bench.Rebuild(cmd.Context(), app.NewRuntime(cfg, version), opts)
		if err != nil {
			return err
		}
		if asJSON {
			return report.WriteJSON(cmd.OutOrStdout())
		}
		return report.WriteText(cmd.OutOrStdout())
	}
	return cmd
}
