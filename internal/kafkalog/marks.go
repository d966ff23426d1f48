package kafkalog

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// marks are a process's notes of first commits that the manifest does not have yet.
//
// Invariant: whoever notes a partition has its answer only once a manifest with it
// is committed. Writers of the manifest fence each other, and one with a thousand new
// partitions would fence itself for minutes: there is one writer at a time, and it
// takes along what all the others wait with.
type marks struct {
	writer  chan struct{} // held by who writes
	mu      sync.Mutex
	waiting []int32
}

// MarkInitialized implements engine.Positions.
func (p *Positions) MarkInitialized(ctx context.Context, partition int32) error {
	return p.marks.note(ctx, partition, func(partitions []int32) error { return p.initialize(ctx, partitions) })
}

// note returns once write, called here or by another caller, succeeded with the partition.
func (m *marks) note(ctx context.Context, partition int32, write func([]int32) error) error {
	m.mu.Lock()
	if !slices.Contains(m.waiting, partition) {
		m.waiting = append(m.waiting, partition)
	}
	m.mu.Unlock()
	select {
	case m.writer <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err() // it has had its commit: whoever writes next may note it
	}
	defer func() { <-m.writer }()
	m.mu.Lock()
	all := slices.Clone(m.waiting)
	m.mu.Unlock()
	if !slices.Contains(all, partition) {
		return nil // another has taken it along
	}
	if err := write(all); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiting = slices.DeleteFunc(m.waiting, func(id int32) bool { return slices.Contains(all, id) })
	return nil
}

// initialize notes in the manifest that partitions have had a commit.
func (p *Positions) initialize(ctx context.Context, partitions []int32) error {
	_, err := UpdateManifest(ctx, p.cfg, func(old *Manifest) (*Manifest, error) {
		if old == nil {
			return nil, errors.New("the manifest is missing: run veltrix topics apply")
		}
		next := *old
		next.Initialized = slices.Clone(old.Initialized)
		for _, partition := range partitions {
			if !slices.Contains(next.Initialized, partition) {
				next.Initialized = append(next.Initialized, partition)
			}
		}
		slices.Sort(next.Initialized)
		return &next, nil
	})
	return err
}
