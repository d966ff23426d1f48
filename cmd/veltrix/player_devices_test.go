package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/delivery"
)

// TestPlayerDevices registers devices as a notifier does, and looks at them and
// removes one as an operator does. A token is never shown whole.
func TestPlayerDevices(t *testing.T) {
	t.Setenv("VELTRIX_REDIS_ADDRS", miniredis.RunT(t).Addr())
	if out, code := veltrix(t, "player", "devices", "ada"); code != 0 || !strings.Contains(out, "ada has registered no device") {
		t.Errorf("of nobody's devices it says, with %d: %s", code, out)
	}
	cfg, err := config.Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	devices, closing, err := app.NewRuntime(cfg, "test").Devices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer closing()
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	const secret = "a-token-that-opens-the-phone-9876"
	for _, d := range []delivery.Device{
		{ID: "phone", Channel: "fcm", Token: secret, Registered: at},
		{ID: "tablet", Channel: "apns", Token: "00ffee", Registered: at.Add(time.Hour)},
	} {
		if err := devices.Put(t.Context(), "ada", d); err != nil {
			t.Fatal(err)
		}
	}
	out, code := veltrix(t, "player", "devices", "ada")
	for _, part := range []string{"fcm", "phone", "2026-05-01T12:00:00Z", "9876", "tablet"} {
		if code != 0 || !strings.Contains(out, part) {
			t.Errorf("no %s, with %d: %s", part, code, out)
		}
	}
	asJSON, code := veltrix(t, "player", "devices", "ada", "--json")
	var list deviceList
	if err := json.Unmarshal([]byte(asJSON), &list); err != nil || code != 0 || list.Participant != "ada" || len(list.Devices) != 2 || list.Devices[0].Device != "phone" {
		t.Errorf("%v, %d: %s", err, code, asJSON)
	}
	if strings.Contains(out+asJSON, secret) {
		t.Errorf("the token is shown: %s%s", out, asJSON)
	}
	if out, code := veltrix(t, "player", "devices", "remove", "ada", "phone"); code != 0 || !strings.Contains(out, "not reached on phone any more") {
		t.Errorf("removed with %d: %s", code, out)
	}
	if _, code := veltrix(t, "player", "devices", "remove", "ada", "phone"); code != 1 {
		t.Errorf("removed again with %d", code)
	}
	if left, err := devices.List(t.Context(), "ada"); err != nil || len(left) != 1 || left[0].ID != "tablet" {
		t.Errorf("left is %+v, %v", left, err)
	}
}
