package veltrixtest

import (
	"slices"
	"time"

	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// inboxChannel is the channel that is the inbox itself; all others are outside.
const inboxChannel = "inbox"

// Notification is one that a player sees, as its latest revision says it.
type Notification struct {
	ID          string // 32 hexadecimal digits, the same for every revision
	Revision    int    // from 1
	Class       string // of the rules file
	Rule, Name  string // of the rules file
	Title, Body string
	EventType   string
	EventTime   time.Time // of the event that is the reason for it
	At          time.Time // when the event arrived that led to this revision
	Expires     time.Time // zero where it never does by itself
	// Expired says that the virtual clock is past Expires: the player's page
	// shows it as over, and nothing is pushed any more.
	Expired bool
}

// Push is what an outside channel, such as a webhook, was given.
type Push struct {
	Notification
	Channel string
	// Op is send, update or retract. A channel that has seen no revision yet gets
	// an update as send, and no retraction at all.
	Op string
	// Pushed is when, by the virtual clock: at the end of the class's hold, or
	// once what was held before it in the same channel had gone.
	Pushed time.Time
}

// Notifications are those in a participant's inbox, with everything accepted so
// far: each with its latest revision, in the order in which those arrived, and
// without those that were retracted. A class's hold does not hold the inbox.
func (v *Veltrix) Notifications(who string) []Notification {
	v.t.Helper()
	var shown []Notification
	v.read(func() {
		if p := v.people[who]; p != nil {
			for _, n := range p.inbox {
				shown = append(shown, v.notification(n))
			}
		}
	})
	return shown
}

// Pushes are what a participant's outside channels were given up to now,
// channel by channel and in order. What is held is not there until Advance has moved
// the clock past its hold; what was retracted in the meantime never is.
func (v *Veltrix) Pushes(who string) []Push {
	v.t.Helper()
	var pushes []Push
	v.read(func() {
		p := v.people[who]
		if p == nil {
			return
		}
		for _, l := range p.lanes {
			l.run(v.now)
			for _, d := range l.delivered {
				pushes = append(pushes, Push{Notification: v.notification(d.n), Channel: l.channel, Op: d.op, Pushed: d.at})
			}
		}
	})
	return pushes
}

func (v *Veltrix) notification(n *wire.NotificationRecord) Notification {
	shown := Notification{
		ID: n.ID, Revision: int(n.Revision), Class: n.Class, Rule: n.Rule, Name: n.Name, Title: n.Title, Body: n.Body,
		EventType: n.EventType, EventTime: n.EventTime, At: n.Time,
	}
	if n.Expires != nil {
		shown.Expires, shown.Expired = *n.Expires, !v.now.Before(*n.Expires)
	}
	return shown
}

// take hands a revision to the inbox and to the outside channels of its class.
func (p *person) take(n *wire.NotificationRecord, now time.Time) {
	for _, channel := range n.Channels {
		if channel == inboxChannel {
			p.inbox = slices.DeleteFunc(p.inbox, func(old *wire.NotificationRecord) bool { return old.ID == n.ID })
			if n.Op != participant.Retract.String() {
				p.inbox = append(p.inbox, n)
			}
			continue
		}
		l := p.lane(channel)
		l.run(now) // before the new one is known: what is due by now has gone
		l.waiting = append(l.waiting, waiting{n, now})
	}
}

// lane is the one of a channel, from its first notification on.
func (p *person) lane(channel string) *lane {
	for _, l := range p.lanes {
		if l.channel == channel {
			return l
		}
	}
	l := &lane{channel: channel, seen: map[string]bool{}}
	p.lanes = append(p.lanes, l)
	return l
}

// lane is an outside channel of one participant. As in the notifier, it works on
// one notification at a time, and a held one holds those behind it.
type lane struct {
	channel   string
	waiting   []waiting
	free      time.Time // when the one before was done with
	seen      map[string]bool
	delivered []delivered
}

type waiting struct {
	n        *wire.NotificationRecord
	recorded time.Time
}

type delivered struct {
	n  *wire.NotificationRecord
	op string
	at time.Time
}

// run brings the lane up to a moment. Whatever waits was recorded by then.
func (l *lane) run(until time.Time) {
	for len(l.waiting) > 0 {
		w := l.waiting[0]
		// A later revision makes this one pointless, unless it has gone.
		later := slices.IndexFunc(l.waiting[1:], func(x waiting) bool { return x.n.ID == w.n.ID })
		if later >= 0 {
			l.free = latest(l.free, l.waiting[1+later].recorded)
			l.waiting = l.waiting[1:]
			continue
		}
		due := latest(l.free, w.recorded.Add(time.Duration(w.n.HoldMs)*time.Millisecond))
		if due.After(until) {
			return
		}
		l.waiting, l.free = l.waiting[1:], due
		l.deliver(w.n, due)
	}
}

func (l *lane) deliver(n *wire.NotificationRecord, at time.Time) {
	op := n.Op
	if !l.seen[n.ID] {
		if op == participant.Retract.String() {
			return
		}
		op = participant.Send.String()
	}
	if n.Expires != nil && !at.Before(*n.Expires) {
		return
	}
	l.seen[n.ID] = true
	l.delivered = append(l.delivered, delivered{n, op, at})
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
