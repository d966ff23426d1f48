package e2e

import (
	"bytes"
	"errors"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestStartWithoutServers starts commands whose brokers or Redis are away. Each
// says so in one line when it begins to wait and in one when it gives up, names
// what it could not reach, and exits with code 1 after start_timeout.
func TestStartWithoutServers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()
	source, _ := lines(t, "flights", 1)
	d := deploy(t, real(t), 1, source)
	for name, c := range map[string]struct{ command, variable, reason string }{
		"processor without brokers": {"processor", "VELTRIX_KAFKA_BROKERS", "kafka at " + closed},
		"processor without Redis":   {"processor", "VELTRIX_REDIS_ADDRS", "redis at " + closed},
		"notifier without brokers":  {"notifier", "VELTRIX_KAFKA_BROKERS", "kafka at " + closed},
		"notifier without Redis":    {"notifier", "VELTRIX_REDIS_ADDRS", "redis at " + closed},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), binary(t, c.command))
			cmd.Env = append(d.environment(), "VELTRIX_START_TIMEOUT=2s", c.variable+"="+closed)
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			began := time.Now()
			err := cmd.Run()
			took := time.Since(began)
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("it ended with %v, want exit code 1", err)
			}
			if took < 2*time.Second || took > 20*time.Second {
				t.Errorf("it ended after %s", took)
			}
			var about []string
			for line := range strings.Lines(out.String()) {
				if strings.Contains(line, closed) || !strings.HasPrefix(line, "{") {
					about = append(about, line)
				}
			}
			last := strings.TrimSpace(out.String())
			last = last[strings.LastIndexByte(last, '\n')+1:]
			if len(about) != 2 || !strings.Contains(about[0], "waiting for "+c.reason) ||
				!strings.HasPrefix(last, c.command+": reach "+c.reason+": no answer within start_timeout (2s)") {
				t.Errorf("it says\n%s", out.String())
			}
		})
	}
}
