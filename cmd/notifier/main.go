// Command notifier delivers a deployment's notifications and serves the
// participants' inboxes. Any number of them share the work.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/service"
	"github.com/veltrix/veltrix/internal/telemetry"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := service.Signals(context.Background())
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "notifier:", err)
	}
	os.Exit(service.ExitCode(err))
}

func command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "notifier",
		Short: "Deliver notifications and serve the participants' inboxes",
		Long: "Delivers what the processors decided: into each participant's inbox, and from there to outside channels.\n" +
			"Serves the inboxes over HTTP. Start as many as you like; they share the work.",
		Args: cobra.NoArgs, Version: version, SilenceUsage: true, SilenceErrors: true,
	}
	config.Flags(cmd, "kafka", "redis", "notifier", "metrics")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		return run(cmd.Context(), cfg)
	}
	return cmd
}

func run(ctx context.Context, cfg *config.Config) error {
	log := telemetry.NewLogger(os.Stderr, cfg.Log.Level, cfg.Log.Format)
	for _, w := range cfg.Warnings() {
		log.Warn(w)
	}
	metrics := telemetry.New()
	metrics.SetBuild(version)
	inbox, err := service.Listen(ctx, log, "the inbox", cfg.Notifier.Listen, cfg.Explicit("notifier.listen"))
	if err != nil {
		return err
	}
	probes, err := service.Listen(ctx, log, "metrics", cfg.Metrics.Listen, cfg.Explicit("metrics.listen"))
	if err != nil {
		return err
	}
	rt := app.Runtime{Config: cfg, Log: log, Metrics: metrics}
	notifier := app.NewNotifier(rt, metrics, inbox)
	ready := telemetry.Check{Name: "delivery", Run: func(context.Context) error { return notifier.Ready() }}
	log.Info("starting", "version", version, "inbox", inbox.Addr().String(), "metrics", probes.Addr().String())
	err = service.Run(ctx, cfg.StopTimeout, notifier,
		service.HTTP("metrics", probes, metrics.Handler(cfg.Metrics.Pprof, ready), cfg.StopTimeout/4))
	if err == nil {
		log.Info("stopped")
	}
	return err
}
