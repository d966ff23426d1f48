package delivery_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/veltrix/veltrix/internal/delivery"
)

// ownWorld is a world whose outside channel leads to participants' own devices.
func ownWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.own = true
	w.opts.PresenceWait = -1
	return w
}

// around returns quiet hours that began an hour ago and end after left.
func around(left time.Duration) *delivery.QuietHours {
	now := time.Now().UTC()
	return &delivery.QuietHours{From: now.Add(-time.Hour).Format("15:04"), To: now.Add(left).Format("15:04")}
}

func (w *world) prefers(who string, p delivery.Preferences) {
	w.t.Helper()
	if err := p.Check(); err != nil {
		w.t.Fatal(err)
	}
	if err := w.gate.SetPreferences(w.t.Context(), who, p); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) wants(outcomes ...delivery.Outcome) {
	w.t.Helper()
	if got := w.outcomes("out"); !slices.Equal(got, outcomes) {
		w.t.Errorf("outcomes %v, want %v", got, outcomes)
	}
}

// A class that its participant muted is not pushed; the inbox has it, and its
// other channels and classes go on.
func TestMutedClass(t *testing.T) { synctest.Test(t, testMutedClass) }

func testMutedClass(t *testing.T) {
	w := ownWorld(t)
	w.prefers("p", delivery.Preferences{Classes: map[string]delivery.ClassPreference{
		"clue": {Channels: []string{}}, "hint": {Channels: []string{"out"}}, "win": {Channels: []string{"other"}},
	}})
	for i, class := range []string{"clue", "hint", "win", "news"} {
		n := note("p", i+1)
		n.Class = class
		w.log.Add(n, 0)
	}
	p := w.start(nil)
	w.done()
	w.halt(p)
	w.wants(delivery.OutMuted, delivery.OutAccepted, delivery.OutMuted, delivery.OutAccepted)
	page, _ := w.inbox.Page(t.Context(), "p", delivery.Cursor{}, 10)
	if len(page.Entries) != 4 {
		t.Errorf("the inbox has %d entries, want all 4", len(page.Entries))
	}
}

// What a participant has acknowledged is not pushed, nor what is critical; an
// update that they have not seen is.
func TestSeenIsNotPushed(t *testing.T) { synctest.Test(t, testSeenIsNotPushed) }

func testSeenIsNotPushed(t *testing.T) {
	w := ownWorld(t)
	critical := note("p", 1)
	critical.Critical = true
	ctx := t.Context()
	for _, n := range []*delivery.Notification{critical, note("p", 2)} {
		if _, _, err := w.inbox.Append(ctx, n); err != nil {
			t.Fatal(err)
		}
		w.log.Add(n, 0)
	}
	if _, err := w.inbox.Ack(ctx, "p", 2); err != nil {
		t.Fatal(err)
	}
	changed := note("p", 2)
	changed.Revision, changed.Op = 2, delivery.Update
	p := w.start(nil)
	w.done()
	w.log.Add(changed, 0)
	w.done()
	w.halt(p)
	w.wants(delivery.OutSeen, delivery.OutSeen, delivery.OutAccepted)
}

// In quiet hours a push waits, however long that is, and only one of a critical
// class goes out. What would be too late by then ends.
func TestQuietHours(t *testing.T) { synctest.Test(t, testQuietHours) }

func testQuietHours(t *testing.T) {
	w := ownWorld(t)
	quiet := around(3 * time.Hour)
	w.prefers("p", delivery.Preferences{QuietHours: quiet})
	critical, late := note("p", 2), note("p", 3)
	critical.Critical = true
	late.Expires = time.Now().Add(time.Hour)
	for _, n := range []*delivery.Notification{note("p", 1), critical, late} {
		w.log.Add(n, 0)
	}
	p := w.start(nil)
	w.until("each has an outcome", func() bool { return len(w.outcomes("out")) == 3 })
	w.wants(delivery.OutDeferred, delivery.OutAccepted, delivery.OutExpired)
	for _, r := range w.log.Receipts() {
		if r.Outcome == delivery.OutDeferred && !strings.Contains(r.Reason, "T"+quiet.To+":00Z") {
			t.Errorf("deferred for %q, want the end at %s", r.Reason, quiet.To)
		}
	}
	w.prefers("p", delivery.Preferences{}) // it is not looked at before the hours end
	time.Sleep(300 * time.Millisecond)     // several hops of its retry topics
	w.wants(delivery.OutDeferred, delivery.OutAccepted, delivery.OutExpired)
	w.halt(p)
}

// A push to somebody who has the inbox open waits a moment, and is not sent if
// they see it there meanwhile.
func TestPresence(t *testing.T) {
	for name, sees := range map[string]bool{"who sees it": true, "who does not": false} {
		apart(t, name, func(t *testing.T) {
			w := ownWorld(t)
			w.opts.PresenceWait = 150 * time.Millisecond
			if err := w.gate.Present(t.Context(), "p", time.Hour); err != nil {
				t.Fatal(err)
			}
			w.log.Add(note("p", 1), 0)
			p := w.start(nil)
			w.until("it is in the inbox", func() bool { return len(w.outcomes("inbox")) == 1 })
			if len(w.out.Copies()) != 0 {
				t.Error("it was pushed at once")
			}
			want := delivery.OutAccepted
			if sees {
				want = delivery.OutSeen
				if _, err := w.inbox.Ack(t.Context(), "p", 1); err != nil {
					t.Fatal(err)
				}
			}
			w.done()
			w.halt(p)
			w.wants(want)
		})
	}
}

