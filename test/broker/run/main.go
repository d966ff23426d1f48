// Command run gives another command a real Kafka broker and a real Redis:
//
//	go run ./test/broker/run -- go run ./cmd/veltrix bench
//
// Both lie in a directory of their own, on loopback ports, and are reached
// through VELTRIX_KAFKA_BROKERS and VELTRIX_REDIS_ADDRS. They end with the
// command, or with this process, however that ends; the directory is removed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/veltrix/veltrix/internal/child"
	"github.com/veltrix/veltrix/test/broker"
)

// Bounds.
const (
	redisStart    = 30 * time.Second
	stopTimeout   = 15 * time.Second
	portAttempts  = 3               // a port may be taken between its choice and its use
	drainTimeout  = 2 * time.Minute // the command removes what it made before it ends
	exitFailure   = 1
	exitMisuse    = 2
	heapMiBBroker = 1024
)

func main() {
	os.Exit(run())
}

func run() int {
	nodes := flag.Int("nodes", 1, "Kafka nodes")
	heap := flag.Int("heap", heapMiBBroker, "MiB of heap of each node")
	dir := flag.String("dir", "", "where the servers' data lie for the time (default: the system's temporary directory)")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: run [--nodes N] [--heap MIB] [--dir DIR] -- command [argument...]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		return exitMisuse
	}
	code, err := with(*dir, broker.Options{Nodes: *nodes, HeapMiB: *heap}, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "run:", err)
	}
	return code
}

// with runs the command beside the servers and returns its exit code.
func with(parent string, opts broker.Options, command []string) (int, error) {
	// From here on a signal ends the command, and its end the servers.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	dir, err := os.MkdirTemp(parent, "veltrix-run-")
	if err != nil {
		return exitFailure, fmt.Errorf("make the servers' directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	// The harness asks for little compiling, since a test's broker lives for
	// seconds; this one is worth it. The variable goes before the arguments.
	if err := os.Setenv("_JAVA_OPTIONS", "-XX:TieredStopAtLevel=4"); err != nil {
		return exitFailure, err
	}
	cluster, err := broker.StartDir(dir, opts)
	if err != nil {
		return exitFailure, fmt.Errorf("start Kafka: %w", err)
	}
	defer cluster.Stop()
	redis, addr, err := startRedis(dir)
	if err != nil {
		return exitFailure, fmt.Errorf("start Redis: %w", err)
	}
	defer redis.Stop(stopTimeout)
	brokers := ""
	for i, a := range cluster.Addrs {
		if i > 0 {
			brokers += ","
		}
		brokers += a
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "VELTRIX_KAFKA_BROKERS="+brokers, "VELTRIX_REDIS_ADDRS="+addr)
	return wait(cmd, signals)
}

// wait runs the command in its own process group and hands signals on to it.
func wait(cmd *exec.Cmd, signals <-chan os.Signal) (int, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return exitFailure, fmt.Errorf("start the command: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var late <-chan time.Time
	for {
		select {
		case s := <-signals:
			_ = syscall.Kill(-cmd.Process.Pid, s.(syscall.Signal)) // the only error is that it has just ended
			if late == nil {
				late = time.After(drainTimeout)
			}
		case <-late:
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		case err := <-ended:
			var exit *exec.ExitError
			switch {
			case err == nil:
				return 0, nil
			case errors.As(err, &exit) && exit.ExitCode() >= 0:
				return exit.ExitCode(), nil
			default:
				return exitFailure, err
			}
		}
	}
}

// startRedis runs a redis-server on a loopback port, as a deployment has it,
// with the append-only file that internal/child gives it.
func startRedis(dir string) (*child.Redis, string, error) {
	var tried []error
	for range portAttempts {
		port, err := freePort()
		if err != nil {
			return nil, "", err
		}
		ctx, cancel := context.WithTimeout(context.Background(), redisStart)
		redis, err := child.StartRedis(ctx, child.RedisOptions{
			Dir: dir, Socket: filepath.Join(dir, "redis.sock"),
			Settings: map[string]string{"port": strconv.Itoa(port), "bind": "127.0.0.1"},
		})
		cancel()
		if err == nil {
			return redis, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), nil
		}
		tried = append(tried, err)
		if errors.Is(err, child.ErrNoRedis) {
			break
		}
	}
	return nil, "", errors.Join(tried...)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("choose a port: %w", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}
