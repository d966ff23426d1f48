package chaos

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/veltrix/veltrix/internal/child"
	"github.com/veltrix/veltrix/test/chaos/relay"
)

// member is one processor or notifier of a run, whichever process it is at
// present.
type member struct {
	r     *run
	kind  string // processor or notifier: also the command
	index int
	name  string
	lane  int
	redis *relay.Relay

	mu      sync.Mutex
	process *child.Process
	starts  int
}

func (r *run) newMember(kind string, index int) (*member, error) {
	m := &member{r: r, kind: kind, index: index, name: fmt.Sprintf("%s-%d", kind, index)}
	m.lane = r.lane + index%processorLanes
	if kind == "notifier" {
		m.lane = r.lane + processorLanes
	}
	var err error
	m.redis, err = relay.Start("unix", r.redis.socket())
	return m, err
}

// environment is what an operator sets for the process.
func (m *member) environment() []string {
	s := m.r.s.Processes
	env := append(m.r.environment(),
		"VELTRIX_KAFKA_BROKERS="+strings.Join(m.r.env.cluster.Lane(m.lane), ","),
		"VELTRIX_REDIS_ADDRS="+m.redis.Addr,
		"VELTRIX_METRICS_LISTEN=127.0.0.1:0",
	)
	if m.kind == "notifier" {
		return append(env, "VELTRIX_NOTIFIER_LISTEN=127.0.0.1:0")
	}
	if s.Instance {
		env = append(env, "VELTRIX_PROCESSOR_INSTANCE="+m.name)
	}
	return env
}

// start runs the member's process.
func (m *member) start() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.process != nil {
		return fmt.Errorf("%s runs already", m.name)
	}
	cmd := exec.Command(filepath.Join(m.r.env.binaries, m.kind))
	cmd.Env = m.environment()
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer write.Close()
	cmd.Stdout, cmd.Stderr = write, write
	log, err := os.OpenFile(m.logPath(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		read.Close()
		return err
	}
	p, err := child.Start(cmd, syscall.SIGKILL)
	if err != nil {
		read.Close()
		log.Close()
		return fmt.Errorf("start %s: %w", m.name, err)
	}
	m.process = p
	m.starts++
	said := make(chan string, 1)
	go func() { said <- m.listen(read, log) }()
	go m.watch(p, said)
	return nil
}

func (m *member) logPath() string { return filepath.Join(m.r.dir, m.name+".log") }

// watch notices a process that ends by itself.
func (m *member) watch(p *child.Process, said chan string) {
	<-p.Done()
	last := <-said
	m.mu.Lock()
	own := m.process == p
	if own {
		m.process = nil
	}
	m.mu.Unlock()
	if own {
		m.r.endedByItself(m, last)
	}
}

// listen keeps the log, and finds what was refused. It returns the last line.
func (m *member) listen(read io.ReadCloser, log io.WriteCloser) (last string) {
	defer read.Close()
	defer log.Close()
	in := bufio.NewReader(io.TeeReader(read, log))
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 0 {
			last = strings.TrimSpace(string(line))
		}
		if err != nil {
			return last
		}
		var said struct {
			Msg, Reason, Cause string
			Partition          int32
		}
		if json.Unmarshal(line, &said) == nil && said.Msg == "partition refused" {
			m.r.refused(said.Partition, said.Reason, said.Cause)
		}
	}
}

// release gives the process away: what becomes of it is the caller's business.
func (m *member) release() *child.Process {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.process
	m.process = nil
	return p
}

func (m *member) kill() {
	if p := m.release(); p != nil {
		p.Kill()
	}
}

// stop ends the process in order.
func (m *member) stop() {
	if p := m.release(); p != nil {
		p.Stop(stopTimeout)
	}
}

const stopTimeout = 30 * time.Second

func (m *member) signal(sig syscall.Signal) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.process == nil {
		return fmt.Errorf("%s does not run", m.name)
	}
	return m.process.Signal(sig)
}

// take finds a member and keeps other faults, and whoever starts and stops
// processors, away from it until unlock. Where there are fewer by now, counting
// begins anew.
func (r *run) take(kind string, index int) (m *member, unlock func()) {
	if kind == "notifier" {
		m = r.members(kind)[index]
		return m, r.lock(m.name)
	}
	r.operator.RLock()
	all := r.members(kind)
	m = all[index%len(all)]
	release := r.lock(m.name)
	return m, func() { release(); r.operator.RUnlock() }
}

// alone waits until no processor is under a fault, and keeps it so.
func (r *run) alone() (unlock func()) {
	r.operator.Lock()
	return r.operator.Unlock
}

// members returns the members of a kind as they are now.
func (r *run) members(kind string) []*member {
	r.mu.Lock()
	defer r.mu.Unlock()
	if kind == "notifier" {
		return slices.Clone(r.notifiers)
	}
	return slices.Clone(r.processors)
}

// scaleTo starts processors, or stops the last ones in order, until there are n.
func (r *run) scaleTo(n int) error {
	for len(r.members("processor")) < n {
		m, err := r.newMember("processor", len(r.members("processor")))
		if err != nil {
			return err
		}
		r.mu.Lock()
		r.processors = append(r.processors, m)
		r.mu.Unlock()
		if err := m.start(); err != nil {
			return err
		}
	}
	for _, m := range r.members("processor")[n:] {
		m.stop()
		m.redis.Close()
	}
	r.mu.Lock()
	r.processors = r.processors[:n]
	r.mu.Unlock()
	return nil
}

// stopProcessors stops all processors in order, at the same time.
func (r *run) stopProcessors() {
	var all sync.WaitGroup
	for _, m := range r.members("processor") {
		all.Go(m.stop)
	}
	all.Wait()
}

func (r *run) startProcessors() error {
	for _, m := range r.members("processor") {
		if err := m.start(); err != nil {
			return err
		}
	}
	return nil
}
