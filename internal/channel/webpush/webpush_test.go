package webpush_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/veltrix/veltrix/internal/channel/channeltest"
	"github.com/veltrix/veltrix/internal/channel/webpush"
	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
)

// TestSuite holds Web Push against what every channel must do, over both of
// HTTP's versions.
func TestSuite(t *testing.T) {
	t.Parallel()
	want := func(v delivery.Verdict) channeltest.Want { return channeltest.Want{Verdict: v} }
	alarm := channeltest.Want{Verdict: delivery.Failed, Alarm: true}
	pruned := channeltest.Want{Verdict: delivery.Refused, Pruned: true}
	for name, http2 := range map[string]bool{"HTTP/2": true, "HTTP/1.1": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			channeltest.Suite(t, func(t *testing.T, answer http.HandlerFunc) channeltest.Subject {
				w := newWorld(t, http2, answer)
				device := w.laptop
				if answer == nil {
					device.Token = "https://" + channeltest.Nobody(t) + "/push/secret-path"
					w.put(t, device)
				}
				at, err := url.Parse(device.Token)
				if err != nil {
					t.Fatal(err)
				}
				s := w.subject()
				s.Secrets = []string{at.Path, device.P256dh, device.Auth, w.private}
				return s
			},
				channeltest.Row{Name: "201", Answer: channeltest.Status(201, "Location", "https://webpushgo.example/message/1"), Want: want(delivery.Accepted)},
				channeltest.Row{Name: "202", Answer: channeltest.Status(202), Want: want(delivery.Accepted)},
				channeltest.Row{Name: "400", Answer: channeltest.Status(400), Want: alarm},
				channeltest.Row{Name: "404", Answer: channeltest.Status(404), Want: pruned},
				channeltest.Row{Name: "410", Answer: channeltest.Status(410), Want: pruned},
				channeltest.Row{Name: "413", Answer: channeltest.Status(413), Want: want(delivery.Refused)},
			)
		})
	}
}

// TestMessage sends three revisions and reads what the browser gets.
func TestMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true, channeltest.Status(201))
	n := deliverytest.Note("alice", 1)
	n.Expires = time.Now().Add(time.Hour)
	for revision, op := range []delivery.Op{delivery.Send, delivery.Update, delivery.Retract} {
		n.Revision, n.Op = revision+1, op
		if res := channeltest.Attempt(t, w.subject(), n); res.Verdict != delivery.Accepted || res.Provider != "" {
			t.Fatalf("%s: %+v", op, res)
		}
	}
	got := w.service.Messages()
	for i, m := range got {
		var data map[string]any
		if err := json.Unmarshal(m.Data, &data); err != nil {
			t.Fatalf("%v: %s", err, m.Data)
		}
		for key, want := range map[string]any{
			"notification": n.ID, "revision": float64(i + 1), "op": []string{"send", "update", "retract"}[i], "class": n.Class,
			"title": n.Title, "body": n.Body, "inbox_offset": 7.0, "event_type": n.EventType,
			"event_time": n.EventTime.Format(time.RFC3339Nano), "expires": n.Expires.Format(time.RFC3339Nano), "truncated": nil,
		} {
			if data[key] != want {
				t.Errorf("message %d has %s = %v, want %v", i, key, data[key], want)
			}
		}
		if topic := m.Header.Get("Topic"); len(topic) != 32 || topic != got[0].Header.Get("Topic") {
			t.Errorf("message %d has the topic %q; a revision replaces the one before", i, topic)
		}
		if ttl := m.Header.Get("TTL"); len(ttl) != 4 || ttl < "3500" || ttl > "3600" {
			t.Errorf("message %d has a TTL of %s s, want an hour", i, ttl)
		}
		if m.Header.Get("Urgency") != "normal" || m.Size != 2048 {
			t.Errorf("message %d: urgency %s, %d bytes", i, m.Header.Get("Urgency"), m.Size)
		}
	}
	other := deliverytest.Note("alice", 2)
	channeltest.Attempt(t, w.subject(), other)
	last := w.service.Messages()[3].Header
	if last.Get("Topic") == got[0].Header.Get("Topic") || last.Get("TTL") != "2419200" {
		t.Errorf("another notification has the topic %s and, without an end, a TTL of %s s", last.Get("Topic"), last.Get("TTL"))
	}
}

