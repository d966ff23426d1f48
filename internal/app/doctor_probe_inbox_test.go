package app

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
	"github.com/veltrix/veltrix/internal/inboxapi"
	"github.com/veltrix/veltrix/internal/preflight"
	"github.com/veltrix/veltrix/internal/probe"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/testredis"
)

// beats is what the inbox of these tests sends a heartbeat every.
const beats = 300 * time.Millisecond

// probedInbox is an inbox on a real Redis, and who makes its tokens.
type probedInbox struct {
	t      *testing.T
	api    http.Handler
	secret []byte
}

func newProbedInbox(t *testing.T) *probedInbox {
	t.Helper()
	client := redisstore.Open(redisstore.Config{Addrs: []string{testredis.Start(t, nil).Addr}})
	t.Cleanup(func() { client.Close() })
	inbox := redisstore.NewInbox(client, "p", 100, time.Hour)
	secret := []byte(strings.Repeat("s", 32))
	api, err := inboxapi.New(inboxapi.Options{
		Inbox: inbox, Devices: redisstore.NewDevices(client, "p", 8, time.Hour), Secret: secret, Heartbeat: beats,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	// The other player has a message, so that there is something to see.
	n := deliverytest.Note("veltrix-probe-other", 1)
	n.Title = "private"
	_, _, err = inbox.Append(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	return &probedInbox{t, api, secret}
}

func (p *probedInbox) serve(h http.Handler) string {
	p.t.Helper()
	s := httptest.NewServer(h)
	p.t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL
}

func (p *probedInbox) at(url string) probe.Inbox {
	return probe.Inbox{URL: url, Heartbeat: beats, Token: func(_ context.Context, who string) (string, error) {
		return inboxapi.IssueToken(p.secret, who, time.Minute)
	}}
}

// relayed passes what target answers on, as copying does: how says what becomes of
// the bytes.
func (p *probedInbox) relayed(target string, how func(w http.ResponseWriter, from *http.Response)) string {
	p.t.Helper()
	return p.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req := r.Clone(r.Context())
		req.RequestURI = ""
		req.URL.Scheme, req.URL.Host = "http", strings.TrimPrefix(target, "http://")
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer func() { _ = resp.Body.Close() }()
		for name, values := range resp.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(resp.StatusCode)
		how(w, resp)
	}))
}

func isStream(resp *http.Response) bool {
	return resp.Header.Get("Content-Type") == "text/event-stream"
}

// flushed passes each piece on as it comes, up to pieces of them; then it goes on
// as after says.
func flushed(w http.ResponseWriter, resp *http.Response, pieces int) {
	buf := make([]byte, 512)
	for range pieces {
		n, err := resp.Body.Read(buf)
		if _, werr := w.Write(buf[:n]); err != nil || werr != nil {
			return
		}
		w.(http.Flusher).Flush()
	}
}

func TestN03ProxiesHoldStreamsBack(t *testing.T) {
	t.Parallel()
	p := newProbedInbox(t)
	direct := p.serve(p.api)
	for _, c := range []struct {
		what  string
		url   string
		state preflight.State
		says  string
	}{
		{"no proxy", direct, preflight.Pass, "HTTP/1.1, X-Accel-Buffering: no: the first line at once, a heartbeat after "},
		{"a proxy that passes on", p.relayed(direct, func(w http.ResponseWriter, resp *http.Response) { flushed(w, resp, 1<<20) }), preflight.Pass, "a heartbeat after "},
		{"a proxy that buffers", p.relayed(direct, func(w http.ResponseWriter, resp *http.Response) { _, _ = io.Copy(w, resp.Body) }), preflight.Fail, "nothing of the stream came within 3s"},
		{"a proxy that buffers behind the headers", p.relayed(direct, func(w http.ResponseWriter, resp *http.Response) {
			w.(http.Flusher).Flush()
			_, _ = io.Copy(w, resp.Body)
		}), preflight.Fail, "its first line, which is sent at once, did not come within 3s"},
		{"a proxy that buffers what comes later", p.relayed(direct, func(w http.ResponseWriter, resp *http.Response) {
			flushed(w, resp, 1)
			_, _ = io.Copy(w, resp.Body)
		}), preflight.Fail, "no heartbeat within "},
		{"a proxy with a short timeout", p.relayed(direct, func(w http.ResponseWriter, resp *http.Response) { flushed(w, resp, 1) }), preflight.Fail, "it ended after "},
		{"a proxy that ends streams at once", p.relayed(direct, func(w http.ResponseWriter, resp *http.Response) {
			if !isStream(resp) {
				_, _ = io.Copy(w, resp.Body)
			}
		}), preflight.Fail, "it ended before its first line"},
		{"nobody", "http://127.0.0.1:1", preflight.Unknown, "refused"},
		{"another service", p.serve(http.NotFoundHandler()), preflight.Unknown, "answered 404"},
		{"a service that answers anything", p.serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })), preflight.Unknown, "no page of an inbox"},
		{"streams that are not passed on", p.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/stream") {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			p.api.ServeHTTP(w, r)
		})), preflight.Unknown, "the stream was answered 404"},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			expectFinding(t, c.what, p.at(c.url).Stream(t.Context()), c.state, c.says)
		})
	}
	t.Run("tokens of another secret", func(t *testing.T) {
		t.Parallel()
		other := &probedInbox{t, nil, []byte(strings.Repeat("x", 32))}
		expectFinding(t, "another secret", other.at(direct).Stream(t.Context()), preflight.Unknown, "answered 401")
		expectFinding(t, "another secret", other.at(direct).Cursors(t.Context(), "7"), preflight.Unknown, "answered 401")
	})
	t.Run("no tokens", func(t *testing.T) {
		t.Parallel()
		none := probe.Inbox{URL: direct, Heartbeat: beats, Token: func(context.Context, string) (string, error) { return "", errors.New("no secret") }}
		expectFinding(t, "no tokens", none.Stream(t.Context()), preflight.Unknown, "no secret")
		expectFinding(t, "no tokens", none.Cursors(t.Context(), "7"), preflight.Unknown, "no secret")
	})
	t.Run("too little time", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		expectFinding(t, "too little time", p.at(direct).Stream(ctx), preflight.Unknown, "there is less time")
	})
}

