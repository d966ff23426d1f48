// Package dial makes the requests of channels to the outside.
//
// Its invariant: one call of Do sends at most one request. Nothing below it
// retries, follows a redirect, asks a proxy, or reuses a connection in a way
// that makes Go's transport send a POST again; and no request leaves for an
// address that is not public unless it was allowed.
package dial

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/veltrix/veltrix/internal/delivery"
)

const (
	connectTimeout = 5 * time.Second
	answerMax      = 4 << 10 // bytes read of an answer's body
	retryAfterMax  = 24 * time.Hour
	reasonMax      = 300 // bytes
)

// Client makes requests.
type Client struct{ http *http.Client }

// Error is a request without an answer.
type Error struct {
	// Connected says that a connection stood, its TLS handshake included: the
	// request may have arrived.
	Connected bool
	err       error
}

// Error is short and without the URL, which may be a secret by itself.
func (e *Error) Error() string {
	s := e.err.Error()
	return s[:min(len(s), reasonMax)]
}

// Unwrap returns what ErrBlocked can be found in.
func (e *Error) Unwrap() error { return e.err }

// New returns a client whose connections pass the guard. A nil pool of roots
// means the system's.
func New(g Guard, roots *x509.CertPool) *Client {
	dialer := &net.Dialer{Timeout: connectTimeout, Control: g.control}
	return &Client{&http.Client{
		Transport: &http.Transport{
			// No proxy from the environment: the guard would check the proxy's address.
			DialContext: dialer.DialContext, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 32,
			IdleConnTimeout: 30 * time.Second, TLSHandshakeTimeout: connectTimeout,
			MaxResponseHeaderBytes: 32 << 10,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
			// One HTTP/2 connection carries a provider's every request: without pings,
			// one that died in silence would fail them all until TCP gives up.
			HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Do sends req once and returns the answer. Its body is the first 4 KiB, in
// memory: it need not be closed. Its errors are of the type *Error.
func (c *Client) Do(req *http.Request) (*http.Response, error) {
	var connected atomic.Bool
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	}))
	// Without GetBody the transport cannot send the body a second time, and these
	// headers would make it repeat a POST by itself.
	req.GetBody = nil
	delete(req.Header, "Idempotency-Key")
	delete(req.Header, "X-Idempotency-Key")
	resp, err := c.http.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return nil, &Error{Connected: connected.Load(), err: err}
	}
	// Reading a little lets the connection be used again; a receiver that never
	// ends its answer must not hold the attempt.
	read, _ := io.ReadAll(io.LimitReader(resp.Body, answerMax)) // the status is the answer
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(read))
	return resp, nil
}

// Failure classifies Do's error. Only what failed before a connection stood is
// certain not to have arrived. What the guard blocked is Failed and reached
// nobody; a channel says by itself whose fault that is.
func Failure(err error) delivery.Result {
	res := delivery.Result{Verdict: delivery.Unknown, Reason: err.Error()}
	var e *Error
	if errors.As(err, &e) && !e.Connected {
		res.Verdict, res.Unreachable = delivery.Failed, !errors.Is(err, ErrBlocked)
	}
	return res
}

// RetryAfter reads a header of that name: seconds or an HTTP date, at most a
// day; 0 where there is none.
func RetryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	wait := time.Duration(0)
	if s, err := strconv.ParseInt(v, 10, 32); err == nil {
		wait = time.Duration(s) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		wait = time.Until(at)
	}
	return min(max(wait, 0), retryAfterMax)
}
