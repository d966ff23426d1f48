package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/veltrix/veltrix/internal/delivery"
)

// places are the boundaries at which a process can die, in the order of a
// notification's life.
var places = []string{
	"before append", "after append", "before claim", "after claim", "before send", "after send",
	"before mark", "after mark", "before flush", "before commit", "after commit",
}

// TestCrashAtEachBoundary kills the notifier at each boundary of each of three
// notifications, starts another, and counts copies: the inbox holds each
// exactly once; drop never gives two, resend never none.
func TestCrashAtEachBoundary(t *testing.T) {
	const notes = 3
	for _, policy := range []delivery.Policy{delivery.Resend, delivery.Drop} {
		for _, place := range places {
			for nth := int32(1); nth <= 2; nth++ {
				if nth > 1 && strings.HasSuffix(place, " commit") {
					continue // all three may go with the first commit
				}
				apart(t, fmt.Sprintf("%s/%s/%d", policy, place, nth), func(t *testing.T) {
					crashAt(t, policy, place, nth, notes)
				})
			}
		}
	}
}

func crashAt(t *testing.T, policy delivery.Policy, place string, nth int32, notes int) {
	w := newWorld(t)
	w.out.TimeoutSet = 50 * time.Millisecond
	for i := range notes {
		n := note(fmt.Sprint("p", i%2), i+1)
		n.OnUnknown = policy
		w.log.Add(n, 0)
	}
	life := dyingAt(place, nth)
	first := w.start(life)
	select {
	case <-life.died:
	case <-time.After(5 * time.Second):
		t.Fatal("the process never came by the place")
	}
	first.stop()
	second := w.start(nil)
	w.done()
	w.halt(second)
	for i := range notes {
		n := note(fmt.Sprint("p", i%2), i+1)
		copies := w.copies()[n.ID+".1"]
		if policy == delivery.Drop && copies > 1 {
			t.Errorf("notification %d has %d copies, and its class says drop", i+1, copies)
		}
		if policy == delivery.Resend && copies < 1 {
			t.Errorf("notification %d has no copy, and its class says resend", i+1)
		}
		// Before anything was claimed nothing can be unknown. Later, another
		// lane may be between its claim and its mark at the moment of death.
		if certain := nth == 1 && strings.HasSuffix(place, " append"); certain && copies != 1 {
			t.Errorf("notification %d has %d copies though nothing was unknown", i+1, copies)
		}
	}
	told := map[string]bool{}
	for _, r := range w.log.Receipts() {
		told[r.Notification+r.Channel] = true
	}
	for i := range notes {
		for _, channel := range []string{delivery.InboxChannel, "out"} {
			if !told[note("p", i+1).ID+channel] {
				t.Errorf("no receipt says what became of notification %d at %s", i+1, channel)
			}
		}
	}
	held := 0
	for i := range 2 {
		p, err := w.inbox.Page(context.Background(), fmt.Sprint("p", i), delivery.Cursor{}, 100)
		if err != nil {
			t.Fatal(err)
		}
		held += len(p.Entries)
	}
	if held != notes {
		t.Errorf("the inboxes hold %d entries, want %d", held, notes)
	}
}

// TestCrashAroundPark kills the notifier around parking a retry: the
// notification still arrives, once.
func TestCrashAroundPark(t *testing.T) {
	for _, place := range []string{"before park", "after park", "after mark", "before commit"} {
		apart(t, place, func(t *testing.T) {
			w := newWorld(t)
			w.out.TimeoutSet = 50 * time.Millisecond
			w.out.Pauses = []time.Duration{200 * time.Millisecond, 200 * time.Millisecond, 200 * time.Millisecond}
			w.out.Answer = func(_ context.Context, n int, _ delivery.Attempt) delivery.Result {
				if n <= 2 {
					return delivery.Result{Verdict: delivery.Failed, Reason: "429"}
				}
				return delivery.Result{Verdict: delivery.Accepted}
			}
			n := note("p", 1)
			n.OnUnknown = delivery.Drop
			w.log.Add(n, 0)
			life := dyingAt(place, 1)
			first := w.start(life)
			<-life.died
			first.stop()
			second := w.start(nil)
			w.done()
			w.halt(second)
			if got := w.copies()[n.ID+".1"]; got != 1 {
				t.Errorf("%d copies, want 1; receipts %v", got, w.outcomes("out"))
			}
			if got := w.out.Tries(n.ID, 1); got != 3 {
				t.Errorf("%d attempts, want 3", got)
			}
		})
	}
}

