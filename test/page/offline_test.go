package page_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/test/chaos/relay"
)

// TestOffline visits the page where nothing can be reached: its files come from
// the service worker, its messages from what the browser kept.
func TestOffline(t *testing.T) {
	t.Parallel()
	browser := browse(t)
	for name, test := range map[string]func(b *tab){
		"the page opens with what was there":                      opens,
		"what was marked as seen is sent later":                   ackLater,
		"what was marked as seen is of its life alone":            ackLife,
		"changes since then arrive in order, and once":            catchesUp,
		"no address with a token is kept":                         keepsNoToken,
		"a token that was never taken sees nothing":               stranger,
		"an old notifier's files do not hide the new one's":       fresh,
		"a notifier that is restarting has its page all the same": gateway,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(open(t, browser))
		})
	}
}

// settled waits until the page's files and its list are kept.
func (b *tab) settled(entries, acked int) {
	b.t.Helper()
	b.until("live", func(v view) bool { return v.State == "Live" })
	script := fmt.Sprintf(`navigator.serviceWorker.ready.then(() => kept.get("list")).then(l => !!l && l.entries.length === %d && l.acked === %d ? "" : "kept: " + JSON.stringify(l))`, entries, acked)
	b.until("the list is kept", func(view) bool { return evaluate[string](b, script) == "" })
}

// online tells the page's browser whether there is a network.
func online(is bool) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, network.OverrideNetworkState, network.OverrideNetworkStateParams{
			Offline: !is, DownloadThroughput: -1, UploadThroughput: -1,
		})
		return chromedp.Void{}, err
	}
}

// cutOff takes the network away, and the page is opened without one.
func (b *tab) cutOff(token string) {
	b.t.Helper()
	b.relay.Set(relay.State{How: relay.Cut})
	b.leave()
	b.visitWith(token)
}

func (b *tab) reconnect() { b.relay.Set(relay.State{How: relay.Open}) }

func opens(b *tab) {
	token := tokenOf(b.t, player)
	b.add(1)
	b.add(2)
	b.visitWith(token)
	b.shows("Title 2", "Title 1")
	b.add(3)
	b.settled(3, 0)
	b.do(online(false))
	b.cutOff(token)
	v := b.until("the list, as that of an earlier visit", func(v view) bool {
		return len(v.Cards) == 3 && strings.Contains(v.Notice, "You are offline") && strings.Contains(v.Notice, "These are the messages of ")
	})
	if v.State != "Offline" || v.Title != "(3) Inbox" || !slices.Equal(v.Cards, []string{"Title 3", "Title 2", "Title 1"}) || len(v.Heard) != 0 {
		b.t.Fatalf("the page is %+v", v)
	}
	b.reconnect()
	b.do(online(true))
	if v := b.shows("Title 3", "Title 2", "Title 1"); v.Notice != "" || len(v.Heard) != 0 {
		b.t.Fatalf("notice %q, announced %q", v.Notice, v.Heard)
	}
}

// acked is what the server has noted.
func (b *tab) acked() int64 {
	b.t.Helper()
	p, err := b.inbox.Newest(context.Background(), player, 0, 1)
	if err != nil {
		b.t.Fatal(err)
	}
	return p.Acked
}

func ackLater(b *tab) {
	token := tokenOf(b.t, player)
	b.add(1)
	b.add(2)
	b.visitWith(token)
	b.settled(2, 0)
	b.cutOff(token)
	b.until("the list", func(v view) bool { return len(v.Cards) == 2 && v.Ack })
	b.do(chromedp.Click(chromedp.CSS("#ack")))
	b.until("that it is kept", func(v view) bool {
		return v.Title == "Inbox" && !v.Ack && v.Heard[len(v.Heard)-1] == "All messages are marked as seen"
	})
	if got := b.acked(); got != 0 {
		b.t.Fatalf("the server has noted %d without a network", got)
	}
	b.cutOff(token) // the page is closed and opened once more
	b.until("that it is kept still", func(v view) bool { return len(v.Cards) == 2 && v.Title == "Inbox" && !v.Ack })
	b.add(3)
	b.reconnect()
	b.until("that it is sent, and no more than that", func(v view) bool {
		return b.acked() == 2 && v.State == "Live" && len(v.Cards) == 3 && v.Title == "(1) Inbox"
	})
	b.until("that it is done with", func(view) bool { return evaluate[bool](b, `kept.get("ack").then(a => a === undefined)`) })
}

