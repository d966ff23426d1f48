// Command producer is the gateway: it takes events by HTTP, and loads them from
// files.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/ingest"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/service"
)

// version is set by the linker.
var version = "dev"

func main() { os.Exit(app.Main(command())) }

func command() *cobra.Command {
	root := serveCommand("producer")
	root.Version = version
	root.Short = "Take events by HTTP, or load them from files"
	root.Example = "  producer\n" +
		"  VELTRIX_KAFKA_BROKERS=k1:9092,k2:9092 VELTRIX_RULES_FILE=hunt.yaml producer serve\n" +
		"  producer load events.ndjson.zst\n" +
		"  generate | producer load --rate 500 -"
	serve := serveCommand("serve")
	serve.Short = "Take events by HTTP (the default)"
	serve.Example = "  producer serve --producer-listen 0.0.0.0:8080 --rules-file hunt.yaml"
	root.AddCommand(serve, loadCommand())
	return root
}

func serveCommand(use string) *cobra.Command {
	cmd := &cobra.Command{
		Use: use,
		Long: "Takes CloudEvents at POST /v1/events and answers 202 when every in-sync replica has them.\n" +
			"With the deployment's rules file it checks the data of each event, and shows states at GET /v1/participants/{id}.",
		Args: cobra.NoArgs,
	}
	config.Flags(cmd, "kafka", "redis", "rules", "producer", "metrics")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		program, err := rulesOf(cfg)
		if err != nil {
			return err
		}
		rt := app.NewRuntime(cfg, version)
		gateway, err := service.Listen(cmd.Context(), rt.Log, "the gateway", cfg.Producer.Listen, cfg.Explicit("producer.listen"))
		if err != nil {
			return err
		}
		p := app.NewProducer(rt, program, gateway)
		return rt.Serve(cmd.Context(), p.Checks(), p)
	}
	return cmd
}

// rulesOf compiles the rules file, if there is one; the gateway does without.
func rulesOf(cfg *config.Config) (participant.Program, error) {
	if cfg.Rules.File == "" {
		return nil, nil
	}
	program, err := app.LoadRules(cfg)
	if err != nil {
		return nil, err // not program: a nil pointer is no nil interface
	}
	return program, nil
}

func loadCommand() *cobra.Command {
	var options ingest.LoadOptions
	cmd := &cobra.Command{
		Use:   "load FILE...",
		Short: "Load events from files",
		Long: "Loads files of CloudEvents, one JSON envelope on each line; gzip and zstd are unpacked, and - is stdin.\n" +
			"Loading a file again has no effect, so after a failure just load it again.",
		Example: "  producer load january.ndjson.zst february.ndjson.zst\n" +
			"  producer load --strict --rules-file hunt.yaml events.ndjson\n" +
			"  generate | producer load --rate 500 -",
		Args: cobra.MinimumNArgs(1),
	}
	config.Flags(cmd, "kafka", "rules")
	cmd.Flags().BoolVar(&options.Strict, "strict", false, "end at the first bad line instead of leaving it out")
	cmd.Flags().Float64Var(&options.Rate, "rate", 0, "events a second at most; 0 is as fast as the brokers take them")
	cmd.RunE = func(cmd *cobra.Command, files []string) error {
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		program, err := rulesOf(cfg)
		if err != nil {
			return err
		}
		rt := app.NewRuntime(cfg, version)
		for _, file := range files {
			if err := loadFile(cmd, rt, program, file, options); err != nil {
				return fmt.Errorf("load %s: %w", file, err)
			}
		}
		return nil
	}
	return cmd
}

func loadFile(cmd *cobra.Command, rt app.Runtime, program participant.Program, file string, o ingest.LoadOptions) error {
	stdin := cmd.InOrStdin()
	if file == "-" {
		stdin = ingest.Interruptible(cmd.Context(), stdin) // it reads ahead, so not stdin that is somebody else's
	}
	events, read, size, err := ingest.Open(file, stdin)
	if err != nil {
		return stopped(cmd.Context(), ingest.LoadResult{}, err)
	}
	defer func() { _ = events.Close() }()
	show := ingest.NewProgress(cmd.ErrOrStderr(), file, read, size)
	o.Bad, o.Progress = show.Bad, show.Update
	result, err := app.LoadEvents(cmd.Context(), rt, program, events, o)
	show.Done(result)
	return stopped(cmd.Context(), result, err)
}

// stopped says in place of err what a load is worth that a signal ended.
func stopped(ctx context.Context, result ingest.LoadResult, err error) error {
	if err == nil || ctx.Err() == nil || errors.Is(err, ingest.ErrBadLine) {
		return err
	}
	return fmt.Errorf("stopped after %d events were loaded: load it again from its beginning, which is harmless, because what is there already counts once", result.Loaded)
}
