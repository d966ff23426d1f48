package e2e

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/veltrix/veltrix/internal/channel/channeltest"
	"github.com/veltrix/veltrix/internal/channel/webpush"
	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/wire"
)

// outside are the channels to the outside; those after the first reach devices.
var outside = []string{"webhook", "webpush", "fcm", "apns"}

// route is one notification on one channel: in these tests a participant has one
// device for each, so it is also one entry of the ledger.
type route struct{ channel, notification string }

// providers are a webhook endpoint, a push service, an FCM and an APNs: each
// checks what it gets as the real one would, and counts it. What they answer is
// the test's choice.
type providers struct {
	push *channeltest.PushService

	mu     sync.Mutex
	answer func(p channeltest.Push, copies int) http.HandlerFunc // nil: take it
	copies map[route]int
	first  map[route]time.Time
	pushes []channeltest.Push
	held   int // requests whose answer is kept back
}

func (p *providers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	got := channeltest.Told(r)
	at := route{got.Channel, got.Notification}
	p.mu.Lock()
	p.copies[at]++
	if p.copies[at] == 1 {
		p.first[at] = time.Now()
	}
	p.pushes = append(p.pushes, got)
	var answer http.HandlerFunc
	if p.answer != nil {
		answer = p.answer(got, p.copies[at])
	}
	p.mu.Unlock()
	if answer != nil {
		answer(w, r)
	}
}

// hold keeps the answer back until the sender is gone or asks no longer.
func (p *providers) hold(w http.ResponseWriter, r *http.Request) { p.holdUntil(nil)(w, r) }

// holdUntil keeps the answer back until then at most.
func (p *providers) holdUntil(then <-chan struct{}) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.held++
		p.mu.Unlock()
		select {
		case <-then:
		case <-r.Context().Done():
		}
		p.mu.Lock()
		p.held--
		p.mu.Unlock()
	}
}

// answers sets how requests are answered from now on.
func (p *providers) answers(by func(p channeltest.Push, copies int) http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = by
}

func always(h http.HandlerFunc) func(channeltest.Push, int) http.HandlerFunc {
	return func(channeltest.Push, int) http.HandlerFunc { return h }
}

// seen returns how often each notification came so far, and how many answers are kept back.
func (p *providers) seen() (copies map[route]int, held int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.copies), p.held
}

// took returns what came, in its order.
func (p *providers) took() []channeltest.Push {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]channeltest.Push(nil), p.pushes...)
}

// providers gives the deployment's notifiers all four channels. A claim lives for
// 15 s longer than the timeout of one attempt.
func (d *deployment) providers(timeout time.Duration) *providers {
	d.t.Helper()
	p := &providers{copies: map[route]int{}, first: map[route]time.Time{}}
	private, public, err := webpush.NewKeys()
	d.must(err)
	p.push = channeltest.NewPushService(d.t, public, true, p.ServeHTTP)
	google := channeltest.NewFCM(d.t, p.ServeHTTP)
	apple := channeltest.NewAPNs(d.t, time.Now, p.ServeHTTP)
	authority := filepath.Join(d.t.TempDir(), "ca.pem")
	d.must(os.WriteFile(authority, channeltest.Certificate(d.t), 0o600))
	d.env = append(d.env, "SSL_CERT_FILE="+authority)
	set := map[string]string{
		"WEBHOOK_URL": channeltest.NewWebhook(d.t, p.ServeHTTP), "WEBHOOK_SECRET": channeltest.WebhookSecret, "WEBHOOK_ALLOW": "127.0.0.0/8",
		"WEBPUSH_SUBJECT": "ops@hunt.example", "WEBPUSH_PRIVATE_KEY": private, "WEBPUSH_ALLOW": "127.0.0.0/8",
		"FCM_CREDENTIALS": google.Credentials, "FCM_URL": google.URL,
		"APNS_KEY": apple.Key, "APNS_KEY_ID": channeltest.APNsKeyID, "APNS_TEAM_ID": channeltest.APNsTeam,
		"APNS_TOPIC": channeltest.APNsTopic, "APNS_URL": apple.URL,
	}
	for _, channel := range outside {
		set[strings.ToUpper(channel)+"_TIMEOUT"] = timeout.String()
	}
	for name, value := range set {
		d.env = append(d.env, "VELTRIX_NOTIFIER_"+name+"="+value)
	}
	return p
}

