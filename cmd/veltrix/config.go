package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/service"
)

func configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show the configuration that is in force, and what is wrong with it",
		Long: "Flags, variables, file and defaults are put together as for every command; see docs/configuration.md.\n" +
			"Nothing is contacted.",
		Example: "  veltrix config show --origin\n  veltrix config check --config veltrix.yaml\n  veltrix config diff before.yaml after.yaml",
	}
	cmd.AddCommand(configShow(), configCheck(), configDiff())
	return cmd
}

func configFlags(cmd *cobra.Command) {
	config.Flags(cmd, "kafka", "redis", "rules", "producer", "processor", "notifier", "doctor", "metrics")
}

func configShow() *cobra.Command {
	var origin, asJSON bool
	cmd := &cobra.Command{
		Use: "show", Short: "Print every key with its value, as a file", Args: cobra.NoArgs,
		Example: "  veltrix config show --origin\n" +
			"  VELTRIX_PROFILE=prod veltrix config show --json",
	}
	configFlags(cmd)
	cmd.Flags().BoolVar(&origin, "origin", false, "say behind each value where it comes from")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it as JSON, with origins")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(cfg)
		}
		return cfg.Show(cmd.OutOrStdout(), origin)
	}
	return cmd
}

func configCheck() *cobra.Command {
	var face doctorFace
	cmd := &cobra.Command{
		Use: "check", Short: "Say what is wrong with the configuration, all at once", Args: cobra.NoArgs,
		Long: "Reads the configuration, the files that it names, and runs those of the doctor's checks that need no server.\n\n" +
			"It ends with 0 when all is well, 1 when a check failed, 2 when there are only warnings, and 78 when the\n" +
			"configuration or the waivers are wrong.",
		Example: "  veltrix config check --config veltrix.yaml\n" +
			"  veltrix config check --profile prod --json | jq '.results[] | select(.state == \"fail\")'",
	}
	configFlags(cmd)
	face.flags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := face.check(); err != nil {
			return err
		}
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		report, err := app.CheckConfig(cmd.Context(), app.NewRuntime(cfg, version))
		if err != nil {
			return err
		}
		return face.conclude(cmd.OutOrStdout(), report)
	}
	return cmd
}

func configDiff() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "diff BEFORE AFTER", Short: "Say in which keys two files differ", Args: cobra.ExactArgs(2),
		Long: "Compares two configuration files with the defaults filled in, so that a key that is left out and one that\n" +
			"is given its default are the same. Flags and variables do not count. A change that a running service takes\n" +
			"over on SIGHUP is told from one that needs a restart.\n\n" +
			"It ends with 0 when they are the same, 1 when they differ, and 78 when one of them is wrong.",
		Example: "  veltrix config diff before.yaml after.yaml\n" +
			"  veltrix config diff /etc/veltrix.yaml new.yaml --json | jq '.[] | select(.restart_required)'",
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		before, err := config.LoadFile(args[0])
		if err != nil {
			return err
		}
		after, err := config.LoadFile(args[1])
		if err != nil {
			return err
		}
		changes := config.Diff(before, after)
		if err := showChanges(cmd.OutOrStdout(), changes, asJSON); err != nil || len(changes) == 0 {
			return err
		}
		return service.WithExitCode(fmt.Errorf("%s and %s differ in %d keys", args[0], args[1], len(changes)), service.ExitFailure)
	}
	return cmd
}

func showChanges(out io.Writer, changes []config.Change, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(append([]config.Change{}, changes...))
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, c := range changes {
		effect := "on SIGHUP"
		if c.Restart {
			effect = "needs a restart"
		}
		fmt.Fprintf(table, "%s\t%q → %q\t%s\n", c.Key, c.Before, c.After, effect)
	}
	return table.Flush()
}
