package e2e

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
)

// provider is a webhook endpoint that can take a push and keep its answer back:
// all that its sender can be killed in the middle of.
type provider struct {
	mu     sync.Mutex
	copies map[string]int // of each notification
	silent bool
	held   int // requests whose answer is kept back
}

func (p *provider) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	if _, err := io.ReadAll(r.Body); err != nil {
		return // its sender was killed before it had said everything
	}
	p.mu.Lock()
	p.copies[r.Header.Get("webhook-id")]++
	silent := p.silent
	if silent {
		p.held++
	}
	p.mu.Unlock()
	if silent {
		<-r.Context().Done() // its sender is gone, or asks no longer
		p.mu.Lock()
		p.held--
		p.mu.Unlock()
	}
}

func (p *provider) answer(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent = !yes
}

// seen returns how often each notification came so far.
func (p *provider) seen() (copies map[string]int, held int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.copies), p.held
}

// webhook gives the deployment's notifiers a provider.
func (d *deployment) webhook() *provider {
	p := &provider{copies: map[string]int{}}
	srv := httptest.NewServer(p)
	d.t.Cleanup(srv.Close)
	d.t.Cleanup(srv.CloseClientConnections) // first
	d.env = append(d.env,
		"VELTRIX_NOTIFIER_WEBHOOK_URL="+srv.URL, "VELTRIX_NOTIFIER_WEBHOOK_ALLOW=127.0.0.0/8",
		"VELTRIX_NOTIFIER_WEBHOOK_SECRET=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		"VELTRIX_NOTIFIER_WEBHOOK_TIMEOUT=15s", // long enough for another to take over meanwhile
	)
	return p
}

// push is the i-th notification, to the i-th player: every second one must not
// come twice, the others must not be lost.
func push(i int) *delivery.Notification {
	n := deliverytest.Note(fmt.Sprint("player ", i), i)
	n.Channels = []string{delivery.InboxChannel, "webhook"}
	if i%2 == 0 {
		n.OnUnknown = delivery.Drop
	}
	return n
}

// notify appends a notification for each of so many players.
func (d *deployment) notify(count int, recorded time.Time) (notes []*delivery.Notification) {
	d.t.Helper()
	for i := range count {
		notes = append(notes, push(i))
	}
	d.announce(notes, recorded)
	return notes
}

