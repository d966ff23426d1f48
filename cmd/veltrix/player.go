package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/trail"
)

func playerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "player",
		Short:   "Look at one participant",
		Example: "  veltrix player explain ada\n  veltrix player devices ada\n  veltrix player preferences ada",
	}
	cmd.AddCommand(playerExplainCommand(), playerDevicesCommand(), playerPreferencesCommand())
	return cmd
}

func playerExplainCommand() *cobra.Command {
	var since time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain PARTICIPANT",
		Short: "Tell a participant's events, what became of each, and what the player was told",
		Long: "Reads the participant's partition of the events topic, and what was committed for it: rejections, notifications,\n" +
			"and the notifiers' receipts. Events are shown in the order in which they happened, each with its fate and, where it was\n" +
			"rejected, the reason; below it what its arrival had told, changed (update) or taken back (retract), and what became\n" +
			"of that on each channel. A gap or an inversion is a place where the source's sequence did not go on by one.\n\n" +
			"It tells what has happened; veltrix verify says whether that is what should have. It changes nothing.",
		Example: "  veltrix player explain ada\n" +
			"  veltrix player explain N14228 --since 24h\n" +
			"  veltrix player explain ada --json | jq '.entries[] | select(.status == \"rejected\")'",
		Args: cobra.ExactArgs(1),
	}
	config.Flags(cmd, "kafka")
	cmd.Flags().DurationVar(&since, "since", 0, "only events that arrived within this time; 0 is all that the log holds")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the trail as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if since < 0 {
			return usage("--since is a time until now, such as 24h")
		}
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		var window trail.Window
		if since > 0 {
			window.Since = time.Now().Add(-since)
		}
		progress := progress(cmd.ErrOrStderr())
		found, err := app.Trail(cmd.Context(), app.NewRuntime(cfg, version), args[0], window, func(records int64) { progress(0, records) })
		if err != nil {
			return err
		}
		if asJSON {
			return writeDocument(cmd.OutOrStdout(), found)
		}
		return printTrail(cmd.OutOrStdout(), found)
	}
	return cmd
}

const trailTime = "2006-01-02 15:04:05.000"

func printTrail(out io.Writer, t *trail.Trail) error {
	p := &printer{out: out}
	p.line("%s: partition %d, offsets %d to %d; the processors have committed %d", t.Participant, t.Partition, t.From, t.Before, t.Committed)
	if len(t.Entries) == 0 {
		p.line("no events: nothing of this participant arrived in that time, or the name is written in another way")
	}
	for i := range t.Entries {
		printEntry(p, &t.Entries[i])
	}
	return p.err
}

func printEntry(p *printer, e *trail.Entry) {
	head := fmt.Sprintf("%s  %s  %s", e.Event.Time.Format(trailTime), orUnknown(e.Event.Type), e.Status)
	if e.Reason != "" {
		head += ": " + e.Reason
	}
	p.line("\n%s", head)
	if e.Sentence != "" {
		p.line("    %s", e.Sentence)
	}
	about := fmt.Sprintf("    %s of %s, offset %d, arrived %s", orUnknown(e.Event.ID), orUnknown(e.Event.Source), e.Offset, e.Arrived.Format(trailTime))
	if e.Event.Sequence != "" {
		about += ", sequence " + e.Event.Sequence
	}
	if e.SequenceBreak != "" {
		about += " (" + e.SequenceBreak + ")"
	}
	if e.MovedFrom != "" {
		about += ", moved from " + e.MovedFrom
	}
	p.line("%s", about)
	for i := range e.Notifications {
		printNotification(p, &e.Notifications[i])
	}
}

func printNotification(p *printer, n *trail.Notification) {
	head := fmt.Sprintf("    %s %s/%s", n.Op, n.Rule, n.Name)
	if n.Revision > 1 {
		head += ", revision " + strconv.FormatUint(uint64(n.Revision), 10)
	}
	if n.Title != "" {
		head += ": " + strconv.QuoteToGraphic(n.Title)
	}
	p.line("%s", head)
	for _, d := range n.Channels {
		said := "        " + d.Channel
		if d.Target != "" && d.Target != d.Channel {
			said += " " + d.Target
		}
		said += ": " + d.Outcome
		if d.At != nil {
			said += " " + d.At.UTC().Format(trailTime)
		}
		if d.Attempts > 1 {
			said += fmt.Sprintf(", attempt %d", d.Attempts)
		}
		if d.Reason != "" {
			said += ", " + d.Reason
		}
		p.line("%s", said)
	}
}

func orUnknown(s string) string {
	if s == "" {
		return "(unreadable)"
	}
	return strings.ToValidUTF8(s, "?")
}

// printer keeps the first error of what is written.
type printer struct {
	out io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.out, format+"\n", args...)
	}
}
