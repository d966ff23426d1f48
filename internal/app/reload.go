package app

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/service"
	"github.com/veltrix/veltrix/internal/telemetry"
)

// live is a process's configuration as it is in force now.
//
// Invariant: what is in force is one checked configuration, never a mixture of two
// and never one with a mistake: it is made whole, and then taken over by one store.
type live struct {
	now   atomic.Pointer[config.Config]
	level *slog.LevelVar

	mu      sync.Mutex
	waiting []chan<- struct{} // guarded by mu; each has room for one
}

func newLive(cfg *config.Config, level *slog.LevelVar) *live {
	l := &live{level: level}
	l.now.Store(cfg)
	return l
}

// current is the configuration that is in force now. Live keys are read from it
// where they are used; all others are those of rt.Config.
func (rt Runtime) current() *config.Config {
	if rt.live == nil {
		return rt.Config
	}
	return rt.live.now.Load()
}

// changes returns a channel that has something when current is another one.
func (rt Runtime) changes() <-chan struct{} {
	if rt.live == nil {
		return nil
	}
	changed := make(chan struct{}, 1)
	rt.live.mu.Lock()
	defer rt.live.mu.Unlock()
	rt.live.waiting = append(rt.live.waiting, changed)
	return changed
}

// Reloads is the service that reads the configuration again at each SIGHUP.
func (rt Runtime) Reloads() service.Service {
	hangups := make(chan os.Signal, 1) // here, so that none ends a process that is starting
	signal.Notify(hangups, syscall.SIGHUP)
	return service.Func("reload", func(ctx context.Context) error {
		defer signal.Stop(hangups)
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-hangups:
				rt.reload()
			}
		}
	})
}

// reload takes over what changed, or says why not.
func (rt Runtime) reload() {
	l := rt.live
	next, taken, waiting, err := l.now.Load().Reload()
	if err != nil {
		rt.Metrics.Reloads.WithLabelValues("refused").Inc()
		rt.Log.Error("configuration refused: everything stays as it was", "error", err)
		return
	}
	l.now.Store(next)
	l.level.Set(telemetry.Level(next.Log.Level))
	rt.Metrics.Reloads.WithLabelValues("taken").Inc()
	for _, c := range taken {
		rt.Log.Info("configuration changed", "key", c.Key, "before", c.Before, "after", c.After)
	}
	for _, c := range waiting {
		rt.Log.Warn("configuration changed: restart required", "key", c.Key, "before", c.Before, "after", c.After)
	}
	if len(taken)+len(waiting) == 0 {
		rt.Log.Info("configuration read again: nothing changed")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, changed := range l.waiting {
		select {
		case changed <- struct{}{}:
		default: // it has not looked since the last one, and will
		}
	}
}
