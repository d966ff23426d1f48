package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/veltrix/veltrix/internal/child"
)

// peerEnding is how long a peer may take to end, by itself or told to.
const peerEnding = 20 * time.Second

// said is a line of a peer's standard output.
type said struct {
	Event   string `json:"event"`
	Records int64  `json:"records"`
}

// running is a peer's process.
type running struct {
	*child.Process
	cmd    *exec.Cmd
	lines  chan said // closed at the end of its output
	errors *ending
}

// startPeer starts a peer.
func startPeer(cmd *exec.Cmd) (*running, error) {
	out, theirs, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start the peer: %w", err)
	}
	r := &running{cmd: cmd, lines: make(chan said, 16), errors: &ending{}}
	cmd.Stdout, cmd.Stderr = theirs, r.errors
	r.Process, err = child.Start(cmd, syscall.SIGKILL)
	_ = theirs.Close()
	if err != nil {
		_ = out.Close()
		return nil, fmt.Errorf("start the peer: %w", err)
	}
	go r.read(out)
	return r, nil
}

// read hands the lines on. What is no object is nobody's business.
func (r *running) read(out io.ReadCloser) {
	defer close(r.lines)
	defer func() { _ = out.Close() }()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var line said
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Event != "" {
			select {
			case r.lines <- line:
			default: // it says two
			}
		}
	}
}

// await waits until the peer says an event.
func (r *running) await(ctx context.Context, event string) (said, error) {
	select {
	case line, ok := <-r.lines:
		switch {
		case !ok:
			select { // so that all of its errors are here
			case <-r.Done():
			case <-time.After(peerEnding):
			}
			return line, fmt.Errorf("it ended before it was %s: %s", event, r.errors)
		case line.Event != event:
			return line, fmt.Errorf("it said %q where %q comes next", line.Event, event)
		}
		return line, nil
	case <-ctx.Done():
		return said{}, fmt.Errorf("wait until it is %s: %w: %s", event, context.Cause(ctx), r.errors)
	}
}

// watch runs a peer to its end and returns the window from its "ready" to its "done",
// in which Own is the peer's.
func watch(ctx context.Context, cmd *exec.Cmd, m *Meter, total int64) (w Window, err error) {
	r, err := startPeer(cmd)
	if err != nil {
		return w, err
	}
	defer r.Stop(peerEnding)
	if _, err := r.await(ctx, "ready"); err != nil {
		return w, err
	}
	from, before, err := r.account(m)
	if err != nil {
		return w, err
	}
	done, err := r.await(ctx, "done")
	if err != nil {
		return w, err
	}
	to, after, err := r.account(m)
	if err != nil {
		return w, err
	}
	if done.Records != total {
		return w, fmt.Errorf("it was done with %d records of %d", done.Records, total)
	}
	if err := r.end(); err != nil {
		return w, err
	}
	from.Own, to.Own = from.Own+before, to.Own+after // both are ours, and no other load
	w = m.Between(from, to, total)
	w.Own = after - before
	return w, nil
}

// account takes a reading, with the peer's CPU time.
func (r *running) account(m *Meter) (Reading, time.Duration, error) {
	spent, err := m.tree(r.PID())
	if err != nil { // it has ended: what it and its children used is known
		select {
		case <-r.Done():
			spent = r.cmd.ProcessState.UserTime() + r.cmd.ProcessState.SystemTime()
		case <-time.After(peerEnding):
			return Reading{}, 0, fmt.Errorf("read the peer's CPU time: %w", err)
		}
	}
	reading, err := m.Read()
	return reading, spent, err
}

// end waits for the peer's own end, which must be a good one.
func (r *running) end() error {
	select {
	case <-r.Done():
	case <-time.After(peerEnding):
		return fmt.Errorf("it was done and did not end within %s", peerEnding)
	}
	if code := r.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("it ended with exit code %d: %s", code, r.errors)
	}
	return nil
}

// tree sums the CPU time of a process, of the children it has waited for, and of
// those that run.
func (m *Meter) tree(pid int) (time.Duration, error) {
	stats, err := filepath.Glob(filepath.Join(m.Proc, "[0-9]*", "stat"))
	if err != nil {
		return 0, err
	}
	used, children := map[int]time.Duration{}, map[int][]int{}
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has just ended
		}
		id, _ := strconv.Atoi(filepath.Base(filepath.Dir(path))) // the pattern has digits first
		parent, spent, err := parseFamily(stat)
		if err != nil {
			return 0, fmt.Errorf("process %d: %w", id, err)
		}
		used[id] = spent
		children[parent] = append(children[parent], id)
	}
	if _, runs := used[pid]; !runs {
		return 0, fmt.Errorf("there is no process %d", pid)
	}
	total, left := time.Duration(0), []int{pid}
	for len(left) > 0 {
		id := left[len(left)-1]
		total += used[id]
		left = append(left[:len(left)-1], children[id]...)
	}
	return total, nil
}

// parseFamily reads a process's parent and its user and system time, with those of
// the children it has waited for: fields 4 and 14 to 17.
func parseFamily(stat []byte) (parent int, spent time.Duration, err error) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 15 {
		return 0, 0, fmt.Errorf("its stat has %d fields after the command, fewer than 15", len(fields))
	}
	if parent, err = strconv.Atoi(string(fields[1])); err != nil {
		return 0, 0, fmt.Errorf("its parent %q is not a number", fields[1])
	}
	spent, err = ticks(fields[11:15])
	return parent, spent, err
}