// An absent participant gets pushes at once, whatever the wait is.
func TestAbsence(t *testing.T) { synctest.Test(t, testAbsence) }

func testAbsence(t *testing.T) {
	w := ownWorld(t)
	w.opts.PresenceWait = time.Hour
	w.log.Add(note("p", 1), 0)
	p := w.start(nil)
	w.done()
	w.halt(p)
	w.wants(delivery.OutAccepted)
}

// allowed sets an allowance of two pushes and adds so many notifications. They
// tell each copy's title.
func (w *world) allowed(window time.Duration, count int) {
	w.opts.PushesMax, w.opts.PushesWindow = 2, window
	w.opts.DigestTitle, w.opts.DigestBody = "{n} more", "Open the inbox to read {n}."
	for i := range count {
		w.log.Add(note("p", i+1), 0)
	}
}

// digests returns the copies that are digests.
func (w *world) digests(titles *[]string) {
	w.out.Answer = func(_ context.Context, _ int, a delivery.Attempt) delivery.Result {
		if a.Notification.DigestOf != 0 {
			*titles = append(*titles, a.Notification.Title+"|"+a.Notification.Body)
		}
		return delivery.Result{Verdict: delivery.Accepted}
	}
}

// What is more than the allowance is told by one digest, when the window is over.
func TestDigest(t *testing.T) { synctest.Test(t, testDigest) }

func testDigest(t *testing.T) {
	w := ownWorld(t)
	var said []string
	w.digests(&said)
	w.allowed(400*time.Millisecond, 5)
	critical := note("p", 6)
	critical.Critical = true
	w.log.Add(critical, 0)
	p := w.start(nil)
	w.done()
	w.halt(p)
	if want := []string{"3 more|Open the inbox to read 3."}; !slices.Equal(said, want) {
		t.Errorf("digests %q, want %q", said, want)
	}
	w.wants(delivery.OutAccepted, delivery.OutAccepted, delivery.OutDigested, delivery.OutDigested, delivery.OutDigested,
		delivery.OutAccepted, delivery.OutAccepted)
	if len(w.out.Copies()) != 4 {
		t.Errorf("%d copies, want 2, the critical one and the digest", len(w.out.Copies()))
	}
}

// An allowance that is raised while it runs counts from then on.
func TestPacingIsFollowed(t *testing.T) { synctest.Test(t, testPacingIsFollowed) }

func testPacingIsFollowed(t *testing.T) {
	w := ownWorld(t)
	var raised atomic.Bool
	w.opts.Follow = func() delivery.Pacing {
		p := delivery.Pacing{PresenceWait: -1, PushesMax: 1, PushesWindow: time.Hour}
		if raised.Load() {
			p.PushesMax = 3
		}
		return p
	}
	w.log.Add(note("p", 1), 0)
	w.log.Add(note("p", 2), 0)
	p := w.start(nil)
	w.until("the second is over the allowance", func() bool { return slices.Contains(w.outcomes("out"), delivery.OutDigested) })
	raised.Store(true)
	w.log.Add(note("p", 3), 0)
	w.until("the third is sent", func() bool { return len(w.out.Copies()) == 2 })
	w.halt(p)
}

// A digest says what is left of it: not what was seen, nor what was taken back.
func TestDigestOfWhatIsUnseen(t *testing.T) {
	for name, c := range map[string]struct {
		acked int64
		said  []string
	}{
		"one is seen and one taken back": {3, []string{"2 more|Open the inbox to read 2."}},
		"all is seen":                    {7, nil},
	} {
		apart(t, name, func(t *testing.T) {
			w := ownWorld(t)
			var said []string
			w.digests(&said)
			w.allowed(500*time.Millisecond, 6)
			p := w.start(nil)
			w.until("four are digested", func() bool {
				return slices.Contains(w.outcomes("out"), delivery.OutDigested) && len(w.outcomes("out")) == 6
			})
			gone := note("p", 6)
			gone.Revision, gone.Op = 2, delivery.Retract
			w.log.Add(gone, 0)
			w.until("it is taken back", func() bool { return slices.Contains(w.outcomes("out"), delivery.OutRetracted) })
			if _, err := w.inbox.Ack(t.Context(), "p", c.acked); err != nil {
				t.Fatal(err)
			}
			w.done()
			w.halt(p)
			if !slices.Equal(said, c.said) {
				t.Errorf("digests %q, want %q", said, c.said)
			}
		})
	}
}

