package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/internal/bench"
)

func benchIdleCommand() *cobra.Command {
	var (
		out  benchOutput
		opts bench.IdleOptions
	)
	cmd := &cobra.Command{
		Use:   "idle",
		Short: "Measure what a processor uses that has many partitions and nothing to do",
		Long: "Fills topics of so many partitions with a few events each, starts a processor in a process of its own, waits\n" +
			"until all is applied, and then looks at the CPU time of the processor, the brokers and Redis while no event\n" +
			"comes. The numbers of partitions take turns.\n\n" +
			"In the end all that was committed and every state in Redis is compared with the sequential fold of the events.\n" +
			"What it made is removed.",
		Example: "  go run ./test/broker/run -- go run ./cmd/veltrix bench idle\n" +
			"  veltrix bench idle --points 100,1000 --for 5m --json > idle.json",
		Args: cobra.NoArgs,
	}
	flags := loadFlags(cmd, &opts.LoadOptions, &out)
	for _, name := range []string{"maximum", "events", "partitions"} {
		flags.Lookup(name).Hidden = true // nobody sends
	}
	flags.IntSliceVar(&opts.Points, "points", []int{8, 1000}, "partitions of the topics")
	flags.IntVar(&opts.Rounds, "rounds", 3, "rounds of each")
	flags.DurationVar(&opts.For, "for", 30*time.Second, "how long each round looks, at most 1h")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		rt, err := loadRuntime(cmd, &opts.LoadOptions)
		if err != nil {
			return err
		}
		report, err := bench.Idle(cmd.Context(), rt, opts)
		if err != nil {
			return err
		}
		return out.write(cmd, report)
	}
	return cmd
}
