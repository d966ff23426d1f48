package app

import (
	"fmt"
	"sync"
	"time"

	"github.com/veltrix/veltrix/internal/engine"
)

// health is what readiness is judged by: who answered when, and what moved.
// Ready means assigned and progressing, or caught up.
type health struct {
	bound time.Duration // what takes longer is not progress

	mu       sync.Mutex
	answered time.Time // by the brokers
	at       map[int32]stand
}

// stand is where a partition was, and since when.
type stand struct {
	position, applied   int64
	behind              int64 // records of the log that are not committed
	positionAt, movedAt time.Time
}

// newHealth counts the start as an answer: a process has as long as any other
// to get its first.
func newHealth(bound time.Duration) *health {
	return &health{bound: bound, answered: time.Now(), at: map[int32]stand{}}
}

// brokers notes that the brokers answered.
func (h *health) brokers(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answered = now
}

// behind notes how many records a partition has to go.
func (h *health) behind(partition int32, records int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s, seen := h.at[partition]; seen { // else it has no beginning to count from
		s.behind = records
		h.at[partition] = s
	}
}

// look notes what moved since the last look, of the partitions that are owned.
func (h *health) look(now time.Time, views []*engine.View) {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := map[int32]stand{}
	for _, v := range views {
		if v == nil {
			continue
		}
		for _, st := range v.Status {
			s, known := h.at[st.Partition]
			if !known || s.position != st.Position || s.behind == 0 {
				s.position, s.positionAt = st.Position, now
			}
			if !known || s.applied != st.Applied || st.Applied == st.Position {
				s.applied, s.movedAt = st.Applied, now
			}
			next[st.Partition] = s
		}
	}
	h.at = next
}

// reach reports that the brokers have not answered for too long, or nil.
func (h *health) reach(now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if silent := now.Sub(h.answered); silent > h.bound {
		return fmt.Errorf("the brokers have not answered for %s", silent.Round(time.Second))
	}
	return nil
}

// progress reports what keeps a partition from going on, or nil.
func (h *health) progress(now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, s := range h.at {
		if still := now.Sub(s.movedAt); still > h.bound {
			return fmt.Errorf("partition %d: redis has not taken what was committed for %s: it is at %d of %d", id, still.Round(time.Second), s.applied, s.position)
		}
		if still := now.Sub(s.positionAt); s.behind > 0 && still > h.bound {
			return fmt.Errorf("partition %d: %d records wait, and nothing was committed for %s: it is at %d", id, s.behind, still.Round(time.Second), s.position)
		}
	}
	return nil
}
