package broker

import (
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is a child that dies with this process.
type process struct {
	pid  int
	done chan struct{} // closed when it has ended
}

// startProcess starts cmd in its own process group, so that an interrupt typed
// at a terminal reaches the test alone, which ends the child in order.
//
// The kernel sends the death signal when the *thread* that started the child
// ends, so that thread is kept until the child has ended.
func startProcess(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p := &process{done: make(chan struct{})}
	started := make(chan error)
	go func() {
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
	return p, <-started
}

// signal reaches the child's whole group. After its end it does nothing: the
// number may be another process's by then.
func (p *process) signal(sig syscall.Signal) error {
	select {
	case <-p.done:
		return nil
	default:
		return syscall.Kill(-p.pid, sig)
	}
}

func (p *process) kill() {
	_ = p.signal(syscall.SIGKILL) // the only error is that it has just ended
	<-p.done
}

func (p *process) stop(timeout time.Duration) {
	_ = p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(timeout):
		p.kill()
	}
}
