package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/test/broker"
)

// TestCommandHasItsServers: the command finds both servers answering, its exit
// code is handed on, and afterwards nothing is left of them.
func TestCommandHasItsServers(t *testing.T) {
	parent, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	code, err := with(parent, broker.Options{}, []string{"sh", "-c", `echo "$VELTRIX_KAFKA_BROKERS $VELTRIX_REDIS_ADDRS" > "$0"
		redis-cli -p "${VELTRIX_REDIS_ADDRS#127.0.0.1:}" ping >> "$0"
		exit 7`, out})
	if code != 7 || err != nil {
		t.Fatalf("exit code %d, error %v; want 7 and none", code, err)
	}
	written, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(written))
	if len(fields) != 3 || fields[2] != "PONG" {
		t.Fatalf("the command wrote %q", written)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(fields[0]), kgo.RequestRetries(0), kgo.DialTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if cl.Ping(t.Context()) == nil {
		t.Errorf("the broker on %s still answers", fields[0])
	}
	if err := exec.Command("redis-cli", "-p", strings.TrimPrefix(fields[1], "127.0.0.1:"), "ping").Run(); err == nil {
		t.Errorf("the redis on %s still answers", fields[1])
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("left in the directory: %v, %v", left, err)
	}
}

func TestCommandThatIsNotThere(t *testing.T) {
	code, err := with(t.TempDir(), broker.Options{}, []string{"veltrix-no-such-command"})
	if code != exitFailure || err == nil || !strings.Contains(err.Error(), "start the command") {
		t.Errorf("exit code %d, error %v", code, err)
	}
}
