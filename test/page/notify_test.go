package page_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/test/chaos/relay"
)

// One browser serves all cases, one after the other and each in a tab with a profile
// of its own: side by side on a busy machine, Chromium now and then lost cards.
func TestPush(t *testing.T) {
	t.Parallel()
	chromium := browse(t)
	for name, test := range map[string]func(r *reached){
		"a push becomes one card, and wakes the page":          arrived,
		"copies and revisions are one card":                    oneCard,
		"two revisions at once do not overtake each other":     atOnce,
		"a card that was put away does not come back":          putAway,
		"what was seen in the page needs no card":              seenInPage,
		"a push without sense is said":                         senseless,
		"a click leads to the page":                            clicked,
		"the badge counts what is unread":                      badge,
		"the device is registered anew where it changed":       renewed,
		"the worker registers a subscription that was renewed": renewedAway,
		"turned off, nothing is left":                          turnedOff,
		"turned off offline, the notifier learns of it later":  turnedOffOffline,
		"another player gets nothing of the one before":        another,
		"a token that was refused is not kept":                 refusedToken,
		"a subscription that nobody asked for is ended":        stray,
		"the button is accessible in all its states":           states,
	} {
		t.Run(name, func(t *testing.T) {
			test(reach(t, chromium))
		})
	}
}

func arrived(r *reached) {
	r.turnOn()
	d := r.device()
	if d == nil || d.Channel != "webpush" || !strings.HasPrefix(d.Token, r.service.URL) || d.P256dh == "" || d.Auth == "" {
		r.t.Fatalf("the device is %+v", d)
	}
	r.tell(1)
	cards := r.sees("Title 1")
	if want := (card{Tag: fmt.Sprintf("%032x", 1), Title: "Title 1", Body: "a \"body\" with ünïcode"}); cards[0] != want {
		r.t.Fatalf("the card is %+v, want %+v", cards[0], want)
	}
	r.shows("Title 1")
	r.await("that the page was told", func() bool {
		return evaluate[bool](r.tab, `told.some(m => m.type === "sync" && m.offset === 1 && m.badge === 1)`)
	})

	// A page whose stream hangs learns of a message by the push alone.
	evaluate[bool](r.tab, `source.close(), true`)
	r.tell(2)
	r.until("both", func(v view) bool { return slices.Equal(v.Cards, []string{"Title 2", "Title 1"}) })
}

func oneCard(r *reached) {
	r.turnOn()
	for _, open := range []bool{true, false} {
		id := 1
		if !open {
			id = 2
			r.leave()
		}
		r.tell(id)
		title := fmt.Sprint("Title ", id)
		r.sees(title)
		first := r.last()
		r.die()
		r.deliver(first)
		if c := r.sees(title); !c[0].Silent {
			r.t.Fatalf("a copy makes a sound: %+v", c)
		}
		r.tell(id, revised(delivery.Update, title), func(n *delivery.Notification) { n.Body = "More of it." })
		r.await("the new text", func() bool { return r.cards()[0].Body == "More of it." })
		if c := r.sees(title); !c[0].Silent || c[0].Renotify {
			r.t.Fatalf("details make a sound: %+v", c)
		}
		r.tell(id, revised(delivery.Update, "Better"), func(n *delivery.Notification) { n.Revision = 3 })
		if c := r.sees("Better"); c[0].Silent || !c[0].Renotify {
			r.t.Fatalf("another message does not say so: %+v", c)
		}
		r.die()
		r.deliver(first) // overtaken on its way
		r.sees("Better")
		r.tell(id, revised(delivery.Retract, ""), func(n *delivery.Notification) { n.Revision = 4 })
		r.sees()
		r.deliver(first)
		r.tell(10 + id)
		r.sees(fmt.Sprint("Title ", 10+id))
		inWorker[bool](r, `registration.getNotifications().then(all => all.forEach(n => n.close())).then(() => true)`)
	}
}

// atOnce has the worker look slowly for the first of two revisions.
func atOnce(r *reached) {
	r.turnOn()
	inWorker[bool](r, `{ const { card } = kept, was = pushed; let looks = 0; self.dealt = 0;
		kept.card = async id => { const found = await card(id); if (!looks++) await new Promise(done => setTimeout(done, 500)); return found; };
		pushed = async data => { await was(data); dealt++; }; } true`)
	for revision, title := range []string{"First", "Second"} {
		r.push(fmt.Sprintf(`{"notification":"a","revision":%d,"op":"send","title":%q}`, revision+1, title))
	}
	r.await("both", func() bool { return inWorker[int](r, "dealt") == 2 })
	r.sees("Second")
}

