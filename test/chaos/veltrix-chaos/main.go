// Command veltrix-chaos runs schedules of faults against the pipeline: real
// processes on three real brokers and a real Redis.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/test/chaos"
)

func main() { os.Exit(app.Main(command())) }

func command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "veltrix-chaos",
		Short: "Break the pipeline by a schedule, and compare what came out with what went in",
		Long: "veltrix-chaos builds the processor and the notifier, starts three Kafka brokers and a Redis, and runs schedules\n" +
			"of faults against them. docs/chaos.md describes the files and every fault. It ends with 1 where a schedule failed.",
		Example: "  veltrix-chaos run test/chaos/testdata/17-redis-sigkill.yaml",
	}
	cmd.AddCommand(runCommand(), scheduleCommand(), campaignCommand())
	return cmd
}

// options are what run and campaign share.
type options struct {
	jobs   int
	asJSON bool
	dir    string
	keep   bool
}

func (o *options) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.IntVar(&o.jobs, "jobs", 1, "schedules at the same time; those that break brokers run alone")
	flags.BoolVar(&o.asJSON, "json", false, "print the results as JSON, one schedule a line")
	flags.StringVar(&o.dir, "dir", "", "directory of logs and data; those of a schedule that failed are left there (default: a new one)")
	flags.BoolVar(&o.keep, "keep", false, "leave the files of schedules that passed, too")
}

// play runs schedules and prints each result as it comes.
func (o *options) play(cmd *cobra.Command, schedules []*chaos.Schedule) ([]*chaos.Result, error) {
	dir := o.dir
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "veltrix-chaos-"); err != nil {
			return nil, err
		}
	} else if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	results, err := chaos.Play(cmd.Context(), chaos.PlayOptions{
		Dir: dir, Jobs: o.jobs, Keep: o.keep,
		Log:    func(format string, args ...any) { _, _ = fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...) },
		Result: func(r *chaos.Result) { o.print(cmd, r) },
	}, schedules)
	_ = os.Remove(dir) // fails, as it should, where something was left there
	if err != nil {
		return results, err
	}
	failed := 0
	for _, r := range results {
		if !r.Passed {
			failed++
		}
	}
	if failed > 0 {
		return results, fmt.Errorf("%d of %d schedules failed", failed, len(results))
	}
	return results, nil
}

func (o *options) print(cmd *cobra.Command, r *chaos.Result) {
	if !o.asJSON {
		_, _ = fmt.Fprint(cmd.OutOrStdout(), r)
		return
	}
	_ = json.NewEncoder(cmd.OutOrStdout()).Encode(r) // a terminal that is gone has nobody to tell
}

func runCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "run FILE…",
		Short: "Run schedule files",
		Long:  "Runs each schedule, and compares what came out with what went in. The format is described in docs/chaos.md.",
		Example: "  veltrix-chaos run test/chaos/testdata/17-redis-sigkill.yaml\n" +
			"  veltrix-chaos run --jobs 2 --json test/chaos/testdata/*.yaml",
		Args: cobra.MinimumNArgs(1),
	}
	o.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, files []string) error {
		var schedules []*chaos.Schedule
		var wrong []error
		for _, file := range files {
			s, err := chaos.ReadFile(file)
			schedules, wrong = append(schedules, s), append(wrong, err)
		}
		if err := errors.Join(wrong...); err != nil {
			return err
		}
		_, err := o.play(cmd, schedules)
		return err
	}
	return cmd
}
