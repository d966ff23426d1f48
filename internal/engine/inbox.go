package engine

import (
	"sync"
	"time"
)

// Inbox brings inputs from other goroutines to the loop. Put never blocks, so
// that a rebalance callback may call it.
type Inbox struct {
	mu     sync.Mutex
	queue  []Input
	cancel func() // of the poll under way
	signal chan struct{}
}

// NewInbox returns an empty inbox.
func NewInbox() *Inbox { return &Inbox{signal: make(chan struct{}, 1)} }

// Put adds an input and wakes the loop.
func (b *Inbox) Put(in Input) { b.PutAll([]Input{in}) }

// PutAll adds inputs and wakes the loop once for all of them: each time it is
// woken, it publishes where all partitions stand.
func (b *Inbox) PutAll(in []Input) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = append(b.queue, in...)
	if b.cancel != nil {
		b.cancel()
	}
	select {
	case b.signal <- struct{}{}:
	default:
	}
}

func (b *Inbox) take() []Input {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queue
	b.queue = nil
	return q
}

// interrupt registers what ends the poll when something arrives, and reports
// whether nothing is there yet.
func (b *Inbox) interrupt(cancel func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cancel = cancel
	return len(b.queue) == 0
}

// wait returns when something arrives, after d at the latest.
func (b *Inbox) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-b.signal:
	case <-timer.C:
	}
}
