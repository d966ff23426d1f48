package client

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"
)

// Client sends events to one gateway. It is safe for concurrent use; New makes
// one, and Close ends it.
type Client struct {
	o        Options
	own      bool // the HTTP client is ours
	endpoint string
	seed     maphash.Seed
	lanes    []*lane
	ctx      context.Context // of all requests
	abort    context.CancelFunc
	running  sync.WaitGroup // the lanes

	mu            sync.Mutex // guards what follows, and the lanes' queues
	events, bytes int        // handed over, without an outcome
	aborted       int        // events without an outcome when Close gave up
	newest        time.Time  // of the times that were given
	closed        bool
	changed       chan struct{} // is closed, and made anew, when outcomes are there
}

// item is an event that was handed over.
type item struct {
	id, participant string
	line            []byte // what every attempt sends
	at              time.Time
	done            func(error)
	// unsure: an attempt may have arrived. Only the lane looks at it.
	unsure bool
}

// New makes a client. Its errors name the option at fault. It sends nothing
// before the first event.
func New(o Options) (*Client, error) {
	own := o.HTTP == nil
	endpoint, err := o.complete()
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	c := &Client{o: o, own: own, endpoint: endpoint, seed: maphash.MakeSeed(), changed: make(chan struct{})}
	c.ctx, c.abort = context.WithCancel(context.Background())
	for range o.Lanes {
		l := &lane{c: c, wake: make(chan struct{}, 1)}
		c.lanes = append(c.lanes, l)
		c.running.Go(l.run)
	}
	return c, nil
}

// Send hands an event over and waits for its outcome. Nil: every in-sync replica
// has it. An EventError: the gateway refused the event. A Problem: it refused the
// request. ErrUncertain: the client gave up, or ctx ended before the outcome, and
// the event may arrive all the same. Other errors, ErrClosed among them: it was
// not sent.
func (c *Client) Send(ctx context.Context, e Event) error {
	e = c.Stamp(e)
	outcome := make(chan error, 1)
	if err := c.Enqueue(ctx, e, func(err error) { outcome <- err }); err != nil {
		return err
	}
	select {
	case err := <-outcome:
		return err
	case <-ctx.Done():
		return fmt.Errorf("event %q is still being sent: %w: %w", e.ID, ErrUncertain, context.Cause(ctx))
	}
}

// Enqueue hands an event over, and waits for room until ctx ends; then the error
// is ErrFull and the event was not handed over. After nil, done is called once,
// with what Send would return. It is called by the lane: it must be quick, and
// must not call Send, Enqueue, Flush or Close.
func (c *Client) Enqueue(ctx context.Context, e Event, done func(error)) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("hand over an event: %w", err)
	}
	it, err := c.item(e, done)
	if err != nil {
		return err
	}
	for {
		changed, err := c.push(it)
		if !errors.Is(err, ErrFull) {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("hand over event %q: %w: %w", it.id, ErrFull, context.Cause(ctx))
		}
	}
}

// TryEnqueue is Enqueue that does not wait: without room it returns ErrFull.
func (c *Client) TryEnqueue(e Event, done func(error)) error {
	it, err := c.item(e, done)
	if err != nil {
		return err
	}
	_, err = c.push(it)
	return err
}

// item fixes an event.
func (c *Client) item(e Event, done func(error)) (*item, error) {
	if done == nil {
		return nil, errors.New("hand over an event: give a function that is told of the outcome")
	}
	e = c.Stamp(e)
	line, err := e.line()
	if err != nil {
		return nil, err
	}
	if len(line) > c.o.QueueBytes {
		return nil, fmt.Errorf("event %q has %d bytes, more than QueueBytes, %d: put what is large elsewhere and send a reference", e.ID, len(line), c.o.QueueBytes)
	}
	return &item{id: e.ID, participant: e.Participant, line: line, done: done}, nil
}

// push gives an item to its lane. Without room it returns ErrFull and what to
// wait for.
func (c *Client) push(it *item) (changed <-chan struct{}, err error) {
	l := c.lanes[maphash.String(c.seed, it.participant)%uint64(len(c.lanes))]
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, fmt.Errorf("hand over event %q: %w", it.id, ErrClosed)
	}
	if c.events == c.o.QueueEvents || c.bytes+len(it.line) > c.o.QueueBytes {
		c.hurry() // nobody will join those that linger
		return c.changed, ErrFull
	}
	it.at = time.Now()
	c.events++
	c.bytes += len(it.line)
	l.queue = append(l.queue, it)
	l.handed++
	l.rouse()
	return nil, nil
}

// hurry ends the lingering of what is in the queues.
func (c *Client) hurry() {
	for _, l := range c.lanes {
		l.urgent = l.handed
		l.rouse()
	}
}

// tell wakes all that wait for outcomes.
func (c *Client) tell() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// Flush waits until all that was handed over before has its outcome. Its error
// is the end of ctx; outcomes are told to the events' callers.
func (c *Client) Flush(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hurry()
	var targets []uint64
	for _, l := range c.lanes {
		targets = append(targets, l.handed)
	}
	for !c.reached(targets) {
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		c.mu.Lock()
		if ctx.Err() != nil {
			return fmt.Errorf("flush the client: %w", context.Cause(ctx))
		}
	}
	return nil
}

// reached says whether each lane has settled as many events as its target.
func (c *Client) reached(targets []uint64) bool {
	for i, l := range c.lanes {
		if l.settled < targets[i] {
			return false
		}
	}
	return true
}

// Close takes no more events, and waits until those that were handed over have
// their outcome. When ctx ends before, it stops sending, tells the remaining
// callers ErrClosed, with ErrUncertain where an attempt may have arrived, and
// returns a DrainError with their number.
func (c *Client) Close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	c.tell() // those that wait for room
	c.mu.Unlock()
	err := c.Flush(ctx)
	c.abort()
	c.mu.Lock()
	c.hurry() // the lanes see that there is nothing more
	c.mu.Unlock()
	c.running.Wait()
	if c.own {
		c.o.HTTP.CloseIdleConnections()
	}
	if err == nil || c.aborted == 0 {
		return nil
	}
	return &DrainError{Events: c.aborted, Cause: context.Cause(ctx)}
}
