package main

import (
	"encoding/json"
	"strings"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/deploy/kafka"
)

func topicsExport() *cobra.Command {
	var f topicsFlags
	var format, cluster string
	cmd := &cobra.Command{
		Use: "export", Short: "Write the topics for others to create", Args: cobra.NoArgs,
		Long: "Writes the declared topics as KafkaTopic objects for Strimzi's topic operator, or as a script of Kafka's own\n" +
			"tools. Nothing is contacted.\n\n" +
			"Topics alone are no deployment: once they are there, veltrix topics apply still has to run. It compares them\n" +
			"with the declaration, and pins the cluster, the events topic and the partition count in the manifest. No service\n" +
			"starts before that.",
		Example: "  veltrix topics export --format strimzi --prefix hunt --profile prod --cluster my-kafka | kubectl apply -f -\n" +
			"  veltrix topics export --format script --prefix hunt --profile prod --partitions 24 > topics.sh",
	}
	config.Flags(cmd)
	f.numbers(cmd)
	cmd.Flags().StringVar(&format, "format", "strimzi", "strimzi, or script")
	cmd.Flags().StringVar(&cluster, "cluster", kafka.ClusterDefault, "Strimzi's name of the Kafka cluster")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := f.check(cmd); err != nil {
			return err
		}
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		topics, err := kafka.Declared().Resolve(kafka.Wish{Profile: cfg.Profile, Partitions: f.opts.Partitions, Replication: f.opts.Replication})
		if err != nil {
			return usage("%v", err)
		}
		var text []byte
		switch format {
		case "strimzi":
			text, err = kafka.Strimzi(topics, cfg.Prefix, cluster)
		case "script":
			text = kafka.Script(topics, cfg.Prefix)
		default:
			err = usage("--format is strimzi or script, not %s", format)
		}
		return written(cmd, text, err)
	}
	return cmd
}

func topicsACLs() *cobra.Command {
	var format, cluster, user string
	var commands []string
	cmd := &cobra.Command{
		Use: "acls", Short: "Say the least that each command must be allowed at the brokers", Args: cobra.NoArgs,
		Long: "For brokers that check rights. Writes what each command needs and no more: to read, as JSON, as a script of\n" +
			"kafka-acls.sh, or as KafkaUser objects for Strimzi's user operator. Nothing is contacted. docs/acls.md has the same\n" +
			"as a page, with what happens where a right is missing.\n\n" +
			"The commands: " + strings.Join(kafka.Commands(true), ", ") + ". checks and left-open are written only where they are named.",
		Example: "  veltrix topics acls --prefix hunt\n" +
			"  veltrix topics acls --prefix hunt --command processor --format json\n" +
			"  veltrix topics acls --prefix hunt --format script > acls.sh\n" +
			"  veltrix topics acls --prefix hunt --format strimzi --cluster my-kafka | kubectl apply -f -\n" +
			"  veltrix topics acls --command left-open --user hunt-processor --format script | sh",
	}
	config.Flags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&format, "format", "text", "text, json, script or strimzi")
	flags.StringSliceVar(&commands, "command", nil, "only these commands (default: all but left-open)")
	flags.StringVar(&user, "user", "", "the user of that one command, without User: (default: <prefix>-<command>)")
	flags.StringVar(&cluster, "cluster", kafka.ClusterDefault, "Strimzi's name of the Kafka cluster")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		all, err := rightsOf(cfg.Prefix, commands, user)
		if err != nil {
			return err
		}
		text, err := formatRights(all, format, cfg.Prefix, cluster)
		return written(cmd, text, err)
	}
	return cmd
}

// rightsOf finds the rights of the named commands, or of all. A user of one's own is
// one command's: several under one name would each have what the others need.
func rightsOf(prefix string, commands []string, user string) (all []kafka.Rights, err error) {
	if user != "" && len(commands) != 1 {
		return nil, usage("--user is the user of one command: name it with --command")
	}
	if len(commands) == 0 {
		commands = kafka.Commands(false)
	}
	for _, command := range commands {
		of, ok := kafka.RightsOf(prefix, command)
		if !ok {
			return nil, usage("--command %s: no rights are declared for it; there are %s", command, strings.Join(kafka.Commands(true), ", "))
		}
		if user != "" {
			of.User = user
		}
		all = append(all, of)
	}
	return all, nil
}

func formatRights(all []kafka.Rights, format, prefix, cluster string) ([]byte, error) {
	switch format {
	case "text":
		return kafka.ACLText(all), nil
	case "json":
		text, err := json.MarshalIndent(all, "", "  ")
		return append(text, '\n'), err
	case "script":
		return kafka.ACLScript(all, prefix), nil
	case "strimzi":
		text, err := kafka.StrimziUsers(all, prefix, cluster)
		if err != nil {
			return nil, usage("%v", err)
		}
		return text, nil
	}
	return nil, usage("--format is text, json, script or strimzi, not %s", format)
}

// written writes a text that was made without an error.
func written(cmd *cobra.Command, text []byte, err error) error {
	if err == nil {
		_, err = cmd.OutOrStdout().Write(text)
	}
	return err
}
