package dial

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// transport answers by itself and keeps what it was given.
type transport struct {
	got  *http.Request
	body *endless
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.got = r
	return &http.Response{StatusCode: 200, Body: t.body, Request: r}, nil
}

// endless is a body of far more than anybody should read.
type endless struct {
	read   int
	closed bool
}

func (e *endless) Read(p []byte) (int, error) {
	if e.read > 100*answerMax {
		return 0, io.EOF
	}
	e.read += len(p)
	return len(p), nil
}

func (e *endless) Close() error {
	e.closed = true
	return nil
}

// TestNothingLetsTheTransportRepeat checks each of the things by which Go's
// transport would send a POST again, or to another host, one by one: on a real
// connection each hides the others.
func TestNothingLetsTheTransportRepeat(t *testing.T) {
	t.Parallel()
	c := New(Guard{}, nil)
	if real, is := c.http.Transport.(*http.Transport); !is || real.Proxy != nil {
		t.Error("a proxy is asked: the guard would check its address")
	}
	fake := &transport{body: &endless{}}
	c.http.Transport = fake
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://example.com/", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header["Idempotency-Key"], req.Header["X-Idempotency-Key"] = nil, []string{"a"} // nil counts for the transport
	if _, err := c.Do(req); err != nil {                                                //nolint:bodyclose // it is closed
		t.Fatal(err)
	}
	if fake.got.GetBody != nil {
		t.Error("the body can be sent again")
	}
	if len(fake.got.Header) != 0 {
		t.Errorf("the headers are %v", fake.got.Header)
	}
	if fake.body.read > 2*answerMax || !fake.body.closed {
		t.Errorf("%d bytes of the answer were read, closed: %v", fake.body.read, fake.body.closed)
	}
}
