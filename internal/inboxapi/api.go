// Package inboxapi serves participants their inboxes over HTTP: as pages, as a
// live stream, and as a small web page. It takes the devices that they are to be
// reached on, and how and when they want to be.
//
// Its invariant: a request sees and changes the inbox, the devices and the
// preferences of the participant that its token names, and no others; no answer
// has a device's secrets; what the stream sends has an ID from which it
// can be resumed without a gap.
package inboxapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/veltrix/veltrix/internal/delivery"
)

// Limits of a request.
const (
	pageDefault  = 50
	pageMax      = 200
	ackBodyMax   = 1 << 10 // bytes
	storeTimeout = 5 * time.Second
)

// Heartbeat is how often a stream shows that it lives.
const Heartbeat = 15 * time.Second

// Options set the API up. A zero field takes its default.
type Options struct {
	Inbox delivery.Inbox
	// Devices are registered where it is set, for the channels that are named.
	Devices        delivery.Devices
	DeviceChannels []string
	// Preferences are served where it is set, and Presence is told who has a
	// stream open.
	Preferences delivery.PreferenceStore
	Presence    delivery.Presence
	Secret      []byte // of the tokens, at least 32 bytes
	// Issuer signs the tokens instead of whoever has the secret. It is followed
	// until Close.
	Issuer *Issuer
	// Refresh returns the secret that holds now. It is asked, about once a
	// second at most, when a token's signature is not valid. Nil: never.
	Refresh    func(ctx context.Context) ([]byte, error)
	Heartbeat  time.Duration // of a stream (Heartbeat)
	Poll       time.Duration // of a stream nobody wakes (15 s)
	StreamsMax int           // open at a time (10,000)
	Logger     *slog.Logger  // (silent)
	// Streams is told of each stream that opens (1) or closes (-1), Resyncs of
	// each one whose cursor was of no use.
	Streams func(delta int)
	Resyncs func()
	// PushKey is what a page subscribes to Web Push with, in base64url; empty
	// where that channel is off.
	PushKey string
}

// API is an http.Handler.
type API struct {
	inbox           delivery.Inbox
	devices         delivery.Devices
	channels        []string // that a device may have
	preferences     delivery.PreferenceStore
	presence        delivery.Presence // nil: nobody is told
	tokens          *verifier
	heartbeat, poll time.Duration
	streams         chan struct{}
	log             *slog.Logger
	opened          func(delta int)
	resynced        func()
	pushKey         string
	mux             *http.ServeMux
	stop            chan struct{} // closed: streams end
	stopping        sync.Once
	following       func() // ends the following of an issuer
}

