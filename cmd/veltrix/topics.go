package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/kafkalog"
)

func topicsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "topics",
		Short: "Create and check the deployment's topics",
		Long: "The topics and their settings are declared in the binary (deploy/kafka/topics.yaml). plan shows what\n" +
			"differs on the cluster, apply makes it so and pins the deployment in its manifest. Neither ever does\n" +
			"what would lose data.",
	}
	cmd.AddCommand(
		topicsSub("plan", "Show what apply would change", kafkalog.PlanTopics),
		topicsSub("apply", "Create and set what is missing, and pin the deployment", kafkalog.ApplyTopics),
	)
	return cmd
}

func topicsSub(name, short string, run topicsFunc) *cobra.Command {
	var opts kafkalog.TopicPlanOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use: name, Short: short, Args: cobra.NoArgs,
		Example: "  veltrix topics " + name + " --partitions 12 --replication 3\n" +
			"  veltrix topics " + name + " --profile dev --kafka-brokers localhost:9092",
	}
	config.Flags(cmd, "kafka")
	cmd.Flags().Int32Var(&opts.Partitions, "partitions", 0, "partitions of the pipeline's topics, for ever; 0: what is there, or the profile's")
	cmd.Flags().Int16Var(&opts.Replication, "replication", 0, "copies of each partition; 0: the profile's")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the plan as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		rt := app.NewRuntime(cfg, version)
		opts.Profile = cfg.Profile
		plan, err := rt.Topics(cmd.Context(), opts, run)
		if err != nil && !errors.Is(err, kafkalog.ErrPlanRefused) {
			return err
		}
		return errors.Join(err, printPlan(cmd, plan, asJSON))
	}
	return cmd
}

type topicsFunc = app.TopicsFunc

func printPlan(cmd *cobra.Command, plan kafkalog.Plan, asJSON bool) error {
	out := cmd.OutOrStdout()
	if asJSON {
		return json.NewEncoder(out).Encode(plan)
	}
	if plan.Empty() {
		_, err := fmt.Fprintf(out, "the topics are as declared, with %d partitions\n", plan.Partitions)
		return err
	}
	_, err := fmt.Fprintln(out, plan)
	return err
}