// phoneTokens are what a participant's phones are known by.
func phoneTokens(participant string) (fcm, apns string) {
	return "fcm-token-of-" + strings.ReplaceAll(participant, " ", "-"), fmt.Sprintf("%x", sha256.Sum256([]byte(participant)))
}

// devices registers a browser and two phones of each participant, as far as
// notifications go there.
func (d *deployment) devices(p *providers, notes []*delivery.Notification) {
	d.t.Helper()
	cfg := d.rt.Config
	store := redisstore.NewDevices(d.redis, cfg.Prefix, cfg.Notifier.DevicesMax, cfg.Notifier.DeviceLife)
	for _, n := range notes {
		android, apple := phoneTokens(n.Participant)
		for _, device := range []delivery.Device{
			p.push.Subscribe("browser"),
			{ID: "android", Channel: "fcm", Token: android, Registered: time.Now()},
			{ID: "iphone", Channel: "apns", Token: apple, Registered: time.Now()},
		} {
			if slices.Contains(n.Channels, device.Channel) {
				d.must(store.Put(d.t.Context(), n.Participant, device))
			}
		}
	}
}

// everywhere makes so many notifications, each for a participant of its own and
// for all channels: every second one must not come twice, the others must not be
// lost.
func everywhere(count int) (notes []*delivery.Notification) {
	for i := range count {
		n := push(i)
		n.Channels = append([]string{delivery.InboxChannel}, outside...)
		notes = append(notes, n)
	}
	return notes
}

// unknowns is the metric of a channel's ambiguous attempts.
func unknowns(channel string, policy delivery.Policy) string {
	return fmt.Sprintf("veltrix_notifier_ambiguous_total{channel=%q,policy=%q}", channel, policy)
}

// expect is what every notification has to come to, by its policy.
type expect struct {
	copies  map[delivery.Policy]int
	unknown int64 // attempts of each, told by the last notifier
}

// settled waits until all notifications are finished, and holds the copies, the
// unknown attempts and the inboxes against what is expected.
func (d *deployment) settled(p *providers, notes []*delivery.Notification, want expect, last *process) {
	d.t.Helper()
	d.until(func() (bool, string) {
		_, done, saw := d.finishing(notes)
		return done, saw
	})
	got, _ := p.seen()
	count := map[delivery.Policy]int64{}
	for _, n := range notes {
		count[n.OnUnknown]++
		for _, channel := range outside {
			if copies := got[route{channel, n.ID}]; copies != want.copies[n.OnUnknown] {
				d.t.Errorf("%s (%s) came %d times by %s, want %d", n.ID, n.OnUnknown, copies, channel, want.copies[n.OnUnknown])
			}
		}
	}
	for _, channel := range outside {
		for policy, notes := range count {
			if told := last.sum(unknowns(channel, policy)); told != notes*want.unknown {
				d.t.Errorf("by %s %d attempts are counted as unknown (%s), want %d", channel, told, policy, notes*want.unknown)
			}
		}
	}
	d.inboxesOf(notes)
}

// inboxesOf wants one entry of each notification in its participant's inbox.
func (d *deployment) inboxesOf(notes []*delivery.Notification) {
	d.t.Helper()
	for _, n := range notes {
		entries, err := inboxOf(d.t.Context(), d.inbox(), n.Participant)
		d.must(err)
		if len(entries) != 1 || entries[0].Notification != n.ID {
			d.t.Errorf("the inbox of %s has %+v, want notification %s once", n.Participant, entries, n.ID)
		}
	}
}

// receipts returns the receipts of an outcome, each attempt once: they are
// written at least once.
func (d *deployment) receipts(outcome delivery.Outcome) map[route]map[int]string {
	d.t.Helper()
	said := map[route]map[int]string{}
	records := d.read("receipts")
	for i := range records {
		r, err := wire.DecodeReceipt(&records[i])
		d.must(err)
		if r.Outcome != string(outcome) {
			continue
		}
		at := route{r.Channel, r.Notification}
		if said[at] == nil {
			said[at] = map[int]string{}
		}
		said[at][r.Attempt] = r.Reason
	}
	return said
}