func putAway(r *reached) {
	r.turnOn()
	r.leave()
	r.tell(1)
	r.sees("Title 1")
	inWorker[bool](r, `registration.getNotifications().then(all => all.forEach(n => n.close())).then(() => true)`)
	r.sees()
	r.deliver(r.last())
	r.tell(2)
	r.sees("Title 2")
	r.tell(1, revised(delivery.Update, "Changed"))
	for _, c := range r.sees("Changed", "Title 2") {
		if c.Title == "Changed" && !c.Silent {
			r.t.Fatalf("a change of what was put away makes a sound: %+v", c)
		}
	}
}

func seenInPage(r *reached) {
	r.turnOn()
	r.tell(1)
	r.tell(2)
	r.sees("Title 1", "Title 2")
	r.shows("Title 2", "Title 1")
	r.do(chromedp.Click(chromedp.CSS("#ack")))
	r.sees()
	r.await("that it is kept", func() bool {
		return evaluate[bool](r.tab, `kept.get("list").then(l => !!l && l.acked === 2)`)
	})
	r.deliver(r.last())
	r.add(3, revised(delivery.Update, "In the page already"))
	r.until("it", func(v view) bool { return slices.Contains(v.Cards, "In the page already") })
	r.await("that it is kept", func() bool {
		return evaluate[bool](r.tab, `kept.get("list").then(l => l.entries.length === 3)`)
	})
	push := func(revision int) {
		r.deliver(fmt.Sprintf(`{"notification":"%032x","revision":%d,"op":"send","title":"Late"}`, 3, revision))
	}
	push(1) // overtaken by the page
	r.sees()
	r.do(chromedp.Click(chromedp.CSS("#ack")))
	r.await("that it is kept", func() bool {
		return evaluate[bool](r.tab, `kept.get("list").then(l => l.acked === 3)`)
	})
	push(2)
	r.tell(4)
	r.sees("Title 4")
}

func senseless(r *reached) {
	r.turnOn()
	for _, data := range []string{"", "nonsense", "null", "[]", `{"notification":7,"revision":1}`, `{"notification":"a"}`} {
		r.deliver(data)
		r.sees("New message")
	}
	r.tell(1)
	r.sees("New message", "Title 1")
}

// clicked sees what the worker asks the browser for: without a real click, a
// browser neither brings a page forward nor opens one.
func clicked(r *reached) {
	const spy = `self.did = []; WindowClient.prototype.focus = async function () { did.push("focus " + new URL(this.url).pathname); return this; };
		Clients.prototype.openWindow = async url => { did.push("open " + url); return null; }; true`
	const click = `registration.getNotifications().then(([n]) => { dispatchEvent(new NotificationEvent("notificationclick", { notification: n })); return true; })`
	r.turnOn()
	r.tell(1)
	r.sees("Title 1")
	inWorker[bool](r, spy)
	inWorker[bool](r, click)
	r.await("the page's focus", func() bool { return inWorker[string](r, `did.join()`) == "focus /inbox" })
	r.sees()
	r.leave()
	r.tell(2)
	r.sees("Title 2")
	inWorker[bool](r, spy)
	inWorker[bool](r, click)
	r.await("a new page", func() bool { return inWorker[string](r, `did.join()`) == "open /inbox" })
	r.do(chromedp.Navigate(r.origin() + "/inbox")) // without a token
	r.shows("Title 2", "Title 1")
}