// TestCrashAroundDigest kills the notifier at each boundary of the allowance and
// of the digest. Whatever was read twice, each notification is told, by itself or
// in the digest, and not by both.
func TestCrashAroundDigest(t *testing.T) {
	for place, passes := range map[string]int32{ // at least
		"before look": 4, "before admit": 4, "after admit": 4, "before park": 1, "after park": 1, "before claim": 4, "after claim": 4,
		"before mark": 4, "after mark": 4, "before commit": 1, "after commit": 1, "before unseen": 1, "after unseen": 1,
		"before send": 3, "after send": 3, // the third is the digest's
	} {
		for _, nth := range slices.Compact([]int32{1, passes}) {
			apart(t, fmt.Sprint(place, " ", nth), func(t *testing.T) {
				digestCrash(t, place, nth)
			})
		}
	}
}

func digestCrash(t *testing.T, place string, nth int32) {
	w := ownWorld(t)
	w.out.TimeoutSet = 50 * time.Millisecond
	var said []string
	w.digests(&said)
	w.allowed(time.Second, 5)
	life := dyingAt(place, nth)
	first := w.start(life)
	select {
	case <-life.died:
	case <-time.After(8 * time.Second):
		t.Fatal("the process never came by the place")
	}
	first.stop()
	second := w.start(nil)
	w.done()
	w.halt(second)
	copies := w.copies()
	alone, unknown := 0, 0
	for i := range 5 {
		n := copies[note("p", i+1).ID+".1"]
		alone += min(n, 1)
		unknown += max(n-1, 0)
	}
	if alone != 2 {
		t.Errorf("%d notifications were pushed by themselves, want the allowance of 2: %v", alone, copies)
	}
	for _, text := range said {
		if text != "3 more|Open the inbox to read 3." {
			t.Errorf("a digest says %q, want the other 3", text)
		}
	}
	ambiguous := 0
	for _, o := range w.outcomes("out") {
		if o == delivery.OutAmbiguous {
			ambiguous++
		}
	}
	if len(said) == 0 || len(said)-1+unknown > ambiguous {
		t.Errorf("%d digests and %d further copies, %d attempts were unknown", len(said), unknown, ambiguous)
	}
}

// TestOpenerIsSeen kills the notifier before the digest that a notification opens
// was parked. Read again, its participant has seen it: another one opens the digest.
func TestOpenerIsSeen(t *testing.T) { synctest.Test(t, testOpenerIsSeen) }

func testOpenerIsSeen(t *testing.T) {
	w := ownWorld(t)
	var said []string
	w.digests(&said)
	w.allowed(time.Second, 5)
	life := dyingAt("before park", 1)
	first := w.start(life)
	<-life.died
	first.stop()
	if acked, err := w.inbox.Ack(t.Context(), "p", 3); err != nil || acked != 3 {
		t.Fatal(acked, err)
	}
	second := w.start(nil)
	w.done()
	w.halt(second)
	if want := []string{"2 more|Open the inbox to read 2."}; !slices.Equal(said, want) {
		t.Errorf("digests %q, want %q", said, want)
	}
}

// TestReadAgainIntoAFullWindow reads notifications again that the ledger knows
// about, when the allowance of another window is used up. None of them may be
// counted in its digest, and so there is none to send.
func TestReadAgainIntoAFullWindow(t *testing.T) {
	for name, c := range map[string]struct {
		place  string // of the first notifier's death
		policy delivery.Policy
		expire bool
		want   []delivery.Outcome // after it
	}{
		"sent":                    {"before commit", delivery.Resend, false, []delivery.Outcome{delivery.OutDeduped}},
		"perhaps sent, with drop": {"after send", delivery.Drop, false, []delivery.Outcome{delivery.OutAmbiguous}},
		"too old by now":          {"before claim", delivery.Resend, true, []delivery.Outcome{delivery.OutExpired}},
	} {
		apart(t, name, func(t *testing.T) {
			w := ownWorld(t)
			w.out.TimeoutSet = 50 * time.Millisecond
			w.opts.PushesMax, w.opts.PushesWindow = 2, 150*time.Millisecond
			n := note("p", 1)
			n.OnUnknown = c.policy
			if c.expire {
				n.Expires = time.Now().Add(500 * time.Millisecond)
			}
			w.log.Add(n, 0)
			life := dyingAt(c.place, 1)
			first := w.start(life)
			<-life.died
			first.stop()
			if c.expire {
				time.Sleep(time.Until(n.Expires))
			}
			time.Sleep(w.opts.PushesWindow)
			before := len(w.outcomes("out"))
			w.opts.PushesWindow = time.Second
			for i := range w.opts.PushesMax {
				if _, err := w.gate.Admit(t.Context(), "p", delivery.AdmitRequest{
					Notification: fmt.Sprint(i), Max: w.opts.PushesMax, Window: w.opts.PushesWindow,
				}); err != nil {
					t.Fatal(err)
				}
			}
			second := w.start(nil)
			w.done()
			w.halt(second)
			w.wants(append(w.outcomes("out")[:before:before], append(c.want, delivery.OutSeen)...)...)
			for _, copied := range w.out.Copies() {
				if copied.Notification != n.ID {
					t.Errorf("a digest was sent: %+v", copied)
				}
			}
		})
	}
}
