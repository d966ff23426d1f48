package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
	"github.com/veltrix/veltrix/internal/wire"
)

// TestLaneOrder checks that a participant's notifications arrive in order
// while many participants are served at once.
func TestLaneOrder(t *testing.T) { synctest.Test(t, testLaneOrder) }

func testLaneOrder(t *testing.T) {
	w := newWorld(t)
	var now, most atomic.Int32
	w.out.Answer = func(context.Context, int, delivery.Attempt) delivery.Result {
		most.Store(max(most.Load(), now.Add(1)))
		defer now.Add(-1)
		time.Sleep(time.Millisecond)
		return delivery.Result{Verdict: delivery.Accepted}
	}
	const people, each = 8, 25
	for i := range people * each {
		w.log.Add(note(fmt.Sprint("p", i%people), i+1), 0)
	}
	p := w.start(nil)
	w.done()
	w.halt(p)
	last := map[string]string{}
	for _, c := range w.out.Copies() {
		if c.Notification <= last[c.Participant] {
			t.Fatalf("%s got %s after %s", c.Participant, c.Notification, last[c.Participant])
		}
		last[c.Participant] = c.Notification
	}
	if len(w.out.Copies()) != people*each {
		t.Errorf("%d copies, want %d", len(w.out.Copies()), people*each)
	}
	if most.Load() < 2 {
		t.Error("lanes did not run in parallel")
	}
	for i := range people {
		page, _ := w.inbox.Page(t.Context(), fmt.Sprint("p", i), delivery.Cursor{}, 100)
		for j, e := range page.Entries {
			if want := fmt.Sprintf("%032x", j*people+i+1); e.Notification != want {
				t.Fatalf("place %d of p%d holds %s, want %s", j, i, e.Notification, want)
			}
		}
	}
}

// TestInboxFirst checks that a push is sent after its inbox entry and names it.
func TestInboxFirst(t *testing.T) { synctest.Test(t, testInboxFirst) }

func testInboxFirst(t *testing.T) {
	w := newWorld(t)
	w.out.Answer = func(ctx context.Context, _ int, a delivery.Attempt) delivery.Result {
		p, err := w.inbox.Newest(ctx, a.Notification.Participant, 0, 1)
		if err != nil || len(p.Entries) != 1 || p.Entries[0].Offset != a.InboxOffset {
			t.Errorf("at the push the inbox holds %+v, and the push names %d", p.Entries, a.InboxOffset)
		}
		return delivery.Result{Verdict: delivery.Accepted}
	}
	w.log.Add(note("p", 1), 0)
	p := w.start(nil)
	w.done()
	w.halt(p)
}

// TestSlowTargetStallsNobodyElse hangs one participant's channel and checks
// that another's, and both inboxes, go on.
func TestSlowTargetStallsNobodyElse(t *testing.T) { synctest.Test(t, testSlowTargetStallsNobodyElse) }

