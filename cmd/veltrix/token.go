package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
)

func tokenCommand() *cobra.Command {
	var participant string
	var life time.Duration
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Issue a participant's token for the inbox",
		Long: "Prints a token that lets its bearer read one participant's inbox. It is signed with the notifiers'\n" +
			"secret: the configured one, or the one that the deployment shares in Redis.",
		Example: "  veltrix token --participant N14228\n" +
			"  curl -H \"Authorization: Bearer $(veltrix token --participant N14228)\" localhost:8081/v1/inbox",
		Args: cobra.NoArgs,
	}
	config.Flags(cmd, "redis", "notifier")
	cmd.Flags().StringVar(&participant, "participant", "", "whose inbox it opens")
	cmd.Flags().DurationVar(&life, "life", 24*time.Hour, "how long it is valid")
	_ = cmd.MarkFlagRequired("participant")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		token, err := app.NewRuntime(cfg, version).Token(cmd.Context(), participant, life)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
		return err
	}
	return cmd
}
