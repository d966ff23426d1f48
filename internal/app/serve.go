package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/rules"
	"github.com/veltrix/veltrix/internal/service"
	"github.com/veltrix/veltrix/internal/telemetry"
)

// Main runs a command until it is done or a signal drains it, and returns the
// process's exit code.
func Main(cmd *cobra.Command) int {
	ctx, stop := service.Signals(context.Background())
	defer stop()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.AddCommand(versionCommand(cmd))
	err := cmd.ExecuteContext(ctx)
	if err != nil {
		// A service, and its main part, may be called as the command is.
		text, again := err.Error(), true
		for again {
			text, again = strings.CutPrefix(text, cmd.Name()+": ")
		}
		fmt.Fprintf(os.Stderr, "%s: %s\n", cmd.Name(), text)
	}
	return service.ExitCode(err)
}

func versionCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Example: "  " + root.Name() + " version",
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s (%s, %s/%s)\n", root.Name(), root.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// LoadRules compiles the configured rules file.
func LoadRules(cfg *config.Config) (*rules.Program, error) {
	if cfg.Rules.File == "" {
		return nil, service.WithExitCode(errors.New("no rules: name a file with --rules-file, VELTRIX_RULES_FILE or rules.file"), service.ExitConfig)
	}
	program, err := rules.LoadFile(cfg.Rules.File)
	if err != nil {
		return nil, service.WithExitCode(err, service.ExitConfig)
	}
	return program, nil
}

// NewRuntime prepares a process's log and metrics.
func NewRuntime(cfg *config.Config, version string) Runtime {
	level := &slog.LevelVar{}
	level.Set(telemetry.Level(cfg.Log.Level))
	log := telemetry.NewLogger(os.Stderr, level, cfg.Log.Format)
	slog.SetDefault(log) // for what libraries say by themselves, such as net/http of a failed handshake
	for _, w := range cfg.Warnings() {
		log.Warn(w)
	}
	metrics := telemetry.New()
	metrics.SetBuild(version)
	return Runtime{Config: cfg, Log: log, Metrics: metrics, live: newLive(cfg, level)}
}

// secured has a server's listener speak TLS, where that is configured. Files
// that cannot be used are a mistake in the configuration.
func (rt Runtime) secured(server, section string, plain net.Listener, files config.ServerTLS) (net.Listener, error) {
	if files.CertFile == "" {
		return plain, nil
	}
	listener, err := service.TLS(plain, service.Certificates{
		CertFile: files.CertFile, KeyFile: files.KeyFile, ClientCAFile: files.ClientCAFile,
		InForce: func(notAfter time.Time) {
			rt.Metrics.HTTP.NotAfter.WithLabelValues(server).Set(float64(notAfter.Unix()))
		},
		Logger: rt.Log.With("server", server),
	})
	if err != nil {
		return nil, service.WithExitCode(fmt.Errorf("%s: %w", section, err), service.ExitConfig)
	}
	return listener, nil
}

// url is where a server is reached that listens at address.
func url(address net.Addr, files config.ServerTLS) string {
	if files.CertFile == "" {
		return "http://" + address.String()
	}
	return "https://" + address.String()
}

// Serve runs services beside the listener of metrics, health and profiles,
// until ctx ends or one of them fails.
func (rt Runtime) Serve(ctx context.Context, checks []telemetry.Check, services ...service.Service) error {
	cfg := rt.Config
	probes, err := service.Listen(ctx, rt.Log, "metrics", cfg.Metrics.Listen, cfg.Explicit("metrics.listen"))
	if err != nil {
		return err
	}
	rt.Log.Info("starting", "metrics", probes.Addr().String())
	handler := rt.Metrics.Handler(cfg.Metrics.Pprof, checks...)
	err = service.Run(ctx, cfg.StopTimeout, append(services, service.HTTP("metrics", probes, handler, cfg.StopTimeout/4))...)
	if err == nil {
		rt.Log.Info("stopped")
	}
	return err
}
