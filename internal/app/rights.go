package app

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/veltrix/veltrix/internal/kafkalog"
)

// rightsEvery is how often a running service asks whether it still has its rights.
const rightsEvery = 10 * time.Second

// rights watches whether a running service still may do what it needs. A right that
// is taken away shows late otherwise, or not at all: with the first record that
// needs it, or as a client that tries again in silence.
type rights struct {
	rt    Runtime
	every time.Duration
	lost  atomic.Pointer[error]
}

func newRights(rt Runtime) *rights { return &rights{rt: rt, every: rightsEvery} }

// err is what the service lacks, as it was seen last; nil where that is nothing.
func (r *rights) err() error {
	if lost := r.lost.Load(); lost != nil {
		return *lost
	}
	return nil
}

// keep looks until ctx ends, and says once what is lost and once that it is back.
// What could not be asked changes nothing.
func (r *rights) keep(ctx context.Context, cfg kafkalog.Config) {
	look, err := kafkalog.NewRights(cfg)
	if err != nil {
		r.rt.Log.Warn("the rights at the brokers are not watched", "error", err)
		return
	}
	defer look.Close()
	tick := time.NewTicker(r.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		asking, cancel := context.WithTimeout(ctx, r.every)
		missing, err := look.Missing(asking)
		cancel()
		if err == nil {
			r.tell(look.Error(missing))
		}
	}
}

func (r *rights) tell(now error) {
	was := r.err()
	switch {
	case now == nil && was != nil:
		r.rt.Log.Info("the brokers allow again what was missing", "was", was)
		r.lost.Store(nil)
	case now != nil && (was == nil || was.Error() != now.Error()):
		r.rt.Log.Error("the brokers do not allow what this service needs; what needs it waits", "error", now)
		r.lost.Store(&now) // whoever sees it in /readyz finds it in the log
	}
}
