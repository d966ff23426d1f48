package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/service"
)

func topicsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "topics",
		Short: "Create and check the deployment's topics, and say who may do what with them",
		Long: "The topics and their settings are declared in the binary (deploy/kafka/topics.yaml). plan shows what\n" +
			"differs on the cluster, apply makes it so and pins the deployment in its manifest. Neither ever does\n" +
			"what would lose data. export writes them for others to create, acls the least rights of each command.",
		Example: "  veltrix topics plan\n  veltrix topics apply --partitions 12 --replication 3\n" +
			"  veltrix topics export --format strimzi --cluster my-kafka\n  veltrix topics acls --command processor",
	}
	cmd.AddCommand(topicsPlan(), topicsApply(), topicsExport(), topicsACLs())
	return cmd
}

// topicsFlags are what plan and apply share.
type topicsFlags struct {
	opts   kafkalog.TopicPlanOptions
	asJSON bool
}

func (f *topicsFlags) register(cmd *cobra.Command) {
	config.Flags(cmd, "kafka")
	f.numbers(cmd)
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print the plan as JSON")
}

// numbers are the flags that say how many partitions and copies there are.
func (f *topicsFlags) numbers(cmd *cobra.Command) {
	cmd.Flags().Int32Var(&f.opts.Partitions, "partitions", 0, "partitions of the pipeline's topics, for ever (default: what is there, or the profile's)")
	cmd.Flags().Int16Var(&f.opts.Replication, "replication", 0, "copies of each partition (default: the profile's)")
}

// check refuses a number that was given and cannot be meant: a script whose
// variable is empty or 0 would get the profile's partitions, for ever.
func (f *topicsFlags) check(cmd *cobra.Command) error {
	for name, n := range map[string]int{"partitions": int(f.opts.Partitions), "replication": int(f.opts.Replication)} {
		if cmd.Flags().Changed(name) && n < 1 {
			return service.WithExitCode(fmt.Errorf("--%s %d: give 1 or more, or leave it out", name, n), exitUsage)
		}
	}
	return nil
}

// plan makes the plan and prints it, with the rights of a command. One that would
// lose data is printed too, and is an error.
func (f *topicsFlags) plan(cmd *cobra.Command, rights string) (app.Runtime, kafkalog.Plan, error) {
	if err := f.check(cmd); err != nil {
		return app.Runtime{}, kafkalog.Plan{}, err
	}
	cfg, err := config.Load(cmd.Flags())
	if err != nil {
		return app.Runtime{}, kafkalog.Plan{}, err
	}
	rt := app.NewRuntime(cfg, version)
	f.opts.Profile = cfg.Profile
	plan, err := rt.Topics(cmd.Context(), rights, f.opts, kafkalog.PlanTopics)
	if err != nil && !errors.Is(err, kafkalog.ErrPlanRefused) {
		return rt, plan, err
	}
	return rt, plan, errors.Join(err, printPlan(cmd, plan, f.asJSON))
}

func topicsPlan() *cobra.Command {
	var f topicsFlags
	cmd := &cobra.Command{
		Use: "plan", Short: "Show what apply would change", Args: cobra.NoArgs,
		Example: "  veltrix topics plan --partitions 12 --replication 3\n" +
			"  veltrix topics plan --profile dev --kafka-brokers localhost:9092",
	}
	f.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		_, _, err := f.plan(cmd, "doctor")
		return err
	}
	return cmd
}

func topicsApply() *cobra.Command {
	var f topicsFlags
	var yes bool
	cmd := &cobra.Command{
		Use: "apply", Short: "Create and set what is missing, and pin the deployment", Args: cobra.NoArgs,
		Long: "Shows the plan and asks before it changes anything. Without a terminal it does not ask: it creates what is\n" +
			"missing, and changes topics that are there only with --yes.",
		Example: "  veltrix topics apply --partitions 12 --replication 3\n" +
			"  veltrix topics apply --profile dev --kafka-brokers localhost:9092\n" +
			"  veltrix topics apply --yes",
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do it without asking")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		rt, plan, err := f.plan(cmd, "topics")
		if err != nil {
			return err
		}
		switch {
		case plan.Empty():
		case plan.OnlyCreates() && !terminal(cmd.InOrStdin()): // a first start by a script
		default:
			if err := confirm(cmd, yes, rt.Config.Prefix); err != nil {
				return err
			}
		}
		_, err = rt.Topics(cmd.Context(), "topics", f.opts, kafkalog.ApplyTopics)
		return err
	}
	return cmd
}

func printPlan(cmd *cobra.Command, plan kafkalog.Plan, asJSON bool) error {
	out := cmd.OutOrStdout()
	if asJSON {
		return json.NewEncoder(out).Encode(plan)
	}
	if plan.Empty() && !plan.Refused() {
		_, err := fmt.Fprintf(out, "the topics are as declared, with %d partitions\n", plan.Partitions)
		return err
	}
	_, err := fmt.Fprintln(out, plan)
	return err
}
