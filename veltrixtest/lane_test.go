package veltrixtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
	"github.com/veltrix/veltrix/internal/wire"
)

const (
	webhook = "webhook"
	ada     = "ada"
)

// TestLanesAreTheNotifiers gives the same notifications to a person here and to
// the notifier's own dispatcher, in a time of their own: what is pushed, and
// when, and what the inbox holds, is the same.
func TestLanesAreTheNotifiers(t *testing.T) {
	t.Parallel()
	pushed, retracted, expired := 0, 0, 0
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			d := newDispatcher(t)
			p := &person{}
			random := rand.New(rand.NewPCG(seed, 1))
			var known [4]delivery.Notification
			for i := range known {
				known[i] = newNotification(random, i)
			}
			for range 60 {
				// Holds are whole ms, and each arrival is a µs off the one before: nothing
				// falls due in the instant in which something else arrives.
				time.Sleep(time.Duration(random.Int64N(3000))*time.Millisecond + time.Microsecond)
				n := revise(random, &known[random.IntN(len(known))])
				d.log.Add(n, 0)
				p.take(record(n), n.Recorded)
				synctest.Wait()
			}
			time.Sleep(30 * time.Second)
			p.lane(webhook).run(time.Now())
			var want, got []string
			for _, c := range d.out.Copies() {
				want = append(want, fmt.Sprint(c.Notification, " ", c.Revision, " ", c.Op, " ", c.At.UTC()))
			}
			for _, x := range p.lane(webhook).delivered {
				got = append(got, fmt.Sprint(x.n.ID, " ", x.n.Revision, " ", x.op, " ", x.at))
				if x.op == "retract" {
					retracted++
				}
			}
			pushed += len(got)
			for _, r := range d.log.Receipts() {
				if r.Outcome == delivery.OutExpired {
					expired++
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("seed %d: pushed here are\n%q\nand by the notifier\n%q", seed, got, want)
			}
			if got, want := inboxHere(p), d.shown(t); !slices.Equal(got, want) {
				t.Errorf("seed %d: the inbox here is %q and the notifier's %q", seed, got, want)
			}
		})
	}
	if pushed < 100 || retracted < 20 || expired < 20 {
		t.Errorf("%d were pushed, %d of them retractions, %d expired: too few to say anything", pushed, retracted, expired)
	}
}

// dispatcher is a running notifier.
type dispatcher struct {
	log   *deliverytest.Log
	inbox *deliverytest.Inbox
	out   *deliverytest.Channel
}

func newDispatcher(t *testing.T) *dispatcher {
	d := &dispatcher{deliverytest.NewLog(1), deliverytest.NewInbox(1000, 24*time.Hour), deliverytest.NewChannel(webhook)}
	ports := delivery.Ports{Ledger: deliverytest.NewLedger(), Inbox: d.inbox, Receipts: d.log.Writer(), Channels: []delivery.Channel{d.out}}
	notifier := delivery.New(ports, delivery.Options{Retries: []delivery.RetryTopic{}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- notifier.Run(ctx, func(h delivery.Holder) (delivery.Source, error) { return d.log.Join(h, nil), nil })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return d
}

// shown is what the player's page shows of the notifier's inbox.
func (d *dispatcher) shown(t *testing.T) []string {
	page, err := d.inbox.Page(t.Context(), ada, delivery.Cursor{}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var shown []string
	for _, e := range page.Entries {
		if e.Op != delivery.Retract {
			shown = append(shown, fmt.Sprint(e.Notification, " ", e.Revision))
		}
	}
	return shown
}

func inboxHere(p *person) []string {
	var shown []string
	for _, n := range p.inbox {
		shown = append(shown, fmt.Sprint(n.ID, " ", n.Revision))
	}
	return shown
}

// newNotification is one that no revision was written of yet.
func newNotification(random *rand.Rand, i int) delivery.Notification {
	n := *deliverytest.Note(ada, i)
	n.Revision, n.Channels = 0, []string{delivery.InboxChannel, webhook}
	n.HoldMS = []int64{0, 1000, 2500, 5000}[i]
	if random.IntN(2) == 0 {
		n.Channels = []string{webhook}
	}
	return n
}

// revise writes the next revision of a notification: sent, corrected, taken back
// and sent again. Some are over before a lane that is busy comes to them.
func revise(random *rand.Rand, n *delivery.Notification) *delivery.Notification {
	was := n.Op
	n.Revision++
	switch {
	case n.Revision == 1 || was == delivery.Retract:
		n.Op = delivery.Send
	case random.IntN(2) == 0:
		n.Op = delivery.Update
	default:
		n.Op = delivery.Retract
	}
	n.Recorded = time.Now().UTC()
	n.Arrival = n.Recorded
	n.Expires = n.Recorded.Add(time.Duration(1+random.Int64N(12)) * time.Second)
	next := *n
	return &next
}

// record is a notification as wire reads it.
func record(n *delivery.Notification) *wire.NotificationRecord {
	return &wire.NotificationRecord{
		ID: n.ID, Revision: uint32(n.Revision), Op: string(n.Op), Channels: n.Channels, Expires: &n.Expires, HoldMs: n.HoldMS, Time: n.Arrival,
	}
}
