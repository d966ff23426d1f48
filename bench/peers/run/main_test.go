package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/bench"
	"github.com/veltrix/veltrix/internal/telemetry"
	"github.com/veltrix/veltrix/internal/testredis"
	"github.com/veltrix/veltrix/test/broker"
)

// root is the repository's.
var root = filepath.Join("..", "..", "..")

// binary is the peers', built once.
var binary string

func TestMain(m *testing.M) { os.Exit(prepared(m)) }

func prepared(m *testing.M) int {
	if os.Getenv("VELTRIX_KAFKA_LIBS") == "" { // this module is not where they lie
		libs, err := filepath.Abs(filepath.Join(root, ".cache", "kafka", "libs"))
		if err != nil {
			panic(err)
		}
		os.Setenv("VELTRIX_KAFKA_LIBS", libs)
	}
	dir, err := os.MkdirTemp("", "veltrix-peers-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "peer")
	if out, err := exec.Command("go", "build", "-o", binary, "../peer").CombinedOutput(); err != nil {
		panic(string(out))
	}
	return broker.Run(m)
}

// world is a real Kafka and a real Redis. Whatever a test leaves there fails it.
func world(t *testing.T) app.Runtime {
	t.Helper()
	cfg := config.Default()
	cfg.Kafka.Brokers = broker.Shared(t).Addrs
	cfg.Redis.Addrs = []string{testredis.Start(t, nil).Addr}
	t.Cleanup(func() { empty(t, cfg) })
	return app.Runtime{Config: cfg, Log: slog.New(slog.DiscardHandler), Metrics: telemetry.New()}
}

func empty(t *testing.T, cfg *config.Config) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	path, _ := strings.CutPrefix(cfg.Redis.Addrs[0], "unix://")
	store := redis.NewClient(&redis.Options{Network: "unix", Addr: path})
	defer store.Close()
	if keys, err := store.Keys(ctx, "*").Result(); err != nil || len(keys) > 0 {
		t.Errorf("%d keys are left, %v: %.300q", len(keys), err, keys)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(cfg.Kafka.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var left []string
	for ctx.Err() == nil { // the brokers delete in their own time
		meta, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, cl)
		if err != nil {
			t.Fatal(err)
		}
		left = nil
		for _, topic := range meta.Topics {
			if strings.HasPrefix(*topic.Topic, "veltrix-bench-") {
				left = append(left, *topic.Topic)
			}
		}
		if len(left) == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("topics are left: %q", left)
}

// present are the peers that are built, those in Java by make bench-peers-test, and
// that the workload is for.
func present(t *testing.T, workload string) (peers []bench.Peer) {
	t.Helper()
	jar, err := filepath.Abs(filepath.Join("..", "streams", "target", "streams.jar"))
	if err != nil {
		t.Fatal(err)
	}
	_, missing := os.Stat(jar)
	for _, p := range all(binary, jar) {
		if !(p.InOrder && workload == "disorder") && (missing == nil || !strings.HasPrefix(p.Name, streams)) {
			peers = append(peers, p)
		}
	}
	return peers
}

func options(t *testing.T, workload string, events int64, peers []bench.Peer, clients ...int) bench.PeerOptions {
	t.Helper()
	w, err := bench.NewWorkload(workload, events, 50, bench.Structured)
	if err != nil {
		t.Fatal(err)
	}
	return bench.PeerOptions{
		Options: bench.Options{Workload: w, Partitions: 3, Rounds: 1, Progress: t.Logf},
		Peers:   peers, Clients: clients,
	}
}

// TestEachPeer takes every peer through small workloads, with one client and with two,
// so that none can rot: figures mean nothing, the comparison has to be content.
func TestEachPeer(t *testing.T) {
	rt := world(t)
	for i, workload := range []string{"core", "rules", "disorder"} {
		peers := present(t, workload)
		report, err := bench.Peers(t.Context(), rt, options(t, workload, 1500, peers, 1+i%2))
		if err != nil {
			t.Fatal(err)
		}
		page := filepath.Join(t.TempDir(), "page.md")
		block := []string{"", "rules-one-client", ""}[i]
		marks := "peers " + cmp.Or(block, workload)
		if err := os.WriteFile(page, []byte("<!-- "+marks+": begin -->\n<!-- "+marks+": end -->\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := report.WritePage(page, block, "run"); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s", text)
		for _, p := range peers {
			if !strings.Contains(string(text), " "+p.Name+" ") {
				t.Errorf("%s is not in the report", p.Name)
			}
		}
	}
}

// TestNoFigureForAPeerThatIsWrong: one that folds by other rules ends the run.
func TestNoFigureForAPeerThatIsWrong(t *testing.T) {
	peers, err := bench.ChoosePeers(all(binary, ""), []string{"franz-eos", "franz-alo", "franz-alo-fold"})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range peers {
		right := p.Command
		p.Command = func(args []string) *exec.Cmd { return right(append(args, "--rules", "core")) }
		report, err := bench.Peers(t.Context(), world(t), options(t, "rules", 1500, []bench.Peer{p}, 1))
		var wrong *bench.PeerError
		if report != nil || !errors.As(err, &wrong) || wrong.Wrong == 0 || !strings.Contains(err.Error(), "no figure is given") {
			t.Errorf("%s: a report: %t, error: %v", p.Name, report != nil, err)
		}
	}
}

// TestUnusableFlags are refused before anything is started.
func TestUnusableFlags(t *testing.T) {
	for args, says := range map[string]string{
		"--peers nobody":                             "there is no peer",
		"--targets naive=1 --peers franz-eos":        "not among --peers",
		"--targets naive=x --peers naive":            "above 0",
		"--workload nothing":                         "there is no workload",
		"--workload disorder --peers franz-eos-fold": "leave out the peers that fold as the processor does",
		"--peers streams --write does-not-work":      "mvn -q -f bench/peers/streams package",
	} {
		if _, err := os.Stat(filepath.Join("..", "streams", "target", "streams.jar")); err == nil && strings.Contains(args, "streams") {
			continue // it is built, and would be used
		}
		cmd := command()
		cmd.SetArgs(strings.Fields(args))
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", args, err)
		}
	}
}
