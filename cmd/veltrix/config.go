package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/config"
)

func configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show the configuration that is in force, and what is wrong with it",
		Long: "Flags, variables, file and defaults are put together as for every command; see docs/configuration.md.\n" +
			"Nothing is contacted.",
		Example: "  veltrix config show --origin\n  veltrix config check --config veltrix.yaml",
	}
	cmd.AddCommand(configShow(), configCheck())
	return cmd
}

func configFlags(cmd *cobra.Command) {
	config.Flags(cmd, "kafka", "redis", "rules", "producer", "processor", "notifier", "metrics")
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
	cmd := &cobra.Command{
		Use: "check", Short: "Say what is wrong with the configuration, all at once", Args: cobra.NoArgs,
		Long:    "Ends with code 78 where a service would not start with it.",
		Example: "  veltrix config check --config veltrix.yaml",
	}
	configFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		for _, w := range cfg.Warnings() {
			if _, err := fmt.Fprintln(cmd.OutOrStdout(), "warning:", w); err != nil {
				return err
			}
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), "the configuration is right")
		return err
	}
	return cmd
}
