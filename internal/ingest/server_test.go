package ingest_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/ingest"
)

func serve(t *testing.T, o ingest.Options) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(ingest.New(o))
	t.Cleanup(s.Close)
	return s
}

func send(t *testing.T, s *httptest.Server, body io.Reader) *http.Response {
	t.Helper()
	resp, err := http.Post(s.URL+"/v1/events", lines, body)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp
}

func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 1000 {
		if holds() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("waited in vain until " + what)
}

func (l *log) called() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls
}

// TestAnswersNameTheirGateway: each one does, what refuses as well, so that somebody
// who asks through a balancer can tell them apart.
func TestAnswersNameTheirGateway(t *testing.T) {
	for name, want := range map[string]string{"": "", "one": "one"} {
		o := options(&log{})
		o.Instance = name
		s := serve(t, o)
		if resp := send(t, s, strings.NewReader(event("1", clue))); resp.StatusCode != 202 || resp.Header.Get("Veltrix-Instance") != want {
			t.Errorf("%q: %d by %q", name, resp.StatusCode, resp.Header.Get("Veltrix-Instance"))
		}
		if resp := send(t, s, strings.NewReader("nothing")); resp.StatusCode == 202 || resp.Header.Get("Veltrix-Instance") != want {
			t.Errorf("%q refuses: %d by %q", name, resp.StatusCode, resp.Header.Get("Veltrix-Instance"))
		}
	}
}

// TestNoAnswerBeforeTheLog: 202 comes after the acknowledgement, never before
// it (P1).
func TestNoAnswerBeforeTheLog(t *testing.T) {
	l := &log{block: make(chan struct{})}
	s := serve(t, options(l))
	answered := make(chan int, 1)
	go func() { answered <- send(t, s, strings.NewReader(event("1", clue))).StatusCode }()
	waitFor(t, "the log is asked", func() bool { return l.called() == 1 })
	select {
	case code := <-answered:
		t.Fatalf("answered %d before the log", code)
	case <-time.After(50 * time.Millisecond):
	}
	close(l.block)
	if code := <-answered; code != 202 {
		t.Errorf("got %d", code)
	}
}

// TestInflightIsBounded fills the budget with requests that wait for the log:
// the next one is refused before its body is read, and taken when there is room.
func TestInflightIsBounded(t *testing.T) {
	l := &log{block: make(chan struct{})}
	o := options(l)
	body := event("1", clue)
	o.InflightBytesMax = int64(2*len(body) + 10)
	var mu sync.Mutex
	most := int64(0)
	o.Metrics.Inflight = func(n int64) { mu.Lock(); most = max(most, n); mu.Unlock() }
	s := serve(t, o)
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() { send(t, s, strings.NewReader(body)) })
	}
	waitFor(t, "both wait for the log", func() bool { return l.called() == 2 })
	resp := send(t, s, strings.NewReader(body))
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("got %d", resp.StatusCode)
	}
	close(l.block)
	group.Wait()
	if resp := send(t, s, strings.NewReader(body)); resp.StatusCode != 202 {
		t.Errorf("got %d when there was room again", resp.StatusCode)
	}
	if most > o.InflightBytesMax {
		t.Errorf("%d bytes were in flight, at most %d are allowed", most, o.InflightBytesMax)
	}
}

// TestTimeout: a log that does not answer gives 503 in time.
func TestTimeout(t *testing.T) {
	l := &log{block: make(chan struct{})}
	o := options(l)
	o.Timeout = 50 * time.Millisecond
	if resp := send(t, serve(t, o), strings.NewReader(event("1", clue))); resp.StatusCode != 503 {
		t.Errorf("got %d", resp.StatusCode)
	}
}