// TestLongText cuts what does not fit, body first, and never within a letter.
func TestLongText(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true, channeltest.Status(201))
	for name, x := range map[string]struct{ title, body string }{
		"a long body":      {"Title", strings.Repeat("ü€𝄞 ", 1000)},
		"escapes":          {"Title", strings.Repeat("\n\x01\"<", 1000)},
		"a long title":     {strings.Repeat("€", 3000), "body"},
		"both":             {strings.Repeat("€", 3000), strings.Repeat("ü", 3000)},
		"our own ellipsis": {"Title", strings.Repeat("…", 3000)},
		"not UTF-8 at all": {"Title", strings.Repeat("\xff\x80", 3000)},
	} {
		t.Run(name, func(t *testing.T) {
			n := deliverytest.Note("alice", 1)
			n.Title, n.Body = x.title, x.body
			if res := channeltest.Attempt(t, w.subject(), n); res.Verdict != delivery.Accepted {
				t.Fatalf("%+v", res)
			}
			all := w.service.Messages()
			var got struct {
				Title, Body string
				Truncated   bool
			}
			if err := json.Unmarshal(all[len(all)-1].Data, &got); err != nil {
				t.Fatal(err)
			}
			if !got.Truncated || !strings.HasSuffix(got.Body, "…") || (len(x.title) < 10) != (got.Title == x.title) {
				t.Errorf("got %d bytes of title and %d of body, truncated: %v", len(got.Title), len(got.Body), got.Truncated)
			}
			cut := strings.TrimSuffix(got.Body, "…")
			if utf8.ValidString(x.body) && !strings.HasPrefix(x.body, cut) {
				t.Errorf("the body is no beginning of the whole: …%q", cut[max(0, len(cut)-10):])
			}
		})
	}
	n := deliverytest.Note("alice", 1)
	n.Body = ""
	channeltest.Attempt(t, w.subject(), n)
	all := w.service.Messages()
	room := 2048 - 103 - len(all[len(all)-1].Data)
	for size, whole := range map[int]bool{room: true, room + 1: false} {
		n.Body = strings.Repeat("a", size)
		if res := channeltest.Attempt(t, w.subject(), n); res.Verdict != delivery.Accepted {
			t.Errorf("%d bytes: %+v", size, res)
		}
		all = w.service.Messages()
		if got := !strings.Contains(string(all[len(all)-1].Data), `"truncated":true`); got != whole {
			t.Errorf("%d bytes where %d fit: whole is %v", size, room, got)
		}
	}
	n.Class = strings.Repeat("c", 3000)
	if res := channeltest.Attempt(t, w.subject(), n); res.Verdict != delivery.Refused {
		t.Errorf("what cannot be cut is %+v", res)
	}
}

// TestRenewed checks that the word on an old subscription does not take out the
// new one, and that the next try goes there.
func TestRenewed(t *testing.T) {
	t.Parallel()
	var w *world
	first := new(atomic.Bool)
	w = newWorld(t, true, func(rw http.ResponseWriter, _ *http.Request) {
		if first.CompareAndSwap(false, true) {
			w.put(t, w.service.Subscribe("laptop"))
			rw.WriteHeader(http.StatusGone)
			return
		}
		rw.WriteHeader(http.StatusCreated)
	})
	n := deliverytest.Note("alice", 1)
	if res := channeltest.Attempt(t, w.subject(), n); res.Verdict != delivery.Failed || res.Pruned {
		t.Fatalf("got %+v, want a failure that is tried again", res)
	}
	if res := channeltest.Attempt(t, w.subject(), n); res.Verdict != delivery.Accepted {
		t.Fatalf("the new subscription got %+v", res)
	}
}

// TestPruneFails checks that a device which could not be taken out is tried, and
// so taken out, again.
func TestPruneFails(t *testing.T) {
	t.Parallel()
	var w *world
	first := new(atomic.Bool)
	w = newWorld(t, true, func(rw http.ResponseWriter, _ *http.Request) {
		w.store.down.Store(first.CompareAndSwap(false, true))
		rw.WriteHeader(http.StatusGone)
	})
	res := channeltest.Attempt(t, w.subject(), deliverytest.Note("alice", 1))
	if res.Verdict != delivery.Failed || res.Pruned || strings.Contains(res.Reason, "secret") {
		t.Errorf("got %+v", res)
	}
	w.store.down.Store(false)
	res = channeltest.Attempt(t, w.subject(), deliverytest.Note("alice", 1))
	if left, err := w.ch.Targets(t.Context(), "alice"); !res.Pruned || err != nil || len(left) != 0 {
		t.Errorf("got %+v; the targets are %q, %v", res, left, err)
	}
}

