package page_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/serviceworker"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/veltrix/veltrix/internal/channel/channeltest"
	"github.com/veltrix/veltrix/internal/channel/webpush"
	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
	"github.com/veltrix/veltrix/internal/inboxapi"
)

// reached is a player's tab with everything that tells the player: a whole
// dispatcher with the inbox and the real Web Push channel, and a push service.
//
// Two things are stood in for, as a Chromium without a network has no push
// service (its subscribe never ends, or in a private window is refused):
// PushManager gives subscriptions of our push service, with keys of
// P-256 whose private half that service has; and what the service decrypted is
// handed to the browser by DevTools (ServiceWorker.deliverPushMessage). All
// between is real: the page, its requests, the devices, the encryption and the
// signature, the service worker, its events and its cards.
type reached struct {
	*tab
	devices *deliverytest.Devices
	service *channeltest.PushService
	log     *deliverytest.Log
	taken   int // messages that the browser was given
	worker  serviceworker.RegistrationID
}

// standIn is PushManager with our push service behind it, of which it has a
// number of subscriptions to give. The browser remembers the one that it gave.
const standIn = `(() => {
  const fresh = %s, given = () => Number(localStorage.getItem("test:given"));
  const bytes = text => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), c => c.charCodeAt(0)).buffer;
  const now = () => {
    const s = JSON.parse(localStorage.getItem("test:subscription"));
    return s && { endpoint: s.endpoint, options: { userVisibleOnly: true, applicationServerKey: bytes(s.key) },
      toJSON: () => ({ endpoint: s.endpoint, expirationTime: null, keys: s.keys }),
      unsubscribe: async () => { localStorage.removeItem("test:subscription"); return true; } };
  };
  window.told = [];
  navigator.serviceWorker?.addEventListener("message", m => told.push(m.data));
  PushManager.prototype.getSubscription = async () => now();
  PushManager.prototype.subscribe = async ({ userVisibleOnly, applicationServerKey }) => {
    if (!userVisibleOnly || Notification.permission !== "granted") throw new DOMException("permission denied", "NotAllowedError");
    if (!now()) {
      localStorage.setItem("test:subscription", JSON.stringify({ ...fresh[given()], key: applicationServerKey }));
      localStorage.setItem("test:given", given() + 1);
    }
    return now();
  };
})();`

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// reach opens a tab whose player can be reached by pushes.
func reach(t *testing.T, chromium context.Context) *reached {
	t.Helper()
	private, public, err := webpush.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	r := &reached{devices: deliverytest.NewDevices(), log: deliverytest.NewLog(1)}
	r.service = channeltest.NewPushService(t, public, true, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) })
	r.tab = open(t, chromium, func(o *inboxapi.Options) {
		o.Devices, o.DeviceChannels, o.PushKey = r.devices, []string{webpush.Name}, public
	})
	ch, err := webpush.New(webpush.Config{Subject: "ops@example.com", PrivateKey: private, Allow: loopback, Roots: r.service.Roots}, r.devices)
	if err != nil {
		t.Fatal(err)
	}
	r.dispatch(ch)
	var fresh []map[string]any
	for range 4 {
		d := r.service.Subscribe("")
		fresh = append(fresh, map[string]any{"endpoint": d.Token, "keys": map[string]string{"p256dh": d.P256dh, "auth": d.Auth}})
	}
	text, err := json.Marshal(fresh)
	if err != nil {
		t.Fatal(err)
	}
	r.do(before(fmt.Sprintf(standIn, text)))
	r.permit(browser.PermissionSettingGranted)
	return r
}

// dispatch runs a notifier's dispatcher until the test's end.
func (r *reached) dispatch(ch delivery.Channel) {
	d := delivery.New(delivery.Ports{
		Ledger: deliverytest.NewLedger(), Inbox: r.inbox, Receipts: r.log.Writer(), Channels: []delivery.Channel{ch},
	}, delivery.Options{Retries: []delivery.RetryTopic{}})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- d.Run(ctx, func(h delivery.Holder) (delivery.Source, error) { return r.log.Join(h, nil), nil })
	}()
	r.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Error("the dispatcher:", err)
		}
	})
}

