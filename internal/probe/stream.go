package probe

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/veltrix/veltrix/internal/preflight"
)

// Inbox tries the inbox's public URL, as the apps and pages of two players who have
// no messages.
type Inbox struct {
	URL string
	// Token makes a token for a participant.
	Token     func(ctx context.Context, participant string) (string, error)
	Heartbeat time.Duration // what the notifiers send one every
}

// prompt is how late what was sent at once may arrive: the way, and a busy machine.
const prompt = 3 * time.Second

// streamFix is what to do about a proxy.
const streamFix = "no buffering for this path at the proxy (nginx: proxy_buffering off, where it does not heed X-Accel-Buffering: no), no compression of text/event-stream, and an idle timeout above two heartbeats"

// Stream opens a stream, and holds the moments at which its lines come against
// those at which they are sent: one at once, and one with each heartbeat.
func (i Inbox) Stream(ctx context.Context) preflight.Finding {
	token, err := i.Token(ctx, Participant)
	if err != nil {
		return preflight.NotSeen(err, tokenFix)
	}
	transport := &http.Transport{ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	if at, ok := ctx.Deadline(); ok && time.Until(at) < i.Heartbeat+2*prompt {
		return preflight.NotSeen(fmt.Errorf("a heartbeat comes every %s, and there is less time", i.Heartbeat), "give it more with --timeout")
	}
	// What answers this is there, and may be held to the rest.
	if _, err := i.page(ctx, client(transport), "/v1/inbox", token); err != nil {
		return preflight.NotSeen(err, inboxFix)
	}
	s, err := i.open(ctx, client(transport), "", token, "")
	switch {
	case errors.Is(err, errHeld):
		return held("nothing of the stream came within "+prompt.String(), i.Heartbeat)
	case err != nil:
		return preflight.NotSeen(err, inboxFix)
	}
	defer s.close()
	if !s.wait(": connected", prompt) {
		if s.ended() {
			return held(s.about()+": it ended before its first line", i.Heartbeat)
		}
		return held(s.about()+": its first line, which is sent at once, did not come within "+prompt.String(), i.Heartbeat)
	}
	first := time.Now()
	if !s.wait(": still here", i.Heartbeat+prompt) {
		if s.ended() {
			return held(fmt.Sprintf("%s: it ended after %s, before a heartbeat", s.about(), since(first)), i.Heartbeat)
		}
		return held(fmt.Sprintf("%s: no heartbeat within %s", s.about(), since(first)), i.Heartbeat)
	}
	return preflight.Passed(fmt.Sprintf("%s: the first line at once, a heartbeat after %s", s.about(), since(first)))
}

func since(t time.Time) time.Duration { return time.Since(t).Round(10 * time.Millisecond) }

func held(observed string, heartbeat time.Duration) preflight.Finding {
	return preflight.Failed(observed, fmt.Sprintf("the first line at once, and a heartbeat within %s", heartbeat+prompt), streamFix)
}

const (
	inboxFix = "see that doctor.inbox_url leads to the inbox of this deployment, and passes /v1/inbox and what is below it on"
	tokenFix = "set the notifiers' notifier.token_secret_file here as well, or start a notifier first, which leaves its secret in Redis"
)

// errHeld says that a request was sent and nothing of its answer came.
var errHeld = errors.New("nothing came")

// stream is an open stream of Server-Sent Events.
type stream struct {
	resp   *http.Response
	cancel context.CancelFunc
	lines  chan string // closed where it ends
	over   bool
}

// open asks for a stream behind a cursor, which goes by the query or by the header
// that a browser sends.
func (i Inbox) open(ctx context.Context, c *http.Client, query, token, lastID string) (*stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, under(i.URL, "/v1/inbox/stream"+query), nil)
	if err != nil {
		cancel()
		return nil, err
	}
	authorize(req.Header, token)
	req.Header.Set("Accept", "text/event-stream")
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	late := time.AfterFunc(prompt, cancel)
	resp, err := c.Do(req)
	if !late.Stop() {
		if err == nil {
			_ = resp.Body.Close()
		}
		return nil, errHeld
	}
	if err != nil {
		cancel()
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		cancel()
		return nil, fmt.Errorf("the stream was answered %s", resp.Status)
	}
	s := &stream{resp: resp, cancel: cancel, lines: make(chan string)}
	go s.follow(ctx)
	return s, nil
}

func (s *stream) follow(ctx context.Context) {
	defer close(s.lines)
	from := bufio.NewScanner(s.resp.Body)
	for from.Scan() {
		select {
		case s.lines <- from.Text():
		case <-ctx.Done():
			return
		}
	}
}

// wait says whether a line came within a time.
func (s *stream) wait(line string, within time.Duration) bool {
	over := time.After(within)
	for {
		select {
		case got, ok := <-s.lines:
			if !ok {
				s.over = true
				return false
			}
			if strings.HasPrefix(got, line) {
				return true
			}
		case <-over:
			return false
		}
	}
}

func (s *stream) ended() bool { return s.over }

// about says how the stream is spoken.
func (s *stream) about() string {
	h := s.resp.Header
	text := s.resp.Proto
	if buffering := h.Get("X-Accel-Buffering"); buffering == "" {
		text += ", X-Accel-Buffering taken out on the way, as nginx does"
	} else {
		text += ", X-Accel-Buffering: " + buffering
	}
	if packed := h.Get("Content-Encoding"); packed != "" {
		text += ", packed with " + packed
	}
	return text
}

func (s *stream) close() {
	s.cancel()
	_ = s.resp.Body.Close()
}

// inboxPage is what a page of an inbox says of whose it is.
type inboxPage struct {
	Participant string `json:"participant"`
	Resync      bool   `json:"resync"`
}

// page asks for a page.
func (i Inbox) page(ctx context.Context, c *http.Client, path, token string) (inboxPage, error) {
	status, text, err := i.get(ctx, c, path, token)
	if err != nil {
		return inboxPage{}, err
	}
	if status != http.StatusOK {
		return inboxPage{}, fmt.Errorf("%s was answered %d", path, status)
	}
	return parsePage(text)
}

func parsePage(text []byte) (inboxPage, error) {
	var p inboxPage
	if json.Unmarshal(text, &p) != nil || p.Participant == "" {
		return p, errors.New("the answer is no page of an inbox")
	}
	return p, nil
}

func (i Inbox) get(ctx context.Context, c *http.Client, path, token string) (int, []byte, error) {
	ctx, cancel := allowed(ctx, answerWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, under(i.URL, path), nil)
	if err != nil {
		return 0, nil, err
	}
	authorize(req.Header, token)
	resp, err := c.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, bodyMax))
	return resp.StatusCode, text, err
}

// devicesPath is where a participant's devices are.
func devicesPath(participant string) string {
	return "/v1/participants/" + url.PathEscape(participant) + "/devices"
}
