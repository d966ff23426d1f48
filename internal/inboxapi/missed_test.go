package inboxapi_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
	"github.com/veltrix/veltrix/internal/inboxapi"
)

// away is an inbox that cannot be read for a while.
type away struct {
	*deliverytest.Inbox
	until atomic.Bool
	asked atomic.Int32
}

func (a *away) Page(ctx context.Context, who string, after delivery.Cursor, limit int) (delivery.Page, error) {
	if a.asked.Add(1); a.until.Load() {
		return delivery.Page{}, errors.New("away")
	}
	return a.Inbox.Page(ctx, who, after, limit)
}

// TestStreamAsksAMissedStoreSoon holds that a store that was away is asked again
// long before a stream looks by itself, and though nobody wakes it.
func TestStreamAsksAMissedStoreSoon(t *testing.T) {
	t.Parallel()
	inbox := &away{Inbox: deliverytest.NewInbox(5, time.Hour)}
	inbox.until.Store(true)
	api, err := inboxapi.New(inboxapi.Options{Inbox: inbox, Secret: secret, Heartbeat: time.Hour, Poll: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(api)
	t.Cleanup(func() {
		api.Close()
		srv.Close()
	})
	s := &server{t, inbox.Inbox, api, srv.URL}
	s.add("alice", 1)
	next, _ := s.events("/v1/inbox/stream", token(t, "alice", time.Minute), "")
	for inbox.asked.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	inbox.until.Store(false)
	for {
		switch event := next(); {
		case event == "end":
			t.Fatal("nothing came")
		case strings.Contains(event, `"title":"Title 1"`):
			return
		}
	}
}
