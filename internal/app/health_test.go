package app

import (
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/engine"
)

// A partition is healthy while it moves or has nothing to do, whatever its
// phase says; one that stands still with work before it is not, and neither is
// a process that hears nothing of its brokers.
func TestHealth(t *testing.T) {
	began := time.Now()
	h := newHealth(10 * time.Second)
	at := func(seconds int) time.Time { return began.Add(time.Duration(seconds) * time.Second) }
	look := func(seconds int, position, applied, behind int64) {
		h.look(at(seconds), []*engine.View{nil, {Status: []engine.Status{{Partition: 3, Position: position, Applied: applied}}}})
		h.behind(3, behind)
		h.look(at(seconds), []*engine.View{nil, {Status: []engine.Status{{Partition: 3, Position: position, Applied: applied}}}})
		h.brokers(at(seconds))
	}
	says := func(seconds int, want string) {
		t.Helper()
		err := h.reach(at(seconds))
		if err == nil {
			err = h.progress(at(seconds))
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("after %d s: %v, want %q", seconds, err, want)
		}
	}
	says(9, "")
	says(12, "the brokers have not answered for 12s")
	look(20, 100, 100, 0)
	look(60, 100, 100, 0) // caught up: standing still is right
	says(60, "")
	look(65, 100, 100, 7)
	says(65, "")
	look(80, 100, 100, 7)
	says(80, "7 records wait, and nothing was committed for 15s")
	look(81, 107, 100, 0)
	says(81, "")
	look(95, 107, 100, 0)
	says(95, "redis has not taken what was committed for 15s: it is at 100 of 107")
	look(96, 107, 107, 0)
	says(96, "")
	says(120, "the brokers have not answered for 24s")
	h.look(at(121), nil) // the partition went to another: it is no longer ours to judge
	h.brokers(at(121))
	says(121, "")
}

// A partition that was assigned between two looks is judged from the first one
// that sees it: before, nobody knows how long it stands.
func TestHealthOfANewPartition(t *testing.T) {
	began := time.Now()
	h := newHealth(10 * time.Second)
	h.behind(3, 7)
	h.look(began.Add(time.Second), []*engine.View{{Status: []engine.Status{{Partition: 3}}}})
	if err := h.progress(began.Add(time.Second)); err != nil {
		t.Error(err)
	}
	h.behind(3, 7)
	if err := h.progress(began.Add(12 * time.Second)); err == nil {
		t.Error("it stands for 11 s with work before it, and is called well")
	}
}
