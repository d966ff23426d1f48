package enginetest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/veltrix/veltrix/internal/engine"
)

// Snapshots implements engine.Snapshots in memory. Of each partition it keeps
// the copy that was written last, and the one that its writer found there.
type Snapshots struct {
	mu     sync.Mutex
	made   int
	copies map[int32][]snapshotCopy // by partition, the newest last
}

type snapshotCopy struct {
	engine.Snapshot
	values []engine.KeyValue
}

var _ engine.Snapshots = (*Snapshots)(nil)

// NewSnapshots returns snapshots without any copy.
func NewSnapshots() *Snapshots { return &Snapshots{copies: map[int32][]snapshotCopy{}} }

// Find implements engine.Snapshots.
func (s *Snapshots) Find(_ context.Context, partition int32, token string, notAfter int64) (engine.Snapshot, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range slices.Backward(s.copies[partition]) {
		if c.Token == token && c.Offset <= notAfter {
			return c.Snapshot, true, nil
		}
	}
	return engine.Snapshot{}, false, nil
}

// Read implements engine.Snapshots.
func (s *Snapshots) Read(_ context.Context, partition int32, want engine.Snapshot, fn func([]engine.KeyValue) error) error {
	s.mu.Lock()
	copies := s.copies[partition]
	i := slices.IndexFunc(copies, func(c snapshotCopy) bool { return c.ID == want.ID })
	s.mu.Unlock()
	if i < 0 {
		return fmt.Errorf("%w: %s was replaced", engine.ErrSnapshotBroken, want.ID)
	}
	for chunk := range slices.Chunk(copies[i].values, 1000) {
		if err := fn(chunk); err != nil {
			return err
		}
	}
	return nil
}

// Write implements engine.Snapshots.
func (s *Snapshots) Write(_ context.Context, partition int32) (engine.SnapshotWriter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &snapshotWriter{of: s, partition: partition}
	if kept := s.copies[partition]; len(kept) > 0 {
		w.keeps = kept[len(kept)-1].ID
	}
	return w, nil
}

type snapshotWriter struct {
	of        *Snapshots
	partition int32
	keeps     string // the newest copy's ID when this one was begun
	values    []engine.KeyValue
	over      bool
}

func (w *snapshotWriter) Add(_ context.Context, values []engine.KeyValue) error {
	for _, v := range values {
		w.values = append(w.values, engine.KeyValue{Key: v.Key, Value: bytes.Clone(v.Value)})
	}
	return nil
}

func (w *snapshotWriter) Finish(_ context.Context, s engine.Snapshot) (engine.Snapshot, error) {
	if w.over {
		return s, fmt.Errorf("the copy was finished or given up before")
	}
	w.over = true
	w.of.mu.Lock()
	defer w.of.mu.Unlock()
	w.of.made++
	s.ID = fmt.Sprint(w.of.made)
	kept := slices.DeleteFunc(slices.Clone(w.of.copies[w.partition]), func(c snapshotCopy) bool { return c.ID != w.keeps })
	w.of.copies[w.partition] = append(kept, snapshotCopy{s, w.values})
	return s, nil
}

func (w *snapshotWriter) Abort() { w.over = true }
