package page_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/golang-jwt/jwt/v5"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/inboxapi"
	"github.com/veltrix/veltrix/test/chaos/relay"
)

// One browser serves all cases, each in a tab with a profile of its own.
func TestPage(t *testing.T) {
	t.Parallel()
	browser := browse(t)
	for name, test := range map[string]func(b *tab){
		"what comes is shown newest first and announced once": arrivals,
		"a revision changes its card":                         revision,
		"a retraction removes its card":                       retraction,
		"all can be marked as seen from the keyboard":         acknowledgement,
		"data is never markup":                                hostile,
		"older messages can be had":                           older,
		"a stream that was cut goes on behind its cursor":     cut,
		"another life begins anew":                            life,
		"an expired token is said":                            expired,
		"a token that ends while one reads is said":           ended,
		"no token is said":                                    noToken,
		"offline is said, and gets over":                      offline,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(open(t, browser))
		})
	}
	t.Run("it is accessible", func(t *testing.T) {
		t.Parallel()
		accessible(reach(t, browser).tab)
	})
}

func arrivals(b *tab) {
	b.add(1)
	b.add(2)
	b.visit()
	if v := b.shows("Title 2", "Title 1"); len(v.Heard) != 0 || v.Empty {
		b.t.Fatalf("what was there already is announced, or called empty: %+v", v)
	}
	b.add(3)
	v := b.shows("Title 3", "Title 2", "Title 1")
	if !slices.Equal(v.Heard, []string{"New message: Title 3"}) || v.Title != "(3) Inbox" {
		b.t.Fatalf("announced %q, title %q", v.Heard, v.Title)
	}
}

// mark remembers a card by its place, marked says where it went.
const (
	mark   = `document.querySelectorAll("#list > li")[1].marked = true`
	marked = `[...document.querySelectorAll("#list > li")].findIndex(li => li.marked)`
)

func revision(b *tab) {
	b.add(1)
	b.add(2)
	b.visit()
	b.shows("Title 2", "Title 1")
	evaluate[bool](b, mark)
	b.add(1, revised(delivery.Update, "Better"))
	v := b.shows("Better", "Title 2")
	if !slices.Equal(v.Heard, []string{"Changed: Better"}) {
		b.t.Fatalf("announced %q", v.Heard)
	}
	if at := evaluate[int](b, marked); at != 0 {
		b.t.Fatalf("the changed card is at %d: another one was made", at)
	}
}

func retraction(b *tab) {
	b.add(1)
	b.add(2)
	b.visit()
	b.shows("Title 2", "Title 1")
	b.add(1, revised(delivery.Retract, ""))
	v := b.shows("Title 2")
	if !slices.Equal(v.Heard, []string{"Taken back: Title 1"}) || v.Title != "(1) Inbox" {
		b.t.Fatalf("announced %q, title %q", v.Heard, v.Title)
	}
	b.add(2, revised(delivery.Retract, ""))
	b.until("an empty inbox", func(v view) bool { return v.Empty && len(v.Cards) == 0 && v.Title == "Inbox" && !v.Ack })
}

func acknowledgement(b *tab) {
	for i := range 3 {
		b.add(i + 1)
	}
	b.visit()
	b.until("three unread", func(v view) bool { return v.Title == "(3) Inbox" && v.Ack && v.Badge != nil && *v.Badge == 3 })
	b.do(chromedp.KeyEvent(kb.Tab))
	const focus = `document.activeElement.id + " " + getComputedStyle(document.activeElement).outlineStyle`
	if got := evaluate[string](b, focus); got != "ack solid" {
		b.t.Fatalf("Tab leads to %q, want the button with an outline", got)
	}
	b.do(chromedp.KeyEvent(kb.Enter))
	b.until("none unread", func(v view) bool { return v.Title == "Inbox" && !v.Ack && *v.Badge == 0 && len(v.Cards) == 3 })
	if got := evaluate[string](b, focus); got != "ack solid" {
		b.t.Fatalf("the focus went to %q", got)
	}
	p, err := b.inbox.Newest(b.t.Context(), player, 0, 1)
	if err != nil || p.Acked != 3 {
		b.t.Fatalf("the server has noted %d, %v", p.Acked, err)
	}
	b.add(4)
	b.until("one unread", func(v view) bool { return v.Title == "(1) Inbox" && v.Ack && *v.Badge == 1 })
}

