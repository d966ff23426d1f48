package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/test/chaos"
)

func scheduleCommand() *cobra.Command {
	var seed uint64
	cmd := &cobra.Command{
		Use:     "schedule --seed S",
		Short:   "Print the schedule that a seed makes",
		Long:    "Prints a schedule as a file, to be read, changed and run. A campaign plays the same one for the seed.",
		Example: "  veltrix-chaos schedule --seed 17 > 17.yaml\n  veltrix-chaos run 17.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), chaos.Random(seed))
			return err
		},
	}
	cmd.Flags().Uint64Var(&seed, "seed", 1, "the seed")
	return cmd
}

func campaignCommand() *cobra.Command {
	var o options
	var n int
	var seed uint64
	var write string
	cmd := &cobra.Command{
		Use:   "campaign",
		Short: "Run schedules of consecutive seeds, and say what each fault did",
		Long: "Runs the schedules of the seeds S, S+1, … and ends with a table: for each fault in how many schedules it was, what they\n" +
			"lost, counted twice or got wrong, and how long it took until every partition had advanced past where it was.",
		Example: "  veltrix-chaos campaign --schedules 10 --seed 42\n" +
			"  veltrix-chaos campaign --schedules 100 --jobs 2 --write docs/reliability.md",
		Args: cobra.NoArgs,
	}
	o.register(cmd)
	cmd.Flags().IntVar(&n, "schedules", 10, "how many")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "the first seed")
	cmd.Flags().StringVar(&write, "write", "", "put the table into this page, too, where it has a place for it")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if n < 1 || n > 10_000 {
			return fmt.Errorf("--schedules is %d, must be 1 to 10000", n)
		}
		var schedules []*chaos.Schedule
		for i := range n {
			schedules = append(schedules, chaos.Random(seed+uint64(i)))
		}
		results, failed := o.play(cmd, schedules)
		sum := chaos.Summarise(results)
		if o.asJSON {
			if err := json.NewEncoder(cmd.OutOrStdout()).Encode(sum); err != nil {
				return err
			}
		} else {
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "\n%s\n%d schedules, %d ended as expected\n", sum.Table(), sum.Schedules, sum.Passed)
		}
		if write != "" && len(results) == n {
			command := fmt.Sprintf("go run ./test/chaos/veltrix-chaos campaign --schedules %d --seed %d --jobs %d --write %s", n, seed, o.jobs, write)
			if err := chaos.WriteCampaign(write, command, machine(), sum); err != nil {
				return err
			}
		}
		return failed
	}
	return cmd
}

// machine is the size of this one.
func machine() string {
	text := fmt.Sprintf("%d CPUs", runtime.NumCPU())
	info, err := os.ReadFile("/proc/meminfo")
	var kib int64
	if line, _, ok := strings.Cut(string(info), "\n"); err == nil && ok {
		if _, err := fmt.Sscanf(line, "MemTotal: %d kB", &kib); err == nil {
			text += fmt.Sprintf(" and %d MiB", kib/1024)
		}
	}
	return text
}