func testSlowTargetStallsNobodyElse(t *testing.T) {
	w := newWorld(t)
	w.out.TimeoutSet = 5 * time.Second
	release := make(chan struct{})
	w.out.Answer = func(ctx context.Context, _ int, a delivery.Attempt) delivery.Result {
		if a.Notification.Participant == "slow" {
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
		return delivery.Result{Verdict: delivery.Accepted}
	}
	for i := range 20 {
		w.log.Add(note([]string{"slow", "quick"}[i%2], i+1), 0)
	}
	p := w.start(nil)
	w.until("the quick one has all, and both inboxes are full", func() bool {
		slow, _ := w.inbox.Newest(t.Context(), "slow", 0, 100)
		return len(w.out.Copies()) >= 10 && len(slow.Entries) == 10
	})
	if got := w.log.Committed(0); got != 0 {
		t.Errorf("offset %d is committed past a notification that is being sent", got)
	}
	close(release)
	w.done()
	w.halt(p)
}

// TestForeignClaim checks that another's live claim stops the lane, that
// nothing is committed past it, and that the lane goes on when it ends.
func TestForeignClaim(t *testing.T) { synctest.Test(t, testForeignClaim) }

func testForeignClaim(t *testing.T) {
	w := newWorld(t)
	n := note("p", 1)
	key := delivery.Key{Participant: "p", Notification: n.ID, Channel: "out", Target: "target"}
	req := delivery.ClaimRequest{Owner: "somebody else", Lease: time.Second, Revision: 1}
	claim, err := w.ledger.Claim(t.Context(), key, req)
	if err != nil {
		t.Fatal(err)
	}
	w.log.Add(n, 0)
	w.log.Add(note("p", 2), 0)
	w.log.Add(note("q", 3), 0)
	p := w.start(nil)
	w.until("the other lane is served", func() bool { return len(w.out.Copies()) == 1 })
	time.Sleep(100 * time.Millisecond)
	if got := w.copies(); len(got) != 1 || w.log.Committed(0) != 0 {
		t.Fatalf("with the claim alive there are copies %v and offset %d", got, w.log.Committed(0))
	}
	if ok, err := w.ledger.Mark(t.Context(), key, req.Owner, claim.Attempt, delivery.Mark{State: delivery.Sent, Seen: true}); !ok || err != nil {
		t.Fatal(ok, err)
	}
	w.done()
	w.halt(p)
	if got := w.copies(); got[n.ID+".1"] != 0 || len(got) != 2 {
		t.Errorf("copies %v, want one of the second and the third", got)
	}
}

// TestDeadline checks that nothing is sent past a deadline, and that the
// deadline of a notification without expiry ends before the ledger forgets.
func TestDeadline(t *testing.T) { synctest.Test(t, testDeadline) }

func testDeadline(t *testing.T) {
	w := newWorld(t)
	over := note("p", 1)
	over.Expires = time.Now().Add(-time.Second)
	ancient := note("p", 2)
	ancient.Recorded = time.Now().Add(-w.opts.Retention + 30*time.Minute)
	w.log.Add(over, 0)
	w.log.Add(ancient, 0)
	w.log.Add(note("p", 3), 0)
	p := w.start(nil)
	w.done()
	w.halt(p)
	want := []delivery.Outcome{delivery.OutExpired, delivery.OutExpired, delivery.OutAccepted}
	if got := w.outcomes("out"); !slices.Equal(got, want) {
		t.Errorf("outcomes %v, want %v", got, want)
	}
	if len(w.copies()) != 1 {
		t.Errorf("copies %v", w.copies())
	}
}

// TestReplay reads everything again from the beginning, with the ledger intact.
func TestReplay(t *testing.T) { synctest.Test(t, testReplay) }

func testReplay(t *testing.T) {
	w := newWorld(t)
	for i := range 10 {
		w.log.Add(note("p", i+1), 0)
	}
	p := w.start(nil)
	w.done()
	w.halt(p)
	again := deliverytest.NewLog(1)
	for i := range 10 {
		again.Add(note("p", i+1), 0)
	}
	w.log = again
	p = w.start(nil)
	w.done()
	w.halt(p)
	for id, copies := range w.copies() {
		if copies != 1 {
			t.Errorf("%s has %d copies after a replay", id, copies)
		}
	}
	page, _ := w.inbox.Page(t.Context(), "p", delivery.Cursor{}, 100)
	if len(page.Entries) != 10 {
		t.Errorf("%d inbox entries after a replay, want 10", len(page.Entries))
	}
}

// TestHold checks that a retraction within the hold is never seen outside,
// that it lets the lane go on at once, and that without one the hold is waited for.
func TestHold(t *testing.T) { synctest.Test(t, testHold) }

func testHold(t *testing.T) {
	w := newWorld(t)
	held := note("p", 1)
	held.HoldMS = 60_000
	gone := note("p", 1)
	gone.Revision, gone.Op = 2, delivery.Retract
	kept := note("p", 2)
	kept.HoldMS = 150
	w.log.Add(held, 0)
	p := w.start(nil)
	w.until("the hold is waited for", func() bool { return p.d.Status().Held == 1 })
	w.log.Add(gone, 0)
	w.log.Add(kept, 0)
	w.done()
	w.halt(p)
	if got := w.copies(); len(got) != 1 || got[kept.ID+".1"] != 1 {
		t.Fatalf("copies %v, want only the one that was kept", got)
	}
	if at := w.out.Copies()[0].At; at.Before(kept.Recorded.Add(150 * time.Millisecond)) {
		t.Errorf("sent %v after it was recorded, before its hold ended", at.Sub(kept.Recorded))
	}
	if !slices.Contains(w.outcomes("out"), delivery.OutRetracted) {
		t.Errorf("no receipt of the retraction: %v", w.outcomes("out"))
	}
	page, _ := w.inbox.Page(t.Context(), "p", delivery.Cursor{}, 100)
	if len(page.Entries) != 2 || page.Entries[0].Op != delivery.Retract {
		t.Errorf("the inbox holds %+v", page.Entries)
	}
}

// TestRevisions checks what of several revisions goes out, and as what.
func TestRevisions(t *testing.T) { synctest.Test(t, testRevisions) }

func testRevisions(t *testing.T) {
	w := newWorld(t)
	rev := func(i, revision int, op delivery.Op) {
		n := note("p", i)
		n.Revision, n.Op = revision, op
		w.log.Add(n, 0)
		w.done()
	}
	p := w.start(nil)
	rev(1, 1, delivery.Send)
	rev(1, 2, delivery.Update)
	rev(1, 1, delivery.Send)
	rev(1, 3, delivery.Retract)
	rev(2, 1, delivery.Retract)
	rev(3, 2, delivery.Update) // its first revision never came here: it is news
	w.halt(p)
	var got []string
	for _, c := range w.out.Copies() {
		got = append(got, fmt.Sprint(c.Notification[31:], ".", c.Revision, " ", c.Op))
	}
	want := []string{"1.1 send", "1.2 update", "1.3 retract", "3.2 send"}
	if !slices.Equal(got, want) {
		t.Errorf("went out: %v, want %v", got, want)
	}
}

// TestRetries checks the schedule, Retry-After, hops through retry topics, and
// the end of the tries.
func TestRetries(t *testing.T) { synctest.Test(t, testRetries) }

func testRetries(t *testing.T) {
	w := newWorld(t)
	w.out.Pauses = []time.Duration{time.Millisecond, 400 * time.Millisecond, time.Millisecond}
	var at []time.Time
	w.out.Answer = func(_ context.Context, n int, _ delivery.Attempt) delivery.Result {
		at = append(at, time.Now())
		res := delivery.Result{Verdict: delivery.Failed, Reason: "429"}
		if n == 3 {
			res.RetryAfter = 250 * time.Millisecond
		}
		return res
	}
	n := note("p", 1)
	w.log.Add(n, 0)
	p := w.start(nil)
	w.done()
	w.halt(p)
	want := []delivery.Outcome{delivery.OutRetried, delivery.OutRetried, delivery.OutRetried, delivery.OutDead}
	if got := w.outcomes("out"); !slices.Equal(got, want) {
		t.Fatalf("outcomes %v, want %v", got, want)
	}
	if pause := at[2].Sub(at[1]); pause < 300*time.Millisecond {
		t.Errorf("the third attempt came %v after the second, want three quarters of 400 ms at least", pause)
	}
	if pause := at[3].Sub(at[2]); pause < 250*time.Millisecond {
		t.Errorf("the fourth attempt came %v after the third, which asked for 250 ms", pause)
	}
	if w.log.Parked("r.large") == 0 || w.log.Parked("r.small")+w.log.Parked("r.large") < 3 {
		t.Errorf("parked %d and %d times, want hops through both", w.log.Parked("r.large"), w.log.Parked("r.small"))
	}
}

// TestParkedFreesTheLog checks that a far retry holds up nothing.
func TestParkedFreesTheLog(t *testing.T) { synctest.Test(t, testParkedFreesTheLog) }

func testParkedFreesTheLog(t *testing.T) {
	w := newWorld(t)
	w.out.Pauses = []time.Duration{time.Hour}
	w.out.Answer = func(_ context.Context, _ int, a delivery.Attempt) delivery.Result {
		if a.Notification.Participant == "broken" {
			return delivery.Result{Verdict: delivery.Failed, Reason: "404"}
		}
		return delivery.Result{Verdict: delivery.Accepted}
	}
	w.log.Add(note("broken", 1), 0)
	w.log.Add(note("fine", 2), 0)
	p := w.start(nil)
	w.until("both are committed", func() bool { return w.log.Committed(0) == 2 })
	w.halt(p)
	if w.log.Parked("r.large") != 1 {
		t.Errorf("parked %d times", w.log.Parked("r.large"))
	}
}

// TestUnknown checks both policies where a provider does not answer.
func TestUnknown(t *testing.T) {
	for policy, want := range map[delivery.Policy]int{delivery.Drop: 1, delivery.Resend: 2} {
		apart(t, string(policy), func(t *testing.T) {
			w := newWorld(t)
			w.out.Answer = func(_ context.Context, n int, _ delivery.Attempt) delivery.Result {
				if n == 1 {
					return delivery.Result{Verdict: delivery.Unknown, Reason: "503"}
				}
				return delivery.Result{Verdict: delivery.Accepted}
			}
			n := note("p", 1)
			n.OnUnknown = policy
			w.log.Add(n, 0)
			p := w.start(nil)
			w.done()
			w.halt(p)
			if got := w.copies()[n.ID+".1"]; got != want {
				t.Errorf("%d copies, want %d", got, want)
			}
			if got := w.outcomes("out"); got[0] != delivery.OutAmbiguous {
				t.Errorf("outcomes %v, want the unknown one said", got)
			}
		})
	}
}

// TestBreaker checks that a target that keeps failing is left alone.
func TestBreaker(t *testing.T) { synctest.Test(t, testBreaker) }

func testBreaker(t *testing.T) {
	w := newWorld(t)
	w.out.Pauses = []time.Duration{time.Hour}
	w.out.Answer = func(context.Context, int, delivery.Attempt) delivery.Result {
		return delivery.Result{Verdict: delivery.Failed, Unreachable: true, Reason: "refused"}
	}
	var tries int
	for i := range 40 {
		w.log.Add(note(fmt.Sprint("p", i), i+1), 0)
	}
	w.opts.EndpointSlots = 1
	p := w.start(nil)
	w.until("all are parked", func() bool { return w.log.Committed(0) == 40 })
	if got := p.d.Status().Open["out"]; got != 1 {
		t.Errorf("%d breakers are open, want 1", got)
	}
	w.halt(p)
	for i := range 40 {
		tries += w.out.Tries(fmt.Sprintf("%032x", i+1), 1)
	}
	if tries != 10 {
		t.Errorf("%d attempts, want none after 10 failures in a row", tries)
	}
}

// awayLedger is a ledger that cannot be reached while away is set.
type awayLedger struct {
	delivery.Ledger
	away *atomic.Bool
}

func (a awayLedger) Claim(ctx context.Context, k delivery.Key, r delivery.ClaimRequest) (delivery.Claim, error) {
	if a.away.Load() {
		return delivery.Claim{}, errors.New("connection refused")
	}
	return a.Ledger.Claim(ctx, k, r)
}

// TestLedgerAway checks that nothing is sent without the ledger.
func TestLedgerAway(t *testing.T) { synctest.Test(t, testLedgerAway) }

func testLedgerAway(t *testing.T) {
	w := newWorld(t)
	var away atomic.Bool
	away.Store(true)
	w.ledger = awayLedger{w.ledger, &away}
	w.log.Add(note("p", 1), 0)
	p := w.start(nil)
	w.until("the outage is told", func() bool { return slices.Contains(p.d.Status().Waiting, "ledger") })
	time.Sleep(50 * time.Millisecond)
	if len(w.out.Copies()) != 0 || w.log.Committed(0) != 0 {
		t.Fatal("something was sent, or committed, without the ledger")
	}
	away.Store(false)
	w.done()
	if s := p.d.Status(); len(s.Waiting) != 0 || !s.CaughtUp() {
		t.Errorf("after the outage the status is %+v", s)
	}
	w.halt(p)
	if len(w.out.Copies()) != 1 {
		t.Errorf("%d copies", len(w.out.Copies()))
	}
}

// TestUnreadable checks that a record nobody can read stops nobody.
func TestUnreadable(t *testing.T) { synctest.Test(t, testUnreadable) }

func testUnreadable(t *testing.T) {
	w := newWorld(t)
	wrong := deliverytest.Record(note("p", 1), 0)
	wrong.Key = []byte("q")
	w.log.AddRecord(wire.Record{Key: []byte("p"), Value: []byte("{")})
	w.log.AddRecord(wrong)
	unknown := note("p", 2)
	unknown.Channels = []string{"pigeon"}
	w.log.Add(unknown, 0)
	w.log.Add(note("p", 3), 0)
	p := w.start(nil)
	w.done()
	w.halt(p)
	if len(w.copies()) != 1 {
		t.Errorf("copies %v", w.copies())
	}
	if got := w.outcomes(""); len(got) != 2 {
		t.Errorf("%d receipts about unreadable records, want 2", len(got))
	}
	if got := w.outcomes("pigeon"); !slices.Equal(got, []delivery.Outcome{delivery.OutDead}) {
		t.Errorf("the channel that is not set up: %v", got)
	}
}

// TestDrain checks that a partition's going away lets a running attempt end,
// commits what is finished, and begins nothing new.
func TestDrain(t *testing.T) { synctest.Test(t, testDrain) }

func testDrain(t *testing.T) {
	w := newWorld(t)
	w.out.TimeoutSet = time.Second
	began := make(chan struct{}, 10)
	w.out.Answer = func(context.Context, int, delivery.Attempt) delivery.Result {
		began <- struct{}{}
		time.Sleep(100 * time.Millisecond)
		return delivery.Result{Verdict: delivery.Accepted}
	}
	for i := range 3 {
		w.log.Add(note("p", i+1), 0)
	}
	p := w.start(nil)
	<-began
	w.halt(p)
	if len(w.out.Copies()) != 1 || w.log.Committed(0) != 1 {
		t.Fatalf("%d copies and offset %d after the drain, want 1 and 1", len(w.out.Copies()), w.log.Committed(0))
	}
	p = w.start(nil)
	w.done()
	w.halt(p)
	if len(w.out.Copies()) != 3 {
		t.Errorf("%d copies, want 3", len(w.out.Copies()))
	}
}
