package kafkalog

import (
	"context"
	"sync"
)

// readings let one reading answer all who wait for one, one reading at a time.
//
// Invariant: whoever asks is answered by a reading that began after it asked. One that
// is under way may have passed the place that matters: whether a partition has had a
// commit is asked because none is there, and a manifest that was read before the first
// one was noted, and before it was lost, would have the partition begin anew.
type readings[T any] struct {
	turn chan struct{} // held by who reads
	mu   sync.Mutex
	next *reading[T] // that has not begun; nil: nobody waits
}

// reading is one for all who asked before it began.
type reading[T any] struct {
	done  bool // guarded by the turn, as what follows
	value T
	err   error
}

func newReadings[T any]() *readings[T] { return &readings[T]{turn: make(chan struct{}, 1)} }

// ask returns what a reading returned that began after this call, here or for another
// caller.
func (s *readings[T]) ask(ctx context.Context, read func() (T, error)) (T, error) {
	s.mu.Lock()
	if s.next == nil {
		s.next = &reading[T]{}
	}
	r := s.next
	s.mu.Unlock()
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
	defer func() { <-s.turn }()
	if r.done {
		return r.value, r.err
	}
	s.mu.Lock()
	if s.next == r {
		s.next = nil // whoever asks from now on is answered by the one after
	}
	s.mu.Unlock()
	r.value, r.err = read()
	r.done = ctx.Err() == nil // otherwise the error may be this caller's own
	return r.value, r.err
}
