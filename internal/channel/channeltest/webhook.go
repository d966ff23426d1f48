package channeltest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// WebhookSecret signs what a Webhook takes.
const WebhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// NewWebhook serves an endpoint of webhooks over HTTP/1.1 until the test's end,
// and returns its URL. It checks each message's signature. Answer runs for each
// message that is right; others fail the test and get 400.
func NewWebhook(t testing.TB, answer http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // its sender was killed before it had said everything
		}
		p, err := readWebhook(r.Header, body)
		if err != nil {
			t.Errorf("a webhook is not right: %v", err)
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer(w, tell(r, p))
	}))
	t.Cleanup(srv.Close)
	t.Cleanup(srv.CloseClientConnections) // first
	return srv.URL
}

func readWebhook(h http.Header, body []byte) (Push, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(WebhookSecret, "whsec_"))
	if err != nil {
		return Push{}, err
	}
	id := h.Get("webhook-id")
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", id, h.Get("webhook-timestamp"), body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	if !slices.Contains(strings.Fields(h.Get("webhook-signature")), want) {
		return Push{}, fmt.Errorf("the signature is %q, want %q among them", h.Get("webhook-signature"), want)
	}
	var said struct {
		Type string
		Data struct {
			Notification string
			Revision     int
			Title        string
			InboxOffset  int64 `json:"inbox_offset"`
		}
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return Push{}, err
	}
	if first, _, _ := strings.Cut(id, "."); first != said.Data.Notification {
		return Push{}, fmt.Errorf("the ID is %s, and the notification %s", id, said.Data.Notification)
	}
	op, _ := strings.CutPrefix(said.Type, "notification.")
	return Push{
		Channel: "webhook", Notification: said.Data.Notification, Revision: said.Data.Revision, Op: op,
		Title: said.Data.Title, InboxOffset: said.Data.InboxOffset,
	}, nil
}
