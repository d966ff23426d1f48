package inboxapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
)

// client is the player's side of a WebSocket.
type client struct {
	t    *testing.T
	conn *websocket.Conn
}

func (s *server) dial(path, token string, headers ...string) *client {
	s.t.Helper()
	h := http.Header{}
	if token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	conn, resp, err := websocket.Dial(s.t.Context(), s.url+path, &websocket.DialOptions{HTTPHeader: h})
	if err != nil {
		s.t.Fatalf("%v: %+v", err, resp)
	}
	s.t.Cleanup(func() { _ = conn.CloseNow() })
	return &client{s.t, conn}
}

// next reads a frame as "type cursor offset data".
func (c *client) next() string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	_, text, err := c.conn.Read(ctx)
	if err != nil {
		return "closed: " + websocket.CloseStatus(err).String()
	}
	var f struct {
		Type, Cursor, Detail string
		Offset               *int64
		Data                 json.RawMessage
	}
	if err := json.Unmarshal(text, &f); err != nil {
		c.t.Fatalf("%v: %s", err, text)
	}
	out := f.Type + " " + f.Cursor
	if f.Offset != nil {
		out += " " + string(rune('0'+*f.Offset))
	}
	return out + " " + f.Detail + string(f.Data)
}

func (c *client) want(begin, part string) {
	c.t.Helper()
	if got := c.next(); !strings.HasPrefix(got, begin+" ") || !strings.Contains(got, part) {
		c.t.Fatalf("got %q, want %q with %q", got, begin, part)
	}
}

func (c *client) send(text string) {
	c.t.Helper()
	if err := c.conn.Write(c.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// TestSocket: what the stream sends goes over a WebSocket too, and what the player
// has seen comes back.
func TestSocket(t *testing.T) {
	s := serve(t, 0)
	alice := token(t, "alice", time.Minute)
	s.add("alice", 1)
	c := s.dial("/v1/inbox/ws", alice)
	c.want("notification life1-1", "Title 1")
	s.add("bob", 9)
	s.add("alice", 2)
	c.want("notification life1-2", "Title 2")
	n := deliverytest.Note("alice", 1)
	n.Revision, n.Op, n.Title = 2, delivery.Retract, ""
	if _, _, err := s.inbox.Append(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	c.want("notification life1-3", `"op":"retract"`)

	c.send(`{"type":"ack","offset":2}`)
	c.want("acked  2", "")
	if p := s.do("GET", "/v1/inbox", alice, "", 200); p["acked"] != float64(2) {
		t.Errorf("the inbox was acknowledged up to %v", p["acked"])
	}
	for _, bad := range []string{`{"type":"ack"}`, `{"type":"ack","offset":-1}`, `{"type":"nack","offset":1}`, `nothing`} {
		c.send(bad)
		c.want("error ", "a client sends")
	}
	c.send(`{"type":"ack","offset":3}`)
	c.want("acked  3", "") // it goes on after all of that

	// A client that comes back goes on without gap or repetition, and a browser
	// brings its token in the address.
	s.dial("/v1/inbox/ws", alice, "Last-Event-ID", "life1-2").want("notification life1-3", "retract")
	s.dial("/v1/inbox/ws?after=life1-2&access_token="+alice, "").want("notification life1-3", "retract")

	// Another life of the inbox: start afresh.
	s.inbox.Forget("alice")
	s.add("alice", 5)
	lost := s.dial("/v1/inbox/ws?after=life1-2", alice)
	lost.want("resync life3-0", "life3")
	lost.want("notification life3-1", "Title 5")

	// Whoever sends too much, or says goodbye, is let go.
	lost.send(strings.Repeat("x", 4<<10))
	if got := lost.next(); got != "closed: StatusMessageTooBig" {
		t.Errorf("after too much: %q", got)
	}
	s.api.Close()
	for got := c.next(); got != "closed: StatusGoingAway"; got = c.next() {
		if strings.HasPrefix(got, "closed") {
			t.Fatalf("a server that stops says %q", got)
		}
	}
}

func TestSocketIsRefused(t *testing.T) {
	s := serve(t, 0)
	alice := token(t, "alice", time.Minute)
	s.do("GET", "/v1/inbox/ws", "", "", 401)
	s.do("GET", "/v1/inbox/ws?after=x", alice, "", 400)
	s.do("GET", "/v1/inbox/ws", alice, "", 426) // no upgrade was asked for
	_, resp, err := websocket.Dial(t.Context(), s.url+"/v1/inbox/ws", &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"Bearer " + alice}, "Origin": {"https://elsewhere.example"}},
	})
	if err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("another origin's page is answered %+v, %v", resp, err)
	}
}

// TestSocketEndsWithItsToken: the connection lives by heartbeats, and no longer
// than the token.
func TestSocketEndsWithItsToken(t *testing.T) {
	t.Parallel()
	s := serve(t, 20*time.Millisecond)
	signed, end := endingToken(t, "alice")
	c := s.dial("/v1/inbox/ws", signed)
	beats := 0
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var err error
	for {
		if _, _, err = c.conn.Read(ctx); err != nil {
			break
		}
		beats++
	}
	if errors.Is(err, context.DeadlineExceeded) {
		t.Fatal("the socket outlives its token")
	}
	if early := time.Until(end); early > 0 {
		t.Errorf("the socket ends %s before its token", early)
	}
	if beats != 0 {
		t.Errorf("%d messages in an empty inbox", beats)
	}
}
