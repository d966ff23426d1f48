// Package mobile holds what the channels to phones share: how a device is
// looked up and taken out, the retry schedule, one HTTP request that nothing
// repeats, and a text cut to a provider's limit.
//
// Its invariant: Send makes at most one request, and calls a failure definite
// only where no connection stood.
package mobile

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"sort"
	"strconv"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/veltrix/veltrix/internal/delivery"
)

// PayloadMax is what both providers take, in bytes.
const PayloadMax = 4096

// KeepMax is the longest that a provider is asked to keep a message for a
// device that is away: FCM's limit.
const KeepMax = 28 * 24 * time.Hour

// pauses follow the attempts: 8 tries within half an hour.
var pauses = []time.Duration{
	5 * time.Second, 15 * time.Second, 45 * time.Second, 2 * time.Minute,
	5 * time.Minute, 8 * time.Minute, 12 * time.Minute,
}

// retryAfterMax bounds what a provider may ask for.
const retryAfterMax = time.Hour

// Retry is delivery.Channel's Retry.
func Retry(attempt int) (time.Duration, bool) {
	if attempt < 1 || attempt > len(pauses) {
		return 0, false
	}
	return pauses[attempt-1], true
}

// Expiry is until when a provider shall keep a notification: its own expiry,
// or KeepMax after it arrived.
func Expiry(n *delivery.Notification) time.Time {
	end := n.Arrival.Add(KeepMax)
	if !n.Expires.IsZero() && n.Expires.Before(end) {
		return n.Expires
	}
	return end
}

// Devices are the devices of one channel.
type Devices struct {
	Channel string
	Store   delivery.Devices
}

// Targets is delivery.Channel's Targets: the IDs of the participant's devices.
func (d Devices) Targets(ctx context.Context, participant string) ([]string, error) {
	all, err := d.Store.List(ctx, participant)
	if err != nil {
		return nil, fmt.Errorf("list the devices: %w", err)
	}
	var ids []string
	for i := range all {
		if all[i].Channel == d.Channel {
			ids = append(ids, all[i].ID)
		}
	}
	return ids, nil
}

// Held is a device as it was at the moment of an attempt.
type Held struct {
	delivery.Device
	participant string
	store       delivery.Devices
	seen        time.Time
}

// Find looks an attempt's device up, so that a renewed token is used. Without
// a device, the result says how the attempt ends.
func (d Devices) Find(ctx context.Context, a delivery.Attempt) (*Held, delivery.Result) {
	seen := time.Now() // before the look: what is registered after it is not ours to judge
	found, err := d.Store.Find(ctx, a.Notification.Participant, a.Target)
	if err != nil {
		return nil, delivery.Result{Verdict: delivery.Failed, Reason: "the device could not be looked up"}
	}
	if found == nil || found.Channel != d.Channel {
		return nil, delivery.Result{Verdict: delivery.Refused, Reason: "the device is gone"}
	}
	return &Held{Device: *found, participant: a.Notification.Participant, store: d.Store, seen: seen}, delivery.Result{}
}

// Prune takes the device out, for a reason in the provider's words. Where its
// token was renewed meanwhile nothing was said about the new one, and another
// try may help.
func (h *Held) Prune(ctx context.Context, reason string) delivery.Result {
	switch pruned, err := h.store.Prune(ctx, h.participant, h.ID, h.Token, h.seen); {
	case err != nil:
		return delivery.Result{Verdict: delivery.Failed, Reason: reason + ": the device could not be taken out"}
	case !pruned:
		return delivery.Result{Verdict: delivery.Failed, Reason: reason + ": the token was renewed meanwhile"}
	default:
		return delivery.Result{Verdict: delivery.Refused, Reason: reason, Pruned: true}
	}
}

// Client returns a client for Send. Roots are the authorities to trust, nil for
// the system's; timeout bounds an attempt.
func Client(timeout time.Duration, roots *x509.CertPool) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:             http.ProxyFromEnvironment,
			DialContext:       (&net.Dialer{Timeout: min(5*time.Second, timeout)}).DialContext,
			ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 32, IdleConnTimeout: 10 * time.Minute,
			TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: 5 * time.Second, MaxResponseHeaderBytes: 32 << 10,
			// One HTTP/2 connection carries everything: without pings, one that
			// died in silence would fail every attempt until TCP gives up.
			HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Answer is what a provider answered.
type Answer struct {
	Status     int
	Header     http.Header
	Body       []byte        // the first 16 KiB
	RetryAfter time.Duration // the provider's wish, at most an hour; 0 for none
}

// Send posts once. Without an answer the result says how the attempt ends; its
// reason holds neither the URL nor a header, both of which may be secrets.
func Send(ctx context.Context, client *http.Client, to string, header http.Header, body []byte) (*Answer, delivery.Result) {
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return nil, delivery.Result{Verdict: delivery.Refused, Reason: "make the request: " + Brief(err)}
	}
	// Without GetBody the transport cannot send the body a second time, on HTTP/2
	// neither. Never set an Idempotency-Key here: it makes the transport retry a
	// POST by itself.
	req.GetBody = nil
	req.Header = header
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Veltrix")
	resp, err := client.Do(req)
	switch {
	case err != nil && connected.Load():
		return nil, delivery.Result{Verdict: delivery.Unknown, Reason: Brief(err)}
	case err != nil:
		return nil, delivery.Result{Verdict: delivery.Failed, Reason: Brief(err), Unreachable: true}
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 16<<10)) // the status is the answer
	return &Answer{Status: resp.StatusCode, Header: resp.Header, Body: text, RetryAfter: retryAfter(resp.Header.Get("Retry-After"))}, delivery.Result{}
}

// retryAfter reads seconds or an HTTP date.
func retryAfter(v string) time.Duration {
	wait := time.Duration(0)
	if s, err := strconv.ParseInt(v, 10, 32); err == nil {
		wait = time.Duration(s) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		wait = time.Until(at)
	}
	return min(max(wait, 0), retryAfterMax)
}

// Brief is an error without its URL, at most 300 bytes.
func Brief(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return Shorten(err.Error(), 300)
}

var word = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.\[\]]{0,63}$`)

// Word is a provider's own word for what went wrong, such as UNREGISTERED or
// BadDeviceToken; empty for anything else, because a provider's sentences may
// repeat the device's token.
func Word(text string) string {
	if !word.MatchString(text) {
		return ""
	}
	return text
}

// Fit encodes a title and a body within limit bytes. Where they are too long
// the body is cut, and then the title. False says that the rest alone is too
// long.
func Fit(limit int, title, body string, encode func(title, body string) []byte) ([]byte, bool) {
	if whole := encode(title, body); len(whole) <= limit {
		return whole, true
	}
	cut := func(text string, with func(string) []byte) (string, bool) {
		// The first length at which it does not fit; the one before it does.
		n := sort.Search(len(text)+1, func(i int) bool { return len(with(Shorten(text, i))) > limit })
		return Shorten(text, max(n-1, 0)), n > 0
	}
	body, ok := cut(body, func(s string) []byte { return encode(title, s) })
	if !ok {
		title, ok = cut(title, func(s string) []byte { return encode(s, "") })
	}
	return encode(title, body), ok
}

const ellipsis = "…"

// Shorten cuts text to at most limit bytes, at a rune's boundary and with an
// ellipsis where there is room for one.
func Shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	end := limit - len(ellipsis)
	if end < 0 {
		return ""
	}
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + ellipsis
}
