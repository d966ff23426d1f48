package inboxapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
	"github.com/veltrix/veltrix/internal/inboxapi"
)

var secret = []byte("0123456789abcdef0123456789abcdef")

type server struct {
	t     *testing.T
	inbox *deliverytest.Inbox
	api   *inboxapi.API
	url   string
}

func serve(t *testing.T, heartbeat time.Duration) *server {
	t.Helper()
	inbox := deliverytest.NewInbox(5, time.Hour)
	api, err := inboxapi.New(inboxapi.Options{Inbox: inbox, Secret: secret, Heartbeat: heartbeat, Poll: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(api)
	t.Cleanup(func() {
		api.Close()
		srv.Close()
	})
	return &server{t, inbox, api, srv.URL}
}

func (s *server) add(who string, i int) {
	s.t.Helper()
	if _, _, err := s.inbox.Append(s.t.Context(), deliverytest.Note(who, i)); err != nil {
		s.t.Fatal(err)
	}
}

func token(t *testing.T, who string, ttl time.Duration) string {
	t.Helper()
	signed, err := inboxapi.IssueToken(secret, who, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// endingToken returns a token that has run out and is still forgiven, and when it no
// longer is: in two to three seconds, as a token's end is in whole seconds.
func endingToken(t *testing.T, who string) (string, time.Time) {
	t.Helper()
	const leeway = 5 * time.Second
	ranOut := time.Now().Truncate(time.Second).Add(3*time.Second - leeway)
	claims := jwt.MapClaims{"sub": who, "aud": inboxapi.Audience, "exp": ranOut.Unix()}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(secret)
	if err != nil {
		t.Fatal(err)
	}
	return signed, ranOut.Add(leeway)
}

// do makes a request and decodes the answer's JSON.
func (s *server) do(method, path, token, body string, status int) map[string]any {
	s.t.Helper()
	got, text := s.raw(method, path, token, body)
	if got != status {
		s.t.Fatalf("%s %s: status %d, want %d: %s", method, path, got, status, text)
	}
	var out map[string]any
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		s.t.Fatalf("%s %s: %v: %s", method, path, err, text)
	}
	return out
}

// raw makes a request and returns the answer's status and body.
func (s *server) raw(method, path, token, body string) (status int, text string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode >= 400 && kind != "application/problem+json" {
		s.t.Errorf("%s %s: an error of type %s", method, path, kind)
	}
	return resp.StatusCode, string(answer)
}

func TestTokens(t *testing.T) {
	s := serve(t, 0)
	sign := func(method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
		signed, err := jwt.NewWithClaims(method, claims).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	soon := time.Now().Add(time.Hour).Unix()
	good := jwt.MapClaims{"sub": "alice", "aud": inboxapi.Audience, "exp": soon}
	for name, x := range map[string]struct {
		token  string
		status int
	}{
		"good":           {sign(jwt.SigningMethodHS256, secret, good), 200},
		"issued":         {token(t, "alice", time.Minute), 200},
		"missing":        {"", 401},
		"not a token":    {"abc", 401},
		"unsigned":       {sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, good), 401},
		"another key":    {sign(jwt.SigningMethodHS256, []byte("another secret of thirty-two byte"), good), 401},
		"another method": {sign(jwt.SigningMethodHS512, secret, good), 401},
		"expired":        {sign(jwt.SigningMethodHS256, secret, jwt.MapClaims{"sub": "alice", "aud": inboxapi.Audience, "exp": time.Now().Add(-time.Minute).Unix()}), 401},
		"for ever":       {sign(jwt.SigningMethodHS256, secret, jwt.MapClaims{"sub": "alice", "aud": inboxapi.Audience}), 401},
		"for another":    {sign(jwt.SigningMethodHS256, secret, jwt.MapClaims{"sub": "alice", "aud": "shop", "exp": soon}), 403},
		"for nobody":     {sign(jwt.SigningMethodHS256, secret, jwt.MapClaims{"aud": inboxapi.Audience, "exp": soon}), 403},
	} {
		t.Run(name, func(t *testing.T) {
			s := &server{t, s.inbox, s.api, s.url}
			s.do("GET", "/v1/inbox", x.token, "", x.status)
			if x.status != 200 {
				s.do("POST", "/v1/inbox/ack", x.token, `{"offset":1}`, x.status)
				s.do("GET", "/v1/inbox/stream", x.token, "", x.status)
			}
		})
	}
	// In the address only where a browser cannot do otherwise.
	s.do("GET", "/v1/inbox?access_token="+token(t, "alice", time.Minute), "", "", 401)
	if _, err := inboxapi.IssueToken(secret[:31], "alice", time.Minute); err == nil {
		t.Error("a short secret is taken")
	}
}

func TestPages(t *testing.T) {
	s := serve(t, 0)
	alice := token(t, "alice", time.Minute)
	for i := 1; i <= 7; i++ {
		s.add("alice", i)
	}
	s.add("bob", 1)
	offsets := func(page map[string]any) string {
		var out []string
		for _, e := range page["entries"].([]any) {
			out = append(out, fmt.Sprint(e.(map[string]any)["offset"]))
		}
		return strings.Join(out, " ")
	}
	page := s.do("GET", "/v1/inbox?limit=3", alice, "", 200)
	if offsets(page) != "7 6 5" || page["next"] != "5" || page["participant"] != "alice" {
		t.Errorf("the newest page is %v", page)
	}
	if page = s.do("GET", "/v1/inbox?limit=3&before=5", alice, "", 200); offsets(page) != "4 3" || page["next"] != nil {
		t.Errorf("the page before 5 is %v", page)
	}
	page = s.do("GET", "/v1/inbox?limit=3&after=", alice, "", 200)
	if offsets(page) != "3 4 5" {
		t.Errorf("the first page is %v", page)
	}
	page = s.do("GET", "/v1/inbox?limit=3&after="+page["next"].(string), alice, "", 200)
	if offsets(page) != "6 7" || page["resync"] != false {
		t.Errorf("the second page is %v", page)
	}
	if page = s.do("GET", "/v1/inbox?after=elsewhere-4", alice, "", 200); page["resync"] != true {
		t.Errorf("a foreign cursor gives %v", page)
	}
	if page = s.do("GET", "/v1/inbox", token(t, "carol", time.Minute), "", 200); offsets(page) != "" {
		t.Errorf("an empty inbox is %v", page)
	}
	for _, path := range []string{"?limit=0", "?limit=201", "?limit=x", "?before=0", "?before=x", "?after=x", "?after=a--1"} {
		s.do("GET", "/v1/inbox"+path, alice, "", 400)
	}
	if got := s.do("POST", "/v1/inbox/ack", alice, `{"offset":5}`, 200); got["acked"] != 5.0 {
		t.Errorf("ack gave %v", got)
	}
	if got := s.do("POST", "/v1/inbox/ack", alice, `{"offset":99}`, 200); got["acked"] != 7.0 {
		t.Errorf("ack past the end gave %v", got)
	}
	if got := s.do("GET", "/v1/inbox", token(t, "bob", time.Minute), "", 200); got["acked"] != 0.0 || offsets(got) != "1" {
		t.Errorf("alice's acknowledgement or entries reached bob: %v", got)
	}
	for _, body := range []string{"", "{}", `{"offset":-1}`, `{"offset":"1"}`, `{"offset":1,"participant":"bob"}`, strings.Repeat(" ", 2000)} {
		s.do("POST", "/v1/inbox/ack", alice, body, 400)
	}
	s.do("GET", "/nothing", "", "", 404)
	s.do("DELETE", "/v1/inbox", alice, "", 405)
	s.do("GET", "/v1/inbox/ack", alice, "", 405)
}

// events opens a stream and returns a function that reads the next event as
// "name id data".
func (s *server) events(path, token, lastID string) (next func() string, resp *http.Response) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	s.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	resp, err = http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != 200 {
		s.t.Fatalf("the stream answers %d", resp.StatusCode)
	}
	lines := bufio.NewScanner(resp.Body)
	return func() string {
		var event []string
		for lines.Scan() {
			if line := lines.Text(); line != "" {
				event = append(event, line)
				continue
			}
			return strings.Join(event, "|")
		}
		if err := lines.Err(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			s.t.Errorf("the stream broke: %v", err)
		}
		return "end"
	}, resp
}

func (s *server) want(got, event, id, part string) {
	s.t.Helper()
	if !strings.HasPrefix(got, "event: "+event+"|id: "+id+"|data: ") || !strings.Contains(got, part) {
		s.t.Fatalf("got %q, want event %s with ID %q and %q", got, event, id, part)
	}
}

func TestStream(t *testing.T) {
	s := serve(t, 0)
	alice := token(t, "alice", time.Minute)
	s.add("alice", 1)
	next, resp := s.events("/v1/inbox/stream", alice, "")
	if resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("X-Accel-Buffering") != "no" {
		t.Errorf("headers %v", resp.Header)
	}
	next() // the greeting
	s.want(next(), "notification", "life1-1", "Title 1")
	s.add("bob", 9)
	s.add("alice", 2)
	s.want(next(), "notification", "life1-2", "Title 2")
	n := deliverytest.Note("alice", 1)
	n.Revision, n.Op, n.Title = 2, delivery.Retract, ""
	if _, _, err := s.inbox.Append(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	s.want(next(), "notification", "life1-3", `"op":"retract"`)

	// A client that comes back goes on without gap or repetition.
	back, _ := s.events("/v1/inbox/stream", alice, "life1-2")
	back()
	s.want(back(), "notification", "life1-3", "retract")
	// A browser's EventSource brings its token in the address.
	query, _ := s.events("/v1/inbox/stream?after=life1-2&access_token="+alice, "", "")
	query()
	s.want(query(), "notification", "life1-3", "retract")

	// Another life of the inbox: start afresh.
	s.inbox.Forget("alice")
	s.add("alice", 5)
	lost, _ := s.events("/v1/inbox/stream", alice, "life1-2")
	lost()
	s.want(lost(), "resync", "life3-0", "life3")
	s.want(lost(), "notification", "life3-1", "Title 5")

	s.api.Close()
	for got := next(); got != "end"; got = next() {
	}
	s.do("GET", "/v1/inbox/stream?after=x", alice, "", 400)
}

func TestStreamHeartbeatAndExpiry(t *testing.T) {
	t.Parallel()
	s := serve(t, 20*time.Millisecond)
	next, _ := s.events("/v1/inbox/stream", token(t, "alice", time.Minute), "")
	next()
	if got := next(); got != ": still here" {
		t.Fatalf("got %q, want a heartbeat", got)
	}
	// A token that runs out ends its stream, once the leeway is over and not before.
	signed, end := endingToken(t, "alice")
	next, _ = s.events("/v1/inbox/stream", signed, "")
	for got := next(); got != "end"; got = next() {
		if time.Since(end) > 5*time.Second {
			t.Fatal("the stream outlives its token")
		}
	}
	if early := time.Until(end); early > 0 {
		t.Errorf("the stream ends %s before its token", early)
	}
}

// TestPushKey asks for the key without a token, where the channel is on and off.
func TestPushKey(t *testing.T) {
	s := serve(t, 0)
	if got := s.do("GET", "/v1/push/key", "", "", 404); !strings.Contains(got["detail"].(string), "notifier.webpush.private_key_file") {
		t.Errorf("the answer is %v", got)
	}
	api, err := inboxapi.New(inboxapi.Options{Inbox: s.inbox, Secret: secret, PushKey: "BPublic"})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(api)
	t.Cleanup(srv.Close)
	on := &server{t, s.inbox, api, srv.URL}
	if got := on.do("GET", "/v1/push/key", "", "", 200); got["public_key"] != "BPublic" {
		t.Errorf("the answer is %v", got)
	}
	on.do("POST", "/v1/push/key", "", "", 405)
}
