package service

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

type hardKey struct{}

// Signals returns a context that the first SIGINT or SIGTERM ends, with a
// cause that names it. The second makes Run give up on draining; the third
// kills the process as if nobody listened. Call stop to let go of the signals.
func Signals(parent context.Context) (ctx context.Context, stop func()) {
	signals := make(chan os.Signal, 3)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ctx, stop = withSignals(parent, signals, func() { signal.Stop(signals) })
	return ctx, stop
}

func withSignals(parent context.Context, signals <-chan os.Signal, letGo func()) (context.Context, func()) {
	hard := make(chan struct{})
	ctx, cancel := context.WithCancelCause(context.WithValue(parent, hardKey{}, (<-chan struct{})(hard)))
	over := make(chan struct{})
	go func() {
		defer letGo()
		select {
		case s := <-signals:
			cancel(fmt.Errorf("stopped by signal: %s", s))
		case <-over:
			return
		}
		select {
		case <-signals:
			close(hard)
		case <-over:
		}
	}()
	return ctx, sync.OnceFunc(func() {
		cancel(context.Canceled)
		close(over)
	})
}

// hardStop returns the channel that a second signal closes, or nil.
func hardStop(ctx context.Context) <-chan struct{} {
	hard, _ := ctx.Value(hardKey{}).(<-chan struct{})
	return hard
}
