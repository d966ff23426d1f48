package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/veltrix/veltrix/internal/app"
)

// RecoveryOptions say under which load processors are killed, and how often.
type RecoveryOptions struct {
	LoadOptions
	Level  int           // % of the maximum
	Rounds int           // kills that are followed by a restart, and as many that are by a takeover
	Calm   time.Duration // undisturbed, before each kill
}

const (
	killsMost = 50
	calmMost  = 5 * time.Minute
	// recoveryMost is how long a kill may take until all is as before.
	recoveryMost = 5 * time.Minute
	ownedMost    = time.Minute
)

func (o *RecoveryOptions) check(slots int) error {
	if err := o.LoadOptions.check(); err != nil {
		return err
	}
	if err := checkLevel(o.Level); err != nil {
		return err
	}
	switch {
	case int(o.Partitions) < 2*slots:
		return fmt.Errorf("two processors with %d slots each share %d partitions, so that one may have none and its end would say nothing: give --partitions %d or more, or fewer --processor-slots", slots, o.Partitions, 2*slots)
	case o.Rounds < 1 || o.Rounds > killsMost:
		return fmt.Errorf("kill 1 to %d times, not %d", killsMost, o.Rounds)
	case o.Calm < time.Second || o.Calm > calmMost:
		return fmt.Errorf("leave the processors alone for 1s to %s before each kill, not %s", calmMost, o.Calm)
	}
	return nil
}

// Kill is one kill and what it took to be as before.
type Kill struct {
	Partitions int           `json:"partitions"` // the killed processor's
	Next       time.Duration `json:"kill_to_notification_ns"`
	Zero       time.Duration `json:"kill_to_zero_lag_ns"`
	LoadWindow               // from the calm before the kill to zero lag
}

// Killed are the kills of one kind.
type Killed struct {
	Name  string        `json:"name"`
	Usual time.Duration `json:"usual_ns"` // 99 % of the notifications came within it, before the first kill
	Kills []Kill        `json:"kills"`
}

// Recovery kills a processor under a steady load, and measures until the next
// notification of its partitions is committed, and until there is no lag: first
// where it is started again at once, and then where another one runs already.
// Where what the processors left is not the fold of their events it returns a
// DirtyError and no report.
func Recovery(ctx context.Context, rt app.Runtime, opts RecoveryOptions) (*RecoveryReport, error) {
	if err := opts.check(rt.Config.Processor.Slots); err != nil {
		return nil, err
	}
	report := &RecoveryReport{Level: opts.Level, Calm: opts.Calm}
	err := underLoad(ctx, rt, opts.LoadOptions, func(ctx context.Context, l *loaded) error {
		report.Rate = l.rate(opts.Level)
		p := rt.Config.Processor
		report.SessionTimeout, report.TransactionTimeout = p.SessionTimeout, p.TransactionTimeout
		for _, takeover := range []bool{false, true} {
			r := &recovery{loaded: l, opts: opts, rate: report.Rate, takeover: takeover}
			if err := r.run(ctx); err != nil {
				return err
			}
			report.Killed = append(report.Killed, r.killed)
		}
		report.LoadHead = l.head
		return nil
	})
	if err != nil {
		return nil, err
	}
	return report, nil
}

// recovery is the kills of one kind, on a place of their own.
type recovery struct {
	*loaded
	opts     RecoveryOptions
	rate     float64
	takeover bool

	crew   *crew
	victim *part
	flow   *flow
	follow follow
	killed Killed
}

// The instances: each has its slots.
const (
	victimInstance   = "bench-killed"
	survivorInstance = "bench-other"
)

func (r *recovery) run(ctx context.Context) error {
	name := "k1"
	r.killed.Name = "started again at once"
	if r.takeover {
		name, r.killed.Name = "k2", "another takes over"
	}
	// More events than all that can come: the sender is stopped.
	most := time.Duration(r.opts.Rounds+1) * (2*r.opts.Calm + 2*recoveryMost)
	plan := schedule{rate: r.rate}
	w, err := r.workload(max(plan.count(most), 1))
	if err != nil {
		return err
	}
	r.say("%s: %s events/s, %d kills", r.killed.Name, thousands(r.rate), r.opts.Rounds)
	return r.within(ctx, name, func(p *place, c *crew) error {
		r.crew = c
		if err := r.gather(ctx); err != nil {
			return err
		}
		plan.start = time.Now().Add(headStart)
		r.flow = r.loaded.flow(ctx, p, w, plan, plan.count(r.opts.Calm), r.follow.see)
		defer r.flow.close()
		if err := r.rounds(ctx); err != nil {
			return err
		}
		r.flow.stopSending()
		sent, err := r.flow.drained(ctx)
		if err != nil {
			return err
		}
		r.flow.close()
		c.stop()
		return r.compare(ctx, p, w.first(sent))
	})
}

// first is the workload's first n events.
func (w *Workload) first(n int64) *Workload {
	part := *w
	part.Events = n
	return &part
}

