package webhook_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/veltrix/veltrix/internal/channel/channeltest"
	"github.com/veltrix/veltrix/internal/channel/webhook"
	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
)

const (
	secret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	oldSecret = "c2VjcmV0LW9mLWxhc3QteWVhcg=="
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// receiver is an endpoint that verifies what it gets and answers as told.
type receiver struct {
	t      *testing.T
	answer func(w http.ResponseWriter, r *http.Request)

	mu   sync.Mutex
	got  []*http.Request
	body []string
}

func newReceiver(t *testing.T, answer func(http.ResponseWriter, *http.Request)) (*receiver, string) {
	t.Helper()
	rec := &receiver{t: t, answer: answer}
	srv := httptest.NewServer(rec)
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	return rec, srv.URL
}

func (rec *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		rec.t.Error(err)
	}
	for _, s := range []string{secret, oldSecret} {
		verifier, err := standardwebhooks.NewWebhook(s)
		if err != nil {
			rec.t.Error(err)
		}
		if err := verifier.Verify(body, r.Header); err != nil {
			rec.t.Errorf("the signature does not verify: %v", err)
		}
	}
	rec.mu.Lock()
	rec.got, rec.body = append(rec.got, r), append(rec.body, string(body))
	rec.mu.Unlock()
	rec.answer(w, r)
}

func channel(t *testing.T, url string, timeout time.Duration, allow []netip.Prefix) *webhook.Channel {
	t.Helper()
	ch, err := webhook.New(webhook.Config{URL: url, Secrets: []string{secret, oldSecret}, Timeout: timeout, Allow: allow})
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func attempt(ch *webhook.Channel, n *delivery.Notification, number int) delivery.Result {
	ctx, cancel := context.WithTimeout(context.Background(), ch.Timeout())
	defer cancel()
	return ch.Deliver(ctx, delivery.Attempt{
		Notification: n, Op: n.Op, Target: targetOf(ch), Number: number, InboxOffset: 7, At: time.Now(),
	})
}

// TestSuite holds the webhook against what every channel must do.
func TestSuite(t *testing.T) {
	t.Parallel()
	date := time.Now().Add(48 * time.Hour).UTC().Format(http.TimeFormat)
	channeltest.Suite(t, func(t *testing.T, answer http.HandlerFunc) channeltest.Subject {
		url := "http://" + channeltest.Nobody(t)
		if answer != nil {
			_, url = newReceiver(t, answer)
		}
		url += "/path-of-its-own"
		ch := channel(t, url, channeltest.Timeout, loopback)
		return channeltest.Subject{Channel: ch, Participant: "alice", Target: targetOf(ch), Secrets: []string{"path-of-its-own", secret, oldSecret}}
	},
		channeltest.Row{Name: "204", Answer: channeltest.Status(204), Want: channeltest.Want{Verdict: delivery.Accepted}},
		channeltest.Row{Name: "400", Answer: channeltest.Status(400), Want: channeltest.Want{Verdict: delivery.Failed}},
		channeltest.Row{
			Name: "429 until a date", Answer: channeltest.Status(429, "Retry-After", date),
			Want: channeltest.Want{Verdict: delivery.Failed, RetryAfter: 24 * time.Hour},
		},
		channeltest.Row{
			Name: "429 for ever", Answer: channeltest.Status(429, "Retry-After", "99999999"),
			Want: channeltest.Want{Verdict: delivery.Failed, RetryAfter: 24 * time.Hour},
		})
}

func TestNoTLSThere(t *testing.T) {
	// No TLS there: the handshake fails before anything is sent.
	_, url := newReceiver(t, channeltest.Status(200))
	url = strings.Replace(url, "http:", "https:", 1)
	if res := attempt(channel(t, url, time.Second, loopback), deliverytest.Note("a", 1), 1); res.Verdict != delivery.Failed {
		t.Fatalf("a failed handshake is %+v, want a definite failure", res)
	}
}

func TestRequest(t *testing.T) {
	rec, url := newReceiver(t, channeltest.Status(200))
	ch := channel(t, url, time.Second, loopback)
	n := deliverytest.Note("alice", 1)
	n.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for number := 1; number <= 2; number++ {
		attempt(ch, n, number)
	}
	update := deliverytest.Note("alice", 1)
	update.Revision, update.Op = 2, delivery.Update
	attempt(ch, update, 1)
	for i, want := range []string{n.ID, n.ID, n.ID + ".2"} {
		h := rec.got[i].Header
		if h.Get("webhook-id") != want {
			t.Errorf("request %d has the ID %s, want %s", i, h.Get("webhook-id"), want)
		}
		for _, never := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
			if h.Get(never) != "" {
				t.Errorf("request %d carries %s, which lets the transport send twice", i, never)
			}
		}
		if got := strings.Count(h.Get("webhook-signature"), "v1,"); got != 2 {
			t.Errorf("%d signatures, want one for each secret", got)
		}
	}
	if rec.got[0].Header.Get("traceparent") != n.TraceParent {
		t.Error("the trace context is lost")
	}
	if rec.body[0] != rec.body[1] {
		t.Errorf("two tries differ:\n%s\n%s", rec.body[0], rec.body[1])
	}
	var m struct {
		Type string
		Data struct {
			Notification, Participant, Title string
			Revision                         int
			InboxOffset                      int64 `json:"inbox_offset"`
		}
	}
	if err := json.Unmarshal([]byte(rec.body[2]), &m); err != nil {
		t.Fatal(err)
	}
	if m.Type != "notification.update" || m.Data.Notification != n.ID || m.Data.Participant != "alice" ||
		m.Data.Revision != 2 || m.Data.InboxOffset != 7 || m.Data.Title == "" {
		t.Errorf("the body is %s", rec.body[2])
	}
}

func TestSchedule(t *testing.T) {
	ch := channel(t, "https://example.com/", 0, nil)
	total, tries := time.Duration(0), 1
	for pause, ok := ch.Retry(tries); ok; pause, ok = ch.Retry(tries) {
		total += pause
		tries++
	}
	if tries != 10 || total.Round(time.Hour) != 76*time.Hour {
		t.Errorf("%d tries within %v, want 10 within some 75 h", tries, total)
	}
	if ch.Timeout() != 15*time.Second {
		t.Errorf("timeout %v", ch.Timeout())
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []webhook.Config{
		{URL: "", Secrets: []string{secret}},
		{URL: "ftp://example.com", Secrets: []string{secret}},
		{URL: "https://user:pass@example.com", Secrets: []string{secret}},
		{URL: "https://example.com"},
		{URL: "https://example.com", Secrets: []string{"not base64!"}},
	} {
		if _, err := webhook.New(c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}

// targetOf is the channel's one target.
func targetOf(ch *webhook.Channel) string {
	targets, _ := ch.Targets(context.Background(), "ada") // asks nobody
	return targets[0]
}
