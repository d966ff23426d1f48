// Command producer is the gateway: it takes events by HTTP, and loads them from
// files.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
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
	config.Flags(cmd, "kafka", "redis", "rules", "producer", "doctor", "metrics")
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
		return rt.Serve(cmd.Context(), p.Checks(), p, rt.Reloads())
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
