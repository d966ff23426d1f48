// Package webpush delivers notifications to browsers: Web Push (RFC 8030),
// encrypted for the browser alone (RFC 8291) and signed with our key (RFC 8292).
//
// Its invariant: one call of Deliver makes at most one request, through
// internal/channel/dial, with the subscription as it is at that moment; a
// subscription is pruned only by its own push service's word on it.
package webpush

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	webpushgo "github.com/SherClockHolmes/webpush-go"

	"github.com/veltrix/veltrix/internal/channel/dial"
	"github.com/veltrix/veltrix/internal/channel/push"
	"github.com/veltrix/veltrix/internal/delivery"
)

// Name is the channel's name in rules, and that of its devices.
const Name = "webpush"

// AllowKey is the configuration's key for Config.Allow.
const AllowKey = "notifier.webpush.allow"

// Config says who sends.
type Config struct {
	// Subject is where a push service reaches us when our pushes make trouble: a
	// mail address or an https URL.
	Subject    string
	PrivateKey string // VAPID, 32 bytes in base64url
	Timeout    time.Duration
	// Allow exempts networks from the block of addresses that are not public:
	// endpoints come from players.
	Allow []netip.Prefix
	// Roots sign the push services' certificates; nil: the system's.
	Roots *x509.CertPool
}

// Channel is a delivery.Channel.
type Channel struct {
	devices         push.Devices
	subject         string
	private, public string
	client          *dial.Client
	timeout         time.Duration
}

var _ delivery.Channel = (*Channel)(nil)

// New checks the configuration. It reaches out to nobody. A Timeout of 0 means
// 15 seconds.
func New(c Config, devices delivery.Devices) (*Channel, error) {
	subject := strings.TrimPrefix(c.Subject, "mailto:") // the library puts it back
	if !strings.Contains(subject, "@") && !strings.HasPrefix(subject, "https://") {
		return nil, fmt.Errorf("notifier.webpush.subject %q is neither a mail address nor an https URL: push services want one, and some refuse without", c.Subject)
	}
	public, err := PublicKey(c.PrivateKey)
	if err != nil {
		return nil, err
	}
	if c.Timeout <= 0 {
		c.Timeout = 15 * time.Second
	}
	return &Channel{
		devices: push.Devices{Channel: Name, Store: devices}, subject: subject, private: strings.TrimRight(strings.TrimSpace(c.PrivateKey), "="), public: public,
		client: dial.New(dial.Guard{Allow: c.Allow, Key: AllowKey}, c.Roots), timeout: c.Timeout,
	}, nil
}

// Personal implements delivery.Personal: targets are participants' devices.
func (c *Channel) Personal() {}

var _ delivery.Personal = (*Channel)(nil)

// Name implements delivery.Channel.
func (c *Channel) Name() string { return Name }

// PublicKey is what browsers subscribe with, in base64url without padding.
func (c *Channel) PublicKey() string { return c.public }

// Targets implements delivery.Channel: a participant's browsers, by their IDs.
func (c *Channel) Targets(ctx context.Context, participant string) ([]string, error) {
	return c.devices.Targets(ctx, participant)
}

// Timeout implements delivery.Channel.
func (c *Channel) Timeout() time.Duration { return c.timeout }

// Retry implements delivery.Channel.
func (c *Channel) Retry(attempt int) (time.Duration, bool) { return push.Retry(attempt) }

// Deliver implements delivery.Channel. It looks the subscription up anew, as
// browsers renew theirs.
func (c *Channel) Deliver(ctx context.Context, a delivery.Attempt) delivery.Result {
	device, ended := c.devices.Find(ctx, a)
	if device == nil {
		return ended
	}
	to, err := subscription(&device.Device)
	if err != nil {
		return delivery.Result{Verdict: delivery.Refused, Reason: err.Error()}
	}
	text, err := encode(a)
	if err != nil {
		return delivery.Result{Verdict: delivery.Refused, Reason: err.Error()}
	}
	resp, err := webpushgo.SendNotificationWithContext(ctx, text, to, &webpushgo.Options{ //nolint:bodyclose // the client closed it
		HTTPClient: c.client, RecordSize: recordSize, Subscriber: c.subject,
		// Without a TTL, a browser that is away never gets the message.
		TTL: TTL(a.Notification, a.At), Topic: topic(a.Notification.ID), Urgency: webpushgo.UrgencyNormal,
		VAPIDPublicKey: c.public, VAPIDPrivateKey: c.private,
	})
	if err != nil {
		return failure(err)
	}
	if resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone {
		return device.Prune(ctx, strconv.Itoa(resp.StatusCode)+": the subscription is gone")
	}
	return answer(resp)
}

var errSubscription = errors.New("the subscription is not valid: the page has to subscribe again")

// subscription is what the library wants of a device. Its error is of our own
// words: those of parsers hold what they parsed.
func subscription(d *delivery.Device) (*webpushgo.Subscription, error) {
	u, err := url.Parse(d.Token)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, errSubscription
	}
	// The library takes any length, and no browser could read the message.
	auth, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(d.Auth, "="))
	if err != nil || len(auth) != 16 {
		return nil, errSubscription
	}
	return &webpushgo.Subscription{Endpoint: d.Token, Keys: webpushgo.Keys{P256dh: d.P256dh, Auth: d.Auth}}, nil
}

// failure classifies a message that got no answer.
func failure(err error) delivery.Result {
	var unsent *dial.Error
	if !errors.As(err, &unsent) {
		return delivery.Result{Verdict: delivery.Refused, Reason: errSubscription.Error()} // no request was made
	}
	res := dial.Failure(err)
	if errors.Is(err, dial.ErrBlocked) {
		res.Verdict = delivery.Refused // no alarm: it is the player's endpoint, and no fault of ours
	}
	return res
}

// answer classifies an answer by its status. The message's URL is not kept: who
// has it can take the message back.
func answer(resp *http.Response) delivery.Result {
	code := resp.StatusCode
	res := delivery.Result{Reason: strconv.Itoa(code), RetryAfter: dial.RetryAfter(resp.Header)}
	switch {
	case code == http.StatusOK, code == http.StatusCreated, code == http.StatusAccepted:
		res.Verdict, res.RetryAfter = delivery.Accepted, 0
	case code == http.StatusRequestEntityTooLarge:
		res.Verdict, res.Reason = delivery.Refused, "413: too large for this push service"
	case code == http.StatusBadRequest, code == http.StatusUnauthorized, code == http.StatusForbidden:
		res.Verdict, res.Alarm = delivery.Failed, true
	case code >= 500:
		res.Verdict = delivery.Unknown
	default:
		res.Verdict = delivery.Failed // redirects included: they are not followed
	}
	return res
}