func ackLife(b *tab) {
	token := tokenOf(b.t, player)
	b.add(1)
	b.add(2)
	b.visitWith(token)
	b.settled(2, 0)
	b.cutOff(token)
	b.until("the list", func(v view) bool { return len(v.Cards) == 2 && v.Ack })
	b.do(chromedp.Click(chromedp.CSS("#ack")))
	b.until("that it is kept", func(v view) bool { return v.Title == "Inbox" && !v.Ack })
	b.inbox.Forget(player)
	b.add(7)
	b.reconnect()
	b.shows("Title 7")
	b.until("that it is dropped", func(view) bool { return evaluate[bool](b, `kept.get("ack").then(a => a === undefined)`) })
	if got := b.acked(); got != 0 {
		b.t.Fatalf("an offset of another life was noted: %d", got)
	}
}

func catchesUp(b *tab) {
	token := tokenOf(b.t, player)
	b.add(1)
	b.add(2)
	b.add(3)
	b.visitWith(token)
	b.settled(3, 0)
	b.cutOff(token)
	b.until("the list", func(v view) bool { return len(v.Cards) == 3 })
	b.add(1, revised(delivery.Update, "Better"))
	b.add(2, revised(delivery.Retract, ""))
	b.add(4)
	b.reconnect()
	v := b.shows("Title 4", "Better", "Title 3")
	if told := strings.Join(v.Heard, ". "); strings.Count(told, "Better") != 1 || strings.Count(told, "Title 2") != 1 || strings.Contains(told, "Title 3") {
		b.t.Fatalf("announced %q", v.Heard)
	}
	if got := b.began(); got[len(got)-1] != "life1-3" {
		b.t.Fatalf("the streams began behind %q: the cursor was not kept", got)
	}
}

func keepsNoToken(b *tab) {
	token := tokenOf(b.t, player)
	b.add(1)
	b.visitWith(token)
	b.settled(1, 0)
	const all = `(async () => {
		const found = [];
		for (const name of await caches.keys()) {
			const cache = await caches.open(name);
			for (const r of await cache.keys()) found.push(r.url, await (await cache.match(r)).text());
		}
		found.push(JSON.stringify(await Promise.all(["owner", "list", "ack", "device"].map(kept.get))), JSON.stringify(localStorage));
		return found.join("\n");
	})()`
	text := evaluate[string](b, all)
	if !strings.Contains(text, "Title 1") || !strings.Contains(text, "/inbox/inbox.js\n") || !strings.Contains(text, player) {
		b.t.Fatalf("the test looks in the wrong place: %.300s", text)
	}
	if strings.Contains(text, token) || strings.Contains(text, "access_token=ey") {
		b.t.Fatal("the token is kept, though nobody asked for notifications")
	}
}

func stranger(b *tab) {
	b.add(1)
	b.visit()
	b.settled(1, 0)
	forged := strings.Split(tokenOf(b.t, player), ".")
	b.cutOff(forged[0] + "." + forged[1] + ".AAAA")
	v := b.until("trouble", func(v view) bool { return strings.Contains(v.Notice, "cannot be reached") })
	if len(v.Cards) != 0 || v.Ack {
		b.t.Fatalf("whoever writes a token sees %+v", v)
	}
	b.reconnect()
	b.until("that the token is of no use", func(v view) bool { return strings.Contains(v.Notice, "not valid") && len(v.Cards) == 0 })
}

// fresh puts another page into the cache, as an earlier notifier's would be.
func fresh(b *tab) {
	b.add(1)
	b.visit()
	b.settled(1, 0)
	const age = `caches.keys().then(([name]) => caches.open(name)).then(c => c.put("/inbox", new Response("<title>Old</title>", { headers: { "Content-Type": "text/html" } }))).then(() => true)`
	evaluate[bool](b, age)
	b.leave()
	b.visit()
	b.shows("Title 1")
	b.relay.Set(relay.State{How: relay.Cut})
	b.leave()
	b.do(chromedp.Navigate("http://" + b.relay.Addr + "/inbox"))
	if got := evaluate[string](b, `document.title`); got != "Old" {
		b.t.Fatalf("without a network the page is %q", got)
	}
}

// gateway is a proxy that answers for a notifier that is away.
func gateway(b *tab) {
	token := tokenOf(b.t, player)
	b.add(1)
	b.visitWith(token)
	b.settled(1, 0)
	b.away.Store(true)
	b.leave()
	b.visitWith(token)
	b.until("the list", func(v view) bool {
		return len(v.Cards) == 1 && strings.Contains(v.Notice, "These are the messages of ")
	})
	b.away.Store(false)
	b.shows("Title 1")
}
