package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Service is one part of a process.
type Service interface {
	// Name is what the log and the errors call it.
	Name() string
	// Run works until ctx ends, then drains and returns nil. Returning before
	// that without an error means that its work is done; with an error, that
	// the whole process has to stop.
	Run(ctx context.Context) error
}

// Func makes a Service of a function.
func Func(name string, run func(ctx context.Context) error) Service { return function{name, run} }

type function struct {
	name string
	run  func(ctx context.Context) error
}

func (f function) Name() string                  { return f.name }
func (f function) Run(ctx context.Context) error { return f.run(ctx) }

// ErrNotDrained says that services were still running when the stop timeout
// ended or a second signal came. What they held is taken up again from the log
// at the next start.
var ErrNotDrained = errors.New("stopped before everything was drained")

type result struct {
	index int
	err   error
}

// Run runs the services side by side until ctx ends, one of them fails, or all
// are done. It then drains them all and returns the failures, joined. It
// returns at the latest stopTimeout after the draining began, or at once at a
// second signal (see Signals), with ErrNotDrained.
func Run(ctx context.Context, stopTimeout time.Duration, services ...Service) error {
	working, drain := context.WithCancel(ctx)
	defer drain()
	results := make(chan result, len(services))
	running := make([]string, len(services))
	for i, s := range services {
		running[i] = s.Name()
		go func() { results <- result{i, s.Run(working)} }()
	}
	draining, hard := working.Done(), hardStop(ctx)
	var timeout <-chan time.Time
	var failures []error
	for left := len(services); left > 0; {
		select {
		case r := <-results:
			left--
			name := running[r.index]
			running[r.index] = ""
			// A context that ended is how a service was told to drain, not a failure.
			if r.err != nil && (working.Err() == nil || !errors.Is(r.err, context.Canceled)) {
				failures = append(failures, fmt.Errorf("%s: %w", name, r.err))
				drain()
			}
		case <-draining:
			draining = nil
			timer := time.NewTimer(stopTimeout)
			defer timer.Stop()
			timeout = timer.C
		case <-timeout:
			return errors.Join(append(failures, notDrained(fmt.Sprintf("within %s", stopTimeout), running))...)
		case <-hard:
			return errors.Join(append(failures, notDrained("at the second signal", running))...)
		}
	}
	return errors.Join(failures...)
}

func notDrained(when string, running []string) error {
	left := slices.DeleteFunc(slices.Clone(running), func(name string) bool { return name == "" })
	return fmt.Errorf("%w: %s, still running: %s", ErrNotDrained, when, strings.Join(left, ", "))
}
