package delivery

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
)

// endpoint guards one target of one channel: so many sends at a time, so many
// waiting, and a pause after too many failures in a row.
type endpoint struct {
	slots   chan struct{}
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]

	mu      sync.Mutex
	waiting int
	// alone is until when the target is left alone after an alarm.
	alone time.Time
	// forget, if set, drops the endpoint once it is as new: nobody uses it, and
	// nothing is held against it.
	forget func()
}

// Limits of one endpoint.
const (
	breakerFailures = 10               // in a row open the breaker
	breakerPause    = 20 * time.Second // until one attempt is let through again
	alarmPause      = time.Minute      // after an answer that blames our configuration
)

func newEndpoint(name string, slots int) *endpoint {
	return &endpoint{
		slots: make(chan struct{}, slots),
		breaker: gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
			Name: name, MaxRequests: 1, Timeout: breakerPause,
			ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= breakerFailures },
			IsExcluded:  func(err error) bool { return errors.Is(err, errNoAttempt) },
		}),
	}
}

// open reports whether attempts are let through.
func (e *endpoint) open() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.breaker.State() != gobreaker.StateOpen && time.Now().After(e.alone)
}

// entry is the right to make one attempt at an endpoint.
type entry struct {
	e    *endpoint
	done func(error)
}

// refusal says why an endpoint is not open and how long to stay away.
type refusal struct {
	reason string
	pause  time.Duration
}

// enter waits for a slot, at most for patience. A refusal is no attempt.
func (e *endpoint) enter(ctx context.Context, patience time.Duration) (*entry, *refusal) {
	e.mu.Lock()
	if left := time.Until(e.alone); left > 0 {
		e.mu.Unlock()
		return nil, &refusal{"the target is left alone after an alarm", left}
	}
	if e.waiting >= 8*cap(e.slots) {
		e.mu.Unlock()
		return nil, &refusal{"too many wait for this target", breakerPause}
	}
	e.waiting++
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		e.waiting--
		e.mu.Unlock()
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case e.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, &refusal{"stopping", 0}
	case <-timer.C:
		return nil, &refusal{"no slot of this target came free", breakerPause}
	}
	done, err := e.breaker.Allow()
	if err != nil {
		<-e.slots
		return nil, &refusal{"the target's breaker is open", breakerPause}
	}
	return &entry{e: e, done: done}, nil
}

var (
	errNoAttempt   = errors.New("no attempt was made")
	errUnreachable = errors.New("the target was not reached or did not answer")
)

// leave gives the slot back without an attempt; of no entry, it does nothing.
func (n *entry) leave() {
	if n == nil {
		return
	}
	n.done(errNoAttempt)
	<-n.e.slots
	n.e.rest()
}

// rest forgets the endpoint where that loses nothing. Whoever has found it in the
// meantime goes on with it.
func (e *endpoint) rest() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.forget != nil && e.waiting == 0 && len(e.slots) == 0 && e.breaker.Counts().ConsecutiveFailures == 0 &&
		e.breaker.State() == gobreaker.StateClosed && time.Now().After(e.alone) {
		e.forget()
	}
}

// report gives the slot back after an attempt. Only what says that the target
// is down counts against it: an answer of 4xx shows that it is there.
func (n *entry) report(res Result) {
	if res.Alarm {
		n.e.mu.Lock()
		n.e.alone = time.Now().Add(alarmPause)
		n.e.mu.Unlock()
	}
	if res.Verdict == Unknown || res.Unreachable {
		n.done(errUnreachable)
	} else {
		n.done(nil)
	}
	<-n.e.slots
	n.e.rest()
}
