package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	_ "time/tzdata" // a mapping may name zones, wherever this runs

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/ingest"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/service"
)

func loadCommand() *cobra.Command {
	var options ingest.LoadOptions
	var mapping, speed string
	var resume bool
	cmd := &cobra.Command{
		Use:   "load FILE...",
		Short: "Load events from files",
		Long: "Loads files of CloudEvents, one JSON envelope on each line, or CSV by a mapping; gzip and zstd are unpacked, and\n" +
			"- is stdin. Loading a file again has no effect, so after a failure just load it again; with --resume both times, what\n" +
			"is in the log already is not sent again. --speed replays events at the pace of their own times.",
		Example: "  producer load january.ndjson.zst february.ndjson.zst\n" +
			"  producer load --strict --rules-file hunt.yaml events.ndjson\n" +
			"  producer load --mapping results.mapping.yaml results.csv\n" +
			"  producer load --resume --speed 60x january.ndjson.zst\n" +
			"  generate | producer load --rate 500 -",
		Args: cobra.MinimumNArgs(1),
	}
	config.Flags(cmd, "kafka", "rules")
	cmd.Flags().BoolVar(&options.Strict, "strict", false, "end at the first bad line instead of leaving it out")
	cmd.Flags().Float64Var(&options.Rate, "rate", 0, "events a second at most; 0 is as fast as the brokers take them")
	cmd.Flags().StringVar(&speed, "speed", "", "send events at the pace of their own times: 1x as they happened, 60x a minute's in a second")
	cmd.Flags().StringVar(&mapping, "mapping", "", "the files are CSV, and this file says how a row becomes an event (docs/ingest.md)")
	cmd.Flags().BoolVar(&resume, "resume", false, "go on where an earlier load of the same file with --resume ended")
	cmd.RunE = func(cmd *cobra.Command, files []string) error {
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		program, err := rulesOf(cfg)
		if err != nil {
			return err
		}
		if options.Speed, err = speedOf(speed); err != nil {
			return err
		}
		var readBy []string
		if mapping != "" {
			src, err := os.ReadFile(mapping)
			if err == nil {
				options.Mapping, err = ingest.ParseMapping(src)
				readBy = append(readBy, string(src))
			}
			if err != nil {
				return service.WithExitCode(fmt.Errorf("%s: %w", mapping, err), service.ExitConfig)
			}
		}
		if program != nil {
			readBy = append(readBy, program.Schema().Digest)
		}
		rt := app.NewRuntime(cfg, version)
		for _, file := range files {
			own := options
			if resume {
				if err := resumed(cmd.Context(), rt, file, readBy, &own); err != nil {
					return fmt.Errorf("load %s: %w", file, err)
				}
			}
			if err := loadFile(cmd, rt, program, file, own); err != nil {
				return fmt.Errorf("load %s: %w", file, err)
			}
		}
		return nil
	}
	return cmd
}

// speedOf reads 10x, or 10.
func speedOf(text string) (float64, error) {
	if text == "" {
		return 0, nil
	}
	speed, err := strconv.ParseFloat(strings.TrimSuffix(text, "x"), 64)
	if err != nil || speed <= 0 || speed > 1e9 {
		return 0, service.WithExitCode(fmt.Errorf("--speed is how many times as fast as it happened, such as 10x, and not %q", text), service.ExitConfig)
	}
	return speed, nil
}

// resumed makes a load one that leaves out what the log has of the file.
func resumed(ctx context.Context, rt app.Runtime, file string, readBy []string, o *ingest.LoadOptions) (err error) {
	if file == "-" {
		return errors.New("stdin cannot be resumed: it is not known to be the same")
	}
	if o.Name, err = ingest.FileName(file, readBy...); err != nil {
		return err
	}
	o.Done, err = app.LoadedBefore(ctx, rt, o.Name)
	return err
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
