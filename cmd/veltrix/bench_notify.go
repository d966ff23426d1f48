package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/bench"
)

// benchDecides are the flags that a bench does not let anybody else decide.
var benchDecides = []string{"prefix", "profile", "processor-instance"}

func benchNotifyCommand() *cobra.Command {
	var (
		asJSON bool
		write  string
		opts   bench.NotifyOptions
	)
	cmd := &cobra.Command{
		Use:   "notify",
		Short: "Measure the notifier, from an event to the player's screen",
		Long: "Starts a notifier in a process of its own and lets it work off backlogs: first with nobody connected, then with\n" +
			"every player connected over a stream, which another process holds. Then starts a gateway and a processor and\n" +
			"sends events at a fixed rate, each due at its time whatever became of the one before, and measures from\n" +
			"when an event was due to when its player has the notification.\n\n" +
			"A share of what is sent is sent twice. Before any figure is printed, each player must have been shown each\n" +
			"notification once, in order, and each copy must have been taken for one. Everything listens on loopback.\n" +
			"What it made is removed. Give it a quiet machine.\n\n" +
			"It exits with 0 when the figures stand, and with 1 when a notification was lost, doubled or out of order.",
		Example: "  veltrix bench notify\n" +
			"  veltrix bench notify --players 1000 --rate 500 --for 30s --json > figures.json\n" +
			"  go run ./test/broker/run -- go run ./cmd/veltrix bench notify --write docs/performance.md",
		Args: cobra.NoArgs,
	}
	config.Flags(cmd, "kafka", "redis", "processor")
	flags := cmd.Flags()
	for _, name := range benchDecides {
		flags.Lookup(name).Hidden = true
	}
	notifyFlags(flags, &opts)
	flags.BoolVar(&asJSON, "json", false, "print the report as JSON")
	flags.StringVar(&write, "write", "", "write the report into this page too, between its marks")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := benchConfig(cmd)
		if err != nil {
			return err
		}
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find this command, to run its parts: %w", err)
		}
		given := givenFlags(cmd)
		opts.Part = func(name string) *exec.Cmd {
			return exec.Command(self, append([]string{"bench", "notify", "part", name}, given...)...)
		}
		opts.Progress = benchProgress(cmd)
		report, err := bench.Notify(cmd.Context(), app.NewRuntime(cfg, version), opts)
		if err != nil {
			return err
		}
		if write != "" {
			if err := report.WritePage(write, strings.Join(append([]string{"veltrix"}, os.Args[1:]...), " ")); err != nil {
				return err
			}
		}
		if asJSON {
			return report.WriteJSON(cmd.OutOrStdout())
		}
		return report.WriteText(cmd.OutOrStdout())
	}
	cmd.AddCommand(benchPartCommand())
	return cmd
}

// notifyFlags are what is measured.
func notifyFlags(flags *pflag.FlagSet, opts *bench.NotifyOptions) {
	flags.IntVar(&opts.Players, "players", 10_000, "players, each connected over a stream")
	flags.IntVar(&opts.Records, "records", 100_000, "records of each backlog, copies included")
	flags.Float64Var(&opts.Duplicates, "duplicates", 0.3, "share of all that is sent that is sent twice")
	flags.IntVar(&opts.Rounds, "rounds", 3, "backlogs that are measured, without streams and with")
	flags.IntVar(&opts.Rate, "rate", 150, "events a second of the open loop, copies included")
	flags.DurationVar(&opts.For, "for", time.Minute, "how long the open loop is measured, at most 10m")
	flags.Int32Var(&opts.Partitions, "partitions", 8, "partitions of the topics")
}

// givenFlags are the configuration's flags as they were given, for a part.
// Secrets have no flags, so that a command line shows none.
func givenFlags(cmd *cobra.Command) (given []string) {
	known := benchPartCommand().Flags()
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if known.Lookup(f.Name) != nil && !slices.Contains(benchDecides, f.Name) {
			given = append(given, "--"+f.Name+"="+f.Value.String())
		}
	})
	if !cmd.Flags().Changed("log-level") {
		given = append(given, "--log-level=warn")
	}
	return given
}

// benchPartCommand is one of the processes that bench notify starts.
func benchPartCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "part NAME", Short: "Be one of the processes that bench notify starts", Hidden: true,
		Example: "  veltrix bench notify part " + bench.PartNotifier,
		Args:    cobra.ExactArgs(1),
	}
	config.Flags(cmd, "kafka", "redis", "processor")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		return bench.RunPart(cmd.Context(), app.NewRuntime(cfg, version), args[0], cmd.InOrStdin(), cmd.OutOrStdout())
	}
	return cmd
}
