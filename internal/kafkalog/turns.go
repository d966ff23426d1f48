package kafkalog

import (
	"context"
	"sync"
)

// turns let one piece of work on the manifest serve all partitions that wait for it,
// one piece at a time.
//
// Invariant: whoever comes is served by work that began after it came, and that knew of
// its partition. What is under way may have passed the place that matters: whether a
// partition has had a commit is asked because none is there, and a manifest that was
// read before the first one was noted, and before it was lost, would have the partition
// begin anew. Writers of the manifest fence each other: a process with a thousand new
// partitions, each with a writer, would fence itself for minutes. Work that failed is
// over: whoever it failed comes again, as does the next owner of its partition.
type turns struct {
	busy chan struct{} // held by who works
	mu   sync.Mutex
	next *turn // that has not begun; nil: nobody waits
}

// turn is one piece of work, for all who came before it began.
type turn struct {
	partitions []int32 // guarded by turns.mu until it begins
	done       bool    // guarded by turns.busy, as what follows
	manifest   *Manifest
	err        error
}

func newTurns() *turns { return &turns{busy: make(chan struct{}, 1)} }

// Take returns what work returned that began after this call, here or for another
// caller, with partition among those that it was given.
func (s *turns) Take(ctx context.Context, partition int32, work func(partitions []int32) (*Manifest, error)) (*Manifest, error) {
	s.mu.Lock()
	if s.next == nil {
		s.next = &turn{}
	}
	t := s.next
	t.partitions = append(t.partitions, partition)
	s.mu.Unlock()
	select {
	case s.busy <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err() // the partition stays: there is a reason for it, whoever gives up
	}
	defer func() { <-s.busy }()
	if t.done {
		return t.manifest, t.err
	}
	s.mu.Lock()
	if s.next == t {
		s.next = nil // whoever comes from now on is served by the one after
	}
	s.mu.Unlock()
	t.manifest, t.err = work(t.partitions)
	t.done = ctx.Err() == nil // otherwise the error may be this caller's own
	return t.manifest, t.err
}
