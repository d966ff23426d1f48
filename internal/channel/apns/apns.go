// Package apns delivers notifications to iOS apps by the Apple Push Notification
// service, over HTTP/2 with provider tokens.
//
// Its invariant: one call of Deliver sends at most one push. A token that Apple
// calls expired is renewed for the next attempt, not for a second request in
// this one. Only Apple's word that a device is unregistered, later than its
// registration here, takes it out.
package apns

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/veltrix/veltrix/internal/channel/dial"
	"github.com/veltrix/veltrix/internal/channel/push"
	"github.com/veltrix/veltrix/internal/delivery"
)

// Name is the channel's name in rules, and that of its devices.
const Name = "apns"

// hosts are Apple's, by the configuration's environment.
var hosts = map[string]string{
	"production": "https://api.push.apple.com",
	"sandbox":    "https://api.sandbox.push.apple.com",
}

// Config says who sends.
type Config struct {
	Key         string        // the .p8 file's content
	KeyID, Team string        // 10 characters each
	Topic       string        // the app's bundle ID
	Environment string        // production or sandbox
	Timeout     time.Duration // of one attempt (10 s)

	// URL leads to another APNs, such as a relay; empty is Apple's, by the
	// environment. Allow exempts networks from the block of addresses that are not
	// public.
	URL   string
	Allow []netip.Prefix
	Roots *x509.CertPool   // that sign its certificate; nil: the system's
	Now   func() time.Time // the provider tokens' clock; nil: time.Now
}

// Channel is a delivery.Channel.
type Channel struct {
	devices    push.Devices
	client     *dial.Client
	signer     *signer
	url, topic string
	timeout    time.Duration
}

var _ delivery.Channel = (*Channel)(nil)

// New checks the configuration. It reaches out to nobody, and its errors hold
// nothing of the key.
func New(c Config, devices delivery.Devices) (*Channel, error) {
	key, err := parseKey(c.Key)
	if err != nil {
		return nil, err
	}
	for _, field := range []struct{ name, value string }{{"key_id", c.KeyID}, {"team_id", c.Team}, {"topic", c.Topic}} {
		if field.value == "" {
			return nil, fmt.Errorf("notifier.apns.%s is empty: see docs/channels/apns.md for where Apple shows it", field.name)
		}
	}
	if c.URL == "" {
		c.URL = hosts[c.Environment]
	}
	if c.URL == "" {
		return nil, fmt.Errorf("notifier.apns.environment %q is neither production nor sandbox", c.Environment)
	}
	if c.Timeout <= 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Channel{
		devices: push.Devices{Channel: Name, Store: devices},
		client:  dial.New(dial.Guard{Allow: c.Allow, Key: "notifier.apns"}, c.Roots),
		signer:  &signer{key: key, id: c.KeyID, team: c.Team, now: c.Now},
		url:     strings.TrimSuffix(c.URL, "/"), topic: c.Topic, timeout: c.Timeout,
	}, nil
}

func parseKey(text string) (*ecdsa.PrivateKey, error) {
	wrong := errors.New("notifier.apns.key_file is no APNs key: download the .p8 file from Apple's developer account, Certificates, Identifiers & Profiles, Keys; it is used as it is")
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, wrong
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok || key.Curve != elliptic.P256() {
		return nil, wrong
	}
	return key, nil
}

// Personal implements delivery.Personal: targets are participants' devices.
func (c *Channel) Personal() {}

var _ delivery.Personal = (*Channel)(nil)

// Name implements delivery.Channel.
func (c *Channel) Name() string { return Name }

// Targets implements delivery.Channel: the IDs of the participant's devices.
func (c *Channel) Targets(ctx context.Context, participant string) ([]string, error) {
	return c.devices.Targets(ctx, participant)
}

// Timeout implements delivery.Channel.
func (c *Channel) Timeout() time.Duration { return c.timeout }

// Retry implements delivery.Channel: 8 tries within half an hour.
func (c *Channel) Retry(attempt int) (time.Duration, bool) { return push.Retry(attempt) }

// hexToken is what Apple gives apps; anything else would change the path.
var hexToken = regexp.MustCompile(`^[0-9a-fA-F]{2,200}$`)

// Deliver implements delivery.Channel.
func (c *Channel) Deliver(ctx context.Context, a delivery.Attempt) delivery.Result {
	device, res := c.devices.Find(ctx, a)
	if device == nil {
		return res
	}
	if !hexToken.MatchString(device.Token) {
		return delivery.Result{Verdict: delivery.Refused, Reason: "the token is not in hexadecimal: the app has to register it so"}
	}
	body, ok := encode(a)
	if !ok {
		return delivery.Result{Verdict: delivery.Refused, Reason: "too large for APNs even without title and body"}
	}
	token, err := c.signer.get()
	if err != nil {
		return delivery.Result{Verdict: delivery.Failed, Reason: "the provider token could not be signed", Alarm: true}
	}
	got, res := push.Send(ctx, c.client, c.url+"/3/device/"+device.Token, c.header(a, token), body)
	if got == nil {
		return res
	}
	return c.answer(ctx, got, device, token)
}

func (c *Channel) header(a delivery.Attempt, token string) http.Header {
	n := a.Notification
	h := http.Header{}
	h.Set("Authorization", "bearer "+token)
	h.Set("apns-topic", c.topic)
	h.Set("apns-id", ID(n, a.Target))
	h.Set("apns-collapse-id", n.ID)
	h.Set("apns-expiration", strconv.FormatInt(push.Expiry(n).Unix(), 10))
	h.Set("apns-push-type", "alert")
	h.Set("apns-priority", "10")
	if a.Op == delivery.Retract {
		h.Set("apns-push-type", "background")
		h.Set("apns-priority", "5") // Apple refuses 10 for what shows nothing
	}
	return h
}