func badge(r *reached) {
	const spy = `self.shown = -1; Object.defineProperty(navigator, "setAppBadge", { configurable: true, value: async n => { shown = n; } }); true`
	r.turnOn()
	r.leave()
	for i, want := range []int{1, 2, 2, 1} {
		inWorker[bool](r, spy)
		switch i {
		case 2: // a revision is no other message
			r.tell(2, revised(delivery.Update, "Better"))
		case 3:
			r.tell(2, revised(delivery.Retract, ""), func(n *delivery.Notification) { n.Revision = 3 })
		default:
			r.tell(i + 1)
		}
		r.await(fmt.Sprint("the badge ", want), func() bool { return inWorker[int](r, `line.then(() => shown)`) == want })
	}
	r.visit()
	r.until("the page's count", func(v view) bool { return v.Badge != nil && *v.Badge == 1 && v.Title == "(1) Inbox" })
	r.await("that it is kept", func() bool { return evaluate[bool](r.tab, `kept.get("list").then(l => !!l && l.entries.length > 0)`) })
	r.leave()
	inWorker[bool](r, spy)
	r.tell(1, revised(delivery.Update, "In the list too"))
	r.await("the badge 1", func() bool { return inWorker[int](r, `line.then(() => shown)`) == 1 })
}

func renewed(r *reached) {
	r.turnOn()
	first := r.device()
	again := func(change string) *delivery.Device {
		evaluate[bool](r.tab, change+"; true")
		r.leave()
		r.visit()
		r.says("on", "Notifications are on")
		evaluate[bool](r.tab, `pushes.enter(me).then(() => true)`) // has settled
		return r.device()
	}
	if d := again(""); d.Registered != first.Registered {
		r.t.Error("the device was registered again without need")
	}
	d := again(`localStorage.removeItem("test:subscription")`) // the browser made it void
	if d.ID != first.ID || d.Token == first.Token || d.P256dh == first.P256dh {
		r.t.Errorf("after a renewal the device is %+v, before %+v", d, first)
	}
	next := again(`const s = JSON.parse(localStorage.getItem("test:subscription")); s.key = "AAAA"; localStorage.setItem("test:subscription", JSON.stringify(s))`)
	if next.Token == d.Token {
		r.t.Error("a subscription to another key is kept")
	}
	day := again(`window.later = kept.change(me, "device", d => ({ ...d, at: d.at - 25 * 3600e3 }))`)
	if !day.Registered.After(next.Registered) {
		r.t.Error("after a day the device was not registered again")
	}
	r.tell(1)
	r.sees("Title 1")
}

// renewedAway gives the worker the subscription by hand: the event of a real
// browser cannot be made.
func renewedAway(r *reached) {
	r.turnOn()
	first := r.device()
	r.leave()
	d := r.service.Subscribe("")
	inWorker[bool](r, fmt.Sprintf(`renew({ toJSON: () => ({ endpoint: %q, expirationTime: null, keys: { p256dh: %q, auth: %q } }) }).then(() => true)`, d.Token, d.P256dh, d.Auth))
	if now := r.device(); now.Token != d.Token || now.ID != first.ID {
		r.t.Fatalf("the device is %+v", now)
	}
}

func turnedOff(r *reached) {
	r.turnOn()
	r.tell(1)
	r.sees("Title 1")
	if !evaluate[bool](r.tab, `kept.get("owner").then(o => o.token === token)`) {
		r.t.Error("without the token, a click would lead to an empty page")
	}
	r.do(chromedp.Click(chromedp.CSS("#push")))
	r.says("off", "")
	r.sees()
	if d := r.device(); d != nil {
		r.t.Fatalf("the device is still there: %+v", d)
	}
	if !evaluate[bool](r.tab, `localStorage.getItem("test:subscription") === null && kept.get("owner").then(o => !o.token)`) {
		r.t.Error("the subscription or the token is still there")
	}
	r.leave()
	r.visit()
	r.says("off", "")
	r.do(chromedp.Click(chromedp.CSS("#push")))
	r.says("on", "Notifications are on")
	r.tell(2)
	r.sees("Title 2")
}

func turnedOffOffline(r *reached) {
	r.turnOn()
	r.relay.Set(relay.State{How: relay.Cut})
	r.until("that the connection is lost", func(v view) bool { return strings.Contains(v.Notice, "cannot be reached") })
	r.do(chromedp.Click(chromedp.CSS("#push")))
	r.says("off", "")
	if !evaluate[bool](r.tab, `localStorage.getItem("test:subscription") === null`) {
		r.t.Error("pushes could still come")
	}
	if r.device() == nil {
		r.t.Fatal("the notifier knows without a network")
	}
	r.leave()
	r.relay.Set(relay.State{How: relay.Open})
	r.visit()
	r.await("that the notifier knows", func() bool { return r.device() == nil })
	r.says("off", "")
}