// gather starts the processors. The one that is to be killed is first.
func (r *recovery) gather(ctx context.Context) (err error) {
	if r.victim, err = r.crew.start(victimInstance); err != nil {
		return err
	}
	if err := r.crew.ready(ctx, r.victim); err != nil || !r.takeover {
		return err
	}
	other, err := r.crew.start(survivorInstance)
	if err != nil {
		return err
	}
	return r.crew.ready(ctx, other)
}

// rounds learns what is usual, and then kills.
func (r *recovery) rounds(ctx context.Context) error {
	if err := rest(ctx, time.Until(r.flow.sender.start.Add(r.opts.Calm))); err != nil {
		return err
	}
	r.follow.forget()
	for i := range r.opts.Rounds {
		from, err := r.crew.read()
		if err == nil {
			err = rest(ctx, r.opts.Calm)
		}
		if err == nil && i == 0 {
			err = r.learn()
		}
		if err != nil {
			return err
		}
		k, err := r.kill(ctx, from)
		if err != nil {
			return fmt.Errorf("%s, kill %d: %w", r.killed.Name, i+1, err)
		}
		r.say("  kill %d of %d: next notification after %.2f s, no lag after %.2f s%s", i+1, r.opts.Rounds, k.Next.Seconds(), k.Zero.Seconds(), remark(k.Window))
		r.killed.Kills = append(r.killed.Kills, *k)
	}
	return nil
}

// learn says what is usual when nothing is wrong.
func (r *recovery) learn() error {
	if r.killed.Usual = r.follow.learn(); r.killed.Usual == 0 {
		return fmt.Errorf("no notification came within %s at %.1f events a second: give a higher --maximum or --level, or a longer --calm", r.opts.Calm, r.rate)
	}
	r.say("  usual: a notification comes within %s", r.killed.Usual.Round(time.Millisecond))
	return nil
}

// kill kills once and waits until all is as before. from is the reading at the
// beginning of the calm before it: by itself, a recovery may be too short to tell
// other load.
func (r *recovery) kill(ctx context.Context, from crewReading) (*Kill, error) {
	place := r.crew.place
	owned, err := r.owned(ctx)
	if err != nil {
		return nil, err
	}
	at, err := r.crew.kill(r.victim)
	if err != nil {
		return nil, err
	}
	if !r.takeover {
		if r.victim, err = r.crew.start(victimInstance); err != nil {
			return nil, err
		}
	}
	// What the killed one still committed is before this; what follows it has to be
	// told its partitions first, and is not so fast.
	bounds, err := place.notified(ctx)
	if err != nil {
		return nil, err
	}
	r.follow.look(bounds, owned)
	next, zero, err := r.recovered(ctx)
	if err != nil {
		return nil, err
	}
	to, err := r.crew.read()
	if err != nil {
		return nil, err
	}
	k := &Kill{Next: next.Sub(at), Zero: zero.Sub(at), LoadWindow: r.crew.between(from, to, r.flow.sender.count(to.At.Sub(from.At)))}
	for _, is := range owned {
		k.Partitions += count(is)
	}
	return k, r.restore(ctx)
}

// owned returns which partitions are the victim's. A processor that has come back is
// ready before the others have handed it any.
func (r *recovery) owned(ctx context.Context) (owned []bool, err error) {
	for deadline := time.Now().Add(ownedMost); ; {
		owned, err = r.victim.partitions(ctx, r.crew.place.partitions)
		if err != nil || slices.Contains(owned, true) {
			return owned, err
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("the processor still has no partition after %s, so that its end would say nothing; the end of what it said, of more with --log-level info: %s", ownedMost, r.victim.said)
		}
		if err := rest(ctx, time.Second); err != nil {
			return nil, err
		}
	}
}

// recovered waits until the partitions are as far as before.
func (r *recovery) recovered(ctx context.Context) (next, zero time.Time, err error) {
	waiting, cancel := context.WithTimeout(ctx, recoveryMost)
	defer cancel()
	err = until(waiting, func() (ok bool, err error) {
		next, zero, ok = r.follow.at()
		return ok, nil
	})
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("the lag was not gone after %s: the load leaves the processors no room to catch up, give a lower --level", recoveryMost)
	}
	return next, zero, err
}

// restore makes all ready for the next kill: whoever was killed runs again, and has
// its partitions.
func (r *recovery) restore(ctx context.Context) (err error) {
	if !r.takeover {
		return r.crew.ready(ctx, r.victim)
	}
	if r.victim, err = r.crew.start(victimInstance); err != nil {
		return err
	}
	if err := r.crew.ready(ctx, r.victim); err != nil {
		return err
	}
	bounds, err := r.crew.place.notified(ctx)
	if err != nil {
		return err
	}
	r.follow.look(bounds, make([]bool, len(bounds)))
	_, _, err = r.recovered(ctx)
	return err
}
