// Package fcm delivers notifications to Android apps (and others that use
// Firebase) by Firebase Cloud Messaging's HTTP v1 API.
//
// Its invariant: one call of Deliver sends at most one message. It speaks HTTP
// itself, because the Admin SDK repeats what was answered 503 without saying so,
// and a second copy would have no claim in the ledger. Only an answer that names
// the device as unregistered takes it out.
package fcm

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2/jwt"

	"github.com/veltrix/veltrix/internal/channel/dial"
	"github.com/veltrix/veltrix/internal/channel/push"
	"github.com/veltrix/veltrix/internal/delivery"
)

// Name is the channel's name in rules, and that of its devices.
const Name = "fcm"

const (
	base = "https://fcm.googleapis.com"
	// quotaPause is what FCM wants after a 429 that names no time.
	quotaPause = time.Minute
)

// Config says who sends.
type Config struct {
	Credentials string        // a service account's key, the JSON file's content
	Timeout     time.Duration // of one attempt, the token's exchange included (10 s)

	// URL leads to another FCM, such as a relay; empty is Google's. Allow exempts
	// networks from the block of addresses that are not public, for it and for
	// the credentials' token_uri.
	URL   string
	Allow []netip.Prefix
	Roots *x509.CertPool // that sign their certificates; nil: the system's
}

// Channel is a delivery.Channel.
type Channel struct {
	devices push.Devices
	client  *dial.Client
	tokens  *tokens
	url     string
	timeout time.Duration
}

var _ delivery.Channel = (*Channel)(nil)

// New checks the configuration. It reaches out to nobody, and its errors hold
// nothing of the key.
func New(c Config, devices delivery.Devices) (*Channel, error) {
	var key struct {
		Type     string `json:"type"`
		Project  string `json:"project_id"`
		Email    string `json:"client_email"`
		ID       string `json:"private_key_id"`
		Private  string `json:"private_key"`
		TokenURI string `json:"token_uri"`
	}
	if json.Unmarshal([]byte(c.Credentials), &key) != nil || key.Type != "service_account" {
		return nil, errors.New("notifier.fcm.credentials_file is no service account's key: make one in the Firebase console, Project settings, Service accounts, Generate new private key")
	}
	for _, field := range []struct{ name, value string }{
		{"project_id", key.Project}, {"client_email", key.Email}, {"private_key", key.Private}, {"token_uri", key.TokenURI},
	} {
		if field.value == "" {
			return nil, errors.New("notifier.fcm.credentials_file has no " + field.name + ": download the key again, it is used as it is")
		}
	}
	if !isKey(key.Private) {
		return nil, errors.New("notifier.fcm.credentials_file has a private_key that is no RSA key: download the key again, it is used as it is")
	}
	if c.Timeout <= 0 {
		c.Timeout = 10 * time.Second
	}
	if c.URL == "" {
		c.URL = base
	}
	client := dial.New(dial.Guard{Allow: c.Allow, Key: "notifier.fcm"}, c.Roots)
	return &Channel{
		devices: push.Devices{Channel: Name, Store: devices}, client: client, timeout: c.Timeout,
		url: strings.TrimSuffix(c.URL, "/") + "/v1/projects/" + url.PathEscape(key.Project) + "/messages:send",
		tokens: &tokens{client: client, turn: make(chan struct{}, 1), config: jwt.Config{
			Email: key.Email, PrivateKey: []byte(key.Private), PrivateKeyID: key.ID, Scopes: []string{scope}, TokenURL: key.TokenURI,
		}},
	}, nil
}

func isKey(text string) bool {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return false
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	}
	_, ok := key.(*rsa.PrivateKey)
	return ok && err == nil
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

// Prove exchanges the credentials for an access token, and sends nothing.
func (c *Channel) Prove(ctx context.Context) (delivery.Result, bool) {
	token, res := c.tokens.get(ctx)
	return res, token != nil
}

