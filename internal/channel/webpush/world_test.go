package webpush_test

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/channel/channeltest"
	"github.com/veltrix/veltrix/internal/channel/webpush"
	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// devices is a store that can be down.
type devices struct {
	*deliverytest.Devices
	down atomic.Bool
}

var errDown = errors.New("the store at https://webpushgo.example/secret is down")

func (d *devices) List(ctx context.Context, participant string) ([]delivery.Device, error) {
	if d.down.Load() {
		return nil, errDown
	}
	return d.Devices.List(ctx, participant)
}

func (d *devices) Find(ctx context.Context, participant, id string) (*delivery.Device, error) {
	if d.down.Load() {
		return nil, errDown
	}
	return d.Devices.Find(ctx, participant, id)
}

func (d *devices) Prune(ctx context.Context, participant, id, token string, seen time.Time) (bool, error) {
	if d.down.Load() {
		return false, errDown
	}
	return d.Devices.Prune(ctx, participant, id, token, seen)
}

// world is a channel with its service and its store.
type world struct {
	ch      *webpush.Channel
	service *channeltest.PushService
	store   *devices
	private string
	laptop  delivery.Device // alice's
}

// put registers a device of alice's.
func (w *world) put(t *testing.T, d delivery.Device) {
	t.Helper()
	if err := w.store.Put(t.Context(), "alice", d); err != nil {
		t.Error(err)
	}
}

// subject is alice's browser as the suite's target.
func (w *world) subject() channeltest.Subject {
	return channeltest.Subject{Channel: w.ch, Participant: "alice", Target: "laptop"}
}

func newWorld(t *testing.T, http2 bool, answer http.HandlerFunc) *world {
	t.Helper()
	private, public, err := webpush.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{store: &devices{Devices: deliverytest.NewDevices()}, private: private}
	w.service = channeltest.NewPushService(t, public, http2, answer)
	w.laptop = w.service.Subscribe("laptop")
	w.put(t, w.laptop)
	w.ch, err = webpush.New(webpush.Config{
		Subject: "ops@example.com", PrivateKey: private, Timeout: channeltest.Timeout, Allow: loopback, Roots: w.service.Roots,
	}, w.store)
	if err != nil {
		t.Fatal(err)
	}
	return w
}
