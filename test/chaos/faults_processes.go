package chaos

import (
	"context"
	"syscall"
	"time"
)

func processFaults() []Fault {
	return []Fault{
		{
			Name: "processor-kill", Ends: endsClean, Does: "A processor is killed with SIGKILL and started again.",
			Params: []Param{which("processors"), lasting("down", 300*time.Millisecond, "until it is started again")},
			row:    restartOrTakeover("processor-kill"),
			do:     killMember("processor"),
		},
		{
			Name: "processor-stop", Ends: endsClean, Does: "A processor is stopped with SIGSTOP, longer than its session, and woken.",
			Params: []Param{which("processors"), lasting("for", 8*time.Second, "until it is woken")},
			do:     stopMember("processor"),
		},
		{
			Name: "processor-restart", Ends: endsClean, Does: "A processor is stopped in order, with SIGTERM, and started again.",
			Params: []Param{which("processors"), lasting("down", 300*time.Millisecond, "until it is started again")},
			do:     restartMember,
		},
		{
			Name: "processor-twin", Ends: endsClean,
			Does:   "A processor is stopped with SIGSTOP, a second one is started under its name, and the first is woken; later it is killed.",
			Params: []Param{which("processors"), lasting("for", 6*time.Second, "until the first is woken"), lasting("both", 3*time.Second, "for which both run")},
			do:     twin,
		},
		{
			Name: "notifier-kill", Ends: endsClean, Does: "A notifier is killed with SIGKILL and started again.",
			Params: []Param{which("notifiers"), lasting("down", 300*time.Millisecond, "until it is started again")},
			do:     killMember("notifier"),
		},
		{
			Name: "notifier-stop", Ends: endsClean, Does: "A notifier is stopped with SIGSTOP, longer than its session, and woken.",
			Params: []Param{which("notifiers"), lasting("for", 8*time.Second, "until it is woken")},
			do:     stopMember("notifier"),
		},
		{
			Name: "scale", Ends: endsClean, Does: "Processors are started, or stopped in order, until there are so many.",
			Params: []Param{{Name: "to", Default: 4, Min: 1, Max: processesMax, Does: "how many processors"}},
			do:     scale,
		},
	}
}

// restartOrTakeover tells a slot that comes back within its session from one
// whose partitions others take over.
func restartOrTakeover(name string) func(p Params) string {
	return func(p Params) string {
		if p.duration("down") >= takeoverAfter {
			return name + ", taken over"
		}
		return name + ", same slot"
	}
}

// takeoverAfter is longer than the usual session of a schedule.
const takeoverAfter = 5 * time.Second

func killMember(kind string) func(context.Context, *run, *Fault, Params) error {
	return func(ctx context.Context, r *run, f *Fault, p Params) error {
		m, unlock := r.take(kind, p.number("which"))
		defer unlock()
		m.kill()
		i := r.inject(f, p)
		err := sleep(ctx, p.duration("down"))
		if startErr := m.start(); startErr != nil {
			return startErr
		}
		i.over()
		return err
	}
}

func stopMember(kind string) func(context.Context, *run, *Fault, Params) error {
	return func(ctx context.Context, r *run, f *Fault, p Params) error {
		m, unlock := r.take(kind, p.number("which"))
		defer unlock()
		if err := m.signal(syscall.SIGSTOP); err != nil {
			return err
		}
		i := r.inject(f, p)
		err := sleep(ctx, p.duration("for"))
		if wakeErr := m.signal(syscall.SIGCONT); wakeErr != nil {
			return wakeErr
		}
		i.over()
		return err
	}
}

func restartMember(ctx context.Context, r *run, f *Fault, p Params) error {
	m, unlock := r.take("processor", p.number("which"))
	defer unlock()
	i := r.inject(f, p)
	m.stop()
	err := sleep(ctx, p.duration("down"))
	if startErr := m.start(); startErr != nil {
		return startErr
	}
	i.over()
	return err
}

// twin makes two processes of one name. The schedule's own member becomes the
// second; the first is on its own until it is killed.
func twin(ctx context.Context, r *run, f *Fault, p Params) error {
	m, unlock := r.take("processor", p.number("which"))
	defer unlock()
	if err := m.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	i := r.inject(f, p)
	first := m.release()
	defer first.Kill()
	if err := m.start(); err != nil {
		return err
	}
	if err := sleep(ctx, p.duration("for")); err != nil {
		return err
	}
	if err := first.Signal(syscall.SIGCONT); err != nil {
		return err
	}
	err := sleep(ctx, p.duration("both"))
	first.Kill()
	i.over()
	return err
}

func scale(_ context.Context, r *run, f *Fault, p Params) error {
	defer r.alone()()
	i := r.inject(f, p)
	defer i.over()
	return r.scaleTo(p.number("to"))
}
