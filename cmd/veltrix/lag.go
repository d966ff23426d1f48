package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/service"
)

func lagCommand() *cobra.Command {
	var f lagFlags
	cmd := &cobra.Command{
		Use:   "lag",
		Short: "Say how far the processors and notifiers are behind, in records and seconds",
		Long: "Counts what is left for the processors in events and for the notifiers in notifications, against the last stable\n" +
			"offset (LSO): from what the group has committed, and from what Redis has applied (R). Markers of transactions and\n" +
			"what was aborted are no records: what is left is read, up to --count records from each place, and the rest\n" +
			"counted in offsets and shown as at most (≤). Seconds are the age of the next record itself. What a transaction\n" +
			"holds back is no lag; one that outlives its timeout is named. It changes nothing.\n\n" +
			"A ? is not known, a – is not there: neither is 0. A total of what could be seen, where not all could, is at least (≥).\n\n" +
			"It ends with 0, with 1 where a bound is exceeded, a transaction hangs, records are lost or the brokers cannot be\n" +
			"reached, with 2 where a part could not be seen and the rest is well, and with 78 when the configuration or the\n" +
			"command line are wrong. --watch ends with 0 when it is stopped.",
		Example: "  veltrix lag\n" +
			"  veltrix lag --max-records 10000 --max-seconds 30\n" +
			"  veltrix lag --watch --every 5s\n" +
			"  veltrix lag --json | jq '.groups[] | {reader, records: .total.lag.records, seconds: .total.lag.seconds}'",
		Args: cobra.NoArgs,
	}
	config.Flags(cmd, "kafka", "redis")
	flags := cmd.Flags()
	flags.BoolVar(&f.asJSON, "json", false, "print the report as JSON; with --watch, one line for each look")
	flags.BoolVar(&f.watch, "watch", false, "look again and again, until it is stopped")
	flags.DurationVar(&f.every, "every", 2*time.Second, "how long --watch waits between two looks")
	flags.StringSliceVar(&f.opts.Groups, "group", nil, "processor or notifier alone")
	flags.Int64Var(&f.opts.MaxRecords, "max-records", -1, "end with 1 where a group is behind by more records than this")
	flags.Float64Var(&f.opts.MaxSeconds, "max-seconds", -1, "end with 1 where the next record of a group is older than this")
	flags.Int64Var(&f.opts.Count, "count", 100_000, "records of a partition that are counted by reading them")
	flags.DurationVar(&f.opts.Timeout, "timeout", 15*time.Second, "how long one look may take")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := f.check(cmd); err != nil {
			return service.WithExitCode(err, service.ExitConfig)
		}
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		l, err := app.NewLag(app.NewRuntime(cfg, version), f.opts)
		if err != nil {
			return err
		}
		defer l.Close()
		f.out, f.errs = cmd.OutOrStdout(), cmd.ErrOrStderr()
		if f.watch {
			return f.follow(cmd.Context(), l.Look)
		}
		report, err := l.Look(cmd.Context())
		if err != nil {
			return err
		}
		if err := f.show(report); err != nil {
			return err
		}
		if report.Exit != service.ExitOK {
			return service.WithExitCode(verdict(report), report.Exit)
		}
		return nil
	}
	return cmd
}

type lagFlags struct {
	opts          app.LagOptions
	asJSON, watch bool
	every         time.Duration

	out, errs io.Writer
}

func (f *lagFlags) check(cmd *cobra.Command) error {
	for _, name := range f.opts.Groups {
		if name != "processor" && name != "notifier" {
			return fmt.Errorf("--group %q: it is processor or notifier", name)
		}
	}
	switch {
	case f.opts.Timeout <= 0 || f.every <= 0:
		return errors.New("give --timeout and --every a time, such as 15s")
	case f.opts.Count < 0:
		return errors.New("--count is a number of records, 0 or more")
	case cmd.Flags().Changed("max-records") && f.opts.MaxRecords < 0, cmd.Flags().Changed("max-seconds") && !(f.opts.MaxSeconds >= 0):
		return errors.New("--max-records and --max-seconds are 0 or more, or left out")
	}
	return nil
}

// verdict is what the report ends with; see docs/lag.md.
func verdict(r *app.LagReport) error {
	return fmt.Errorf("%d to look at, %d could not be seen", len(r.Alarms), len(r.Unknown))
}

func (f *lagFlags) show(r *app.LagReport) error {
	switch {
	case f.asJSON && f.watch:
		return json.NewEncoder(f.out).Encode(r)
	case f.asJSON:
		return writeDocument(f.out, r)
	}
	return printLag(f.out, r)
}

// follow shows each look in the place of the one before on a terminal, and below it
// elsewhere. What is away may come back.
func (f *lagFlags) follow(ctx context.Context, look func(context.Context) (*app.LagReport, error)) error {
	in, isFile := f.out.(io.Reader)
	redraw := isFile && terminal(in) && !f.asJSON
	tick := time.NewTicker(f.every)
	defer tick.Stop()
	for {
		report, err := look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if redraw {
			_, _ = fmt.Fprint(f.out, "\x1b[H\x1b[2J")
		}
		if err != nil {
			_, _ = fmt.Fprintf(f.errs, "%s %v\n", time.Now().UTC().Format(time.RFC3339), err)
		} else if err := f.show(report); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