func another(r *reached) {
	r.turnOn()
	r.tell(1)
	r.sees("Title 1")
	r.shows("Title 1")
	r.leave()
	bob := tokenOf(r.t, "bob")
	r.relay.Set(relay.State{How: relay.Cut})
	r.visitWith(bob)
	v := r.until("that nothing is known of bob", func(v view) bool { return strings.Contains(v.Notice, "cannot be reached") })
	if len(v.Cards) != 0 || evaluate[string](r.tab, `document.body.innerText.match(/alice|Title/)?.[0] || ""`) != "" {
		r.t.Fatalf("bob sees alice's: %+v", v)
	}
	r.relay.Set(relay.State{How: relay.Open})
	r.until("bob's inbox", func(v view) bool { return v.State == "Live" && v.Empty })
	r.says("off", "")
	r.sees()
	if !evaluate[bool](r.tab, `localStorage.getItem("test:subscription") === null`) {
		r.t.Error("alice's pushes still come to bob")
	}
	const all = `kept.get("owner").then(async o => JSON.stringify([o, await kept.get("list"), await kept.get("device"), await kept.get("ack"), await kept.cards()]))`
	r.await("that alice's are wiped", func() bool {
		text := evaluate[string](r.tab, all)
		return !strings.Contains(text, "Title") && !strings.Contains(text, "alice") && strings.Contains(text, "bob")
	})
	if !evaluate[bool](r.tab, `kept.get("owner").then(o => !o.token)`) {
		r.t.Error("alice's token is kept for bob")
	}
	r.leave()
	r.relay.Set(relay.State{How: relay.Cut})
	r.visit()
	if v := r.until("nothing of bob's", func(v view) bool { return strings.Contains(v.Notice, "cannot be reached") }); len(v.Cards) != 0 {
		r.t.Fatalf("alice sees %+v", v)
	}
}

func refusedToken(r *reached) {
	const has = `kept.get("owner").then(o => !!o.token)`
	r.turnOn()
	if !evaluate[bool](r.tab, has) {
		r.t.Fatal("there is no token to forget")
	}
	r.shut.Store(true)
	r.leave()
	r.do(chromedp.Navigate(r.origin() + "/inbox"))
	r.until("that it is refused", func(v view) bool { return strings.Contains(v.Notice, "not valid") })
	r.await("that it is forgotten", func() bool { return !evaluate[bool](r.tab, has) })
}

// stray is what a browser is left with that forgot the page's data alone.
func stray(r *reached) {
	r.turnOn()
	evaluate[bool](r.tab, `kept.change(me, "device", () => undefined)`)
	r.leave()
	r.visit()
	r.says("off", "")
	r.await("its end", func() bool { return evaluate[bool](r.tab, `localStorage.getItem("test:subscription") === null`) })
}

// states shows the button in each of its states to axe-core.
func states(r *reached) {
	source, err := os.ReadFile(axeSource)
	if err != nil {
		r.t.Fatalf("axe-core is not there (%v): run make setup", err)
	}
	see := func(label, sentence string) {
		r.t.Helper()
		r.says(label, sentence)
		for _, name := range []string{"light", "dark"} {
			r.do(scheme(name))
			r.violations(string(source), name+", "+label+", "+sentence)
		}
	}
	r.visit()
	see("off", "")
	r.do(chromedp.Focus(chromedp.CSS("#push")), chromedp.KeyEvent("\r"))
	see("on", "Notifications are on")
	r.do(chromedp.KeyEvent("\r"))
	see("off", "")
	evaluate[bool](r.tab, `PushManager.prototype.subscribe = async () => { throw new Error("There is no push service."); }; true`)
	r.do(chromedp.KeyEvent("\r"))
	see("off", "Notifications could not be turned on. Please try again. (There is no push service.)")
	r.permit(browser.PermissionSettingDenied)
	see("off", "Your browser blocks this page's notifications.")
	if evaluate[string](r.tab, `document.getElementById("push").getAttribute("aria-disabled")`) != "true" {
		r.t.Error("a button that can do nothing seems to")
	}
	r.leave()
	r.do(before(`delete window.PushManager`))
	r.visit()
	see("off", "This browser cannot show notifications.")
}
