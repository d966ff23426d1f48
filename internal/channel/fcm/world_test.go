package fcm_test

import (
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/channel/channeltest"
	"github.com/veltrix/veltrix/internal/channel/fcm"
	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

const phoneToken = "cPhone:APA91b-secret"

// timeout bounds an attempt. It is longer than the suite asks for: a busy machine
// takes its time over so many TLS handshakes at once, and the suite's hang lasts longer still.
const timeout = 4 * channeltest.Timeout

// world is FCM, and a channel to it.
type world struct {
	*channeltest.FCM
	t       *testing.T
	ch      *fcm.Channel
	devices *deliverytest.Devices
	answer  http.HandlerFunc
}

func newWorld(t *testing.T, answer http.HandlerFunc) *world {
	t.Helper()
	w := &world{t: t, answer: answer, devices: deliverytest.NewDevices()}
	w.FCM = channeltest.NewFCM(t, func(rw http.ResponseWriter, r *http.Request) { w.answer(rw, r) })
	config := fcm.Config{Credentials: w.Credentials, Timeout: timeout, URL: w.URL, Allow: loopback, Roots: w.Roots}
	if answer == nil {
		config.URL = "https://" + channeltest.Nobody(t)
	}
	var err error
	if w.ch, err = fcm.New(config, w.devices); err != nil {
		t.Fatal(err)
	}
	w.put(phoneToken)
	return w
}

// put registers alice's phone, with this token, since before now.
func (w *world) put(token string) {
	d := delivery.Device{ID: "phone", Channel: fcm.Name, Token: token, Registered: time.Now().Add(-time.Minute)}
	if err := w.devices.Put(w.t.Context(), "alice", d); err != nil {
		w.t.Error(err)
	}
}

func (w *world) subject() channeltest.Subject {
	return channeltest.Subject{
		Channel: w.ch, Participant: "alice", Target: "phone", Secrets: []string{phoneToken, "access-", "PRIVATE KEY"},
	}
}
