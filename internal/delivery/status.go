package delivery

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"
)

// trouble is an outage of one store.
type trouble struct {
	mu    sync.Mutex
	since time.Time
	said  time.Time
}

func (d *Dispatcher) failed(store string, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	d.metrics.Stalled(store)
	v, _ := d.troubles.LoadOrStore(store, &trouble{})
	t := v.(*trouble)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.since.IsZero() {
		t.since = time.Now()
	}
	if time.Since(t.said) > 10*time.Second {
		t.said = time.Now()
		d.log.Warn("waiting for a store; nothing is sent meanwhile", "store", store,
			"since", t.since.UTC().Format(time.RFC3339), "error", err)
	}
}

func (d *Dispatcher) worked(store string) {
	v, ok := d.troubles.Load(store)
	if !ok {
		return
	}
	t := v.(*trouble)
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.since.IsZero() {
		d.log.Info("the store is back", "store", store, "away", time.Since(t.since).String())
		t.since, t.said = time.Time{}, time.Time{}
	}
}

// Status is what readiness and metrics need.
type Status struct {
	Partitions int           // held
	Pending    int64         // records being worked on
	Lag        int64         // records of the notifications topic not yet committed
	Parked     int64         // records of the retry topics not yet committed
	Idle       time.Duration // since the last commit, or since there was something to do again
	// Waiting names the stores that cannot be reached.
	Waiting []string
	// Lags are the notifications topic's, by partition.
	Lags map[int32]int64
	// Lanes are at work; Held of them wait for a class's hold to end.
	Lanes, Held int64
	// Open counts the targets that are left alone for a while, by channel.
	Open map[string]int
}

// CaughtUp says that nothing of the notifications topic is left to do.
func (s Status) CaughtUp() bool { return s.Partitions > 0 && s.Lag == 0 && len(s.Waiting) == 0 }

// Status reports how far delivery is. Lag is 0 for a partition that has
// brought nothing since it was assigned.
func (d *Dispatcher) Status() Status {
	s := Status{
		Pending: d.pending.Load(), Lanes: d.working.Load(), Held: d.holding.Load(),
		Lags: map[int32]int64{}, Open: map[string]int{},
	}
	for name := range d.channels {
		s.Open[name] = 0
	}
	d.endpoints.Range(func(name, e any) bool {
		channel, _, _ := strings.Cut(name.(string), "\x00")
		if !e.(*endpoint).open() {
			s.Open[channel]++
		}
		return true
	})
	if at := d.progress.Load(); at != 0 {
		s.Idle = time.Since(time.Unix(0, at))
	}
	d.troubles.Range(func(store, v any) bool {
		t := v.(*trouble)
		t.mu.Lock()
		if !t.since.IsZero() {
			s.Waiting = append(s.Waiting, store.(string))
		}
		t.mu.Unlock()
		return true
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	for tp, h := range d.held {
		h.mu.Lock()
		lag := int64(0)
		if len(h.tracker.window)+h.records > 0 {
			lag = max(h.end-max(h.tracker.ready, 0), 1)
			if h.tracker.ready < 0 && len(h.tracker.window) > 0 {
				lag = h.end - h.tracker.window[0].offset
			}
		}
		h.mu.Unlock()
		if tp.Topic == NotificationsTopic {
			s.Partitions++
			s.Lag += lag
			s.Lags[tp.Partition] = lag
		} else {
			s.Parked += lag
		}
	}
	return s
}
