package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/internal/channel/webpush"
)

func vapidCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "vapid",
		Short: "Make the key pair that signs pushes to browsers (Web Push, VAPID)",
		Long: "Makes a key pair and prints both keys; nothing is kept. The private one goes into a file that\n" +
			"notifier.webpush.private_key_file names, the same on all notifiers. The public one is what pages subscribe\n" +
			"with; notifiers serve it at GET /v1/push/key. Another pair makes every subscription useless: keep this one.",
		Example: "  veltrix keys vapid\n" +
			"  (umask 077; veltrix keys vapid | sed -n 's/^private_key: //p' > vapid.key)",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			private, public, err := webpush.NewKeys()
			if err != nil {
				return err
			}
			if _, err = fmt.Fprintf(cmd.OutOrStdout(), "private_key: %s\npublic_key: %s\n", private, public); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.ErrOrStderr(), "Put the private key into a file that only notifiers can read, and set notifier.webpush.private_key_file and\n"+
				"notifier.webpush.subject. Pages get the public one from the notifier: GET /v1/push/key.")
			return err
		},
	}
}
