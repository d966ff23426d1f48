package e2e

import (
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/testredis"
)

// TestPushesThroughARebalanceStorm lets notifiers come and go while hundreds of
// pushes are under way: every second one that goes is killed, the others are
// stopped in order. Copies beyond the first are those of attempts that nobody can
// know, no more; nothing that resends is lost, and nothing is left over.
func TestPushesThroughARebalanceStorm(t *testing.T) {
	t.Parallel()
	const rounds = 4
	d, _ := flights(t, real(t), 6, 1)
	p := d.providers(8 * time.Second)
	notes := everywhere(120)
	d.devices(p, notes)
	told := map[string]int64{} // by metric, of the processes that are gone
	tell := func(n *process) {
		for _, channel := range outside {
			for _, policy := range []delivery.Policy{delivery.Drop, delivery.Resend} {
				told[unknowns(channel, policy)] += n.sum(unknowns(channel, policy))
			}
		}
	}
	members := []*process{d.start("notifier", "notifier 0"), d.start("notifier", "notifier 1"), d.start("notifier", "notifier 2")}
	portion := len(notes) / rounds
	for round := range rounds {
		end := make(chan struct{}) // until then nothing is answered: it is under way
		p.answers(always(p.holdUntil(end)))
		d.announce(notes[round*portion:(round+1)*portion], time.Now())
		d.until(func() (bool, string) {
			_, held := p.seen() // the others may be those of one who is gone and not yet missed
			return held >= portion*len(outside)/2, fmt.Sprintf("%d pushes are under way", held)
		})
		oldest := members[0]
		tell(oldest)
		if round%2 == 0 {
			oldest.Kill()
		} else {
			d.must(oldest.Signal(syscall.SIGTERM))
		}
		close(end)
		members = append(members[1:], d.start("notifier", fmt.Sprint("notifier ", round+3)))
	}
	d.until(func() (bool, string) {
		_, done, saw := d.finishing(notes)
		return done, saw
	})
	unknown := int64(0)
	for _, m := range members {
		tell(m)
	}
	for _, n := range told {
		unknown += n
	}
	if unknown == 0 {
		t.Error("every attempt's end is known: nothing is shown")
	}
	d.noneBeyondTheUnknown(p, notes, told)
	d.inboxesOf(notes)
}

// noneBeyondTheUnknown holds every route's copies against its attempts that
// receipts call unknown. What the metrics say is shown only: a process may count
// one more between the last look at it and its end.
func (d *deployment) noneBeyondTheUnknown(p *providers, notes []*delivery.Notification, told map[string]int64) {
	d.t.Helper()
	copies, _ := p.seen()
	ambiguous := d.receipts(delivery.OutAmbiguous)
	for _, channel := range outside {
		off := map[delivery.Policy]int64{}
		for _, n := range notes {
			at := route{channel, n.ID}
			more, unknown := copies[at]-1, len(ambiguous[at])
			switch {
			case n.OnUnknown == delivery.Resend && (more < 0 || more > unknown):
				d.t.Errorf("%s came %d times by %s, with %d unknown attempts", n.ID, copies[at], channel, unknown)
			case n.OnUnknown == delivery.Drop && (more > 0 || more < 0 && unknown == 0):
				d.t.Errorf("%s came %d times by %s though it drops, with %d unknown attempts", n.ID, copies[at], channel, unknown)
			}
			if more != 0 {
				off[n.OnUnknown]++
			}
		}
		for _, policy := range []delivery.Policy{delivery.Drop, delivery.Resend} {
			unknown := told[unknowns(channel, policy)]
			d.t.Logf("by %s (%s): %d of %d came more than once or never, %d attempts were told as unknown",
				channel, policy, off[policy], len(notes)/2, unknown)
		}
	}
}

