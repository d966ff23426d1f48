package delivery

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// digestLife is how long a digest may still be sent after its window closed:
// over a night's quiet hours, and not the day after.
const digestLife = 12 * time.Hour

// inDigest is the ledger's reason for what is told in a digest.
const inDigest = "told in a digest"

// pass asks the gate whether a task may go on to its claim now. Where it may not,
// the step says how the task goes on.
func (h *held) pass(t *task) (s step, passed bool) {
	if _, personal := h.d.channels[t.channel].(Personal); !personal || h.d.gate == nil || t.digested {
		return 0, true
	}
	if t.n.Op == Retract {
		return stepGivenUp, h.withdraw(t)
	}
	var st Standing
	if !h.insist(h.soft, "gate", func(ctx context.Context) (err error) {
		st, err = h.d.gate.Look(ctx, t.n.Participant, t.n.ID)
		return err
	}) {
		return stepGivenUp, false
	}
	now := time.Now()
	switch {
	case st.Seen:
		return h.unsent(t, OutSeen, "the participant has seen it"), false
	case t.n.Critical:
		return 0, true
	case !st.Preferences.allows(t.n.Class, t.channel):
		return h.unsent(t, OutMuted, "the participant does not want this class here"), false
	}
	if until, quiet := st.Preferences.quietUntil(now); quiet {
		return h.quiet(t, until), false
	}
	if look := t.holdUntil.Add(h.d.pacing().PresenceWait); st.Present && now.Before(look) {
		return h.pause(look.Sub(now)), false
	}
	if t.n.DigestOf != 0 {
		return h.count(t)
	}
	return h.allow(t)
}

// unsent ends a task that nothing is to be sent for. The ledger is not told: read
// again, the gate is asked again. Where an earlier reading put it into a digest and
// died before that was parked, another notification has to open it.
func (h *held) unsent(t *task, out Outcome, reason string) step {
	if h.d.pacing().PushesMax > 0 && !h.withdraw(t) {
		return stepGivenUp
	}
	h.d.receipt(t, out, t.attempt-1, reason)
	return stepFinished
}

// quiet brings a task back when the quiet hours are over, if that is in time.
func (h *held) quiet(t *task, until time.Time) step {
	if !until.Before(h.d.deadline(t.n)) {
		return h.unsent(t, OutExpired, "its deadline is within the participant's quiet hours")
	}
	if time.Until(until) >= h.d.opts.ParkAfter {
		h.d.receipt(t, OutDeferred, t.attempt-1, "quiet hours until "+until.UTC().Format(time.RFC3339))
	}
	return h.later(t, until, t.attempt)
}

// allow asks whether one more push is within the participant's allowance. The
// digest of what is not goes into the log before its ledger entry ends: a crash
// in between makes another copy of it, which the ledger tells from the first.
func (h *held) allow(t *task) (s step, passed bool) {
	pacing := h.d.pacing()
	if pacing.PushesMax == 0 || t.attempt > 1 {
		return 0, true
	}
	var adm Admission
	if !h.insist(h.soft, "gate", func(ctx context.Context) (err error) {
		adm, err = h.d.gate.Admit(ctx, t.n.Participant, AdmitRequest{
			Notification: t.n.ID, Revision: t.n.Revision, Channel: t.channel, Target: t.target,
			Max: pacing.PushesMax, Window: pacing.PushesWindow,
		})
		return err
	}) {
		return stepGivenUp, false
	}
	if adm.Admitted {
		return 0, true
	}
	if adm.Opens && !h.openDigest(t, adm) {
		return stepGivenUp, false
	}
	t.digested = true
	return 0, true
}

// openDigest parks the digest of a window for a target until the window closes.
func (h *held) openDigest(t *task, adm Admission) bool {
	now := time.Now().UTC()
	due := now.Add(adm.Left)
	n := &Notification{
		ID: digestID(t.n.Participant, adm.Window), Revision: 1, Op: Send, DigestOf: adm.Window,
		Participant: t.n.Participant, Class: DigestClass, Name: DigestClass, Channels: []string{t.channel},
		Expires: due.Add(digestLife), OnUnknown: Resend, Arrival: due, Recorded: now, TraceParent: t.n.TraceParent,
	}
	return h.park(&task{
		n: n, partition: t.partition, channel: t.channel, target: t.target, inboxOffset: t.inboxOffset,
	}, due, 1)
}

// count closes a digest's window, and writes what the digest says.
func (h *held) count(t *task) (s step, passed bool) {
	var unseen int
	if !h.insist(h.soft, "gate", func(ctx context.Context) (err error) {
		unseen, err = h.d.gate.Unseen(ctx, t.n.Participant, t.n.DigestOf)
		return err
	}) {
		return stepGivenUp, false
	}
	if unseen == 0 {
		return h.unsent(t, OutSeen, "the participant has seen all of it"), false
	}
	pacing, say := h.d.pacing(), strings.NewReplacer("{n}", strconv.Itoa(unseen))
	t.n.Title, t.n.Body = say.Replace(pacing.DigestTitle), say.Replace(pacing.DigestBody)
	return 0, true
}

// digest ends a claimed task whose notification is told in a digest.
func (h *held) digest(key Key, claim Claim, t *task) step {
	s := h.mark(key, claim, t, Mark{State: Dead, Reason: inDigest, Seen: claim.Unknown})
	if s == stepFinished {
		h.d.receipt(t, OutDigested, claim.Attempt-1, h.d.pacing().exceeded())
	}
	return s
}

// undigest takes a notification out of its digest again where the ledger knows
// better: it was, or may have been, sent already, is tried by another record, or
// is too old by now.
func (h *held) undigest(claim Claim, t *task) bool {
	switch {
	case !t.digested, claim.State == Busy:
		return true
	case claim.State == Claimed && (!claim.Unknown || t.n.OnUnknown == Resend):
		return true
	case claim.State == Finished && claim.Reason != string(Sent): // in a digest already, or a later revision is
		return true
	}
	t.digested = false
	return h.withdraw(t)
}

// withdraw takes a task's notification out of its digest.
func (h *held) withdraw(t *task) bool {
	return h.insist(h.soft, "gate", func(ctx context.Context) error {
		return h.d.gate.Withdraw(ctx, t.n.Participant, t.n.ID)
	})
}
