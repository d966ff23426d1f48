// Command notifier delivers a deployment's notifications and serves the
// participants' inboxes. Any number of them share the work.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/service"
)

// version is set by the linker.
var version = "dev"

func main() { os.Exit(app.Main(command())) }

func command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "notifier",
		Short: "Deliver notifications and serve the participants' inboxes",
		Long: "Delivers what the processors decided: into each participant's inbox, and from there to outside channels.\n" +
			"Serves the inboxes over HTTP. Start as many as you like: they share the work.",
		Example: "  notifier\n" +
			"  VELTRIX_KAFKA_BROKERS=k1:9092,k2:9092 VELTRIX_REDIS_ADDRS=r1:6379 notifier\n" +
			"  notifier --notifier-webhook-url https://example.com/hook --notifier-webhook-secret-file hook.key",
		Args: cobra.NoArgs, Version: version,
	}
	config.Flags(cmd, "kafka", "redis", "notifier", "doctor", "metrics")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		rt := app.NewRuntime(cfg, version)
		inbox, err := service.Listen(cmd.Context(), rt.Log, "the inbox", cfg.Notifier.Listen, cfg.Explicit("notifier.listen"))
		if err != nil {
			return err
		}
		n := app.NewNotifier(rt, inbox)
		return rt.Serve(cmd.Context(), n.Checks(), n, rt.Reloads())
	}
	return cmd
}