// Deliver implements delivery.Channel.
func (c *Channel) Deliver(ctx context.Context, a delivery.Attempt) delivery.Result {
	device, res := c.devices.Find(ctx, a)
	if device == nil {
		return res
	}
	body, ok := encode(a, device.Token)
	if !ok {
		return delivery.Result{Verdict: delivery.Refused, Reason: "too large for FCM even without title and body"}
	}
	token, res := c.tokens.get(ctx)
	if token == nil {
		return res
	}
	got, res := push.Send(ctx, c.client, c.url, http.Header{"Authorization": {"Bearer " + token.token}}, body)
	if got == nil {
		return res
	}
	if got.Status == http.StatusUnauthorized {
		return c.unauthorized(token, got)
	}
	c.tokens.took(token)
	return answer(ctx, got, device)
}

// unauthorized is our fault, unless the token had worked before: then it was
// withdrawn early, and the next attempt fetches another.
func (c *Channel) unauthorized(token *access, got *push.Answer) delivery.Result {
	word := said(got.Body)
	if word == "THIRD_PARTY_AUTH_ERROR" { // about the app's key at Apple, not about our token
		return delivery.Result{Verdict: delivery.Failed, Reason: "401 " + word, Alarm: true}
	}
	return delivery.Result{Verdict: delivery.Failed, Reason: strings.TrimSpace("401 " + word), Alarm: !c.tokens.rejected(token)}
}

// answer classifies an answer. FCM's sentences may repeat the device's token, so
// only its words are kept.
func answer(ctx context.Context, got *push.Answer, device *push.Held) delivery.Result {
	word := said(got.Body)
	res := delivery.Result{
		Verdict: delivery.Failed, Reason: strings.TrimSpace(strconv.Itoa(got.Status) + " " + word), RetryAfter: got.RetryAfter,
	}
	switch {
	case got.Status >= 200 && got.Status < 300:
		var message struct {
			Name string `json:"name"`
		}
		_ = json.Unmarshal(got.Body, &message) // the status is the answer
		res = delivery.Result{Verdict: delivery.Accepted, Provider: message.Name, Reason: res.Reason}
	case got.Status == http.StatusNotFound && word == "UNREGISTERED":
		return device.Prune(ctx, res.Reason)
	case got.Status == http.StatusForbidden:
		res.Alarm = true
		if word == "SENDER_ID_MISMATCH" { // the token is of another project, and stays so
			res.Verdict = delivery.Refused
		}
	case word == "INVALID_ARGUMENT", got.Status == http.StatusRequestEntityTooLarge:
		res.Verdict = delivery.Refused
	case got.Status == http.StatusTooManyRequests && res.RetryAfter == 0:
		res.RetryAfter = quotaPause
	case got.Status >= 500:
		res.Verdict = delivery.Unknown // FCM has delivered what it answered 503 to
	}
	return res
}

// said is FCM's word for what went wrong: the FcmError's code where there is
// one, the status otherwise.
func said(body []byte) string {
	var text struct {
		Error struct {
			Status  string `json:"status"`
			Details []struct {
				Type string `json:"@type"`
				Code string `json:"errorCode"`
			} `json:"details"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &text) != nil {
		return ""
	}
	for _, d := range text.Error.Details {
		if word := push.Word(d.Code); word != "" && strings.HasSuffix(d.Type, "/google.firebase.fcm.v1.FcmError") {
			return word
		}
	}
	return push.Word(text.Error.Status)
}

// encode writes the request, its data within FCM's limit.
func encode(a delivery.Attempt, token string) ([]byte, bool) {
	n := a.Notification
	data := map[string]string{
		"notification": n.ID, "revision": strconv.Itoa(n.Revision), "op": string(a.Op), "class": n.Class,
		"inbox_offset": strconv.FormatInt(a.InboxOffset, 10), "event_type": n.EventType,
	}
	if !n.EventTime.IsZero() {
		data["event_time"] = n.EventTime.UTC().Format(time.RFC3339Nano)
	}
	_, ok := push.Fit(push.PayloadMax, n.Title, n.Body, func(title, body string) []byte {
		data["title"], data["body"] = title, body
		text, _ := json.Marshal(data) // strings always can be
		return text
	})
	ttl := max(push.Expiry(n).Sub(a.At), 0)
	text, err := json.Marshal(map[string]any{"message": map[string]any{
		"token": token, "data": data, "android": map[string]string{
			"priority": "HIGH", "ttl": strconv.Itoa(int(ttl/time.Second)) + "s", "collapse_key": n.ID,
		},
	}})
	return text, ok && err == nil
}