func hostile(b *tab) {
	const title, body = `<img src=x onerror="wrong.push('title')">`, `<script>wrong.push('body')</script><b>bold</b>`
	b.visit()
	b.until("an empty inbox", func(v view) bool { return v.Empty && v.State == "Live" })
	b.add(1, func(n *delivery.Notification) { n.Title, n.Body, n.Class = title, body, "<i>class</i>" })
	b.shows(title)
	if n := evaluate[int](b, `document.querySelectorAll("main img, main script, main b, main i").length`); n != 0 {
		b.t.Fatalf("data became %d elements", n)
	}
	if got := evaluate[string](b, `document.querySelector("#list .body").textContent`); got != body {
		b.t.Fatalf("the body is shown as %q", got)
	}
}

func older(b *tab) {
	for i := range 205 {
		b.add(i + 1)
	}
	b.visit()
	b.until("the newest page", func(v view) bool { return len(v.Cards) == 200 && v.Cards[0] == "Title 205" })
	b.do(chromedp.Click(chromedp.CSS("#older")))
	v := b.until("all of it", func(v view) bool { return len(v.Cards) == 205 })
	if v.Cards[204] != "Title 1" || evaluate[bool](b, `document.getElementById("older").checkVisibility()`) {
		b.t.Fatalf("the oldest is %q, or there is more to be had", v.Cards[204])
	}
}

func cut(b *tab) {
	b.add(1)
	b.visit()
	b.shows("Title 1")
	b.add(2)
	b.shows("Title 2", "Title 1")
	b.relay.Set(relay.State{How: relay.Cut})
	b.until("that the connection is lost", func(v view) bool { return strings.Contains(v.Notice, "cannot be reached") })
	b.add(3)
	b.add(4)
	b.relay.Set(relay.State{How: relay.Open})
	v := b.shows("Title 4", "Title 3", "Title 2", "Title 1")
	told := strings.Join(v.Heard, ". ")
	if strings.Count(told, "Title 2") != 1 || strings.Count(told, "Title 1") != 0 || v.Notice != "" {
		b.t.Fatalf("announced %q, notice %q", v.Heard, v.Notice)
	}
	if got := b.began(); !slices.Equal(got, []string{"life1-1", "life1-2"}) {
		b.t.Fatalf("the streams began behind %q", got)
	}
}

func life(b *tab) {
	b.add(1)
	b.add(2)
	b.visit()
	b.shows("Title 2", "Title 1")
	b.inbox.Forget(player)
	b.add(1, func(n *delivery.Notification) { n.Title = "Again" })
	b.shows("Again")
	b.add(3)
	b.shows("Title 3", "Again")
}

func expired(b *tab) {
	b.add(1)
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		Subject: player, Audience: jwt.ClaimStrings{inboxapi.Audience}, ExpiresAt: jwt.NewNumericDate(time.Now().Add(-time.Hour)),
	}).SignedString(secret)
	if err != nil {
		b.t.Fatal(err)
	}
	b.visitWith(token)
	v := b.until("that the token has expired", func(v view) bool { return strings.Contains(v.Notice, "the token has expired") })
	if v.Empty || len(v.Cards) != 0 || v.State != "Not connected" {
		b.t.Fatalf("a stranger sees %+v", v)
	}
}

func ended(b *tab) {
	b.add(1)
	b.visit()
	b.until("an unread message", func(v view) bool { return v.Ack && v.State == "Live" })
	b.shut.Store(true)
	b.relay.Set(relay.State{How: relay.Reset})
	v := b.until("that the token is of no use", func(v view) bool { return strings.Contains(v.Notice, "the token is not valid") && !v.Ack })
	if len(v.Cards) != 1 {
		b.t.Fatalf("what was shown is gone: %+v", v)
	}
}

func noToken(b *tab) {
	b.visitWith("")
	b.until("what is missing", func(v view) bool { return strings.Contains(v.Notice, "#token=") && !v.Empty })
}

func offline(b *tab) {
	b.add(1)
	b.visit()
	b.shows("Title 1")
	b.add(2)
	b.shows("Title 2", "Title 1")
	b.do(online(false))
	b.relay.Set(relay.State{How: relay.Cut})
	b.until("that one is offline", func(v view) bool { return strings.Contains(v.Notice, "You are offline") && v.State == "Offline" })
	b.add(3)
	b.relay.Set(relay.State{How: relay.Open})
	b.do(online(true))
	v := b.shows("Title 3", "Title 2", "Title 1")
	if want := fmt.Sprint([]string{"New message: Title 2", "New message: Title 3"}); v.Notice != "" || fmt.Sprint(v.Heard) != want {
		b.t.Fatalf("notice %q, announced %q", v.Notice, v.Heard)
	}
	if got := b.began(); slices.Contains(got[1:], got[0]) {
		b.t.Fatalf("the streams began behind %q: the cursor was not kept", got)
	}
}
