package service

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// worker ends drain after its context did.
func worker(name string, drain time.Duration, err error) Service {
	return Func(name, func(ctx context.Context) error {
		<-ctx.Done()
		time.Sleep(drain)
		return err
	})
}

func TestRunDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		start := time.Now()
		err := Run(ctx, 20*time.Second, worker("slow", 19*time.Second, nil), worker("told", 0, context.Canceled))
		if err != nil {
			t.Errorf("an orderly stop is no error: %v", err)
		}
		if took := time.Since(start); took != 79*time.Second {
			t.Errorf("Run returned after %s, before the slow one had drained", took)
		}
	})
}

func TestFailureDrainsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("lost the log")
		drained := false
		err := Run(t.Context(), 20*time.Second,
			Func("other", func(ctx context.Context) error {
				<-ctx.Done()
				drained = true
				return nil
			}),
			Func("failing", func(context.Context) error { return cause }),
		)
		if !errors.Is(err, cause) || !strings.Contains(err.Error(), "failing: ") || !drained {
			t.Errorf("got %v, drained %t", err, drained)
		}
	})
}

func TestDoneIsNotFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		err := Run(t.Context(), time.Second,
			Func("quick", func(context.Context) error { return nil }),
			Func("long", func(ctx context.Context) error {
				select {
				case <-time.After(time.Hour):
					return nil
				case <-ctx.Done():
					return errors.New("drained although nothing failed")
				}
			}))
		if err != nil || time.Since(start) != time.Hour {
			t.Errorf("got %v after %s", err, time.Since(start))
		}
	})
}

// A service that cancels something of its own has failed, unless it was told
// to stop.
func TestCanceledWithoutDrainIsAFailure(t *testing.T) {
	err := Run(t.Context(), time.Second, Func("odd", func(context.Context) error { return context.Canceled }))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestStopTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		start := time.Now()
		err := Run(ctx, 20*time.Second, worker("stuck", time.Hour, nil), worker("quick", 0, nil))
		if !errors.Is(err, ErrNotDrained) || !strings.HasSuffix(err.Error(), "still running: stuck") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != 20*time.Second {
			t.Errorf("gave up after %s", took)
		}
		time.Sleep(2 * time.Hour) // lets the stuck one end, for the test's sake
	})
}

func TestSecondSignalStopsHard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signals := make(chan os.Signal, 2)
		ctx, stop := withSignals(t.Context(), signals, func() {})
		defer stop()
		time.AfterFunc(time.Second, func() { signals <- syscall.SIGTERM })
		time.AfterFunc(3*time.Second, func() { signals <- syscall.SIGTERM })
		start := time.Now()
		err := Run(ctx, time.Minute, worker("stuck", time.Hour, nil))
		if !errors.Is(err, ErrNotDrained) || time.Since(start) != 3*time.Second {
			t.Errorf("got %v after %s", err, time.Since(start))
		}
		if cause := context.Cause(ctx); !strings.Contains(cause.Error(), "terminated") {
			t.Errorf("cause %v does not name the signal", cause)
		}
		time.Sleep(2 * time.Hour)
	})
}

func TestRealSignal(t *testing.T) {
	ctx, stop := Signals(t.Context())
	defer stop()
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("the signal did not end the context")
	}
}

func TestExitCodes(t *testing.T) {
	plain := errors.New("x")
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{plain, 1},
		{WithExitCode(plain, ExitWarnings), 2},
		{errors.Join(plain, WithExitCode(plain, ExitConfig)), 78},
	} {
		if got := ExitCode(c.err); got != c.want {
			t.Errorf("%v exits with %d, want %d", c.err, got, c.want)
		}
	}
	if WithExitCode(nil, 2) != nil || Permanent(nil) != nil {
		t.Error("no error stays no error")
	}
}
