package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/examples"
	"github.com/veltrix/veltrix/internal/app"
)

func upCommand() *cobra.Command {
	up := app.Up{}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run the whole pipeline in one process, with an example to look at",
		Long: "Starts an embedded broker and Redis, creates the topics, runs gateway, processor and notifier with the\n" +
			"wiring of their own binaries, and loads an example hunt. Nothing else has to be installed. What it has\n" +
			"loaded and counted is kept in the data directory, and is there again the next time. With --rules-file it plays\n" +
			"rules of your own, and waits for events; rules that you have edited begin anew.\n\n" +
			"The examples:\n" + exampleList(),
		Example: "  veltrix up\n" +
			"  veltrix up --example quiz\n" +
			"  veltrix up --rules-file hunt.yaml\n" +
			"  veltrix up --example harbour --exit-when-done\n" +
			"  veltrix up --brokers localhost:9092 --redis localhost:6379",
		Args: cobra.NoArgs,
	}
	config.Flags(cmd, "kafka", "redis", "rules", "producer", "processor", "notifier", "doctor", "metrics")
	config.Alias(cmd, "brokers", "kafka.brokers")
	config.Alias(cmd, "redis", "redis.addrs")
	cmd.Flags().StringVar(&up.Example, "example", examples.Names()[0], "the hunt to load: "+strings.Join(examples.Names(), ", "))
	cmd.Flags().StringVar(&up.DataDir, "data-dir", "", "where the embedded broker and Redis keep their data (default veltrix-data/<example or hunt>, with -redis or -kafka behind it where the other is given)")
	cmd.Flags().BoolVar(&up.ExitWhenDone, "exit-when-done", false, "end when all that was loaded is applied and notified, and print the counts")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		if cfg.Rules.File != "" && cmd.Flags().Changed("example") {
			return usage("--example and --rules-file both say what to play: give one of them")
		}
		if !cfg.Explicit("log.level") {
			cfg.Log.Level = "warn" // its output is for a person
		}
		if !cfg.Explicit("log.format") {
			cfg.Log.Format = "text"
		}
		up.Out = cmd.OutOrStdout()
		return up.Run(cmd.Context(), cfg, version)
	}
	return cmd
}

// exampleList says, in a line each, which examples there are and what they show.
func exampleList() string {
	var lines strings.Builder
	for _, e := range examples.All() {
		fmt.Fprintf(&lines, "  %-9s %s\n", e.Name, e.About)
	}
	return strings.TrimSuffix(lines.String(), "\n")
}
