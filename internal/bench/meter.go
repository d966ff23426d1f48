package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit of CPU time under /proc: USER_HZ, 100 a second on every
// architecture that Go runs on.
const tick = 10 * time.Millisecond

// Process is a server on this machine, whose CPU time is in /proc.
type Process struct {
	PIDs   []int  `json:"pids,omitempty"`
	Reason string `json:"reason,omitempty"` // why it is not measured; empty if it is
}

func (p Process) measured() bool { return p.Reason == "" }

// Meter reads the operating system's account of CPU time.
type Meter struct {
	Proc   string // where /proc is
	Broker Process
	Redis  Process
}

// Reading is an account at one moment.
type Reading struct {
	At     time.Time
	Own    time.Duration // user and system, of this process
	Broker time.Duration
	Redis  time.Duration
	Busy   time.Duration // of all processors together
}

// Window is what passed between two readings.
type Window struct {
	Events int64         `json:"events"`
	Wall   time.Duration `json:"wall_ns"`
	Own    time.Duration `json:"own_cpu_ns"`
	Broker time.Duration `json:"broker_cpu_ns"` // 0 where not measured
	Redis  time.Duration `json:"redis_cpu_ns"`  // 0 where not measured
	// Other is the share of the machine's processors that neither this process
	// nor the servers took; negative where it could not be told.
	Other float64 `json:"other_load"`
	// WithStart: too few events were left once the start was over, so that the
	// window covers the start as well.
	WithStart bool `json:"with_start,omitempty"`
	// Commits and CommitTime are of the whole round: transactions, and how long
	// one took on average from its first record; 0 where there are none.
	Commits    int64         `json:"commits,omitempty"`
	CommitTime time.Duration `json:"commit_ns,omitempty"`
	// Repeated is how many outputs a peer wrote more than once, which only one
	// that is at least once may.
	Repeated int64 `json:"repeated,omitempty"`
	Noisy    bool  `json:"noisy,omitempty"`
}

// tellable is the shortest window in which other load can be told: the account
// of CPU time moves in ticks, for each process and processor by itself.
const tellable = 20 * tick

// noisyAbove is the share of the machine above which other load disturbs.
const noisyAbove = 0.10

// Rate is in events per second.
func (w Window) Rate() float64 { return float64(w.Events) / w.Wall.Seconds() }

// Read takes a reading.
func (m *Meter) Read() (Reading, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return Reading{}, fmt.Errorf("read this process's CPU time: %w", err)
	}
	r := Reading{At: time.Now(), Own: time.Duration(usage.Utime.Nano() + usage.Stime.Nano())}
	var err error
	if r.Broker, err = m.spent(m.Broker); err != nil {
		return r, fmt.Errorf("read the broker's CPU time: %w", err)
	}
	if r.Redis, err = m.spent(m.Redis); err != nil {
		return r, fmt.Errorf("read Redis's CPU time: %w", err)
	}
	r.Busy, err = m.busy()
	return r, err
}

// Between returns the window of events that two readings enclose.
func (m *Meter) Between(from, to Reading, events int64) Window {
	w := Window{
		Events: events, Wall: to.At.Sub(from.At), Own: to.Own - from.Own,
		Broker: to.Broker - from.Broker, Redis: to.Redis - from.Redis, Other: -1,
	}
	if m.apart() && w.Wall >= tellable {
		other := to.Busy - from.Busy - w.Own - w.Broker - w.Redis
		w.Other = max(0, other.Seconds()/(w.Wall.Seconds()*float64(runtime.NumCPU())))
	}
	w.Noisy = w.Other > noisyAbove
	return w
}

// apart says whether other load can be told from ours: not where a server runs
// on this machine and its CPU time is unknown.
func (m *Meter) apart() bool {
	return m.Broker.Reason != notFound && m.Redis.Reason != notFound
}

// spent sums what the processes and their threads have used.
func (m *Meter) spent(p Process) (time.Duration, error) {
	total := time.Duration(0)
	for _, pid := range p.PIDs {
		stat, err := os.ReadFile(filepath.Join(m.Proc, strconv.Itoa(pid), "stat"))
		if err != nil {
			return 0, err
		}
		spent, err := parseStat(stat)
		if err != nil {
			return 0, fmt.Errorf("process %d: %w", pid, err)
		}
		total += spent
	}
	return total, nil
}

// parseStat reads user and system time: fields 14 and 15. The second field is
// the command in parentheses and may hold anything.
func parseStat(stat []byte) (time.Duration, error) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("its stat has %d fields after the command, fewer than 13", len(fields))
	}
	return ticks(fields[11:13])
}

// busy is the time that all processors spent neither idle nor waiting for a
// disk. What a hypervisor took away counts: it disturbs like any other load.
func (m *Meter) busy() (time.Duration, error) {
	stat, err := os.ReadFile(filepath.Join(m.Proc, "stat"))
	if err != nil {
		return 0, fmt.Errorf("read the machine's CPU time: %w", err)
	}
	return parseBusy(stat)
}

// parseBusy reads the line of all processors: user, nice, system, idle, iowait,
// irq, softirq, steal; the guests after it are in user already.
func parseBusy(stat []byte) (time.Duration, error) {
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) < 9 || string(fields[0]) != "cpu" {
		return 0, fmt.Errorf("read the machine's CPU time: unknown line %q", line)
	}
	return ticks(append(append([][]byte{}, fields[1:4]...), fields[6:9]...))
}

func ticks(fields [][]byte) (time.Duration, error) {
	total := time.Duration(0)
	for _, f := range fields {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("CPU time %q is not a number", f)
		}
		total += time.Duration(n) * tick
	}
	return total, nil
}

// Machine describes where the figures were measured.
type Machine struct {
	CPUs      int    `json:"cpus"`
	GoProcs   int    `json:"gomaxprocs"`
	Model     string `json:"model"`
	MemoryMiB int64  `json:"memory_mib"`
	System    string `json:"system"`
	Go        string `json:"go"`
	Kafka     string `json:"kafka"`
	Redis     string `json:"redis"`
}

func describeMachine(proc string) Machine {
	m := Machine{CPUs: runtime.NumCPU(), GoProcs: runtime.GOMAXPROCS(0), Go: strings.TrimPrefix(runtime.Version(), "go"), System: runtime.GOOS + "/" + runtime.GOARCH}
	m.Model = field(filepath.Join(proc, "cpuinfo"), "model name")
	kib, _ := strconv.ParseInt(strings.TrimSuffix(field(filepath.Join(proc, "meminfo"), "MemTotal"), " kB"), 10, 64)
	m.MemoryMiB = kib / 1024 // 0 where it is not known
	return m
}

// field returns the value of the first "name: value" line of a file, or "".
func field(path, name string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
