package deliverytest

import (
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/delivery"
)

// LedgerSuite checks a ledger. make returns an empty one.
func LedgerSuite(t *testing.T, make func(t *testing.T) delivery.Ledger) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, *ledgerCase){
		"a sent revision is finished for everybody":           ledgerSent,
		"a live claim keeps others away":                      ledgerBusy,
		"a claim whose lease ran out is unknown":              ledgerUnknown,
		"a mark needs owner and attempt":                      ledgerFence,
		"a failure waits for its time":                        ledgerWaiting,
		"a later revision goes out, an earlier one does not":  ledgerRevisions,
		"a retraction of nothing is not sent":                 ledgerRetractNothing,
		"a retraction of what may have been seen is sent":     ledgerRetractSeen,
		"past the deadline nothing is claimed":                ledgerExpired,
		"targets and participants are told apart":             ledgerKeys,
		"a revision's unknown end is not a later one's":       ledgerUnknownOlder,
		"an expired unknown claim is expired, and still told": ledgerExpiredUnknown,
	} {
		t.Run(name, func(t *testing.T) { test(t, &ledgerCase{t, make(t)}) })
	}
}

type ledgerCase struct {
	t *testing.T
	l delivery.Ledger
}

var ledgerKey = delivery.Key{Participant: "al{i}:ce", Notification: "n1", Channel: "webhook", Target: "t1"}

const longLease = time.Minute

func (c *ledgerCase) claim(k delivery.Key, r delivery.ClaimRequest, want delivery.ClaimState, attempt int) delivery.Claim {
	c.t.Helper()
	if r.Lease == 0 {
		r.Lease = longLease
	}
	got, err := c.l.Claim(c.t.Context(), k, r)
	if err != nil {
		c.t.Fatal(err)
	}
	if got.State != want || got.Attempt != attempt {
		c.t.Fatalf("claim of %+v gave %+v, want %s at attempt %d", r, got, want, attempt)
	}
	return got
}

func (c *ledgerCase) mark(k delivery.Key, owner string, attempt int, m delivery.Mark, want bool) {
	c.t.Helper()
	got, err := c.l.Mark(c.t.Context(), k, owner, attempt, m)
	if err != nil {
		c.t.Fatal(err)
	}
	if got != want {
		c.t.Fatalf("mark %+v by %s at %d is %v, want %v", m, owner, attempt, got, want)
	}
}

func by(owner string, rev int) delivery.ClaimRequest {
	return delivery.ClaimRequest{Owner: owner, Revision: rev}
}

func ledgerSent(_ *testing.T, c *ledgerCase) {
	c.claim(ledgerKey, by("a", 1), delivery.Claimed, 1)
	c.mark(ledgerKey, "a", 1, delivery.Mark{State: delivery.Sent, Provider: "p", Seen: true}, true)
	c.mark(ledgerKey, "a", 1, delivery.Mark{State: delivery.Sent, Provider: "p", Seen: true}, true)
	got := c.claim(ledgerKey, by("b", 1), delivery.Finished, 1)
	if got.Reason != "sent" || !got.Seen || got.Unknown {
		c.t.Fatalf("got %+v", got)
	}
	// Expiry does not turn what was sent into what expired.
	c.claim(ledgerKey, delivery.ClaimRequest{Owner: "b", Revision: 1, Expired: true}, delivery.Finished, 1)
}

func ledgerBusy(_ *testing.T, c *ledgerCase) {
	c.claim(ledgerKey, by("a", 1), delivery.Claimed, 1)
	for _, owner := range []string{"a", "b"} {
		got := c.claim(ledgerKey, by(owner, 1), delivery.Busy, 1)
		if got.Wait <= 0 || got.Wait > longLease+time.Second {
			c.t.Fatalf("wait %v, want up to the lease", got.Wait)
		}
	}
	c.claim(ledgerKey, by("b", 2), delivery.Busy, 1)
}

func ledgerUnknown(_ *testing.T, c *ledgerCase) {
	r := by("a", 1)
	r.Lease = 40 * time.Millisecond
	c.claim(ledgerKey, r, delivery.Claimed, 1)
	time.Sleep(60 * time.Millisecond)
	if got := c.claim(ledgerKey, by("b", 1), delivery.Claimed, 2); !got.Unknown || !got.Seen {
		c.t.Fatalf("the second claim is %+v, want unknown and seen", got)
	}
}

func ledgerFence(_ *testing.T, c *ledgerCase) {
	sent := delivery.Mark{State: delivery.Sent, Seen: true}
	c.mark(ledgerKey, "a", 1, sent, false)
	r := by("a", 1)
	r.Lease = 40 * time.Millisecond
	c.claim(ledgerKey, r, delivery.Claimed, 1)
	c.mark(ledgerKey, "b", 1, sent, false)
	c.mark(ledgerKey, "a", 2, sent, false)
	time.Sleep(60 * time.Millisecond)
	c.claim(ledgerKey, by("b", 1), delivery.Claimed, 2)
	c.mark(ledgerKey, "a", 1, sent, false)
	c.claim(ledgerKey, by("a", 1), delivery.Busy, 2)
	c.mark(ledgerKey, "b", 2, delivery.Mark{State: delivery.Dead, Reason: "gone"}, true)
	c.mark(ledgerKey, "b", 2, sent, false)
	if got := c.claim(ledgerKey, by("a", 1), delivery.Finished, 2); got.Reason != "gone" {
		c.t.Fatalf("reason %q, want gone", got.Reason)
	}
}

