package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/child"
)

// The commands, built once. Without the race detector, also where the tests run
// with it: what is tested here is what is shipped.
var built struct {
	sync.Once
	dir string
	err error
}

func binary(t *testing.T, name string) string {
	t.Helper()
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "veltrix-e2e-"); built.err != nil {
			return
		}
		out, err := exec.Command("go", "build", "-o", built.dir+"/", "../../cmd/producer", "../../cmd/processor", "../../cmd/notifier", "../../cmd/veltrix").CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("build the commands: %w: %s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, name)
}

func removeBinaries() {
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
}

// environment is what an operator sets for a process of this deployment.
// Listeners keep their defaults, which give way to a free port when taken.
func (d *deployment) environment() []string {
	cfg := d.rt.Config
	own := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "VELTRIX_") })
	own = append(own,
		"VELTRIX_PREFIX="+cfg.Prefix,
		"VELTRIX_KAFKA_BROKERS="+strings.Join(cfg.Kafka.Brokers, ","),
		"VELTRIX_REDIS_ADDRS="+strings.Join(cfg.Redis.Addrs, ","),
		"VELTRIX_RULES_FILE="+d.rulesFile,
		"VELTRIX_PROCESSOR_SESSION_TIMEOUT="+cfg.Processor.SessionTimeout.String(),
		"VELTRIX_PROCESSOR_TRANSACTION_TIMEOUT="+cfg.Processor.TransactionTimeout.String(),
		"VELTRIX_NOTIFIER_SESSION_TIMEOUT="+cfg.Notifier.SessionTimeout.String(),
	)
	return append(own, d.env...)
}

// process is one of the commands, running.
type process struct {
	*child.Process
	t       *testing.T
	name    string
	log     *tail
	metrics chan string // the address, once it is logged
	serves  chan string // a gateway's address, once it takes events, or a notifier's
	address string
}

// start runs a command as its operator does. It ends with the test, and the
// end of its log is shown when the test failed.
func (d *deployment) start(command, name string) *process {
	d.t.Helper()
	cmd := exec.Command(binary(d.t, command))
	cmd.Env = d.environment()
	read, write, err := os.Pipe()
	d.must(err)
	cmd.Stdout, cmd.Stderr = write, write
	p := &process{t: d.t, name: name, log: &tail{}, metrics: make(chan string, 1), serves: make(chan string, 1)}
	p.Process, err = child.Start(cmd, syscall.SIGKILL)
	write.Close()
	d.must(err)
	go p.listen(read)
	d.t.Cleanup(func() {
		p.Kill()
		if d.t.Failed() {
			d.t.Logf("%s (process %d) ended its log with\n%s", name, p.PID(), p.log)
		}
	})
	return p
}

// listen keeps the log's end, and finds where the process listens.
func (p *process) listen(log *os.File) {
	defer log.Close()
	in := bufio.NewReader(io.TeeReader(log, p.log))
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var said struct{ Msg, Metrics, Address string }
		if json.Unmarshal(line, &said) != nil {
			continue
		}
		switch {
		case said.Msg == "starting" && said.Metrics != "":
			p.metrics <- said.Metrics // each is said once
		case said.Msg == "taking events", said.Msg == "serving inboxes":
			p.serves <- said.Address
		}
	}
}

// says waits for an address that the process logs when it listens there.
func (p *process) says(where <-chan string) string {
	p.t.Helper()
	select {
	case at := <-where:
		return at
	case <-p.Done():
		p.t.Fatalf("%s ended by itself", p.name)
	case <-time.After(stall):
		p.t.Fatalf("%s does not say where it listens", p.name)
	}
	return ""
}

// sum adds up a counter's series; 0 while the process cannot be asked.
func (p *process) sum(counter string) (total int64) {
	if p.address == "" {
		p.address = p.says(p.metrics)
	}
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get("http://" + p.address + "/metrics")
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(body) {
		text := strings.TrimSpace(string(line))
		at := strings.LastIndexByte(text, ' ') // labels may hold some
		if at >= 0 && (text[:at] == counter || strings.HasPrefix(text, counter+"{")) {
			n, err := strconv.ParseFloat(text[at+1:], 64)
			if err != nil {
				p.t.Fatalf("%s: %s", line, err)
			}
			total += int64(n)
		}
	}
	return total
}

// works waits until the process itself has done so much since it started.
func (p *process) works(counter string, least int64) {
	p.t.Helper()
	last := int64(-1)
	for moved := time.Now(); time.Since(moved) < stall; time.Sleep(100 * time.Millisecond) {
		n := p.sum(counter)
		if n >= least {
			return
		}
		if n != last {
			last, moved = n, time.Now()
		}
		select {
		case <-p.Done():
			p.t.Fatalf("%s ended by itself", p.name)
		default:
		}
	}
	p.t.Fatalf("%s does not work: %s is %d for %s, want %d", p.name, counter, last, stall, least)
}