func TestN04CursorsThatAreNone(t *testing.T) {
	t.Parallel()
	p := newProbedInbox(t)
	direct := p.serve(p.api)
	change := func(how func(*http.Request)) string {
		return p.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r = r.Clone(r.Context())
			how(r)
			p.api.ServeHTTP(w, r)
		}))
	}
	for _, c := range []struct {
		what  string
		url   string
		state preflight.State
		says  string
	}{
		{"no proxy", direct, preflight.Pass, "a page behind a cursor that is none says resync; a stream does, by ?after=; a stream does, by Last-Event-ID; each token opens its own inbox, and none opens none; another participant's devices are 403"},
		{"a server that accepts anything", p.serve(http.HandlerFunc(acceptAnything)), preflight.Fail, "another participant's devices were given"},
		{"a server that accepts any cursor", p.serve(http.HandlerFunc(acceptAnything)), preflight.Fail, "a page behind a cursor that is none was given without resync; a stream behind a cursor that is none (by ?after=) went on without resync; a stream behind a cursor that is none (by Last-Event-ID)"},
		{"queries are cut off", change(func(r *http.Request) { r.URL.RawQuery = "" }), preflight.Fail, "a page behind a cursor that is none was given without resync; a stream behind a cursor that is none (by ?after=) went on without resync"},
		{"Last-Event-ID is cut off", change(func(r *http.Request) { r.Header.Del("Last-Event-ID") }), preflight.Fail, "(by Last-Event-ID) went on without resync"},
		{"a cache", p.serve(&cache{next: p.api, kept: map[string]*httptest.ResponseRecorder{}}), preflight.Fail, "the token of veltrix-probe-other was given the inbox of another participant"},
		{"a proxy with a token of its own", change(func(r *http.Request) {
			if r.Header.Get("Authorization") == "" {
				token, _ := inboxapi.IssueToken(p.secret, "somebody", time.Minute)
				r.Header.Set("Authorization", "Bearer "+token)
			}
		}), preflight.Fail, "an inbox was given without a token"},
		{"paths that are not passed on", change(func(r *http.Request) {
			if !strings.HasPrefix(r.URL.Path, "/v1/inbox") {
				r.URL.Path = "/nowhere"
			}
		}), preflight.Unknown, "another participant's devices were answered 404"},
		{"a login before it", p.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "" {
				w.WriteHeader(http.StatusFound)
				return
			}
			p.api.ServeHTTP(w, r)
		})), preflight.Unknown, "an inbox without a token was answered 302"},
		{"held back behind the headers", p.relayed(direct, func(w http.ResponseWriter, resp *http.Response) {
			w.(http.Flusher).Flush()
			_, _ = io.Copy(w, resp.Body)
		}), preflight.Unknown, "see N03"},
		{"held back", p.relayed(direct, func(w http.ResponseWriter, resp *http.Response) { _, _ = io.Copy(w, resp.Body) }), preflight.Unknown, "see N03"},
		{"nobody", "http://127.0.0.1:1", preflight.Unknown, "refused"},
		{"an inbox that is away", p.serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })), preflight.Unknown, "answered 503"},
		{"an inbox whose Redis is away", p.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v1/inbox" {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			acceptAnything(w, r)
		})), preflight.Unknown, "answered 503"},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			f := p.at(c.url).Cursors(t.Context(), "7")
			expectFinding(t, c.what, f, c.state, c.says)
			if strings.Contains(f.Observed, "private") {
				t.Errorf("it shows a message: %s", f.Observed)
			}
		})
	}
}

// acceptAnything answers whatever is asked as if it were fine.
func acceptAnything(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasSuffix(r.URL.Path, "/stream"):
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "retry: 2000\n: connected\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	default:
		_, _ = io.WriteString(w, `{"participant":"veltrix-probe","resync":false,"entries":[],"devices":[]}`)
	}
}

// cache keeps answers by their URL, whoever asks.
type cache struct {
	next http.Handler

	mu   sync.Mutex
	kept map[string]*httptest.ResponseRecorder
}

func (c *cache) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/stream") {
		c.next.ServeHTTP(w, r)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := c.kept[r.URL.String()]
	if kept == nil {
		kept = httptest.NewRecorder()
		c.next.ServeHTTP(kept, r)
		c.kept[r.URL.String()] = kept
	}
	w.WriteHeader(kept.Code)
	_, _ = w.Write(kept.Body.Bytes())
}
