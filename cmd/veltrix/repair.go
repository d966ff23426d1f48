package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/repair"
)

// repairFlags are what rebase and rebuild share.
type repairFlags struct {
	partitions []int32
	all        bool
	reason     string
	yes        bool
	dryRun     bool
	asJSON     bool
}

func (f *repairFlags) register(cmd *cobra.Command) {
	config.Flags(cmd, "kafka", "redis", "rules", "processor")
	flags := cmd.Flags()
	flags.Int32SliceVar(&f.partitions, "partition", nil, "the partition, or several with commas between them")
	flags.BoolVar(&f.all, "all", false, "all partitions")
	flags.StringVar(&f.reason, "reason", "", "why; it is kept in the manifest and in the log")
	flags.BoolVar(&f.yes, "yes", false, "do it without asking")
	flags.BoolVar(&f.dryRun, "dry-run", false, "print the plan and change nothing")
	flags.BoolVar(&f.asJSON, "json", false, "print the plan as JSON")
}

// open checks the flags and connects.
func (f *repairFlags) open(cmd *cobra.Command) (*app.Repair, error) {
	switch {
	case f.all == (len(f.partitions) > 0):
		return nil, usage("name the partitions with --partition, or say --all")
	case f.reason == "" && !f.dryRun:
		return nil, usage("say why with --reason: it is kept with what was done")
	}
	cfg, err := config.Load(cmd.Flags())
	if err != nil {
		return nil, err
	}
	program, err := app.LoadRules(cfg)
	if err != nil {
		return nil, err
	}
	r, err := app.NewRepair(cmd.Context(), app.NewRuntime(cfg, version), program, f.reason)
	if err != nil {
		return nil, err
	}
	r.Progress = progress(cmd.ErrOrStderr())
	if f.all {
		f.partitions = nil
		for p := range r.Partitions {
			f.partitions = append(f.partitions, p)
		}
	}
	slices.Sort(f.partitions)
	f.partitions = slices.Compact(f.partitions)
	for _, p := range f.partitions {
		if p < 0 || p >= r.Partitions {
			r.Close()
			return nil, usage("there is no partition %d: %s.events has 0 to %d", p, r.Prefix, r.Partitions-1)
		}
	}
	return r, nil
}

// word is what has to be typed: the partition, or for several the prefix.
func (f *repairFlags) word(r *app.Repair) string {
	if len(f.partitions) == 1 {
		return fmt.Sprint(f.partitions[0])
	}
	return r.Prefix
}

// show prints plans, as text one after the other or as one JSON document.
func show[P fmt.Stringer](cmd *cobra.Command, asJSON bool, plans []P) error {
	if !asJSON {
		for _, p := range plans {
			_, _ = fmt.Fprint(cmd.OutOrStdout(), p)
		}
		return nil
	}
	encoder := json.NewEncoder(cmd.OutOrStdout())
	encoder.SetIndent("", "  ")
	return encoder.Encode(plans)
}

func rebaseCommand() *cobra.Command {
	var f repairFlags
	var acceptLoss bool
	cmd := &cobra.Command{
		Use:   "rebase",
		Short: "Put a partition's committed offset where it belongs",
		Long: "For a partition that the processors refuse. All processors must be stopped.\n\n" +
			"Without --accept-loss, nothing is given up: after a reset, a deleted group or a foreign commit, the offset\n" +
			"behind the last record that has an outcome is committed again, with the stamp of the fold up to there. The\n" +
			"outputs, the view in Redis, the snapshots and the log say which one that is. Nothing is produced.\n\n" +
			"With --accept-loss, what is gone is given up, after the plan has said it in numbers: where the log lost\n" +
			"records, the states as they can still be had become the partition's beginning at a new position.\n\n" +
			"The plan is shown first, and has to be confirmed. An interrupted run is repaired by another one. What was\n" +
			"done is kept in the manifest: who, when, why, from where to where.",
		Example: "  veltrix rebase --partition 3 --rules-file hunt.yaml --dry-run\n" +
			"  veltrix rebase --partition 3 --rules-file hunt.yaml --reason \"the group was deleted by mistake\"\n" +
			"  veltrix rebase --all --rules-file hunt.yaml --reason \"offsets expired\" --yes\n" +
			"  veltrix rebase --partition 3 --accept-loss --rules-file hunt.yaml --reason \"retention passed the outage\"",
		Args: cobra.NoArgs,
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&acceptLoss, "accept-loss", false, "give up what is gone, and go on without it")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		r, err := f.open(cmd)
		if err != nil {
			return err
		}
		defer r.Close()
		plan := r.Plan
		if acceptLoss {
			plan = r.PlanLoss
		}
		var plans []*repair.Plan
		left := false
		for _, id := range f.partitions {
			p, err := plan(cmd.Context(), id)
			if errors.Is(err, repair.ErrNothingLost) && len(f.partitions) > 1 {
				continue
			}
			if err != nil {
				return err
			}
			plans, left = append(plans, p), left || !p.Empty()
		}
		if err := show(cmd, f.asJSON, plans); err != nil || f.dryRun || !left {
			return err
		}
		if members := plans[0].Members; len(members) > 0 {
			return fmt.Errorf("%w: %s: stop all processors first, and wait until their session timeout has passed", repair.ErrMembers, strings.Join(members, ", "))
		}
		if err := confirm(cmd, f.yes, f.word(r)); err != nil {
			return err
		}
		for _, p := range plans {
			if err := r.Apply(cmd.Context(), p); err != nil {
				return err
			}
		}
		_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "done: start the processors, and run veltrix verify once they have come to rest")
		return nil
	}
	return cmd
}

func rebuildCommand() *cobra.Command {
	var f repairFlags
	var wait bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Have a partition's view in Redis made anew from the log",
		Long: "Drops the partition's position in Redis. A running processor notices within a second, begins a new\n" +
			"generation from the newest snapshot or from the log's start, and folds the log up to the committed offset\n" +
			"without producing anything. If none runs, the next one to start does it. Events wait meanwhile, nothing is\n" +
			"lost, and nobody is notified twice.\n\n" +
			"The plan says what is folded again, and has to be confirmed. A view that could not be made anew is not dropped.",
		Example: "  veltrix rebuild --partition 3 --rules-file hunt.yaml --dry-run\n" +
			"  veltrix rebuild --partition 3 --rules-file hunt.yaml --reason \"values were edited by hand\" --wait\n" +
			"  veltrix rebuild --all --rules-file hunt.yaml --reason \"restored from an old backup\" --yes",
		Args: cobra.NoArgs,
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&wait, "wait", false, "follow the progress until Redis is at the committed offset")
	cmd.Flags().DurationVar(&timeout, "timeout", time.Hour, "with --wait: for so long at most")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		r, err := f.open(cmd)
		if err != nil {
			return err
		}
		defer r.Close()
		var plans []*repair.Rebuild
		for _, id := range f.partitions {
			p, err := r.PlanRebuild(cmd.Context(), id)
			if err != nil {
				return err
			}
			plans = append(plans, p)
		}
		if err := show(cmd, f.asJSON, plans); err != nil || f.dryRun {
			return err
		}
		if err := confirm(cmd, f.yes, f.word(r)); err != nil {
			return err
		}
		for _, p := range plans {
			if err := r.ApplyRebuild(cmd.Context(), p); err != nil {
				return err
			}
		}
		if !wait {
			return nil
		}
		return follow(cmd, r, plans, timeout)
	}
	return cmd
}
