package webhook

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
)

// TestGuardAtDial checks that the guard sees the resolved address, by name and
// by number.
func TestGuardAtDial(t *testing.T) {
	reached := false
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	t.Cleanup(srv.Close)
	for _, url := range []string{srv.URL, strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)} {
		ch, err := New(Config{URL: url, Secrets: []string{"c2VjcmV0"}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		res := ch.Deliver(ctx, delivery.Attempt{Notification: deliverytest.Note("a", 1), Number: 1, At: time.Now()})
		cancel()
		if res.Verdict != delivery.Failed || !res.Alarm || !strings.Contains(res.Reason, "notifier.webhook.allow") {
			t.Errorf("%s: got %+v, want a definite failure with an alarm", url, res)
		}
	}
	if reached {
		t.Error("a loopback address was reached")
	}
}
