package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/internal/bench"
)

func benchSoakCommand() *cobra.Command {
	var (
		out  benchOutput
		opts bench.SoakOptions
	)
	cmd := &cobra.Command{
		Use:   "soak",
		Short: "Watch a processor's memory under a steady load, and hold it against its budget",
		Long: "Measures what the processor does at most, starts one in a process of its own, and sends it events of the\n" +
			"workload hot at a share of that, in an open loop. Each second it looks at how much the processor holds, as the\n" +
			"operating system counts it. The budget follows from processor.cache_bytes: twice that, 256 MiB for what is\n" +
			"beside it, and 64 MiB for the program.\n\n" +
			"In the end all that was committed and every state in Redis is compared with the sequential fold of the events.\n" +
			"What it made is removed; meanwhile the log takes about 300 B an event.\n\n" +
			"It exits with 0 when the processor stayed within its budget, and with 1 when it did not, or when the results\n" +
			"are not the fold of the events.",
		Example: "  go run ./test/broker/run -- go run ./cmd/veltrix bench soak\n" +
			"  veltrix bench soak --for 1h --level 5 --json > soak.json\n" +
			"  veltrix bench soak --participants 200000 --processor-cache-bytes 64MiB",
		Args: cobra.NoArgs,
	}
	flags := loadFlags(cmd, &opts.LoadOptions, &out)
	flags.IntVar(&opts.Level, "level", 10, "the load: a share of the maximum, in %")
	flags.DurationVar(&opts.For, "for", 10*time.Minute, "how long, at most 24h")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		rt, err := loadRuntime(cmd, &opts.LoadOptions)
		if err != nil {
			return err
		}
		report, err := bench.Soak(cmd.Context(), rt, opts)
		if report == nil {
			return err
		}
		return errors.Join(out.write(cmd, report), err)
	}
	return cmd
}
