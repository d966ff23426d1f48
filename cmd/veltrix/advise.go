package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/advise"
	"github.com/veltrix/veltrix/internal/app"
)

func adviseCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "advise",
		Short:   "Read what has happened, and say how a hunt should be set up for it",
		Example: "  veltrix advise grace --rules-file hunt.yaml",
	}
	cmd.AddCommand(adviseGraceCommand())
	return cmd
}

// sourcesShown bounds the sources in the text; JSON has all of them.
const sourcesShown = 20

func adviseGraceCommand() *cobra.Command {
	var wish float64
	var recordsMax int64
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "grace",
		Short: "Say how late events come, by source, and which grace covers that",
		Long: "Reads the newest records of the events topic, and compares each event with its participant's newest one at that\n" +
			"time: one that is further behind than the rules' grace is late and does not count. It shows how late each source's\n" +
			"events come, how long they are on their way, whose clock is fast, and what each length of grace would have done.\n" +
			"A longer grace costs memory and work: events within it are kept, up to order.max_tail of a participant.\n\n" +
			"It changes nothing. A new grace is a change of the rules: see veltrix rules promote.",
		Example: "  veltrix advise grace --rules-file hunt.yaml\n" +
			"  veltrix advise grace --rules-file hunt.yaml --late-share 0.0001 --records 1000000 --json | jq .advised",
		Args: cobra.NoArgs,
	}
	config.Flags(cmd, "kafka", "rules")
	flags := cmd.Flags()
	flags.Float64Var(&wish, "late-share", 0, "the share of events that may be late: 0.0001 is one in 10,000")
	flags.Int64Var(&recordsMax, "records", 5_000_000, "read so many records at most, the newest ones; 0 reads all. Each takes about 100 bytes of memory")
	flags.BoolVar(&asJSON, "json", false, "print the report as JSON, with all sources")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case wish < 0 || wish >= 1:
			return usage("--late-share is a share of all events: from 0 to less than 1")
		case recordsMax < 0:
			return usage("--records is a number of records, or 0 for all")
		}
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		program, err := app.LoadRules(cfg)
		if err != nil {
			return err
		}
		g, err := app.AdviseGrace(cmd.Context(), app.NewRuntime(cfg, version), program, recordsMax, progress(cmd.ErrOrStderr()))
		if err != nil {
			return err
		}
		report := g.Report(wish)
		if asJSON {
			return writeDocument(cmd.OutOrStdout(), report)
		}
		return printGrace(cmd.OutOrStdout(), report, wish)
	}
	return cmd
}

func printGrace(out io.Writer, r *advise.GraceReport, wish float64) error {
	if r.Events == 0 {
		_, err := fmt.Fprintf(out, "no events were found, and %d records that are none of these rules\n", r.Skipped)
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%d events of %d participants, %d of them behind their participant's newest; %d records skipped\n\n", r.Events, r.Participants, r.OutOfOrder, r.Skipped)
	fmt.Fprintln(w, "events\tout of order\tlate by: median\tp99\tmost\ton the way: least\tmedian\tp99\trefused as future\t  source\t")
	for i := range r.Sources[:min(len(r.Sources), sourcesShown)] {
		s := &r.Sources[i]
		fmt.Fprintf(w, "%d\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t  %s\t\n", s.Events, s.OutOfOrder, span(s.LateP50), span(s.LateP99), span(s.LateMax),
			span(s.TransitMin), span(s.TransitP50), span(s.TransitP99), s.Future, s.Source)
	}
	if more := len(r.Sources) - sourcesShown; more > 0 {
		fmt.Fprintf(w, "and %d more sources, whose events are less late: --json has them\n", more)
	}
	fmt.Fprintln(w, "\ngrace\tlate events\tof all\tmost events of one within it\t")
	for _, c := range r.Candidates {
		fmt.Fprintf(w, "%s\t%d\t%.4f %%\t%d\t\n", span(c.Grace), c.Late, 100*c.Share, c.Tail)
	}
	fmt.Fprintf(w, "\nthe rules' grace of %s: %d late, %.4f %%\n", span(r.Now.Grace), r.Now.Late, 100*r.Now.Share)
	switch a := r.Advised; {
	case a == nil:
		fmt.Fprintf(w, "no grace of up to a day keeps the late ones to %.4f %%: look at the sources that are latest\n", 100*wish)
	default:
		fmt.Fprintf(w, "advised: grace: %s, the shortest with at most %.4f %% late\n", span(a.Grace), 100*wish)
		if a.Tail > r.MaxTail {
			fmt.Fprintf(w, "with it, raise max_tail above %d: a participant has as many events within it, and the rules keep %d\n", a.Tail, r.MaxTail)
		}
	}
	return w.Flush()
}

// span writes seconds as the rules do.
func span(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(time.Millisecond).String()
}
