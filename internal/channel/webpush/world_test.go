package webpush_test

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/channel/channeltest"
	"github.com/veltrix/veltrix/internal/channel/webpush"
	"github.com/veltrix/veltrix/internal/delivery"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// devices keeps one participant's devices in memory.
type devices struct {
	mu   sync.Mutex
	byID map[string]delivery.Device
	down bool
}

var (
	_       delivery.Devices = (*devices)(nil)
	errDown                  = errors.New("the store at https://push.example/secret is down")
)

func (d *devices) Put(_ context.Context, _ string, device delivery.Device) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.byID[device.ID] = device
	return nil
}

func (d *devices) Delete(_ context.Context, _, id string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.byID, id)
	return nil
}

func (d *devices) List(context.Context, string) ([]delivery.Device, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down {
		return nil, errDown
	}
	var all []delivery.Device
	for _, device := range d.byID {
		all = append(all, device)
	}
	slices.SortFunc(all, func(a, b delivery.Device) int { return cmp.Compare(a.ID, b.ID) })
	return all, nil
}

func (d *devices) Find(_ context.Context, _, id string) (*delivery.Device, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	device, ok := d.byID[id]
	if d.down {
		return nil, errDown
	}
	if !ok {
		return nil, nil
	}
	return &device, nil
}

func (d *devices) Prune(_ context.Context, _, id, token string, seen time.Time) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	device, ok := d.byID[id]
	if d.down {
		return false, errDown
	}
	if !ok || device.Token != token || device.Registered.After(seen) {
		return false, nil
	}
	delete(d.byID, id)
	return true, nil
}

// world is a channel with its service and its store.
type world struct {
	ch      *webpush.Channel
	service *channeltest.PushService
	store   *devices
	private string
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
	w := &world{store: &devices{byID: map[string]delivery.Device{}}, private: private}
	w.service = channeltest.NewPushService(t, public, http2, answer)
	w.store.byID["laptop"] = w.service.Subscribe("laptop")
	w.ch, err = webpush.New(webpush.Config{
		Subject: "ops@example.com", PrivateKey: private, Timeout: channeltest.Timeout, Allow: loopback, Roots: w.service.Roots,
	}, w.store)
	if err != nil {
		t.Fatal(err)
	}
	return w
}
