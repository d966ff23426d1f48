package ingest_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/ingest"
)

// TestHTTP2 refuses requests with their bodies unread, on a connection that
// others use: it stays open, and what was reserved is given back.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	o := options(&log{})
	o.Timeout = time.Second
	var level, opened atomic.Int64
	o.Metrics.Inflight = level.Store
	s := httptest.NewUnstartedServer(ingest.New(o))
	s.EnableHTTP2 = true
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	post := func(what string, body io.Reader, size int64, status int, problem string) {
		t.Helper()
		r, err := http.NewRequest(http.MethodPost, s.URL+"/v1/events", body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", lines)
		r.ContentLength = size
		resp, err := s.Client().Do(r)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		defer resp.Body.Close()
		var document struct{ Type string }
		err = json.NewDecoder(resp.Body).Decode(&document)
		if err != nil || resp.ProtoMajor != 2 || resp.StatusCode != status || document.Type != problem {
			t.Errorf("%s: %s %s %q, %v; want %d %q", what, resp.Proto, resp.Status, document.Type, err, status, problem)
		}
	}
	slow, never := io.Pipe()
	t.Cleanup(func() { never.Close() })
	post("a body that does not end", slow, -1, http.StatusRequestTimeout, "urn:veltrix:problem:request-timeout")
	post("a body that is too large", io.LimitReader(endless{}, o.RequestBytesMax+1), o.RequestBytesMax+1, http.StatusRequestEntityTooLarge, "urn:veltrix:problem:request-too-large")
	post("an event", strings.NewReader(event("1", clue)), -1, http.StatusAccepted, "")
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections were opened for three requests", n)
	}
	if held := level.Load(); held != 0 {
		t.Errorf("%d bytes are held", held)
	}
}

// endless is a body as long as one likes.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}