// permit answers, for the player, whether the page may show notifications.
func (r *reached) permit(setting browser.PermissionSetting) {
	r.t.Helper()
	_, err := chromedp.CallBrowser(r.ctx, browser.SetPermission, browser.SetPermissionParams{
		Permission: &browser.PermissionDescriptor{Name: "notifications"}, Setting: setting,
		BrowserContextID: chromedp.FromContext(r.ctx).BrowserContextID,
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// registration finds the page's service worker.
func (r *reached) registration() serviceworker.RegistrationID {
	r.t.Helper()
	if r.worker != "" {
		return r.worker
	}
	ctx, cancel := context.WithTimeout(r.ctx, time.Minute)
	defer cancel()
	updates := chromedp.Events(ctx, serviceworker.WorkerRegistrationUpdated)
	if _, err := chromedp.Call(ctx, serviceworker.Enable, cdp.Empty{}); err != nil {
		r.t.Fatal(err)
	}
	for update, err := range updates {
		if err != nil {
			r.t.Fatal("no service worker was registered:", err)
		}
		for _, one := range update.Registrations {
			if one.ScopeURL == r.origin()+"/inbox" && !one.IsDeleted {
				r.worker = one.RegistrationID
				return r.worker
			}
		}
	}
	return ""
}

func (r *reached) origin() string { return "http://" + r.relay.Addr }

// turnOn visits the page and has notifications on.
func (r *reached) turnOn() {
	r.t.Helper()
	r.visit()
	r.says("off", "")
	r.do(chromedp.Click(chromedp.CSS("#push")))
	r.says("on", "Notifications are on")
	r.registration()
}

// tell has the notifier tell the player something, and gives the browser the
// pushes that come of it.
func (r *reached) tell(i int, changes ...func(*delivery.Notification)) {
	r.t.Helper()
	n := deliverytest.Note(player, i)
	n.Channels = []string{delivery.InboxChannel, webpush.Name}
	for _, change := range changes {
		change(n)
	}
	r.log.Add(n, 0)
	r.await("a push", func() bool { return len(r.service.Messages()) > r.taken && r.log.Done() })
	for _, m := range r.service.Messages()[r.taken:] {
		r.taken++
		r.deliver(string(m.Data))
	}
}

// push hands the browser a push.
func (r *reached) push(data string) {
	r.t.Helper()
	_, err := chromedp.Call(r.ctx, serviceworker.DeliverPushMessage, serviceworker.DeliverPushMessageParams{
		Origin: r.origin(), RegistrationID: r.registration(), Data: data,
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// deliver hands the browser a push, and waits until a running worker has dealt with
// it: Chromium forgets a card that is being shown while somebody asks for all.
func (r *reached) deliver(data string) {
	r.t.Helper()
	if r.workerTarget() == "" { // the push is what starts it
		r.push(data)
		r.await("the worker that the push starts", func() bool { return r.workerTarget() != "" })
		time.Sleep(time.Second)
		return
	}
	const count = `{ if (!("dealt" in self)) { self.dealt = 0; const was = pushed; pushed = async data => { await was(data).finally(() => dealt++); }; } dealt }`
	before := inWorker[int](r, count)
	r.push(data)
	r.await("that the push is dealt with", func() bool { now := inWorker[int](r, count); return now > before || now < before })
}

// last is the push that came last, as the service decrypted it.
func (r *reached) last() string {
	all := r.service.Messages()
	return string(all[len(all)-1].Data)
}

// die ends the service worker, as a browser does when it is idle.
func (r *reached) die() {
	r.t.Helper()
	if _, err := chromedp.Call(r.ctx, serviceworker.StopAllWorkers, cdp.Empty{}); err != nil {
		r.t.Fatal(err)
	}
	r.await("the worker's end", func() bool { return r.workerTarget() == "" })
}

func (r *reached) workerTarget() target.ID {
	r.t.Helper()
	all, err := chromedp.Targets(r.ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, one := range all {
		if one.Type == "service_worker" && one.URL == r.origin()+"/inbox/worker.js" {
			return one.TargetID
		}
	}
	return ""
}

// inWorker returns what a script gives in the service worker, which it starts
// where it is not running.
func inWorker[T any](r *reached, script string) T {
	r.t.Helper()
	r.await("the worker", func() bool {
		if r.workerTarget() != "" {
			return true
		}
		_, err := chromedp.Call(r.ctx, serviceworker.StartWorker, serviceworker.StartWorkerParams{ScopeURL: r.origin() + "/inbox"})
		if err != nil {
			r.t.Fatal(err)
		}
		return false
	})
	ctx, cancel := chromedp.NewContext(r.ctx, chromedp.WithTargetID(r.workerTarget()), chromedp.WithDetachOnCancel())
	defer cancel()
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

// card is a card of the browser's.
type card struct {
	Tag, Title, Body string
	Silent, Renotify bool
}

// cards are what the player sees of notifications.
func (r *reached) cards() []card {
	r.t.Helper()
	return inWorker[[]card](r, `registration.getNotifications().then(all => all.map(n =>
		({ Tag: n.tag, Title: n.title, Body: n.body, Silent: !!n.silent, Renotify: n.renotify })))`)
}

// sees waits until these are the cards, by their titles and in any order, and
// all pushes that were given have been dealt with.
func (r *reached) sees(titles ...string) []card {
	r.t.Helper()
	var all []card
	slices.Sort(titles)
	defer func() {
		if r.t.Failed() {
			r.t.Logf("the cards last seen: %+v", all)
		}
	}()
	r.await(fmt.Sprintf("the cards %q", titles), func() bool {
		inWorker[bool](r, "line.then(() => true)")
		all = r.cards()
		var got []string
		for _, c := range all {
			got = append(got, c.Title)
		}
		slices.Sort(got)
		return slices.Equal(got, titles)
	})
	return all
}

// says waits until the button is on or off, with a sentence that begins so.
func (r *reached) says(label, sentence string) {
	r.t.Helper()
	words := map[string]string{"on": "Stop notifying me on this device", "off": "Notify me on this device"}[label]
	const look = `(() => { const b = document.getElementById("push"); return [b.checkVisibility() ? b.textContent : "", document.getElementById("pushsays").textContent]; })()`
	var got []string
	defer func() {
		if r.t.Failed() {
			r.t.Logf("the button says %q", got)
		}
	}()
	r.await("the button: "+label+", "+sentence, func() bool {
		got = evaluate[[]string](r.tab, look)
		return got[0] == words && strings.HasPrefix(got[1], sentence) && (sentence != "" || got[1] == "")
	})
}

// device is the player's only one; nil where there is none.
func (r *reached) device() *delivery.Device {
	r.t.Helper()
	all, err := r.devices.List(context.Background(), player)
	if err != nil || len(all) > 1 {
		r.t.Fatalf("devices %v, %v", all, err)
	}
	if len(all) == 0 {
		return nil
	}
	return &all[0]
}

func (r *reached) await(what string, is func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("never seen: %s", what)
		}
	}
}

// leave closes the page; its worker and cards stay.
func (b *tab) leave() {
	b.t.Helper()
	b.do(chromedp.Navigate("about:blank"))
}
