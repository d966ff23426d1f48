package apns_test

import (
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/channel/apns"
	"github.com/veltrix/veltrix/internal/channel/channeltest"
	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

const (
	phoneToken = "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9"
	newToken   = "ff1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9"
)

// timeout bounds an attempt. It is longer than the suite asks for: a busy machine
// takes its time over so many TLS handshakes at once, and the suite's hang lasts longer still.
const timeout = 4 * channeltest.Timeout

// world is an APNs and a channel to it.
type world struct {
	*channeltest.APNs
	t          *testing.T
	ch         *apns.Channel
	devices    *deliverytest.Devices
	registered time.Time
	answer     http.HandlerFunc

	mu    sync.Mutex
	ahead time.Duration // of the world's clock
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.ahead)
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ahead += d
}

func newWorld(t *testing.T, answer http.HandlerFunc) *world {
	t.Helper()
	w := &world{t: t, answer: answer, devices: deliverytest.NewDevices(), registered: time.Now().Add(-time.Hour)}
	w.APNs = channeltest.NewAPNs(t, w.now, func(rw http.ResponseWriter, r *http.Request) { w.answer(rw, r) })
	config := apns.Config{
		Key: w.Key, KeyID: channeltest.APNsKeyID, Team: channeltest.APNsTeam, Topic: channeltest.APNsTopic, Environment: "sandbox",
		Timeout: timeout, URL: w.URL, Allow: loopback, Roots: w.Roots, Now: w.now,
	}
	if answer == nil {
		config.URL = "https://" + channeltest.Nobody(t)
	}
	var err error
	if w.ch, err = apns.New(config, w.devices); err != nil {
		t.Fatal(err)
	}
	w.put(phoneToken, w.registered)
	return w
}

// put registers alice's phone.
func (w *world) put(token string, at time.Time) {
	d := delivery.Device{ID: "phone", Channel: apns.Name, Token: token, Registered: at}
	if err := w.devices.Put(w.t.Context(), "alice", d); err != nil {
		w.t.Error(err)
	}
}

func (w *world) subject() channeltest.Subject {
	return channeltest.Subject{
		Channel: w.ch, Participant: "alice", Target: "phone", Secrets: []string{phoneToken, newToken, "PRIVATE KEY", "eyJ"},
	}
}