// TestTwoAtOnce gives the same notifications to two notifiers that both think
// that they own them, as happens when one is fenced and does not know it yet.
func TestTwoAtOnce(t *testing.T) { synctest.Test(t, testTwoAtOnce) }

func testTwoAtOnce(t *testing.T) {
	w := newWorld(t)
	w.out.Answer = func(context.Context, int, delivery.Attempt) delivery.Result {
		time.Sleep(2 * time.Millisecond)
		return delivery.Result{Verdict: delivery.Accepted}
	}
	for i := range 40 {
		n := note(fmt.Sprint("p", i%7), i+1)
		n.OnUnknown = delivery.Drop
		w.log.Add(n, 0)
	}
	w.start(nil)
	second := w.start(nil)
	w.done()
	w.halt(second)
	for id, copies := range w.copies() {
		if copies != 1 {
			t.Errorf("%s has %d copies", id, copies)
		}
	}
	if len(w.copies()) != 40 {
		t.Errorf("%d notifications arrived, want 40", len(w.copies()))
	}
}

// TestFencedAfterAcceptance takes the partition away in the middle of an
// attempt that the provider then accepts: the mark is still made, so the next
// owner does not send it again.
func TestFencedAfterAcceptance(t *testing.T) { synctest.Test(t, testFencedAfterAcceptance) }

func testFencedAfterAcceptance(t *testing.T) {
	w := newWorld(t)
	w.opts.DrainTimeout = 20 * time.Millisecond
	began := make(chan struct{}, 10)
	w.out.Answer = func(context.Context, int, delivery.Attempt) delivery.Result {
		began <- struct{}{}
		time.Sleep(100 * time.Millisecond) // beyond the drain, within the lease
		return delivery.Result{Verdict: delivery.Accepted}
	}
	n := note("p", 1)
	w.log.Add(n, 0)
	first := w.start(nil)
	<-began
	w.halt(first)
	second := w.start(nil)
	w.done()
	w.halt(second)
	if got := w.copies()[n.ID+".1"]; got != 1 {
		t.Errorf("%d copies, want 1", got)
	}
}

// brokenReceipts cannot be flushed while broken is set.
type brokenReceipts struct {
	delivery.Receipts
	broken *atomic.Bool
}

func (b brokenReceipts) Flush(ctx context.Context) error {
	if b.broken.Load() {
		return errors.New("no such topic")
	}
	return b.Receipts.Flush(ctx)
}

// TestReceiptsAway checks that delivery does not run away from its commits.
func TestReceiptsAway(t *testing.T) { synctest.Test(t, testReceiptsAway) }

func testReceiptsAway(t *testing.T) {
	w := newWorld(t)
	w.opts.RecordsMax = 5
	var broken atomic.Bool
	broken.Store(true)
	w.writer = func() delivery.Receipts { return brokenReceipts{w.log.Writer(), &broken} }
	for i := range 100 {
		w.log.Add(note(fmt.Sprint("p", i), i+1), 0)
	}
	p := w.start(nil)
	w.until("the outage is told", func() bool { return slices.Contains(p.d.Status().Waiting, "log") })
	time.Sleep(100 * time.Millisecond)
	if got := len(w.out.Copies()); got == 0 || got > 30 {
		t.Errorf("%d copies while nothing can be committed, want a few", got)
	}
	if w.log.Committed(0) != 0 {
		t.Error("an offset is committed before its receipts")
	}
	broken.Store(false)
	w.done()
	w.halt(p)
	if got := len(w.out.Copies()); got != 100 {
		t.Errorf("%d copies, want 100", got)
	}
}

// TestCrashAfterMark checks with a single lane that what is marked is certain.
func TestCrashAfterMark(t *testing.T) { synctest.Test(t, testCrashAfterMark) }

func testCrashAfterMark(t *testing.T) {
	for _, place := range []string{"before claim", "after mark"} {
		w := newWorld(t)
		for i := range 3 {
			n := note("p", i+1)
			n.OnUnknown = delivery.Drop
			w.log.Add(n, 0)
		}
		life := dyingAt(place, 2)
		first := w.start(life)
		<-life.died
		first.stop()
		second := w.start(nil)
		w.done()
		w.halt(second)
		for id, copies := range w.copies() {
			if copies != 1 {
				t.Errorf("%s: %s has %d copies", place, id, copies)
			}
		}
		if len(w.copies()) != 3 {
			t.Errorf("%s: %d of 3 arrived", place, len(w.copies()))
		}
	}
}
