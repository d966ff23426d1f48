// Package push holds what the channels to participants' devices share: how a device is
// looked up and taken out, the retry schedule, one HTTP request that nothing
// repeats, and a text cut to a provider's limit.
//
// Its invariant: a device is judged as it was when the attempt looked it up, and
// one that was registered since is left alone. That one attempt is one request
// is package dial's.
package push

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"sort"
	"time"
	"unicode/utf8"

	"github.com/veltrix/veltrix/internal/channel/dial"
	"github.com/veltrix/veltrix/internal/delivery"
)

// PayloadMax is what both providers take, in bytes.
const PayloadMax = 4096

// KeepMax is the longest that a provider is asked to keep a message for a
// device that is away: FCM's limit, and that of push services.
const KeepMax = 28 * 24 * time.Hour

// pauses follow the attempts: 8 tries within half an hour.
var pauses = []time.Duration{
	5 * time.Second, 15 * time.Second, 45 * time.Second, 2 * time.Minute,
	5 * time.Minute, 8 * time.Minute, 12 * time.Minute,
}

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

// Answer is what a provider answered.
type Answer struct {
	Status     int
	Header     http.Header
	Body       []byte        // the first 4 KiB
	RetryAfter time.Duration // the provider's wish, 0 for none
}

// Send posts JSON once. Without an answer the result says how the attempt ends;
// its reason holds neither the URL nor a header, both of which may be secrets.
func Send(ctx context.Context, client *dial.Client, to string, header http.Header, body []byte) (*Answer, delivery.Result) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return nil, delivery.Result{Verdict: delivery.Refused, Reason: "the provider's address makes no request"}
	}
	req.Header = header
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Veltrix")
	resp, err := client.Do(req)
	if err != nil {
		return nil, dial.Failure(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body) // in memory
	return &Answer{resp.StatusCode, resp.Header, text, dial.RetryAfter(resp.Header)}, delivery.Result{}
}

var word = regexp.MustCompile(`^[A-Za-z][A-Za-z_]{0,39}$`)

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
