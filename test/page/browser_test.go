// Package page_test looks at the inbox page as a player's browser does: in
// Chromium, against the real handler, over a network that can fail.
package page_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
	"github.com/veltrix/veltrix/internal/inboxapi"
	"github.com/veltrix/veltrix/test/chaos/relay"
)

const player = "alice"

var (
	secret = []byte("0123456789abcdef0123456789abcdef")
	other  = []byte("fedcba9876543210fedcba9876543210")
)

// browse starts a Chromium of the test's own, with a new empty profile.
func browse(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("chromium is not there (%v): run make setup", err)
	}
	options := slices.Concat(chromedp.DefaultExecAllocatorOptions[:], []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WSURLReadTimeout(time.Minute),
		chromedp.Env("TMPDIR=" + t.TempDir()), // what it forgets to remove
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
	})
	// t.Context ends before the cleanups, and with it the browser would be killed.
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	browser, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		if err := chromedp.Cancel(browser); err != nil {
			t.Error("close Chromium:", err)
		}
		cancel()
		stop()
	})
	if err := chromedp.Do(browser); err != nil {
		t.Fatal("start Chromium:", err)
	}
	return browser
}

// tab is a player's page, with the inbox behind it.
type tab struct {
	t     *testing.T
	ctx   context.Context
	inbox *deliverytest.Inbox
	relay *relay.Relay
	// shut makes the server refuse the tokens that it took before.
	shut atomic.Bool
	// away has a proxy answer for a server that is not there.
	away atomic.Bool

	mu      sync.Mutex
	streams []string // the cursors with which they began
}

// watch is in the page before its own script: it keeps what a screen reader was
// told, what a badge shows, and whatever went wrong.
const watch = `
window.heard = []; window.badge = null; window.wrong = [];
addEventListener("error", e => wrong.push(e.message));
addEventListener("unhandledrejection", e => wrong.push(String(e.reason)));
Object.defineProperty(navigator, "setAppBadge", { value: async n => { badge = n } });
addEventListener("DOMContentLoaded", () => new MutationObserver(() => heard.push(document.getElementById("news").textContent))
  .observe(document.getElementById("news"), { childList: true }));
`

// open makes an inbox, serves it, and prepares a tab for its page. The tab's
// clock is UTC, its language English, and nothing in it moves.
func open(t *testing.T, browser context.Context, changes ...func(*inboxapi.Options)) *tab {
	t.Helper()
	b := &tab{t: t, inbox: deliverytest.NewInbox(300, 100*365*24*time.Hour)}
	var apis [2]*inboxapi.API
	for i, s := range [][]byte{secret, other} {
		o := inboxapi.Options{Inbox: b.inbox, Secret: s}
		for _, change := range changes {
			change(&o)
		}
		api, err := inboxapi.New(o)
		if err != nil {
			t.Fatal(err)
		}
		apis[i] = api
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/inbox/stream" {
			from := r.Header.Get("Last-Event-ID")
			if from == "" {
				from = r.URL.Query().Get("after")
			}
			b.mu.Lock()
			b.streams = append(b.streams, from)
			b.mu.Unlock()
		}
		if b.away.Load() {
			http.Error(w, "bad gateway", http.StatusBadGateway)
			return
		}
		if b.shut.Load() {
			apis[1].ServeHTTP(w, r)
			return
		}
		apis[0].ServeHTTP(w, r)
	}))
	network, err := relay.Start("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b.relay = network
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	b.ctx = ctx
	t.Cleanup(func() {
		cancel()
		network.Close()
		apis[0].Close()
		apis[1].Close()
		server.Close()
	})
	if err := chromedp.Do(ctx, prepared, scheme("light")); err != nil {
		t.Fatal("open a tab:", err)
	}
	return b
}

// prepared puts what watches into the tab, and makes it the same everywhere.
func prepared(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
	_, err := before(watch)(ctx, target)
	if err == nil {
		_, err = cdp.Call(ctx, target, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "UTC"})
	}
	if err == nil {
		_, err = cdp.Call(ctx, target, emulation.SetLocaleOverride, emulation.SetLocaleOverrideParams{Locale: "en_GB"})
	}
	if err == nil {
		_, err = cdp.Call(ctx, target, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	}
	return chromedp.Void{}, err
}

// before runs a script in each page before its own.
func before(script string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
		return chromedp.Void{}, err
	}
}

// scheme chooses light or dark, and that nothing moves.
func scheme(name string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: name}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}})
		return chromedp.Void{}, err
	}
}

// visit opens the page with the player's token.
func (b *tab) visit() {
	b.t.Helper()
	b.visitWith(tokenOf(b.t, player))
}

func tokenOf(t *testing.T, participant string) string {
	t.Helper()
	token, err := inboxapi.IssueToken(secret, participant, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (b *tab) visitWith(token string) {
	b.t.Helper()
	b.do(chromedp.Navigate("http://" + b.relay.Addr + "/inbox#token=" + token))
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// evaluate returns what a script gives, which waits for a promise.
func evaluate[T any](b *tab, script string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// add puts number i into the inbox, after changes to it.
func (b *tab) add(i int, changes ...func(*delivery.Notification)) {
	b.t.Helper()
	n := deliverytest.Note(player, i)
	for _, change := range changes {
		change(n)
	}
	if _, _, err := b.inbox.Append(b.t.Context(), n); err != nil {
		b.t.Fatal(err)
	}
}

// revised makes a notification the second revision of its kind.
func revised(op delivery.Op, title string) func(*delivery.Notification) {
	return func(n *delivery.Notification) { n.Revision, n.Op, n.Title = 2, op, title }
}

// view is what a player sees and hears.
type view struct {
	Title, State, Notice string
	Cards, Heard, Wrong  []string
	Empty, Ack           bool // is the text for an empty inbox there; can one acknowledge
	Badge                *int
}

const look = `(() => {
  const $ = id => document.getElementById(id);
  return { Title: document.title, State: $("state").textContent, Notice: $("notice").textContent,
    Cards: [...document.querySelectorAll("#list > li h2")].map(h => h.textContent), Heard: heard, Wrong: wrong,
    Empty: $("empty").checkVisibility(), Ack: $("ack").getAttribute("aria-disabled") === "false", Badge: badge };
})()`

// until waits for the page to look as it should, and says how it looks if it
// never does. Nothing may have gone wrong in it by then.
func (b *tab) until(what string, is func(v view) bool) view {
	b.t.Helper()
	var v view
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		v = evaluate[view](b, look)
		if len(v.Wrong) > 0 {
			b.t.Fatalf("the page's script failed: %q", v.Wrong)
		}
		if is(v) {
			return v
		}
		if time.Now().After(deadline) {
			text, err := json.Marshal(v)
			b.t.Fatalf("never seen: %s; the page is %s, %v", what, text, err)
		}
	}
}

// shows waits until the page is live and has these cards, in this order.
func (b *tab) shows(titles ...string) view {
	b.t.Helper()
	return b.until("live, with "+strings.Join(titles, ", "), func(v view) bool {
		return v.State == "Live" && slices.Equal(v.Cards, titles)
	})
}

// began returns with which cursors streams began.
func (b *tab) began() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.streams)
}