// TestRedisStopped stops Redis between pushes and what notes them. Nothing is sent
// that was not claimed, and afterwards everything has come once.
func TestRedisStopped(t *testing.T) {
	t.Parallel()
	at := real(t)
	server := testredis.Start(t, nil)
	at.redis = server.Addr
	d, _ := flights(t, at, 1, 1)
	p := d.providers(attemptMax)
	notes := everywhere(40)
	d.devices(p, notes)
	notifier := d.start("notifier", "the notifier")
	before, during := notes[:20], notes[20:]
	answer := make(chan struct{})
	p.answers(always(p.holdUntil(answer)))
	d.announce(before, time.Now())
	routes := len(before) * len(outside)
	d.until(func() (bool, string) {
		_, held := p.seen()
		return held == routes, fmt.Sprintf("%d pushes are under way, want %d", held, routes)
	})
	server.Stop()
	close(answer)
	d.announce(during, time.Now())
	notifier.becomes(http.StatusServiceUnavailable, "nothing is sent meanwhile")
	notifier.works("veltrix_notifier_stalled_total", int64(routes)) // no mark got through
	copies, _ := p.seen()
	for _, n := range during {
		for _, channel := range outside {
			if copies[route{channel, n.ID}] != 0 {
				t.Errorf("%s was sent by %s without a ledger", n.ID, channel)
			}
		}
	}
	server.Restart()
	d.settled(p, notes, expect{map[delivery.Policy]int{delivery.Drop: 1, delivery.Resend: 1}, 0}, notifier)
	notifier.becomes(http.StatusOK, "")
}

// TestRedisEmptied takes everything from Redis: the ledger, the inboxes and the
// devices. What was finished is not sent again, also not by a notifier that
// starts after it; what was under way comes once more at most, whatever its class
// says, because nobody knows of it. What comes from then on goes out once, and to
// devices as soon as they are registered anew.
func TestRedisEmptied(t *testing.T) {
	t.Parallel()
	d, _ := flights(t, real(t), 1, 1)
	p := d.providers(attemptMax)
	const each = 10
	notes := everywhere(4 * each)
	old, underWay, lost, anew := notes[:each], notes[each:2*each], notes[2*each:3*each], notes[3*each:]
	finished := func(so []*delivery.Notification) {
		d.until(func() (bool, string) {
			_, done, saw := d.finishing(so)
			return done, saw
		})
	}
	d.devices(p, notes)
	first := d.start("notifier", "the first notifier")
	d.announce(old, time.Now())
	d.settled(p, old, expect{map[delivery.Policy]int{delivery.Drop: 1, delivery.Resend: 1}, 0}, first)
	answer := make(chan struct{})
	p.answers(always(p.holdUntil(answer)))
	d.announce(underWay, time.Now())
	d.until(func() (bool, string) {
		_, held := p.seen()
		return held == each*len(outside), fmt.Sprintf("%d pushes are under way", held)
	})
	d.must(d.redis.FlushAll(t.Context()).Err())
	close(answer)
	finished(notes[:2*each])
	d.announce(lost, time.Now())
	finished(notes[:3*each])
	first.Stop(stall)
	second := d.start("notifier", "the second notifier")
	d.devices(p, anew)
	d.announce(anew, time.Now())
	finished(notes)
	d.came(p, old, 1, 1)
	d.came(p, underWay, 1, 2)
	d.came(p, lost, 0, 1)
	d.came(p, anew, 1, 1)
	copies, _ := p.seen()
	for _, n := range lost { // no device was left
		if copies[route{"webhook", n.ID}] != 1 || copies[route{"webpush", n.ID}]+copies[route{"fcm", n.ID}]+copies[route{"apns", n.ID}] != 0 {
			t.Errorf("%s came where nobody is registered, or not by webhook", n.ID)
		}
	}
	for _, channel := range outside {
		for _, policy := range []delivery.Policy{delivery.Drop, delivery.Resend} {
			if told := second.sum(unknowns(channel, policy)); told != 0 {
				t.Errorf("by %s %d attempts are counted as unknown (%s)", channel, told, policy)
			}
		}
	}
	d.inboxesOf(notes[2*each:])
}

// came wants so many copies of each on every channel.
func (d *deployment) came(p *providers, notes []*delivery.Notification, least, most int) {
	d.t.Helper()
	copies, _ := p.seen()
	for _, n := range notes {
		for _, channel := range outside {
			if got := copies[route{channel, n.ID}]; got < least || got > most {
				d.t.Errorf("%s (%s) came %d times by %s, want %d to %d", n.ID, n.OnUnknown, got, channel, least, most)
			}
		}
	}
}
