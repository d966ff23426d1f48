package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/repair"
	"github.com/veltrix/veltrix/internal/rules"
	"github.com/veltrix/veltrix/internal/service"
)

func rulesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "rules",
		Short:   "Check, explain, test and describe rules, and change those that a deployment runs",
		Example: "  veltrix rules check rules.yaml\n  veltrix rules test rules.test.yaml\n  veltrix rules promote --from v1.yaml --rules-file v2.yaml --dry-run",
	}
	cmd.AddCommand(checkCommand(), explainCommand(), testCommand(), schemaCommand(), promoteCommand())
	return cmd
}

func promoteCommand() *cobra.Command {
	var from, reason string
	var yes, dryRun, asJSON bool
	cmd := &cobra.Command{
		Use:   "promote",
		Short: "Make changed rules live, at a barrier",
		Long: "A partition's state is the fold of one version of the rules, and so is every replay of it. Changed rules go\n" +
			"live at a barrier: the committed offset of each partition. All processors must be stopped. What is before the\n" +
			"barrier was folded by the present rules and is not folded again; the states there are carried over by the\n" +
			"names of their parts, and events that happened before a participant's newest one are late from then on. What\n" +
			"is behind the barrier is folded by the next rules. Nothing is produced, and notifications that were sent stand.\n\n" +
			"The plan is shown first, and has to be confirmed. An interrupted run is finished by another one; until then\n" +
			"processors of either rules refuse the partitions that are under the other.",
		Example: "  veltrix rules promote --from v1.yaml --rules-file v2.yaml --dry-run\n" +
			"  veltrix rules promote --from v1.yaml --rules-file v2.yaml --reason \"the finals have other prizes\"",
		Args: cobra.NoArgs,
	}
	config.Flags(cmd, "kafka", "redis", "rules", "processor")
	flags := cmd.Flags()
	flags.StringVar(&from, "from", "", "the rules file that the deployment runs now")
	flags.StringVar(&reason, "reason", "", "why; it is kept in the manifest and in the log")
	flags.BoolVar(&yes, "yes", false, "do it without asking")
	flags.BoolVar(&dryRun, "dry-run", false, "print the plan and change nothing")
	flags.BoolVar(&asJSON, "json", false, "print the plan as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case from == "":
			return usage("name the rules that the deployment runs now with --from")
		case reason == "" && !dryRun:
			return usage("say why with --reason: it is kept with what was done")
		}
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		next, err := app.LoadRules(cfg)
		if err != nil {
			return err
		}
		present, err := rules.LoadFile(from)
		if err != nil {
			return service.WithExitCode(err, service.ExitConfig)
		}
		p, err := app.NewPromotion(cmd.Context(), app.NewRuntime(cfg, version), present, next, reason)
		if err != nil {
			return err
		}
		defer p.Close()
		p.Progress = progress(cmd.ErrOrStderr())
		plans, err := promotion(cmd, p, asJSON)
		if err != nil || dryRun {
			return err
		}
		if err := confirm(cmd, yes, p.Prefix); err != nil {
			return err
		}
		for _, plan := range plans {
			if err := p.Apply(cmd.Context(), plan); err != nil {
				return err
			}
		}
		if err := p.Finish(cmd.Context()); err != nil {
			return err
		}
		_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "done: start processors, gateways and verify with the next rules from now on")
		return nil
	}
	return cmd
}

// promotion plans every partition, and shows what it comes to.
func promotion(cmd *cobra.Command, p *app.Promotion, asJSON bool) ([]*repair.Plan, error) {
	members, err := p.Log.Members(cmd.Context())
	if err != nil {
		return nil, err
	}
	if len(members) > 0 {
		return nil, fmt.Errorf("%w: %s: stop all processors first, and wait until their session timeout has passed", repair.ErrMembers, strings.Join(members, ", "))
	}
	var plans []*repair.Plan
	for id := range p.Partitions {
		plan, err := p.PlanPromotion(cmd.Context(), id, p.Next)
		if err != nil {
			return nil, err
		}
		plans = append(plans, plan)
	}
	if !asJSON {
		_, _ = fmt.Fprint(cmd.OutOrStdout(), carried(p.Next.Migration))
	}
	return plans, show(cmd, asJSON, plans)
}

func carried(m *participant.Migration) string {
	list := func(names []string) string {
		if len(names) == 0 {
			return "nothing"
		}
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("state: carried over %s; new %s; dropped %s\n", list(m.Kept), list(m.Added), list(m.Dropped))
}
