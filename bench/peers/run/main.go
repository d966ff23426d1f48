// Command run measures the processor beside the peers, which it builds first:
//
//	go run ./test/broker/run -- go run -C bench/peers ./run --workload core
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/bench"
)

func main() { os.Exit(app.Main(command())) }

// flags are what the command is given beside the configuration.
type flags struct {
	workload     string
	write, block string
	events       int64
	participants int
	peers        []string
	clients      []int
	targets      map[string]string
	asJSON       bool
	opts         bench.PeerOptions
}

func command() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Measure the processor beside what people run without Veltrix",
		Long: "Takes turns between a bare consume loop, the processor, and each peer, over the same filled topic, each time\n" +
			"another one first. A peer is a process of its own, measured from when all of its partitions have an owner until\n" +
			"after its last commit. Before a figure is printed, everything that the processor did is compared with the\n" +
			"sequential fold, and everything that a peer did with a fold in the order of arrival.\n\n" +
			"What it made is removed. Give it a quiet machine.",
		Example: "  go run ./test/broker/run -- go run -C bench/peers ./run --workload core --events 1000000\n" +
			"  go run ./test/broker/run -- go run -C bench/peers ./run --peers franz-alo,confluent-eos --clients 1,2 --json",
		Args: cobra.NoArgs, Version: "bench",
	}
	config.Flags(cmd, "kafka", "redis", "processor")
	for _, name := range []string{"prefix", "profile", "processor-instance", "processor-slots"} {
		cmd.Flags().Lookup(name).Hidden = true // the bench decides them
	}
	f.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return f.run(cmd) }
	return cmd
}

func (f *flags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.workload, "workload", "core", "the events: "+strings.Join(bench.Workloads(), ", "))
	flags.Int64Var(&f.events, "events", 1_000_000, "events in each round, copies included")
	flags.IntVar(&f.participants, "participants", 0, "participants among whom they are spread; 0: the workload's own")
	flags.StringSliceVar(&f.peers, "peers", usual, "peers, by commas, of "+strings.Join(names(), ", ")+"; naive takes minutes where the others take seconds")
	flags.IntSliceVar(&f.clients, "clients", []int{2}, "clients of each peer and slots of the processor; several: one run for each")
	flags.StringToStringVar(&f.targets, "targets", nil, "what the processor's rate should be as a part of a peer's instead of the usual, as franz-alo=1,naive=20")
	flags.Int32Var(&f.opts.Partitions, "partitions", 8, "partitions of the topics")
	flags.IntVar(&f.opts.Rounds, "rounds", 5, "rounds that are measured")
	flags.IntVar(&f.opts.Warmups, "warmups", 1, "rounds before them that are not")
	flags.BoolVar(&f.asJSON, "json", false, "print the report as JSON")
	flags.StringVar(&f.write, "write", "", "write the report into this page of the repository too, between its marks for the workload")
	flags.StringVar(&f.block, "block", "", "what the page's marks are for instead of the workload, as core-one-client")
}

func (f *flags) run(cmd *cobra.Command) error {
	cfg, err := config.Load(cmd.Flags())
	if err != nil {
		return err
	}
	if !cfg.Explicit("log.level") {
		cfg.Log.Level = "warn"
	}
	root, err := repository(cmd.Context())
	if err != nil {
		return err
	}
	if f.opts.Workload, err = bench.NewWorkload(f.workload, f.events, f.participants, bench.Structured); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "veltrix-peers-")
	if err != nil {
		return fmt.Errorf("make a directory for the peers: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	f.opts.Progress = func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...) }
	if f.opts.Peers, err = f.build(cmd, root, dir); err != nil {
		return err
	}
	f.opts.Clients = f.clients
	report, err := bench.Peers(cmd.Context(), app.NewRuntime(cfg, "bench"), f.opts)
	if err != nil {
		return err
	}
	if f.write != "" {
		page := f.write
		if !filepath.IsAbs(page) {
			page = filepath.Join(root, page)
		}
		if err := report.WritePage(page, f.block, "go run -C bench/peers ./run "+strings.Join(os.Args[1:], " ")); err != nil {
			return err
		}
	}
	if f.asJSON {
		return report.WriteJSON(cmd.OutOrStdout())
	}
	return report.WriteText(cmd.OutOrStdout())
}

// build chooses the peers and builds what they need. Those in Java are built before; where
// they are not, they are left out if nobody has named them.
func (f *flags) build(cmd *cobra.Command, root, dir string) ([]bench.Peer, error) {
	binary := filepath.Join(dir, "peer")
	jar := filepath.Join(root, "bench", "peers", "streams", "target", "streams.jar")
	chosen, err := bench.ChoosePeers(all(binary, jar), f.peers)
	if err != nil {
		return nil, err
	}
	if !f.opts.Workload.InOrder() && !cmd.Flags().Changed("peers") {
		chosen = slices.DeleteFunc(chosen, func(p bench.Peer) bool { return p.InOrder })
	}
	java := func(p bench.Peer) bool { return strings.HasPrefix(p.Name, streams) }
	if _, err := os.Stat(jar); err != nil && slices.ContainsFunc(chosen, java) {
		if cmd.Flags().Changed("peers") {
			return nil, fmt.Errorf("the peers in Java are not built: run `%s`, or leave them out of --peers: %w", maven, err)
		}
		f.opts.Progress("without the peers in Java, which are not built: run `%s`", maven)
		chosen = slices.DeleteFunc(chosen, java)
	}
	if err := f.aim(chosen); err != nil {
		return nil, err
	}
	build := exec.CommandContext(cmd.Context(), "go", "build", "-o", binary, "./peer")
	build.Dir, build.Stderr = filepath.Join(root, "bench", "peers"), cmd.ErrOrStderr()
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("build the peers (librdkafka needs cgo and a C compiler): %w", err)
	}
	return chosen, nil
}

// maven builds the peers in Java.
const maven = "mvn -q -f bench/peers/streams package"

// aim gives the peers their targets.
func (f *flags) aim(chosen []bench.Peer) error {
	for name, text := range f.targets {
		target, err := strconv.ParseFloat(text, 64)
		if err != nil || target <= 0 {
			return fmt.Errorf("the target of %s is a number above 0, not %q", name, text)
		}
		i := slices.IndexFunc(chosen, func(p bench.Peer) bool { return p.Name == name })
		if i < 0 {
			return fmt.Errorf("there is a target for %s, which is not among --peers", name)
		}
		chosen[i].Target = target
	}
	return nil
}

// repository is where the module that this command belongs to lies.
func repository(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("ask go for the module: %w", err)
	}
	mod := strings.TrimSpace(string(out))
	if filepath.Base(filepath.Dir(mod)) != "peers" {
		return "", errors.New("start it in its module: go run -C bench/peers ./run")
	}
	return filepath.Dir(filepath.Dir(filepath.Dir(mod))), nil
}
