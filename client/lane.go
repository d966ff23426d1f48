package client

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"
)

// lane sends its events one batch after the other. A batch is done with before
// the next one begins: that is the order of a participant's events.
type lane struct {
	c    *Client
	wake chan struct{} // one place: something has changed

	// Guarded by the client's mutex.
	queue           []*item
	handed, settled uint64 // events, ever
	urgent          uint64 // of those handed, as many do not linger
}

func (l *lane) rouse() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *lane) run() {
	for {
		batch := l.next()
		if batch == nil {
			return
		}
		l.deliver(batch)
		l.finish(batch)
	}
}

// next waits for a batch; nil: there will be no more.
func (l *lane) next() []*item {
	for {
		l.c.mu.Lock()
		n, wait := l.ripe(time.Now())
		batch := slices.Clone(l.queue[:n])
		l.queue = slices.Delete(l.queue, 0, n)
		ended := n == 0 && l.c.closed
		l.c.mu.Unlock()
		if n > 0 {
			return batch
		}
		if ended {
			return nil
		}
		var lingered <-chan time.Time
		if wait > 0 {
			lingered = time.After(wait)
		}
		select {
		case <-l.wake:
		case <-lingered:
		}
	}
}

// ripe returns how many events are to go now, or how long to wait at most for
// others; 0 and 0 where there are none.
func (l *lane) ripe(now time.Time) (n int, wait time.Duration) {
	size := 0
	for _, it := range l.queue {
		size += len(it.line)
		if n == l.c.o.BatchEvents || n > 0 && size > l.c.o.BatchBytes {
			return n, 0
		}
		n++
	}
	if n == 0 || n == l.c.o.BatchEvents || l.settled < l.urgent || l.c.closed {
		return n, 0
	}
	if wait = l.c.o.Linger - now.Sub(l.queue[0].at); wait > 0 {
		return 0, wait
	}
	return n, 0
}

// finish gives the room of a batch back, all of whose events have an outcome.
func (l *lane) finish(batch []*item) {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	l.settled += uint64(len(batch))
	l.c.events -= len(batch)
	for _, it := range batch {
		l.c.bytes -= len(it.line)
	}
	l.c.tell()
}

// deliver sends a batch until each of its events has an outcome, and tells it.
func (l *lane) deliver(batch []*item) {
	for len(batch) > 0 {
		a := l.persist(batch)
		var problem *Problem
		whole := errors.As(a.err, &problem)
		if whole && problem.Status == http.StatusRequestEntityTooLarge && len(batch) > 1 {
			l.deliver(batch[:len(batch)/2])
			batch = batch[len(batch)/2:]
			continue
		}
		for _, f := range a.faults {
			it := batch[f.Line-1]
			it.done(&EventError{ID: it.id, Field: f.Field, Reason: f.Reason, Fate: f.Fate})
		}
		rest := without(batch, a.faults)
		if whole && len(a.faults) > 0 {
			batch = rest // refused with the bad ones, for their sake
			continue
		}
		for _, it := range rest {
			it.done(it.outcome(a.err))
		}
		return
	}
}

// without returns the events of a batch that no fault is of.
func without(batch []*item, faults []fault) []*item {
	if len(faults) == 0 {
		return batch
	}
	var rest []*item
	for i, it := range batch {
		if !slices.ContainsFunc(faults, func(f fault) bool { return f.Line == i+1 }) {
			rest = append(rest, it)
		}
	}
	return rest
}

// outcome is what the caller of an event hears when its request came to err.
func (it *item) outcome(err error) error {
	if err == nil || !it.unsure {
		return err
	}
	return fmt.Errorf("event %q: %w: %w", it.id, ErrUncertain, err)
}

// persist sends a batch until its answer is final, the same bytes each time.
func (l *lane) persist(batch []*item) answer {
	c := l.c
	var body bytes.Buffer
	for _, it := range batch {
		body.Write(it.line)
	}
	began := time.Now()
	for attempt := 1; ; attempt++ {
		if c.ctx.Err() != nil {
			return l.stopped(batch)
		}
		a := c.attempt(body.Bytes(), len(batch))
		for _, it := range batch {
			it.unsure = it.unsure || a.unsure
		}
		if !a.again {
			return a
		}
		wait := max(c.backoff(attempt), a.after)
		if took := time.Since(began); c.o.RetryFor > 0 && took+wait > c.o.RetryFor {
			return answer{err: fmt.Errorf("gave up after %d attempts in %s: %w", attempt, took.Round(time.Millisecond), a.err)}
		}
		c.o.Logger.Warn("a request will be repeated", "events", len(batch), "attempt", attempt, "wait", wait, "error", a.err)
		select {
		case <-time.After(wait):
		case <-c.ctx.Done():
		}
	}
}

// stopped is the answer for what Close no longer sends.
func (l *lane) stopped(batch []*item) answer {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	l.c.aborted += len(batch)
	return answer{err: ErrClosed}
}

// backoff is how long to wait after so many attempts.
func (c *Client) backoff(attempts int) time.Duration {
	wait := c.o.BackoffMin
	for n := 1; n < attempts && wait < c.o.BackoffMax; n++ {
		wait *= 2
	}
	wait = min(wait, c.o.BackoffMax)
	// Clients that were refused together must not come back together.
	return wait - rand.N(wait/2+1)
}