func ledgerWaiting(_ *testing.T, c *ledgerCase) {
	c.claim(ledgerKey, by("a", 1), delivery.Claimed, 1)
	c.mark(ledgerKey, "a", 1, delivery.Mark{State: delivery.Waiting, Reason: "429", Wait: 80 * time.Millisecond}, true)
	got := c.claim(ledgerKey, by("b", 1), delivery.Early, 1)
	if got.Wait <= 0 || got.Wait > 81*time.Millisecond || got.Reason != "429" || got.Seen {
		c.t.Fatalf("got %+v", got)
	}
	time.Sleep(got.Wait + 5*time.Millisecond)
	if got := c.claim(ledgerKey, by("b", 1), delivery.Claimed, 2); got.Unknown || got.Seen {
		c.t.Fatalf("after a definite failure the claim is %+v", got)
	}
}

func ledgerRevisions(_ *testing.T, c *ledgerCase) {
	c.claim(ledgerKey, by("a", 2), delivery.Claimed, 1)
	c.mark(ledgerKey, "a", 1, delivery.Mark{State: delivery.Sent, Seen: true}, true)
	c.claim(ledgerKey, by("a", 1), delivery.Finished, 1)
	if got := c.claim(ledgerKey, by("a", 3), delivery.Claimed, 1); !got.Seen || got.Unknown {
		c.t.Fatalf("got %+v", got)
	}
	c.mark(ledgerKey, "a", 1, delivery.Mark{State: delivery.Waiting, Wait: time.Hour}, true)
	c.claim(ledgerKey, by("a", 2), delivery.Finished, 1)
	c.claim(ledgerKey, by("a", 4), delivery.Claimed, 1)
}

func ledgerRetractNothing(_ *testing.T, c *ledgerCase) {
	retract := delivery.ClaimRequest{Owner: "a", Revision: 2, Retract: true}
	c.claim(ledgerKey, retract, delivery.Retracted, 0)
	c.claim(ledgerKey, by("a", 1), delivery.Finished, 0)
	c.claim(ledgerKey, retract, delivery.Finished, 0)
	// A definite failure reached nobody either.
	other := ledgerKey
	other.Notification = "n2"
	c.claim(other, by("a", 1), delivery.Claimed, 1)
	c.mark(other, "a", 1, delivery.Mark{State: delivery.Waiting, Wait: time.Hour}, true)
	c.claim(other, retract, delivery.Retracted, 0)
}

func ledgerRetractSeen(_ *testing.T, c *ledgerCase) {
	c.claim(ledgerKey, by("a", 1), delivery.Claimed, 1)
	c.mark(ledgerKey, "a", 1, delivery.Mark{State: delivery.Waiting, Wait: time.Hour, Seen: true}, true)
	retract := delivery.ClaimRequest{Owner: "a", Revision: 2, Retract: true}
	if got := c.claim(ledgerKey, retract, delivery.Claimed, 1); !got.Seen {
		c.t.Fatalf("got %+v", got)
	}
}

func ledgerExpired(_ *testing.T, c *ledgerCase) {
	expired := delivery.ClaimRequest{Owner: "a", Revision: 1, Expired: true}
	c.claim(ledgerKey, expired, delivery.Expired, 0)
	c.claim(ledgerKey, by("a", 1), delivery.Finished, 0)
	other := ledgerKey
	other.Notification = "n2"
	c.claim(other, by("a", 1), delivery.Claimed, 1)
	c.claim(other, expired, delivery.Busy, 1)
	c.mark(other, "a", 1, delivery.Mark{State: delivery.Waiting, Wait: time.Hour}, true)
	c.claim(other, expired, delivery.Expired, 1)
}

func ledgerKeys(_ *testing.T, c *ledgerCase) {
	c.claim(ledgerKey, by("a", 1), delivery.Claimed, 1)
	for _, k := range []delivery.Key{
		{Participant: "al{i}", Notification: "n1", Channel: "webhook", Target: "t1"},
		{Participant: "al{i}:ce", Notification: "n2", Channel: "webhook", Target: "t1"},
		{Participant: "al{i}:ce", Notification: "n1", Channel: "push", Target: "t1"},
		{Participant: "al{i}:ce", Notification: "n1", Channel: "webhook", Target: "t2"},
		{Participant: "al{i}:ce", Notification: "n1", Channel: "webhook:t1", Target: ""},
	} {
		c.claim(k, by("a", 1), delivery.Claimed, 1)
	}
}

func ledgerUnknownOlder(_ *testing.T, c *ledgerCase) {
	r := by("a", 1)
	r.Lease = 40 * time.Millisecond
	c.claim(ledgerKey, r, delivery.Claimed, 1)
	time.Sleep(60 * time.Millisecond)
	if got := c.claim(ledgerKey, by("b", 2), delivery.Claimed, 1); got.Unknown || !got.Seen {
		c.t.Fatalf("got %+v, want a fresh claim that knows of something seen", got)
	}
}

func ledgerExpiredUnknown(_ *testing.T, c *ledgerCase) {
	r := by("a", 1)
	r.Lease = 40 * time.Millisecond
	c.claim(ledgerKey, r, delivery.Claimed, 1)
	time.Sleep(60 * time.Millisecond)
	got := c.claim(ledgerKey, delivery.ClaimRequest{Owner: "b", Revision: 1, Expired: true}, delivery.Expired, 1)
	if !got.Unknown {
		c.t.Fatalf("got %+v, want it unknown", got)
	}
}