// announce appends notifications, partition by partition in turn.
func (d *deployment) announce(notes []*delivery.Notification, recorded time.Time) {
	d.t.Helper()
	records := make([]*kgo.Record, 0, len(notes))
	for i, n := range notes {
		in := deliverytest.Record(n, 0)
		rec := &kgo.Record{Topic: d.kafka.Topic("notifications"), Partition: int32(i) % d.partitions, Key: in.Key, Value: in.Value, Timestamp: recorded}
		for _, h := range in.Headers {
			rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		records = append(records, rec)
	}
	d.must(d.client().ProduceSync(d.t.Context(), records...).FirstErr())
}

// finishing looks how far the notifiers have committed.
func (d *deployment) finishing(notes []*delivery.Notification) (committed int64, done bool, saw string) {
	_, committed, err := d.delivery(d.t.Context()) // an error is its coordinator's, which moves now and then
	return committed, err == nil && committed == int64(len(notes)),
		fmt.Sprintf("%d of %d notifications are finished, %v", committed, len(notes), err)
}

// finished waits until everything is delivered, and holds the copies against
// those expected. Of the inboxes it wants one entry of each.
func (d *deployment) finished(p *provider, notes []*delivery.Notification, want map[string]int) {
	d.t.Helper()
	d.until(func() (bool, string) {
		_, done, saw := d.finishing(notes)
		return done, saw
	})
	got, _ := p.seen()
	for _, n := range notes {
		if got[n.ID] != want[n.ID] {
			d.t.Errorf("notification %s (%s when unknown) came %d times, want %d", n.ID, n.OnUnknown, got[n.ID], want[n.ID])
		}
		entries, err := inboxOf(d.t.Context(), d.inbox(), n.Participant)
		d.must(err)
		if len(entries) != 1 || entries[0].Notification != n.ID {
			d.t.Errorf("the inbox of %s has %+v, want notification %s once", n.Participant, entries, n.ID)
		}
	}
}

const (
	dropped = `veltrix_notifier_ambiguous_total{channel="webhook",policy="drop"}`
	resent  = `veltrix_notifier_ambiguous_total{channel="webhook",policy="resend"}`
)

// unknown interrupts the notifier between what the provider took
// and its note of it, and returns what every notification has to come to.
func (d *deployment) unknown(p *provider, notes []*delivery.Notification, interrupt func()) (want map[string]int, drop, resend int64) {
	d.t.Helper()
	d.until(func() (bool, string) {
		_, held := p.seen()
		return held == len(notes), fmt.Sprintf("the provider holds %d pushes, want %d", held, len(notes))
	})
	interrupt()
	p.answer(true)
	want = map[string]int{}
	for _, n := range notes {
		if n.OnUnknown == delivery.Drop {
			want[n.ID], drop = 1, drop+1
		} else {
			want[n.ID], resend = 2, resend+1
		}
	}
	return want, drop, resend
}

// TestRow42KilledBeforeItNoted kills a notifier with SIGKILL after the provider
// took its pushes and before it could note any. The next one cannot know: a
// class that drops is not pushed again, one that resends is, once, and each such
// attempt is counted.
func TestRow42KilledBeforeItNoted(t *testing.T) {
	t.Parallel()
	d, _ := flights(t, real(t), 1, 1)
	p := d.webhook()
	p.answer(false)
	first := d.start("notifier", "the killed notifier")
	notes := d.notify(8, time.Now())
	want, drop, resend := d.unknown(p, notes, first.Kill)
	second := d.start("notifier", "the second notifier")
	d.finished(p, notes, want)
	if got := second.sum(dropped); got != drop {
		t.Errorf("%d attempts are counted as unknown and dropped, want %d", got, drop)
	}
	if got := second.sum(resent); got != resend {
		t.Errorf("%d attempts are counted as unknown and sent again, want %d", got, resend)
	}
}

// TestRow43LiveClaimOfAnother stops a notifier in the middle of its attempts and
// lets its group give the partition to another. While the claims live, nobody
// knows whether they were kept: the other may neither send nor pass over them.
// Woken after they ended, the first has nothing more to say.
func TestRow43LiveClaimOfAnother(t *testing.T) {
	t.Parallel()
	d, _ := flights(t, real(t), 1, 1)
	p := d.webhook()
	p.answer(false)
	first := d.start("notifier", "the stopped notifier")
	notes := d.notify(4, time.Now())
	want, drop, resend := d.unknown(p, notes, func() { d.must(first.Signal(syscall.SIGSTOP)) })
	second := d.start("notifier", "the second notifier")
	second.works("veltrix_notifier_notifications_total", int64(len(notes)))
	looks := 0
	d.until(func() (bool, string) {
		committed, done, saw := d.finishing(notes)
		copies, _ := p.seen() // after it: what is committed has come
		for i, n := range notes {
			if committed > int64(i) && copies[n.ID] < want[n.ID] {
				t.Fatalf("%d notifications are finished, and number %d came %d times: it is lost", committed, i, copies[n.ID])
			}
		}
		if committed == 0 {
			looks++
		}
		return done, saw
	})
	if looks < 10 {
		t.Errorf("only %d looks found the claims alive: nothing was waited for", looks)
	}
	d.must(first.Signal(syscall.SIGCONT))
	d.until(func() (bool, string) {
		_, held := p.seen()
		return held == 0, fmt.Sprintf("the woken notifier waits for %d answers still", held)
	})
	first.Stop(stall) // and whatever it does with what it did not get
	d.finished(p, notes, want)
	if got := second.sum(dropped) + second.sum(resent); got != drop+resend {
		t.Errorf("%d attempts are counted as unknown, want %d", got, drop+resend)
	}
}

// TestRow44ReadAgainAfterTheLedgerForgot sets the notifiers' offsets back after
// the ledger forgot what was sent. A notification's deadline ends before that:
// nothing is sent again, though nobody remembers it.
func TestRow44ReadAgainAfterTheLedgerForgot(t *testing.T) {
	t.Parallel()
	d, _ := flights(t, real(t), 1, 1)
	p := d.webhook()
	remembered := d.rt.Config.Notifier.LedgerRetention
	keep := strconv.FormatInt((2 * remembered).Milliseconds(), 10) // an operator keeps the log for longer than the ledger
	d.configure("notifications", "retention.ms", keep)
	first := d.start("notifier", "the first notifier")
	first.works("veltrix_notifier_lanes", 0) // it is there: from here on, time counts
	deadline := time.Now().Add(40 * time.Second)
	notes := d.notify(6, deadline.Add(time.Hour-remembered))
	want := map[string]int{}
	for _, n := range notes {
		want[n.ID] = 1
	}
	d.finished(p, notes, want)
	if !time.Now().Before(deadline) {
		t.Fatal("the first delivery took until the deadline: nothing was tested")
	}
	first.Stop(stall)

	// What its retention does.
	keys, err := d.redis.Keys(t.Context(), d.kafka.Prefix+":ledger:*").Result()
	d.must(err)
	if len(keys) != len(notes) {
		t.Fatalf("the ledger has %d entries, want %d", len(keys), len(notes))
	}
	for _, key := range keys {
		d.must(d.redis.Del(t.Context(), key).Err())
	}
	var back kadm.Offsets
	back.AddOffset(d.kafka.Topic("notifications"), 0, 0, -1)
	d.reset(d.kafka.NotifierGroup(), back)
	time.Sleep(time.Until(deadline))

	second := d.start("notifier", "the second notifier")
	d.finished(p, notes, want)
	second.works(`veltrix_notifier_expired_total{channel="webhook"}`, int64(len(notes)))
}