// TestDevices walks what the store may say at the moment of an attempt.
func TestDevices(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true, channeltest.Status(410))
	n := deliverytest.Note("alice", 1)
	good := w.laptop
	w.put(t, delivery.Device{ID: "phone", Channel: "fcm", Token: "token"})
	if targets, err := w.ch.Targets(t.Context(), "alice"); err != nil || !slices.Equal(targets, []string{"laptop"}) {
		t.Errorf("the targets are %q, %v", targets, err)
	}
	for name, change := range map[string]func(d *delivery.Device){
		"another channel":  func(d *delivery.Device) { d.Channel = "fcm" },
		"plain HTTP":       func(d *delivery.Device) { d.Token = strings.Replace(d.Token, "https", "http", 1) },
		"no URL":           func(d *delivery.Device) { d.Token = "https://\x7f/secret" },
		"a password":       func(d *delivery.Device) { d.Token = strings.Replace(d.Token, "//", "//user:secret@", 1) },
		"a short auth":     func(d *delivery.Device) { d.Auth = "c2VjcmV0" },
		"no point":         func(d *delivery.Device) { d.P256dh = "c2VjcmV0" },
		"no base64 at all": func(d *delivery.Device) { d.P256dh = "secret!" },
	} {
		bad := good
		change(&bad)
		w.put(t, bad)
		if res := channeltest.Attempt(t, w.subject(), n); res.Verdict != delivery.Refused || res.Pruned || strings.Contains(res.Reason, "secret") {
			t.Errorf("%s: %+v", name, res)
		}
	}
	_ = w.store.Delete(t.Context(), "alice", "laptop")
	if res := channeltest.Attempt(t, w.subject(), n); res.Verdict != delivery.Refused || res.Reason != "the device is gone" {
		t.Errorf("a device that is not there: %+v", res)
	}
	if got := len(w.service.Messages()); got != 0 {
		t.Errorf("%d requests for subscriptions that are none", got)
	}
	w.put(t, good)
	w.store.down.Store(true)
	if res := channeltest.Attempt(t, w.subject(), n); res.Verdict != delivery.Failed || strings.Contains(res.Reason, "secret") {
		t.Errorf("a store that is down: %+v", res)
	}
	if _, err := w.ch.Targets(t.Context(), "alice"); err == nil {
		t.Error("a store that is down has no targets, without an error")
	}
}

// TestGuard checks that a player's endpoint leads to no address inside, and that
// it rings no alarm of ours.
func TestGuard(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true, channeltest.Status(201))
	ch, err := webpush.New(webpush.Config{Subject: "https://example.com", PrivateKey: w.private, Roots: w.service.Roots}, w.store)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "localhost"} {
		device := w.service.Subscribe("laptop")
		device.Token = strings.Replace(device.Token, "127.0.0.1", host, 1)
		w.put(t, device)
		res := channeltest.Attempt(t, channeltest.Subject{Channel: ch, Participant: "alice", Target: "laptop"}, deliverytest.Note("alice", 1))
		if res.Verdict != delivery.Refused || res.Alarm || !strings.Contains(res.Reason, webpush.AllowKey) {
			t.Errorf("%s: %+v", host, res)
		}
	}
	if got := len(w.service.Messages()); got != 0 {
		t.Errorf("%d messages reached a loopback address", got)
	}
}

func TestSchedule(t *testing.T) {
	t.Parallel()
	ch := newWorld(t, true, channeltest.Status(201)).ch
	total, tries := time.Duration(0), 1
	for pause, more := ch.Retry(tries); more; pause, more = ch.Retry(tries) {
		total += pause
		tries++
	}
	if tries != 8 || total > 30*time.Minute || total < 25*time.Minute {
		t.Errorf("%d tries within %v, want 8 within half an hour", tries, total)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	private, public, err := webpush.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := webpush.PublicKey(private + "=\n"); err != nil || got != public {
		t.Errorf("the public key is %q, %v; want %q", got, err, public)
	}
	for _, c := range []webpush.Config{
		{PrivateKey: private},
		{PrivateKey: private, Subject: "ops"},
		{PrivateKey: private, Subject: "http://example.com"},
		{Subject: "ops@example.com"},
		{Subject: "ops@example.com", PrivateKey: public},
		{Subject: "ops@example.com", PrivateKey: "not base64!"},
		{Subject: "ops@example.com", PrivateKey: strings.Repeat("A", 43)}, // zero is no key
	} {
		if _, err := webpush.New(c, nil); err == nil {
			t.Errorf("%+v is taken", c)
		} else if c.PrivateKey != "" && strings.Contains(err.Error(), c.PrivateKey) {
			t.Errorf("an error shows the key: %v", err)
		}
	}
}