// ID is the apns-id of a notification's revision at a target, a UUID. It is the
// same at every try.
func ID(n *delivery.Notification, target string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s.%d.%s", n.ID, n.Revision, target))
	u := sum[:16]
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80 // version 8: of the application's own making
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// Prove shows APNs our token, by a push to a device that cannot be: who is refused
// for the device alone has shown a token that is taken.
func (c *Channel) Prove(ctx context.Context) (delivery.Result, bool) {
	token, err := c.signer.get()
	if err != nil {
		return delivery.Result{Verdict: delivery.Failed, Reason: "the provider token could not be signed", Alarm: true}, false
	}
	h := http.Header{}
	h.Set("Authorization", "bearer "+token)
	h.Set("apns-topic", c.topic)
	h.Set("apns-push-type", "background")
	h.Set("apns-priority", "5")
	got, res := push.Send(ctx, c.client, c.url+"/3/device/"+strings.Repeat("0", 64), h, []byte(`{"aps":{}}`))
	switch {
	case got == nil:
		return res, false
	case got.Status == http.StatusOK, got.Status == http.StatusGone: // about the device, whatever it makes of this one
		return delivery.Result{Verdict: delivery.Accepted}, true
	}
	res = c.answer(ctx, got, nil, token)
	return res, got.Status == http.StatusBadRequest && strings.HasPrefix(res.Reason, "400 BadDeviceToken")
}

// answer classifies an answer by its status and Apple's reason.
func (c *Channel) answer(ctx context.Context, got *push.Answer, device *push.Held, token string) delivery.Result {
	var said struct {
		Reason    string `json:"reason"`
		Timestamp int64  `json:"timestamp"` // ms since the Unix epoch, of a 410
	}
	_ = json.Unmarshal(got.Body, &said) // the status says enough without
	reason := push.Word(said.Reason)
	res := delivery.Result{
		Verdict: delivery.Failed, Reason: strings.TrimSpace(strconv.Itoa(got.Status) + " " + reason), RetryAfter: got.RetryAfter,
	}
	switch {
	case got.Status == http.StatusOK:
		res = delivery.Result{Verdict: delivery.Accepted, Provider: got.Header.Get("apns-id"), Reason: res.Reason}
	case got.Status == http.StatusBadRequest:
		badRequest(&res, reason)
	case reason == "ExpiredProviderToken":
		res.Alarm = !c.signer.expired(token)
	case got.Status == http.StatusUnauthorized, got.Status == http.StatusForbidden:
		res.Alarm = true
	case got.Status == http.StatusGone:
		return gone(ctx, device, res.Reason, reason, said.Timestamp)
	case got.Status == http.StatusRequestEntityTooLarge:
		res.Verdict = delivery.Refused
	case got.Status >= 500:
		res.Verdict = delivery.Unknown
	}
	return res
}

// badRequest tells our configuration's faults from a device's and from those of
// the push itself, which no other try mends.
func badRequest(res *delivery.Result, reason string) {
	switch reason {
	case "BadTopic", "MissingTopic", "TopicDisallowed":
		res.Alarm = true
	case "IdleTimeout":
	case "BadDeviceToken", "DeviceTokenNotForTopic":
		// Not the device's end: a wrong environment of ours would take out everybody.
		res.Verdict = delivery.Refused
		res.Reason += ": the token is of another app or environment; compare notifier.apns.topic and notifier.apns.environment"
	default:
		res.Verdict = delivery.Refused
	}
}

// gone takes a device out that Apple calls unregistered since after it was
// registered here. An app that came back has the same token again.
func gone(ctx context.Context, device *push.Held, text, reason string, since int64) delivery.Result {
	switch {
	case reason != "Unregistered" || since == 0:
		return delivery.Result{Verdict: delivery.Refused, Reason: text}
	case !time.UnixMilli(since).After(device.Registered):
		return delivery.Result{Verdict: delivery.Failed, Reason: text + ": the token was registered again after that"}
	}
	return device.Prune(ctx, text)
}

// payload is the body of a push. An app's extension merges by what is under
// veltrix.
type payload struct {
	APS     aps    `json:"aps"`
	Veltrix fields `json:"veltrix"`
}

type aps struct {
	Alert            *alert `json:"alert,omitempty"`
	Thread           string `json:"thread-id,omitempty"`
	MutableContent   int    `json:"mutable-content,omitempty"`
	ContentAvailable int    `json:"content-available,omitempty"`
}

type alert struct {
	Title string `json:"title"`
	Body  string `json:"body"`
}

type fields struct {
	Notification string    `json:"notification"`
	Revision     int       `json:"revision"`
	Op           string    `json:"op"`
	Class        string    `json:"class"`
	InboxOffset  int64     `json:"inbox_offset"`
	EventType    string    `json:"event_type,omitempty"`
	EventTime    time.Time `json:"event_time,omitzero"`
}

// encode writes the push within Apple's limit. A retraction shows nothing: it
// wakes the app, which takes the card away.
func encode(a delivery.Attempt) ([]byte, bool) {
	n := a.Notification
	p := payload{Veltrix: fields{n.ID, n.Revision, string(a.Op), n.Class, a.InboxOffset, n.EventType, n.EventTime}}
	if a.Op == delivery.Retract {
		p.APS.ContentAvailable = 1
	} else {
		p.APS = aps{Alert: &alert{}, Thread: n.Class, MutableContent: 1}
	}
	return push.Fit(push.PayloadMax, n.Title, n.Body, func(title, body string) []byte {
		if p.APS.Alert != nil {
			*p.APS.Alert = alert{title, body}
		}
		text, _ := json.Marshal(p) // strings and numbers always can be
		return text
	})
}
