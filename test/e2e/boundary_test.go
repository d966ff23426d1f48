package e2e

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/veltrix/veltrix/internal/channel/channeltest"
	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/test/broker"
	"github.com/veltrix/veltrix/test/proxy"
)

// attemptMax bounds an attempt in tests that keep answers back: long enough for
// all of them to be under way on a busy machine.
const attemptMax = 12 * time.Second

// bounded is a deployment whose notifier can be stopped at a boundary.
type bounded struct {
	*deployment
	p       *providers
	front   *proxy.Proxy
	gate    *ledgerGate
	commits atomic.Int32 // that were held
	notes   []*delivery.Notification
}

// boundaries are the places between an attempt's steps, in their order. Prepare
// makes the notifier stay there with every notification on every channel.
var boundaries = []struct {
	name    string
	prepare func(*bounded)
	there   func(*bounded) int // routes
	want    expect
}{
	{
		"before the claim", func(b *bounded) { b.gate.hold(claims, false) }, func(b *bounded) int { return b.gate.count() },
		expect{map[delivery.Policy]int{delivery.Drop: 1, delivery.Resend: 1}, 0},
	},
	{ // nothing was sent, and nobody can know: what drops is lost
		"after the claim", func(b *bounded) { b.gate.hold(claims, true) }, func(b *bounded) int { return b.gate.count() },
		expect{map[delivery.Policy]int{delivery.Drop: 0, delivery.Resend: 1}, 1},
	},
	{
		"after the provider took it", func(b *bounded) { b.p.answers(always(b.p.hold)) }, func(b *bounded) int { _, held := b.p.seen(); return held },
		expect{map[delivery.Policy]int{delivery.Drop: 1, delivery.Resend: 2}, 1},
	},
	{
		"before the mark", func(b *bounded) { b.gate.hold(marks, false) }, func(b *bounded) int { return b.gate.count() },
		expect{map[delivery.Policy]int{delivery.Drop: 1, delivery.Resend: 2}, 1},
	},
	{
		"after the mark", func(b *bounded) { b.gate.hold(marks, true) }, func(b *bounded) int { return b.gate.count() },
		expect{map[delivery.Policy]int{delivery.Drop: 1, delivery.Resend: 1}, 0},
	},
	{
		"before the commit", (*bounded).holdCommits, (*bounded).marked,
		expect{map[delivery.Policy]int{delivery.Drop: 1, delivery.Resend: 1}, 0},
	},
}

// holdCommits keeps every commit from the brokers until the gate is opened, and
// then for good.
func (b *bounded) holdCommits() {
	b.rule(proxy.Rule{Before: func(req kmsg.Request) kmsg.Response {
		b.commits.Add(1)
		b.gate.wait()
		return req.ResponseKind() // nobody hears it
	}})
}

func (b *bounded) rule(r proxy.Rule) { b.front.On(kmsg.OffsetCommit, r) }

// marked counts the ledger's entries that say sent, once a commit is held: it
// waits for all that was finished before.
func (b *bounded) marked() (sent int) {
	if b.commits.Load() == 0 {
		return 0
	}
	ctx := b.t.Context()
	keys, err := b.redis.Keys(ctx, b.kafka.Prefix+":ledger:*").Result()
	b.must(err)
	for _, key := range keys {
		if state, err := b.redis.HGet(ctx, key, "st").Result(); err == nil && state == "sent" {
			sent++
		}
	}
	return sent
}

// TestKilledAtEachBoundary kills a notifier with SIGKILL between any two steps of
// its attempts, on every channel and under both policies, and lets another go on.
// What nobody can know is told by the other, attempt for attempt: where a class
// drops it comes no second time, where it resends it comes at least once, and
// everything else comes once.
func TestKilledAtEachBoundary(t *testing.T) {
	t.Parallel()
	for _, x := range boundaries {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			front := proxy.Start(t, broker.Shared(t).Addrs[0])
			gate := newLedgerGate(t)
			d, _ := flights(t, place{brokers: []string{front.Addr()}, redis: gate.addr, proxy: front}, 1, 1)
			b := &bounded{deployment: d, p: d.providers(attemptMax), front: front, gate: gate, notes: everywhere(4)}
			d.devices(b.p, b.notes)
			x.prepare(b)
			first := d.start("notifier", "the killed notifier")
			d.announce(b.notes, time.Now())
			routes := len(b.notes) * len(outside)
			d.until(func() (bool, string) {
				there := x.there(b)
				return there == routes, fmt.Sprintf("%d of %d are there", there, routes)
			})
			first.Kill()
			b.rule(proxy.Rule{})
			b.p.answers(nil)
			gate.open()
			second := d.start("notifier", "the second notifier")
			d.settled(b.p, b.notes, x.want, second)
			ambiguous := d.receipts(delivery.OutAmbiguous)
			if want := routes * int(x.want.unknown); len(ambiguous) != want {
				t.Errorf("receipts say of %d that they are ambiguous, want %d: %v", len(ambiguous), want, ambiguous)
			}
		})
	}
}

// TestTakenAndDropped has every provider take the first copy and drop the
// connection. Nobody dies, and the notifier itself cannot know: the attempt is
// counted, and made again only where the class resends.
func TestTakenAndDropped(t *testing.T) {
	t.Parallel()
	d, _ := flights(t, real(t), 1, 1)
	p := d.providers(attemptMax)
	p.answers(func(_ channeltest.Push, copies int) http.HandlerFunc {
		if copies == 1 {
			return channeltest.Drop
		}
		return nil
	})
	notes := everywhere(4)
	d.devices(p, notes)
	notifier := d.start("notifier", "the notifier")
	d.announce(notes, time.Now())
	want := expect{map[delivery.Policy]int{delivery.Drop: 1, delivery.Resend: 2}, 1}
	d.until(func() (bool, string) { // a second copy may have gone through a retry topic
		copies, _ := p.seen()
		sum := 0
		for _, n := range copies {
			sum += n
		}
		return sum >= len(notes)*len(outside)*3/2, fmt.Sprintf("%d copies came", sum)
	})
	d.settled(p, notes, want, notifier)
}
