package inboxapi

import (
	"context"
	"crypto/ecdh"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/veltrix/veltrix/internal/delivery"
)

// Limits of a device, in bytes.
const (
	deviceBodyMax  = 8 << 10
	deviceNameMax  = 128
	endpointMax    = 2048
	fcmTokenMin    = 16
	fcmTokenMax    = 4096
	apnsTokenMin   = 32 // before its encoding in hex
	apnsTokenMax   = 100
	pushSecretSize = 16 // of a subscription's auth
)

// deviceBody is what registers a device. Of Web Push it is the JSON of the
// browser's PushSubscription, with or without channel.
type deviceBody struct {
	Channel  string `json:"channel"`
	Token    string `json:"token"` // of fcm and apns
	Endpoint string `json:"endpoint"`
	// ExpirationTime is in every PushSubscription. The push service says by itself
	// when one is over, so it is of no use here.
	ExpirationTime *float64 `json:"expirationTime"`
	Keys           struct {
		P256dh string `json:"p256dh"`
		Auth   string `json:"auth"`
	} `json:"keys"`
}

// deviceView is a device as it is shown.
type deviceView struct {
	Device     string    `json:"device"`
	Channel    string    `json:"channel"`
	Token      string    `json:"token"` // its end only
	Registered time.Time `json:"registered"`
}

func viewOf(d delivery.Device) deviceView {
	return deviceView{d.ID, d.Channel, d.Ending(), d.Registered}
}

// owner authenticates a request about a participant, or answers it.
func (a *API) owner(w http.ResponseWriter, r *http.Request) (string, bool) {
	participant, _, ok := a.who(w, r, false)
	if ok && participant != r.PathValue("participant") {
		problem(w, http.StatusForbidden, "this token is another participant's")
		return "", false
	}
	return participant, ok
}

// listDevices serves a participant's devices.
func (a *API) listDevices(w http.ResponseWriter, r *http.Request) {
	participant, ok := a.owner(w, r)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
	defer cancel()
	devices, err := a.devices.List(ctx, participant)
	if err != nil {
		a.unavailable(w, "the devices", err)
		return
	}
	views := make([]deviceView, 0, len(devices))
	for _, d := range devices {
		views = append(views, viewOf(d))
	}
	reply(w, http.StatusOK, "application/json", map[string]any{"participant": participant, "devices": views})
}

// putDevice registers a device, or renews it.
func (a *API) putDevice(w http.ResponseWriter, r *http.Request) {
	participant, ok := a.owner(w, r)
	if !ok {
		return
	}
	var body deviceBody
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, deviceBodyMax))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&body); err != nil {
		// The decoder's own words may quote the body, and so the token.
		problem(w, http.StatusBadRequest, `the body must be a PushSubscription's JSON, or {"channel": "fcm", "token": …} or {"channel": "apns", "token": …}`)
		return
	}
	d, err := body.device(r.PathValue("device"))
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	if !slices.Contains(a.channels, d.Channel) {
		problem(w, http.StatusConflict, "the channel "+d.Channel+" is not set up here: a device would wait in vain; ask whoever runs the notifier")
		return
	}
	d.Registered = time.Now().UTC().Truncate(time.Microsecond)
	ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
	defer cancel()
	before, err := a.devices.Find(ctx, participant, d.ID)
	if err == nil {
		err = a.devices.Put(ctx, participant, d)
	}
	switch {
	case errors.Is(err, delivery.ErrDevicesFull):
		problem(w, http.StatusConflict, err.Error())
	case err != nil:
		a.unavailable(w, "the devices", err)
	case before == nil:
		reply(w, http.StatusCreated, "application/json", viewOf(d))
	default:
		reply(w, http.StatusOK, "application/json", viewOf(d))
	}
}

// deleteDevice takes a device out; one that is not there is gone as well.
func (a *API) deleteDevice(w http.ResponseWriter, r *http.Request) {
	participant, ok := a.owner(w, r)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
	defer cancel()
	if err := a.devices.Delete(ctx, participant, r.PathValue("device")); err != nil {
		a.unavailable(w, "the devices", err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// device checks what was sent and returns it in the one form in which it is
// kept: a token written in two ways would have two owners. Errors quote nothing
// that is secret.
func (b *deviceBody) device(id string) (delivery.Device, error) {
	d := delivery.Device{ID: id, Channel: b.Channel, Token: b.Token}
	if b.Channel == "" && b.Endpoint != "" {
		d.Channel = "webpush"
	}
	var err error
	switch d.Channel {
	case "webpush":
		err = b.subscription(&d)
	case "fcm":
		if len(b.Token) < fcmTokenMin || len(b.Token) > fcmTokenMax || strings.ContainsFunc(b.Token, outsideToken) {
			err = fmt.Errorf("an fcm token has %d to %d letters, digits and marks: send what the app's Firebase library gave", fcmTokenMin, fcmTokenMax)
		}
	case "apns":
		raw, broken := hex.DecodeString(b.Token)
		if broken != nil || len(raw) < apnsTokenMin || len(raw) > apnsTokenMax {
			err = fmt.Errorf("an apns token is %d to %d bytes in hex: send the app's device token so", apnsTokenMin, apnsTokenMax)
		}
		d.Token = hex.EncodeToString(raw)
	default:
		err = errors.New("channel must be webpush, fcm or apns")
	}
	switch {
	case err != nil:
	case id == "" || len(id) > deviceNameMax || !utf8.ValidString(id) || strings.ContainsFunc(id, unprintable):
		err = fmt.Errorf("a device's name has 1 to %d bytes that can be printed", deviceNameMax)
	case strings.EqualFold(id, d.Token):
		err = errors.New("a device's name stands in receipts, so it must not be its token: choose another, such as phone")
	}
	return d, err
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

func outsideToken(r rune) bool { return r <= ' ' || r > '~' }

// subscription checks the parts of a Web Push subscription and puts them into d.
func (b *deviceBody) subscription(d *delivery.Device) error {
	endpoint, err := url.Parse(b.Endpoint)
	if err != nil || endpoint.Scheme != "https" || endpoint.Hostname() == "" || endpoint.User != nil ||
		endpoint.Fragment != "" || len(b.Endpoint) > endpointMax {
		return fmt.Errorf("endpoint must be an https URL of at most %d bytes: send the browser's PushSubscription", endpointMax)
	}
	d.Token = b.Endpoint
	point, err := base64.RawURLEncoding.DecodeString(plainBase64(b.Keys.P256dh))
	if err == nil {
		_, err = ecdh.P256().NewPublicKey(point)
	}
	if err != nil {
		return errors.New("keys.p256dh must be an uncompressed point of P-256, 65 bytes in base64url: send the browser's PushSubscription")
	}
	auth, err := base64.RawURLEncoding.DecodeString(plainBase64(b.Keys.Auth))
	if err != nil || len(auth) != pushSecretSize {
		return fmt.Errorf("keys.auth must be %d bytes in base64url: send the browser's PushSubscription", pushSecretSize)
	}
	d.P256dh, d.Auth = base64.RawURLEncoding.EncodeToString(point), base64.RawURLEncoding.EncodeToString(auth)
	return nil
}

// plainBase64 turns the other ways of writing base64 into base64url without
// padding: clients use them all.
func plainBase64(text string) string {
	return strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(text, "="))
}
