// Package webhook delivers notifications to an HTTP endpoint, signed after the
// Standard Webhooks specification.
//
// Its invariant: one call of Deliver makes at most one request, through
// internal/channel/dial; and two tries of one revision carry the same ID and
// the same body.
package webhook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/veltrix/veltrix/internal/channel/dial"
	"github.com/veltrix/veltrix/internal/delivery"
)

// Name is the channel's name in rules.
const Name = "webhook"

// pauses follow the attempts: the first comes at once, the second after 5 s.
var pauses = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
	10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// Config says where webhooks go.
type Config struct {
	URL string // https, or http where the operator wants that
	// Secrets sign: the first is current, others are being phased out. Each is
	// base64 with or without the whsec_ prefix.
	Secrets []string
	Timeout time.Duration // of one attempt (15 s)
	Allow   []netip.Prefix
	// Pauses replace the schedule, for tests.
	Pauses []time.Duration
}

// Channel is a delivery.Channel.
type Channel struct {
	url     string
	target  string
	signers []*standardwebhooks.Webhook
	client  *dial.Client
	timeout time.Duration
	pauses  []time.Duration
}

var _ delivery.Channel = (*Channel)(nil)

// New checks the configuration. It reaches out to nobody.
func New(c Config) (*Channel, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, fmt.Errorf("notifier.webhook.url %q is not an http or https URL", c.URL)
	}
	if u.User != nil {
		return nil, errors.New("notifier.webhook.url carries a password: receivers check the signature instead")
	}
	if len(c.Secrets) == 0 {
		return nil, errors.New("webhooks need a secret: set notifier.webhook.secret_file")
	}
	ch := &Channel{url: u.String(), timeout: c.Timeout, pauses: c.Pauses}
	if ch.timeout <= 0 {
		ch.timeout = 15 * time.Second
	}
	if ch.pauses == nil {
		ch.pauses = pauses
	}
	for _, s := range c.Secrets {
		w, err := standardwebhooks.NewWebhook(strings.TrimSpace(s))
		if err != nil {
			return nil, errors.New("the webhook secret is not base64: make one with `openssl rand -base64 32`")
		}
		ch.signers = append(ch.signers, w)
	}
	sum := sha256.Sum256([]byte(ch.url))
	ch.target = hex.EncodeToString(sum[:8])
	ch.client = dial.New(dial.Guard{Allow: c.Allow, Key: "notifier.webhook.allow"}, nil)
	return ch, nil
}

// Name implements delivery.Channel.
func (c *Channel) Name() string { return Name }

// Targets implements delivery.Channel: one endpoint gets everybody's. Its name
// is a hash of the URL, so that another URL is another target.
func (c *Channel) Targets(context.Context, string) ([]string, error) {
	return []string{c.target}, nil
}

// Timeout implements delivery.Channel.
func (c *Channel) Timeout() time.Duration { return c.timeout }

// Retry implements delivery.Channel.
func (c *Channel) Retry(attempt int) (time.Duration, bool) {
	if attempt < 1 || attempt > len(c.pauses) {
		return 0, false
	}
	return c.pauses[attempt-1], true
}

// message is the body of a webhook.
type message struct {
	Type      string    `json:"type"` // notification.send, .update or .retract
	Timestamp time.Time `json:"timestamp"`
	Data      data      `json:"data"`
}

type data struct {
	Notification string    `json:"notification"`
	Revision     int       `json:"revision"`
	Participant  string    `json:"participant"`
	Class        string    `json:"class"`
	Title        string    `json:"title"`
	Body         string    `json:"body"`
	Expires      time.Time `json:"expires,omitzero"`
	EventType    string    `json:"event_type,omitempty"`
	EventTime    time.Time `json:"event_time,omitzero"`
	InboxOffset  int64     `json:"inbox_offset,omitempty"`
}

// ID is the webhook-id of a notification's revision: the notification's own
// for the first, with the revision behind a dot for later ones. It is the same
// at every try, so a receiver that collapses on it sees each revision once.
func ID(n *delivery.Notification) string {
	if n.Revision == 1 {
		return n.ID
	}
	return n.ID + "." + strconv.Itoa(n.Revision)
}

// Deliver implements delivery.Channel.
func (c *Channel) Deliver(ctx context.Context, a delivery.Attempt) delivery.Result {
	n := a.Notification
	// The body must not differ between tries: its time is the arrival, not now.
	body, err := json.Marshal(message{
		Type: "notification." + string(a.Op), Timestamp: n.Arrival.UTC(), Data: data{
			Notification: n.ID, Revision: n.Revision, Participant: n.Participant, Class: n.Class,
			Title: n.Title, Body: n.Body, Expires: n.Expires, EventType: n.EventType, EventTime: n.EventTime,
			InboxOffset: a.InboxOffset,
		},
	})
	if err != nil {
		return delivery.Result{Verdict: delivery.Refused, Reason: "encode: " + err.Error()}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return delivery.Result{Verdict: delivery.Refused, Reason: "make the request: " + err.Error()}
	}
	id := ID(n)
	var signatures []string
	for _, s := range c.signers {
		sig, err := s.Sign(id, a.At, body)
		if err != nil {
			return delivery.Result{Verdict: delivery.Refused, Reason: "sign: " + err.Error()}
		}
		signatures = append(signatures, sig)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Veltrix")
	req.Header.Set(standardwebhooks.HeaderWebhookID, id)
	req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(a.At.Unix(), 10))
	req.Header.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	if n.TraceParent != "" {
		req.Header.Set("traceparent", n.TraceParent)
	}
	resp, err := c.client.Do(req) //nolint:bodyclose // it is closed
	if err != nil {
		res := dial.Failure(err)
		res.Alarm = errors.Is(err, dial.ErrBlocked) // the URL is of our configuration
		return res
	}
	return answer(resp)
}

// answer classifies an answer by its status.
func answer(resp *http.Response) delivery.Result {
	code := resp.StatusCode
	res := delivery.Result{Reason: strconv.Itoa(code), RetryAfter: dial.RetryAfter(resp.Header)}
	switch {
	case code >= 200 && code < 300:
		res.Verdict, res.RetryAfter = delivery.Accepted, 0
	case code == http.StatusGone:
		res.Verdict, res.Reason = delivery.Refused, "410: the endpoint is gone"
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		res.Verdict, res.Alarm = delivery.Failed, true
	case code >= 500:
		res.Verdict = delivery.Unknown // receivers have acted on what they answered 503 to
	default:
		res.Verdict = delivery.Failed // 1xx to 4xx, redirects included: they are not followed
	}
	return res
}