// New returns the API.
func New(o Options) (*API, error) {
	if o.Issuer == nil && len(o.Secret) < 32 {
		return nil, fmt.Errorf("the token secret has %d bytes; at least 32 are needed", len(o.Secret))
	}
	if o.Heartbeat <= 0 {
		o.Heartbeat = Heartbeat
	}
	if o.Poll <= 0 {
		o.Poll = 15 * time.Second
	}
	if o.StreamsMax <= 0 {
		o.StreamsMax = 10_000
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Streams == nil {
		o.Streams = func(int) {}
	}
	if o.Resyncs == nil {
		o.Resyncs = func() {}
	}
	tokens, following := newVerifier(o.Secret, o.Refresh), func() {}
	if o.Issuer != nil {
		ctx, cancel := context.WithCancel(context.Background())
		issued, err := newIssued(ctx, o.Issuer)
		if err != nil {
			cancel()
			return nil, err
		}
		tokens, following = issued, cancel
	}
	a := &API{
		opened: o.Streams, resynced: o.Resyncs, following: following, pushKey: o.PushKey,
		devices: o.Devices, channels: o.DeviceChannels, preferences: o.Preferences, presence: o.Presence,
		inbox: o.Inbox, tokens: tokens, heartbeat: o.Heartbeat, poll: o.Poll,
		streams: make(chan struct{}, o.StreamsMax), log: o.Logger, mux: http.NewServeMux(), stop: make(chan struct{}),
	}
	a.mux.HandleFunc("GET /v1/inbox", a.list)
	a.mux.HandleFunc("GET /v1/inbox/stream", a.stream)
	a.mux.HandleFunc("GET /v1/inbox/ws", a.socket)
	a.mux.HandleFunc("POST /v1/inbox/ack", a.ack)
	a.mux.HandleFunc("GET /v1/push/key", a.key)
	pages(a.mux)
	a.mux.Handle("GET /{$}", http.RedirectHandler("/inbox", http.StatusFound))
	if a.devices != nil {
		a.mux.HandleFunc("GET /v1/participants/{participant}/devices", a.listDevices)
		a.mux.HandleFunc("PUT /v1/participants/{participant}/devices/{device}", a.putDevice)
		a.mux.HandleFunc("DELETE /v1/participants/{participant}/devices/{device}", a.deleteDevice)
	}
	if a.preferences != nil {
		a.mux.HandleFunc("GET /v1/participants/{participant}/preferences", a.readPreferences)
		a.mux.HandleFunc("PUT /v1/participants/{participant}/preferences", a.putPreferences)
		a.mux.HandleFunc("DELETE /v1/participants/{participant}/preferences", a.deletePreferences)
	}
	a.mux.HandleFunc("/", a.elsewhere)
	return a, nil
}

// Close ends the open streams: a graceful stop of the server would wait for
// them. Clients come back by themselves, where their cursor stands.
func (a *API) Close() {
	a.stopping.Do(func() {
		close(a.stop)
		a.following()
	})
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	a.mux.ServeHTTP(w, r)
}

// elsewhere answers what no other pattern takes.
func (a *API) elsewhere(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := a.mux.Handler(other); pattern != "/" && pattern != "" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		problem(w, http.StatusNotFound, "there is nothing at "+r.URL.Path)
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	problem(w, http.StatusMethodNotAllowed, r.Method+" is not allowed here; use "+strings.Join(allowed, " or "))
}

// key serves Web Push's public key, to everybody: it is in each subscription.
func (a *API) key(w http.ResponseWriter, _ *http.Request) {
	if a.pushKey == "" {
		problem(w, http.StatusNotFound, "pushes to browsers are off here; to switch them on, set notifier.webpush.private_key_file")
		return
	}
	reply(w, http.StatusOK, "application/json", map[string]string{"public_key": a.pushKey})
}

// who authenticates a request, or answers it.
func (a *API) who(w http.ResponseWriter, r *http.Request, inQuery bool) (string, time.Time, bool) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok && inQuery { // a browser's EventSource cannot set headers
		token = r.URL.Query().Get("access_token")
	}
	if token == "" {
		w.Header().Set("WWW-Authenticate", `Bearer realm="inbox"`)
		problem(w, http.StatusUnauthorized, "send a token: Authorization: Bearer …; `veltrix token` makes one")
		return "", time.Time{}, false
	}
	participant, until, err := a.tokens.participant(r.Context(), token)
	if errors.Is(err, errForbidden) {
		problem(w, http.StatusForbidden, err.Error())
		return "", time.Time{}, false
	}
	if err != nil {
		w.Header().Set("WWW-Authenticate", `Bearer realm="inbox", error="invalid_token"`)
		problem(w, http.StatusUnauthorized, err.Error())
		return "", time.Time{}, false
	}
	return participant, until, true
}

// pageBody is the answer of GET /v1/inbox.
type pageBody struct {
	Participant string           `json:"participant"`
	Epoch       string           `json:"epoch"`
	Last        int64            `json:"last"`
	Acked       int64            `json:"acked"`
	Resync      bool             `json:"resync"`
	Entries     []delivery.Entry `json:"entries"`
	// Next is the cursor for the next page, empty where there is none now.
	Next string `json:"next,omitempty"`
}

