package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/bench"
)

func benchLatencyCommand() *cobra.Command {
	var (
		out  benchOutput
		opts bench.LatencyOptions
	)
	cmd := &cobra.Command{
		Use:   "latency",
		Short: "Measure how long an event takes until its notification, at shares of the processor's maximum",
		Long: "Measures first what the processor does at most, on topics filled before. Then, for each level, starts a processor\n" +
			"in a process of its own and sends events of the workload core at that share of the maximum, each due at its time\n" +
			"whatever became of the one before. A time runs from when an event was due until a consumer that reads committed\n" +
			"transactions has its notification; how late the sender itself was is shown beside it. The first part of each\n" +
			"level, a fifth of --for and at most 10 s, is not measured.\n\n" +
			"Before any figure is printed, all that was committed and every state in Redis is compared with the sequential\n" +
			"fold of the events. What it made is removed. Give it a quiet machine: sender, consumer, processor, brokers and\n" +
			"Redis share it when they run on it, and a level that they cannot carry together is named.\n\n" +
			"It exits with 0 when the figures stand, and with 1 when the results are not the fold of the events.",
		Example: "  veltrix bench latency --kafka-brokers 127.0.0.1:9092 --redis-addrs 127.0.0.1:6379\n" +
			"  veltrix bench latency --levels 25,50,75 --for 1m --json > figures.json\n" +
			"  veltrix bench latency --maximum 20000 --levels 50\n" +
			"  go run ./test/broker/run -- go run ./cmd/veltrix bench latency --write docs/performance.md",
		Args: cobra.NoArgs,
	}
	flags := loadFlags(cmd, &opts.LoadOptions, &out)
	flags.IntSliceVar(&opts.Levels, "levels", []int{10, 50, 80}, "shares of the maximum to measure at, in %")
	flags.DurationVar(&opts.For, "for", 20*time.Second, "how long each level is measured, at most 10m")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		rt, err := loadRuntime(cmd, &opts.LoadOptions)
		if err != nil {
			return err
		}
		report, err := bench.Latency(cmd.Context(), rt, opts)
		if err != nil {
			return err
		}
		return out.write(cmd, report)
	}
	return cmd
}

// loadFlags are those that the benches under a load share.
func loadFlags(cmd *cobra.Command, opts *bench.LoadOptions, out *benchOutput) *pflag.FlagSet {
	config.Flags(cmd, "kafka", "redis", "processor")
	flags := cmd.Flags()
	for _, name := range benchDecides {
		flags.Lookup(name).Hidden = true
	}
	flags.Float64Var(&opts.Maximum, "maximum", 0, "events a second that the processor does at most; 0 measures it first")
	flags.Int64Var(&opts.Events, "events", 400_000, "events of each topic that the maximum is measured on")
	flags.IntVar(&opts.Participants, "participants", 0, "participants among whom the events are spread; 0: the workload's own, 20,000")
	flags.Int32Var(&opts.Partitions, "partitions", 8, "partitions of the topics")
	flags.BoolVar(&out.json, "json", false, "print the report as JSON")
	flags.StringVar(&out.page, "write", "", "write the report into this page too, between its marks")
	return flags
}

// loadRuntime also says how the processes are started.
func loadRuntime(cmd *cobra.Command, opts *bench.LoadOptions) (app.Runtime, error) {
	cfg, err := benchConfig(cmd)
	if err != nil {
		return app.Runtime{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return app.Runtime{}, fmt.Errorf("find this command, to run its parts: %w", err)
	}
	given := givenFlags(cmd)
	opts.Part = func(name string) *exec.Cmd {
		return exec.Command(self, append([]string{"bench", "notify", "part", name}, given...)...)
	}
	opts.Progress = benchProgress(cmd)
	return app.NewRuntime(cfg, version), nil
}

// benchOutput says where a report goes.
type benchOutput struct {
	json bool
	page string
}

func (o *benchOutput) write(cmd *cobra.Command, report interface {
	WritePage(path, command string) error
	WriteJSON(io.Writer) error
	WriteText(io.Writer) error
},
) error {
	if o.page != "" {
		if err := report.WritePage(o.page, strings.Join(append([]string{"veltrix"}, os.Args[1:]...), " ")); err != nil {
			return err
		}
	}
	if o.json {
		return report.WriteJSON(cmd.OutOrStdout())
	}
	return report.WriteText(cmd.OutOrStdout())
}
