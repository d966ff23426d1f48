package inboxapi_test

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
	"github.com/veltrix/veltrix/internal/inboxapi"
)

var (
	fcmToken  = "fcm:" + strings.Repeat("Ab_-", 30) + "last"
	apnsToken = strings.Repeat("0aB1", 16)
)

// devicesAt serves an API for webpush and fcm.
func devicesAt(t *testing.T, devices delivery.Devices) (s *server, logged *bytes.Buffer) {
	t.Helper()
	logged = &bytes.Buffer{}
	api, err := inboxapi.New(inboxapi.Options{
		Inbox: deliverytest.NewInbox(5, time.Hour), Secret: secret, Devices: devices, DeviceChannels: []string{"webpush", "fcm"},
		Logger: slog.New(slog.NewTextHandler(logged, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(api)
	t.Cleanup(func() {
		api.Close()
		srv.Close()
	})
	return &server{t: t, api: api, url: srv.URL}, logged
}

// subscription is what a browser's PushSubscription becomes as JSON.
func subscription(t *testing.T, endpoint string) (text, p256dh, auth string) {
	t.Helper()
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, 16)
	rand.Read(raw)
	p256dh, auth = base64.RawURLEncoding.EncodeToString(key.PublicKey().Bytes()), base64.RawURLEncoding.EncodeToString(raw)
	return fmt.Sprintf(`{"endpoint":%q,"expirationTime":null,"keys":{"p256dh":%q,"auth":%q}}`, endpoint, p256dh, auth), p256dh, auth
}

func TestDevicesOverHTTP(t *testing.T) {
	t.Parallel()
	devices := deliverytest.NewDevices()
	s, _ := devicesAt(t, devices)
	ada := token(t, "ada/1", time.Minute)
	const all = "/v1/participants/ada%2F1/devices"
	if got := s.do("GET", all, ada, "", 200); got["participant"] != "ada/1" || len(got["devices"].([]any)) != 0 {
		t.Errorf("of nobody's devices it says %v", got)
	}
	body, p256dh, auth := subscription(t, "https://push.example/s/abcdefghwxyz")
	got := s.do("PUT", all+"/my%20browser", ada, body, 201)
	if got["device"] != "my browser" || got["channel"] != "webpush" || got["token"] != "…wxyz" || got["registered"] == nil {
		t.Errorf("it was registered as %v", got)
	}
	s.do("PUT", all+"/my%20browser", ada, strings.Replace(body, "{", `{"channel":"webpush",`, 1), 200)
	s.do("PUT", all+"/phone", ada, `{"channel":"fcm","token":"`+fcmToken+`"}`, 201)
	found, err := devices.Find(t.Context(), "ada/1", "my browser")
	if err != nil || found == nil || found.Token != "https://push.example/s/abcdefghwxyz" || found.P256dh != p256dh || found.Auth != auth || found.Registered.IsZero() {
		t.Errorf("kept is %#v, %v", found, err)
	}
	shown := s.do("GET", all, ada, "", 200)
	text, err := json.Marshal(shown)
	if err != nil || len(shown["devices"].([]any)) != 2 {
		t.Errorf("the list is %s, %v", text, err)
	}
	for _, private := range []string{fcmToken, "abcdefgh", p256dh, auth} {
		if bytes.Contains(text, []byte(private)) {
			t.Errorf("the list shows %s: %s", private, text)
		}
	}
	s.gone(all+"/phone", ada)
	s.gone(all+"/phone", ada)
	if left := s.do("GET", all, ada, "", 200)["devices"].([]any); len(left) != 1 {
		t.Errorf("left are %v", left)
	}
	if allowed := s.do("POST", all+"/phone", ada, "", 405)["detail"]; allowed != "POST is not allowed here; use PUT or DELETE" {
		t.Errorf("a POST is told %v", allowed)
	}
}

// gone deletes what is at path.
func (s *server) gone(path, token string) {
	s.t.Helper()
	if status, text := s.raw("DELETE", path, token, ""); status != 204 || text != "" {
		s.t.Fatalf("DELETE %s: %d %s", path, status, text)
	}
}

// A token opens its participant's devices and no others.
func TestDevicesAreTheirOwners(t *testing.T) {
	t.Parallel()
	devices := deliverytest.NewDevices()
	s, _ := devicesAt(t, devices)
	const phone = "/v1/participants/ada/devices/phone"
	body := `{"channel":"fcm","token":"` + fcmToken + `"}`
	s.do("PUT", phone, token(t, "ada", time.Minute), body, 201)
	bob := token(t, "bob", time.Minute)
	for status, bearer := range map[int]string{401: "", 403: bob} {
		s.do("GET", "/v1/participants/ada/devices", bearer, "", status)
		s.do("PUT", phone, bearer, strings.Replace(body, "fcm:", "new:", 1), status)
		s.do("DELETE", phone, bearer, "", status)
	}
	s.do("GET", "/v1/participants/ada/devices?access_token="+token(t, "ada", time.Minute), "", "", 401)
	if d, err := devices.Find(t.Context(), "ada", "phone"); err != nil || d == nil || d.Token != fcmToken {
		t.Errorf("ada's phone is %v, %v", d, err)
	}
	s.do("PUT", "/v1/participants/bob/devices/phone", bob, body, 201) // handed on
	if d, err := devices.Find(t.Context(), "ada", "phone"); err != nil || d != nil {
		t.Errorf("ada's phone is %v, %v", d, err)
	}
}

func TestDevicesRefused(t *testing.T) {
	t.Parallel()
	s, _ := devicesAt(t, deliverytest.NewDevices())
	ada := token(t, "ada", time.Minute)
	good, p256dh, auth := subscription(t, "https://push.example/s")
	swap := func(old, fresh string) string { return strings.Replace(good, old, fresh, 1) }
	point, err := base64.RawURLEncoding.DecodeString(p256dh)
	if err != nil {
		t.Fatal(err)
	}
	point[64] ^= 1
	bent := base64.RawURLEncoding.EncodeToString(point)
	for name, x := range map[string]struct {
		body, says string
		status     int
	}{
		"no JSON":               {`{"channel":"fcm","token":"` + fcmToken, "the body must be", 400},
		"an unknown field":      {`{"channel":"fcm","` + fcmToken + `":1}`, "the body must be", 400},
		"too much":              {`{"channel":"fcm","token":"` + strings.Repeat("x", 9000) + `"}`, "the body must be", 400},
		"no channel":            {`{"token":"` + fcmToken + `"}`, "channel must be", 400},
		"another channel":       {`{"channel":"pigeon","token":"` + fcmToken + `"}`, "channel must be", 400},
		"one not set up":        {`{"channel":"apns","token":"` + apnsToken + `"}`, "apns is not set up", 409},
		"a short fcm token":     {`{"channel":"fcm","token":"abc"}`, "an fcm token", 400},
		"a long fcm token":      {`{"channel":"fcm","token":"` + strings.Repeat("x", 4097) + `"}`, "an fcm token", 400},
		"an fcm token in words": {`{"channel":"fcm","token":"` + strings.Repeat("x ", 40) + `"}`, "an fcm token", 400},
		"apns in base64":        {`{"channel":"apns","token":"` + strings.Repeat("xy", 32) + `"}`, "an apns token", 400},
		"a short apns token":    {`{"channel":"apns","token":"` + strings.Repeat("a", 62) + `"}`, "an apns token", 400},
		"a long apns token":     {`{"channel":"apns","token":"` + strings.Repeat("a", 202) + `"}`, "an apns token", 400},
		"a plain endpoint":      {swap("https://", "http://"), "endpoint must be", 400},
		"an endpoint of nobody": {swap("push.example", ""), "endpoint must be", 400},
		"an endpoint as a user": {swap("push", "u:p@push"), "endpoint must be", 400},
		"a long endpoint":       {swap("/s", "/"+strings.Repeat("s", 2048)), "endpoint must be", 400},
		"no endpoint":           {`{"channel":"webpush","token":"` + fcmToken + `"}`, "endpoint must be", 400},
		"no point":              {swap(p256dh, ""), "keys.p256dh", 400},
		"a compressed point":    {swap(p256dh, "A"+p256dh[1:44]), "keys.p256dh", 400},
		"a point off the curve": {swap(p256dh, bent), "keys.p256dh", 400},
		"a short auth":          {swap(auth, auth[:20]), "keys.auth", 400},
		"auth in no base64":     {swap(auth, "!!"), "keys.auth", 400},
	} {
		got := s.do("PUT", "/v1/participants/ada/devices/phone", ada, x.body, x.status)["detail"].(string)
		if !strings.Contains(got, x.says) || strings.Contains(got, fcmToken) || strings.Contains(got, apnsToken) {
			t.Errorf("%s is told: %s", name, got)
		}
	}
	for _, id := range []string{strings.Repeat("x", 129), "a%00b", "a%0Ab", "%FF", fcmToken} {
		got := s.do("PUT", "/v1/participants/ada/devices/"+id, ada, `{"channel":"fcm","token":"`+fcmToken+`"}`, 400)["detail"].(string)
		if !strings.Contains(got, "a device's name") {
			t.Errorf("the name %s is told: %s", id, got)
		}
	}
	if left := s.do("GET", "/v1/participants/ada/devices", ada, "", 200)["devices"].([]any); len(left) != 0 {
		t.Errorf("registered are %v", left)
	}
}

// However a client writes its keys, they are kept in one way.
func TestDevicesInOneForm(t *testing.T) {
	t.Parallel()
	devices := deliverytest.NewDevices()
	s, _ := devicesAt(t, devices)
	body, p256dh, auth := subscription(t, "https://push.example/s/0123456789")
	padded := strings.NewReplacer(p256dh, strings.NewReplacer("-", "+", "_", "/").Replace(p256dh)+"=", auth, auth+"==").Replace(body)
	s.do("PUT", "/v1/participants/ada/devices/browser", token(t, "ada", time.Minute), padded, 201)
	if d, err := devices.Find(t.Context(), "ada", "browser"); err != nil || d == nil || d.P256dh != p256dh || d.Auth != auth {
		t.Errorf("kept is %v, %v", d, err)
	}
}

func TestDevicesTooMany(t *testing.T) {
	t.Parallel()
	s, _ := devicesAt(t, deliverytest.NewDevices())
	ada := token(t, "ada", time.Minute)
	for i := range deliverytest.DevicesMax + 1 {
		want := 201
		if i == deliverytest.DevicesMax {
			want = 409
		}
		got := s.do("PUT", fmt.Sprint("/v1/participants/ada/devices/d", i), ada, fmt.Sprintf(`{"channel":"fcm","token":"%s%d"}`, fcmToken, i), want)
		if want == 409 && got["detail"] != delivery.ErrDevicesFull.Error() {
			t.Errorf("one too many is told %v", got)
		}
	}
}

type brokenDevices struct{ delivery.Devices }

var errBroken = errors.New("connection refused")

func (brokenDevices) List(context.Context, string) ([]delivery.Device, error) { return nil, errBroken }

func (brokenDevices) Find(context.Context, string, string) (*delivery.Device, error) {
	return nil, nil
}
func (brokenDevices) Put(context.Context, string, delivery.Device) error { return errBroken }
func (brokenDevices) Delete(context.Context, string, string) error       { return errBroken }

func TestDevicesAway(t *testing.T) {
	t.Parallel()
	s, logged := devicesAt(t, brokenDevices{})
	ada := token(t, "ada", time.Minute)
	s.do("GET", "/v1/participants/ada/devices", ada, "", 503)
	s.do("PUT", "/v1/participants/ada/devices/phone", ada, `{"channel":"fcm","token":"`+fcmToken+`"}`, 503)
	s.do("DELETE", "/v1/participants/ada/devices/phone", ada, "", 503)
	if text := logged.String(); strings.Count(text, "the devices cannot be reached") != 3 || strings.Contains(text, fcmToken) {
		t.Errorf("the log says %s", text)
	}
}

// However a device is printed, its secrets are not.
func TestDevicesPrintNoSecrets(t *testing.T) {
	t.Parallel()
	d := delivery.Device{ID: "phone", Channel: "fcm", Token: fcmToken, P256dh: "point", Auth: "auth!"}
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("a line", "device", d, "devices", []delivery.Device{d})
	slog.New(slog.NewTextHandler(&out, nil)).Info("a line", "device", &d, "devices", []delivery.Device{d})
	fmt.Fprintf(&out, "%v %+v %#v %s %v %+v", d, d, d, d, &d, []delivery.Device{d})
	for _, private := range []string{fcmToken, "point", "auth!"} {
		if strings.Contains(out.String(), private) {
			t.Errorf("%s is in: %s", private, out.String())
		}
	}
	if !strings.Contains(out.String(), "…last") {
		t.Errorf("the token's end is not in: %s", out.String())
	}
}
