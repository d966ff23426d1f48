package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/internal/bench"
)

func benchRecoveryCommand() *cobra.Command {
	var (
		out  benchOutput
		opts bench.RecoveryOptions
	)
	cmd := &cobra.Command{
		Use:   "recovery",
		Short: "Measure how long a processor that was killed is missed, under load",
		Long: "Measures first what the processor does at most, on topics filled before. Then sends events of the workload core at\n" +
			"30 % of that, each due at its time whatever became of the one before, and ends a processor, which runs in a\n" +
			"process of its own, with SIGKILL: first one that is started again at once and takes its slots back, and then one\n" +
			"beside which another runs that takes over. Measured is from the kill until the next notification of its\n" +
			"partitions is committed, and until there is no lag: until notifications of every partition come as soon after\n" +
			"their events were due as before the kill. Only processes that it started are ended.\n\n" +
			"Before any figure is printed, all that was committed and every state in Redis is compared with the sequential\n" +
			"fold of the events. What it made is removed. Give it a quiet machine.\n\n" +
			"It exits with 0 when the figures stand, and with 1 when the results are not the fold of the events.",
		Example: "  veltrix bench recovery --kafka-brokers 127.0.0.1:9092 --redis-addrs 127.0.0.1:6379\n" +
			"  veltrix bench recovery --level 20 --rounds 10 --json > figures.json\n" +
			"  veltrix bench recovery --processor-session-timeout 6s --processor-transaction-timeout 5s\n" +
			"  go run ./test/broker/run -- go run ./cmd/veltrix bench recovery --write docs/performance.md",
		Args: cobra.NoArgs,
	}
	flags := loadFlags(cmd, &opts.LoadOptions, &out)
	flags.IntVar(&opts.Level, "level", 30, "the load, in % of the maximum")
	flags.IntVar(&opts.Rounds, "rounds", 5, "kills that are followed by a restart, and as many that are by a takeover")
	flags.DurationVar(&opts.Calm, "calm", 5*time.Second, "how long the processors are left alone before each kill, at most 5m")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		rt, err := loadRuntime(cmd, &opts.LoadOptions)
		if err != nil {
			return err
		}
		report, err := bench.Recovery(cmd.Context(), rt, opts)
		if err != nil {
			return err
		}
		return out.write(cmd, report)
	}
	return cmd
}
