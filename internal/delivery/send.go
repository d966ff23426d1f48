package delivery

import (
	"context"
	"time"
)

// task is one notification's work on one channel at one target.
type task struct {
	n         *Notification
	partition int32
	channel   string
	target    string
	// attempt is the number the record stands for: 1 for a record of the
	// notifications topic, the parked number otherwise.
	attempt int
	// holdUntil is when outside channels may see it.
	holdUntil   time.Time
	inboxOffset int64
	digested    bool   // it is told in a digest: its claim is made to be ended
	finish      func() // reports the task finished to its record
	then        func() // for the inbox: hands the notification on
}

// busyPause is how often another's live claim is looked at again.
const busyPause = 250 * time.Millisecond

// step is what a part of a task's work came to.
type step uint8

const (
	stepAgain    step = iota // go round once more
	stepFinished             // nothing remains to be done
	stepGivenUp              // the partition is being taken away: finish nothing
)

// outside brings one task to its end at an outside channel: finished, or given
// up because the partition is being taken away.
func (h *held) outside(ln *lane, t *task) bool {
	for {
		switch h.try(ln, t) {
		case stepFinished:
			t.finish()
			return true
		case stepGivenUp:
			return false
		case stepAgain:
		}
	}
}

// try makes at most one attempt.
func (h *held) try(ln *lane, t *task) step {
	if done, waited := h.hold(ln, t); done {
		return stepFinished
	} else if !waited {
		return stepGivenUp
	}
	if s, passed := h.pass(t); !passed {
		return s
	}
	ch := h.d.channels[t.channel]
	var ent *entry
	if !t.digested {
		var refused *refusal
		if ent, refused = h.d.endpoint(t).enter(h.soft, h.d.opts.ParkAfter); refused != nil {
			if h.soft.Err() != nil {
				return stepGivenUp
			}
			return h.later(t, time.Now().Add(refused.pause), t.attempt)
		}
	}
	key := Key{t.n.Participant, t.n.ID, t.channel, t.target}
	claim, ok := h.claim(key, ch, t)
	if !ok {
		ent.leave()
		return stepGivenUp
	}
	if !h.undigest(claim, t) {
		ent.leave()
		return stepGivenUp
	}
	if claim.Unknown {
		h.d.metrics.Ambiguous(t.channel, t.n.OnUnknown)
		h.d.receipt(t, OutAmbiguous, claim.Attempt-1, "an earlier claim ended without a word")
	}
	switch claim.State {
	case Claimed:
		return h.claimed(ent, ch, key, claim, t)
	case Busy:
		ent.leave()
		return h.pause(min(claim.Wait, busyPause)) // it may be marked before its lease ends
	case Early:
		ent.leave()
		if claim.Attempt > t.attempt {
			// A later record was parked for the attempts from there on.
			h.d.receipt(t, OutDeduped, claim.Attempt, "another record carries on")
			return stepFinished
		}
		return h.later(t, time.Now().Add(claim.Wait), claim.Attempt+1)
	case Expired:
		h.d.receipt(t, OutExpired, claim.Attempt, "past its deadline")
	case Retracted:
		h.d.receipt(t, OutRetracted, claim.Attempt, "nothing had been sent")
	case Finished:
		h.d.receipt(t, OutDeduped, claim.Attempt, claim.Reason)
	}
	ent.leave()
	return stepFinished
}

// hold waits until outside channels may see the task. It reports done where a
// later revision behind it in the lane has made it pointless.
func (h *held) hold(ln *lane, t *task) (done, waited bool) {
	for {
		later, changed := h.lanes.superseded(ln, t)
		if later {
			h.d.receipt(t, OutDeduped, 0, "a later revision waits behind it")
			return true, true
		}
		wait := time.Until(t.holdUntil)
		if wait <= 0 {
			return false, h.soft.Err() == nil
		}
		timer := time.NewTimer(wait)
		h.d.holding.Add(1)
		select {
		case <-changed:
		case <-timer.C:
		case <-h.soft.Done():
		}
		h.d.holding.Add(-1)
		timer.Stop()
		if h.soft.Err() != nil {
			return false, false
		}
	}
}

// claim asks the ledger until it answers. It gives up when the partition is
// being taken away: a claim is the start of an attempt.
func (h *held) claim(key Key, ch Channel, t *task) (Claim, bool) {
	var claim Claim
	ok := h.insist(h.soft, "ledger", func(ctx context.Context) (err error) {
		claim, err = h.d.ledger.Claim(ctx, key, ClaimRequest{
			Owner: h.d.owner, Lease: ch.Timeout() + h.d.opts.LeaseMargin, Revision: t.n.Revision,
			Retract: t.n.Op == Retract, Expired: !time.Now().Before(h.d.deadline(t.n)),
		})
		return err
	})
	return claim, ok
}

