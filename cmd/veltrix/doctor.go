package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/preflight"
	"github.com/veltrix/veltrix/internal/service"
)

func doctorCommand() *cobra.Command {
	var opts app.DoctorOptions
	var face doctorFace
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what in the deployment would break order, exactness or durability",
		Long: "Looks at brokers, topics, Redis and the configuration, and changes nothing. Of what is not as it should\n" +
			"be it says what was observed, what is expected, what players would notice, and the fix. A newcomer's\n" +
			"single broker passes under profile dev; what production would ask for is said at the end.\n\n" +
			"With --probe it also does as senders and players do: it sends numbered events of the participant\n" +
			"veltrix-probe to doctor.gateway_url and reads them back, opens a stream at doctor.inbox_url, and asks FCM\n" +
			"and APNs whether they take the credentials. docs/doctor.md says what that leaves behind.\n\n" +
			"It ends with 0 when all is well, 1 when a check failed or a critical one could not look, 2 when there are\n" +
			"only warnings, and 78 when the configuration, the waivers or the command line are wrong.",
		Example: "  veltrix doctor\n" +
			"  veltrix doctor --profile prod --all\n" +
			"  veltrix doctor --only K02,R --json | jq '.results[] | select(.state != \"pass\")'\n" +
			"  veltrix doctor --junit doctor.xml\n" +
			"  veltrix doctor --probe --doctor-gateway-url https://events.example --doctor-inbox-url https://inbox.example\n" +
			"  veltrix doctor --probe --only P03,N03,N04 --all\n" +
			"  veltrix doctor explain K02",
		Args: cobra.NoArgs,
	}
	config.Flags(cmd, "kafka", "redis", "rules", "producer", "processor", "notifier", "doctor", "metrics")
	flags := cmd.Flags()
	face.flags(flags)
	flags.StringSliceVar(&opts.Only, "only", nil, "run these checks alone: IDs, or letters of groups, as K02,R")
	flags.StringSliceVar(&opts.Skip, "skip", nil, "leave these checks out")
	flags.BoolVar(&opts.Probe, "probe", false, "also send events and open streams at the public URLs, and ask the push providers")
	flags.DurationVar(&opts.Timeout, "timeout", 15*time.Second, "how long all of it may take; 45s where it is not given and --probe is")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if opts.Timeout <= 0 {
			return service.WithExitCode(errors.New("give --timeout a time"), service.ExitConfig)
		}
		if err := face.check(); err != nil {
			return err
		}
		if opts.Probe && !cmd.Flags().Changed("timeout") {
			opts.Timeout = 0 // a probe's own
		}
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		report, err := app.Doctor(cmd.Context(), app.NewRuntime(cfg, version), opts)
		if err != nil {
			return err
		}
		return face.conclude(cmd.OutOrStdout(), report)
	}
	cmd.AddCommand(doctorExplain(), doctorList())
	return cmd
}

// doctorFace is how a report is shown.
type doctorFace struct {
	asJSON, all bool
	junit       string
}

func (f *doctorFace) flags(flags *pflag.FlagSet) {
	flags.BoolVar(&f.asJSON, "json", false, "print the report as JSON")
	flags.StringVar(&f.junit, "junit", "", "write the report as JUnit's XML to this file, or print it (-)")
	flags.BoolVar(&f.all, "all", false, "print what passed, too")
}

func (f *doctorFace) check() error {
	if f.asJSON && f.junit == "-" {
		return service.WithExitCode(errors.New("print either --json or --junit -"), service.ExitConfig)
	}
	return nil
}

// conclude shows a report, and ends the command as it says.
func (f *doctorFace) conclude(out io.Writer, report preflight.Report) error {
	if err := f.show(out, report); err != nil {
		return err
	}
	if code := report.Exit(); code != preflight.ExitOK {
		return service.WithExitCode(errors.New(report.Verdict()), code)
	}
	return nil
}

func (f *doctorFace) show(out io.Writer, report preflight.Report) error {
	switch f.junit {
	case "":
	case "-":
		return report.WriteJUnit(out)
	default:
		file, err := os.Create(f.junit)
		if err != nil {
			return err
		}
		if err := errors.Join(report.WriteJUnit(file), file.Close()); err != nil {
			return fmt.Errorf("write %s: %w", f.junit, err)
		}
	}
	if f.asJSON {
		return report.WriteJSON(out)
	}
	return report.WriteText(out, f.all)
}

func doctorExplain() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "explain ID", Short: "Say what a check is about, and what to do", Args: cobra.ExactArgs(1),
		Long:    "Also of what is known to go wrong and is not detected yet. Nothing is contacted.",
		Example: "  veltrix doctor explain K02\n  veltrix doctor explain P01 --json",
		ValidArgsFunction: func(*cobra.Command, []string, string) (ids []string, _ cobra.ShellCompDirective) {
			for _, e := range preflight.Catalogue() {
				ids = append(ids, e.ID+"\t"+e.Title)
			}
			return ids, cobra.ShellCompDirectiveNoFileComp
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		e, ok := preflight.Find(args[0])
		switch {
		case !ok:
			return service.WithExitCode(fmt.Errorf("no check is called %q: veltrix doctor list shows them", args[0]), service.ExitConfig)
		case asJSON:
			return json.NewEncoder(cmd.OutOrStdout()).Encode(e)
		}
		_, err := fmt.Fprint(cmd.OutOrStdout(), e.Explain())
		return err
	}
	return cmd
}

func doctorList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List everything that is known to go wrong", Args: cobra.NoArgs,
		Long:    "A row that is marked · is not detected yet, and one that says (probe) with --probe alone. Nothing is\ncontacted.",
		Example: "  veltrix doctor list\n  veltrix doctor list --json | jq -r '.[].id'",
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(preflight.Catalogue())
		}
		return preflight.WriteList(cmd.OutOrStdout())
	}
	return cmd
}
