// Package child runs servers as child processes.
//
// Invariant: no child outlives the process that started it. Each runs in its
// own process group, is ended by its process ID, and is ended by the kernel
// when its parent dies, however that happens.
package child

import (
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Process is a running child.
type Process struct {
	pid  int
	done chan struct{} // closed when it has ended
}

// Start starts cmd in its own process group, so that an interrupt typed at a
// terminal reaches the parent alone, which ends the child in order. When the
// parent dies, the kernel sends the child orphaned.
func Start(cmd *exec.Cmd, orphaned syscall.Signal) (*Process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: orphaned}
	p := &Process{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The signal is sent when the *thread* that started the child ends, so
		// this thread is kept until the child has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // how it ended is in its log; that it ended is all we need
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// PID returns the child's process ID.
func (p *Process) PID() int { return p.pid }

// Done is closed when the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal reaches the child's whole group. After its end it does nothing: the
// number may be another process's by then.
func (p *Process) Signal(sig syscall.Signal) error {
	select {
	case <-p.done:
		return nil
	default:
		return syscall.Kill(-p.pid, sig)
	}
}

// Kill ends the child with SIGKILL, as a crash would, and waits for its end.
func (p *Process) Kill() {
	_ = p.Signal(syscall.SIGKILL) // the only error is that it has just ended
	<-p.done
}

// Stop asks the child to end with SIGTERM, and kills it after timeout.
func (p *Process) Stop(timeout time.Duration) {
	_ = p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(timeout):
		p.Kill()
	}
}
