package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/service"
	"github.com/veltrix/veltrix/internal/verify"
)

func verifyCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Fold the source topic again and compare everything with it",
		Long: "Reads the events topic from its start, folds it one record after the other by the rules, and compares\n" +
			"notifications and rejects one for one and every participant in Redis byte for byte. It changes nothing.\n" +
			"The positions in Redis and the group's committed offsets with their stamps are held against each other.\n" +
			"Inboxes and what was sent through other channels are not looked at.\n" +
			"Run it when the pipeline has come to rest; records not yet processed are reported as behind.\n\n" +
			"What cannot be compared, as after a loss of records, is reported as unverifiable, and the other\n" +
			"partitions are compared all the same. It exits with 0 when everything was compared and nothing is\n" +
			"lost, duplicated or wrong, and with 1 otherwise.",
		Example: "  veltrix verify --rules-file hunt.yaml\n  veltrix verify --rules-file hunt.yaml --json | jq .findings",
		Args:    cobra.NoArgs,
	}
	config.Flags(cmd, "kafka", "redis", "rules", "processor")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		program, err := app.LoadRules(cfg)
		if err != nil {
			return err
		}
		report, err := app.Verify(cmd.Context(), app.NewRuntime(cfg, version), program, progress(cmd.ErrOrStderr()))
		if err != nil {
			return err
		}
		if asJSON {
			encoder := json.NewEncoder(cmd.OutOrStdout())
			encoder.SetIndent("", "  ")
			err = encoder.Encode(report)
		} else {
			printReport(cmd.OutOrStdout(), report)
		}
		if err == nil && !report.Clean() {
			return service.WithExitCode(fmt.Errorf("%d lost, %d duplicated, %d wrong, %d unverifiable", report.Lost, report.Duplicated, report.Wrong, report.Unverifiable), service.ExitFailure)
		}
		return err
	}
	return cmd
}

// progress says every 100,000 records how far the fold is.
func progress(w io.Writer) func(partition int32, records int64) {
	const every = 100_000
	said := int64(0)
	return func(partition int32, records int64) {
		if records < said {
			said = 0
		}
		if records-said >= every {
			said = records
			_, _ = fmt.Fprintf(w, "partition %d: %d records folded\n", partition, records)
		}
	}
}

func printReport(w io.Writer, r *verify.Report) {
	for _, f := range r.Findings {
		_, _ = fmt.Fprintf(w, "%-12s %s: %s\n", f.Kind, f.Where, f.Sentence)
	}
	_, _ = fmt.Fprintf(w, "partitions    %d\nrecords       %d\noutputs       %d\nstates        %d\nbehind        %d\n",
		len(r.Partitions), r.Records, r.Outputs, r.States, r.Behind)
	for _, p := range r.Partitions {
		if p.Rebased {
			_, _ = fmt.Fprintf(w, "rebased       partition %d: compared from %d on\n", p.Partition, p.Start)
		}
	}
	for _, table := range []map[string]int64{r.Fates, r.Ops} {
		for _, name := range slices.Sorted(maps.Keys(table)) {
			_, _ = fmt.Fprintf(w, "  %-14s %d\n", name, table[name])
		}
	}
	_, _ = fmt.Fprintf(w, "lost          %d\nduplicated    %d\nwrong         %d\nunverifiable  %d\n", r.Lost, r.Duplicated, r.Wrong, r.Unverifiable)
}