// list serves a page: the newest entries first, or with after those behind a
// cursor, oldest first; before goes further back.
func (a *API) list(w http.ResponseWriter, r *http.Request) {
	participant, _, ok := a.who(w, r, false)
	if !ok {
		return
	}
	q := r.URL.Query()
	limit := pageDefault
	if v := q.Get("limit"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > pageMax {
			problem(w, http.StatusBadRequest, fmt.Sprintf("limit %q is not a number from 1 to %d", v, pageMax))
			return
		}
		limit = n
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
	defer cancel()
	var p delivery.Page
	var err error
	if q.Has("after") {
		var after delivery.Cursor
		if after, err = parseCursor(q.Get("after")); err != nil {
			problem(w, http.StatusBadRequest, "after: "+err.Error())
			return
		}
		p, err = a.inbox.Page(ctx, participant, after, limit)
	} else {
		before := int64(0)
		if v := q.Get("before"); v != "" {
			if before, err = strconv.ParseInt(v, 10, 64); err != nil || before < 1 {
				problem(w, http.StatusBadRequest, fmt.Sprintf("before %q is not an offset from 1", v))
				return
			}
		}
		p, err = a.inbox.Newest(ctx, participant, before, limit)
	}
	if err != nil {
		a.unavailable(w, "the inbox", err)
		return
	}
	body := pageBody{
		Participant: participant, Epoch: p.Epoch, Last: p.Last, Acked: p.Acked, Resync: p.Resync, Entries: p.Entries,
	}
	if body.Entries == nil {
		body.Entries = []delivery.Entry{}
	}
	if n := len(p.Entries); n == limit {
		body.Next = strconv.FormatInt(p.Entries[n-1].Offset, 10)
		if q.Has("after") {
			body.Next = cursorText(delivery.Cursor{Epoch: p.Epoch, Offset: p.Entries[n-1].Offset})
		}
	}
	reply(w, http.StatusOK, "application/json", body)
}

// ack notes what the participant has seen.
func (a *API) ack(w http.ResponseWriter, r *http.Request) {
	participant, _, ok := a.who(w, r, false)
	if !ok {
		return
	}
	var body struct {
		Offset *int64 `json:"offset"`
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, ackBodyMax))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&body); err != nil || body.Offset == nil || *body.Offset < 0 {
		problem(w, http.StatusBadRequest, `the body must be {"offset": n} with n from 0`)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
	defer cancel()
	acked, err := a.inbox.Ack(ctx, participant, *body.Offset)
	if err != nil {
		a.unavailable(w, "the inbox", err)
		return
	}
	reply(w, http.StatusOK, "application/json", map[string]int64{"acked": acked})
}

func (a *API) unavailable(w http.ResponseWriter, what string, err error) {
	a.log.Warn(what+" cannot be reached", "error", err)
	w.Header().Set("Retry-After", "2")
	problem(w, http.StatusServiceUnavailable, what+" cannot be reached now; try again in a moment")
}

// cursorText writes a cursor as epoch-offset, the form of a stream's IDs.
func cursorText(c delivery.Cursor) string { return c.Epoch + "-" + strconv.FormatInt(c.Offset, 10) }

var cursorForm = regexp.MustCompile(`^([a-z0-9]{1,32})-([0-9]{1,19})$`)

// parseCursor reads what cursorText wrote; an empty text is the beginning.
func parseCursor(text string) (delivery.Cursor, error) {
	if text == "" {
		return delivery.Cursor{}, nil
	}
	m := cursorForm.FindStringSubmatch(text)
	if m == nil {
		return delivery.Cursor{}, fmt.Errorf("%.80q is not a cursor", text)
	}
	offset, err := strconv.ParseInt(m[2], 10, 64)
	if err != nil {
		return delivery.Cursor{}, fmt.Errorf("%.80q is not a cursor", text)
	}
	return delivery.Cursor{Epoch: m[1], Offset: offset}, nil
}

// problem answers with an RFC 9457 document.
func problem(w http.ResponseWriter, status int, detail string) {
	reply(w, status, "application/problem+json", map[string]any{
		"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": detail,
	})
}

func reply(w http.ResponseWriter, status int, kind string, body any) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body) //nolint:errcheck // the client went away
}