// TestSlowSender: a body that does not come to its end gives its room back.
func TestSlowSender(t *testing.T) {
	l := &log{}
	o := options(l)
	o.Timeout = 100 * time.Millisecond
	var level atomic.Int64
	o.Metrics.Inflight = level.Store
	s := serve(t, o)
	for _, c := range []struct{ name, head, body string }{
		{"plain", "Content-Length: 1000\r\n", "{"},
		{"chunked", "Transfer-Encoding: chunked\r\n", "1\r\n{\r\n"},
		{"gzip", "Content-Encoding: gzip\r\nContent-Length: 1000\r\n", string(flushed(t, "gzip", event("1", clue)+"\n"))},
		{"gzip without a byte", "Content-Encoding: gzip\r\nContent-Length: 1000\r\n", ""},
		{"zstd", "Content-Encoding: zstd\r\nContent-Length: 1000\r\n", string(flushed(t, "zstd", event("1", clue)+"\n"))},
	} {
		conn := dial(t, s)
		fmt.Fprintf(conn, "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\n%s\r\n%s", lines, c.head, c.body)
		answer, err := io.ReadAll(conn) // the server closes: a connection that is kept would be the sender's
		if err != nil {
			t.Errorf("%s: the connection is still open: %v", c.name, err)
		}
		text := string(answer)
		if !strings.HasPrefix(text, "HTTP/1.1 408 ") || !strings.Contains(text, `"urn:veltrix:problem:request-timeout"`) || strings.Contains(text, "127.0.0.1") {
			t.Errorf("%s: got %s", c.name, text)
		}
		if l.called() != 0 || level.Load() != 0 {
			t.Errorf("%s: the log was called %d times, %d bytes are held", c.name, l.called(), level.Load())
		}
	}
}

// TestBodyOfUnknownLength reads a chunked body, larger than the first piece
// that is reserved for one.
func TestBodyOfUnknownLength(t *testing.T) {
	l := &log{}
	o := options(l)
	o.RequestBytesMax, o.InflightBytesMax, o.BatchEventsMax = 1<<20, 1<<20, 10_000
	var body bytes.Buffer
	for i := range 2000 {
		body.WriteString(event(fmt.Sprint(i), clue) + "\n")
	}
	size := body.Len()
	if size < 200<<10 {
		t.Fatal("too small to tell")
	}
	s := serve(t, o)
	if resp := send(t, s, io.MultiReader(&body)); resp.StatusCode != 202 || len(l.records) != 2000 {
		t.Errorf("got %d, %d records", resp.StatusCode, len(l.records))
	}
	if resp := send(t, s, io.MultiReader(bytes.NewReader(make([]byte, 1<<20+1)))); resp.StatusCode != 413 {
		t.Errorf("got %d for a chunked body over the limit", resp.StatusCode)
	}
}

// TestOrderOnOneConnection pipelines requests of one participant on one
// connection: their order is kept (P4), also where the log is slow.
func TestOrderOnOneConnection(t *testing.T) {
	l := &log{}
	s := serve(t, options(l))
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var want []string
	for i := range 50 {
		body := event(fmt.Sprint(i, "a"), clue) + "\n" + event(fmt.Sprint(i, "b"), clue)
		want = append(want, fmt.Sprint(i, "a"), fmt.Sprint(i, "b"))
		fmt.Fprintf(conn, "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", lines, len(body), body)
	}
	answers := bufio.NewReader(conn)
	for range 50 {
		resp, err := http.ReadResponse(answers, nil)
		if err != nil || resp.StatusCode != 202 {
			t.Fatal(resp, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
	}
	if got := l.ids(); got != strings.Join(want, " ") {
		t.Errorf("got %s", got)
	}
}

// TestGracefulStop: a request that was accepted is finished and answered while
// the server stops.
func TestGracefulStop(t *testing.T) {
	l := &log{block: make(chan struct{})}
	s := serve(t, options(l))
	answered := make(chan int, 1)
	go func() { answered <- send(t, s, strings.NewReader(event("1", clue))).StatusCode }()
	waitFor(t, "the log is asked", func() bool { return l.called() == 1 })
	stopped := make(chan error, 1)
	go func() { stopped <- s.Config.Shutdown(context.Background()) }()
	select {
	case <-stopped:
		t.Fatal("stopped with a request unanswered")
	case <-time.After(50 * time.Millisecond):
	}
	close(l.block)
	if code := <-answered; code != 202 {
		t.Errorf("got %d", code)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// TestClientGone: what has begun is finished although nobody waits for it.
func TestClientGone(t *testing.T) {
	l := &log{block: make(chan struct{})}
	s := serve(t, options(l))
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "POST", s.URL+"/v1/events", strings.NewReader(event("1", clue)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", lines)
	go func() {
		if resp, err := http.DefaultClient.Do(r); err == nil {
			_ = resp.Body.Close()
		}
	}()
	waitFor(t, "the log is asked", func() bool { return l.called() == 1 })
	cancel()
	time.Sleep(20 * time.Millisecond)
	close(l.block)
	waitFor(t, "the event is in the log", func() bool { return l.ids() == "1" })
}
