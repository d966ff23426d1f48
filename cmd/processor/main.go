// Command processor folds the events of a deployment into its participants'
// state, exactly once. Any number of them share the partitions.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
)

// version is set by the linker.
var version = "dev"

func main() { os.Exit(app.Main(command())) }

func command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "processor",
		Short: "Fold events into participants' state, exactly once",
		Long: "Consumes the events topic, folds each event into its participant's state by the rules, and commits\n" +
			"notifications, rejects and offsets in one Kafka transaction; then it moves Redis. Start as many as you\n" +
			"like: they share the partitions, and one that dies is replaced by the others.",
		Example: "  processor --rules-file hunt.yaml\n" +
			"  VELTRIX_KAFKA_BROKERS=k1:9092,k2:9092 VELTRIX_REDIS_ADDRS=r1:6379 processor --rules-file hunt.yaml\n" +
			"  processor --config veltrix.yaml --processor-slots 4",
		Args: cobra.NoArgs, Version: version,
	}
	config.Flags(cmd, "kafka", "redis", "rules", "processor", "doctor", "metrics")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		program, err := app.LoadRules(cfg)
		if err != nil {
			return err
		}
		app.BoundMemory(cfg)
		rt := app.NewRuntime(cfg, version)
		p := app.NewProcessor(rt, program)
		return rt.Serve(cmd.Context(), p.Checks(), p, rt.Reloads())
	}
	return cmd
}