// claimed makes the attempt that was claimed, and marks it.
func (h *held) claimed(ent *entry, ch Channel, key Key, claim Claim, t *task) step {
	if claim.Unknown && t.n.OnUnknown == Drop {
		ent.leave()
		return h.mark(key, claim, t, Mark{State: Dead, Reason: "unknown", Seen: true})
	}
	if t.digested {
		return h.digest(key, claim, t)
	}
	op := t.n.Op
	if op == Update && !claim.Seen {
		op = Send
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(h.hard, ch.Timeout())
	res := ch.Deliver(ctx, Attempt{
		Notification: t.n, Op: op, Target: t.target, Number: claim.Attempt, InboxOffset: t.inboxOffset, At: began,
	})
	cancel()
	ent.report(res)
	if h.hard.Err() != nil && res.Verdict != Accepted {
		return stepGivenUp // fenced in the middle: the claim's end tells the next owner
	}
	h.d.metrics.Attempt(t.channel, time.Since(began))
	if res.Alarm {
		h.d.metrics.Alarm(t.channel)
		h.d.log.Error("a target refuses our credentials; it is left alone for a while",
			"channel", t.channel, "target", t.target, "reason", res.Reason)
	}
	return h.ended(key, ch, claim, t, res)
}

// ended notes how an attempt ended and says so in a receipt.
func (h *held) ended(key Key, ch Channel, claim Claim, t *task, res Result) step {
	switch res.Verdict {
	case Accepted:
		s := h.mark(key, claim, t, Mark{State: Sent, Provider: res.Provider, Seen: true})
		if s == stepFinished {
			h.d.metrics.Age(t.channel, time.Since(t.n.Arrival))
			h.d.receipt(t, OutAccepted, claim.Attempt, res.Reason)
		}
		return s
	case Refused:
		if res.Pruned {
			h.d.receipt(t, OutPruned, claim.Attempt, res.Reason)
		}
		return h.dead(key, claim, t, res.Reason, false)
	case Unknown:
		h.d.metrics.Ambiguous(t.channel, t.n.OnUnknown)
		h.d.receipt(t, OutAmbiguous, claim.Attempt, res.Reason)
		if t.n.OnUnknown == Drop {
			return h.mark(key, claim, t, Mark{State: Dead, Reason: "unknown", Seen: true})
		}
	case Failed:
	}
	seen := res.Verdict == Unknown
	pause, more := ch.Retry(claim.Attempt)
	if !more {
		return h.dead(key, claim, t, "no tries left: "+res.Reason, seen)
	}
	next := time.Now().Add(max(jitter(pause), res.RetryAfter))
	if !next.Before(h.d.deadline(t.n)) {
		return h.dead(key, claim, t, "the next try would be past its deadline: "+res.Reason, seen)
	}
	s := h.mark(key, claim, t, Mark{State: Waiting, Reason: res.Reason, Wait: time.Until(next), Seen: seen})
	if s != stepFinished {
		return s
	}
	h.d.receipt(t, OutRetried, claim.Attempt, res.Reason)
	return h.later(t, next, claim.Attempt+1)
}

func (h *held) dead(key Key, claim Claim, t *task, reason string, seen bool) step {
	s := h.mark(key, claim, t, Mark{State: Dead, Reason: reason, Seen: seen})
	if s == stepFinished {
		h.d.receipt(t, OutDead, claim.Attempt, reason)
	}
	return s
}

// mark notes an attempt's end and insists while the ledger cannot be reached:
// only taking the partition away ends that.
func (h *held) mark(key Key, claim Claim, t *task, m Mark) step {
	var ours bool
	write := func(ctx context.Context) (err error) {
		ours, err = h.d.ledger.Mark(ctx, key, h.d.owner, claim.Attempt, m)
		return err
	}
	if h.hard.Err() != nil {
		// The partition is gone, but what is known here the next owner cannot
		// know: one more call, and the compare-and-set decides whether it counts.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(h.hard), h.d.opts.StoreTimeout)
		defer cancel()
		if err := write(ctx); err != nil {
			h.d.failed("ledger", err)
		}
		return stepGivenUp
	}
	if !h.insist(h.hard, "ledger", write) {
		return stepGivenUp
	}
	if !ours {
		// The lease ran out while the ledger was away, and somebody else goes on.
		h.d.log.Warn("a claim was lost before its mark", "participant", t.n.Participant,
			"notification", t.n.ID, "channel", t.channel, "attempt", claim.Attempt)
		return stepAgain
	}
	return stepFinished
}

// later brings a task back at due, for its attempt with that number: in this
// lane where that is soon, through a retry topic where it is not.
func (h *held) later(t *task, due time.Time, attempt int) step {
	if wait := time.Until(due); wait < h.d.opts.ParkAfter {
		t.attempt = attempt
		return h.pause(wait)
	}
	if !h.park(t, due, attempt) {
		return stepGivenUp
	}
	return stepFinished
}

// park hands a task to a retry topic.
func (h *held) park(t *task, due time.Time, attempt int) bool {
	p := Parked{
		Notification: *t.n, Partition: t.partition, Channel: t.channel, Target: t.target,
		Attempt: attempt, NotBefore: due, InboxOffset: t.inboxOffset,
	}
	topic := h.d.retryTopic(time.Until(due))
	return h.insist(h.hard, "retry topic", func(ctx context.Context) error {
		return h.d.receipts.Park(ctx, topic, p)
	})
}

// pause keeps the lane where it is.
func (h *held) pause(wait time.Duration) step {
	if !sleep(h.soft, wait) {
		return stepGivenUp
	}
	return stepAgain
}
