package probe

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// The bounds of what is sent.
const (
	seriesEvents = 12
	spacedEvents = 5
	EventsMax    = 3*seriesEvents + 4*spacedEvents // that a probe sends
	SendFor      = 5 * time.Second                 // after which it sends no more
	answerWithin = 5 * time.Second                 // of one event, from when it is sent
)

// spacings are how far apart events are sent that do not wait for the one before.
var spacings = [...]time.Duration{0, 5 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond}

// The series whose order is promised.
const (
	kept  = "one connection"
	fresh = "a connection each"
	burst = "without waiting on one connection"
)

// series are events in the order in which they were sent.
type series struct {
	name        string
	promised    bool
	connections int // that were used
	events      []sent
}

// sent is one event, and how it was answered.
type sent struct {
	id       string
	instance string // of the gateway that answered
	status   int    // 0: no answer
	taken    bool   // 202, by a gateway
	said     string // what else was answered, or why nothing was
}

// sender sends the events of one probe.
type sender struct{ url, key, run string }

// all sends every series, one after the other, until SendFor is over.
func (s *sender) all(ctx context.Context) []series {
	ctx, cancel := allowed(ctx, SendFor)
	defer cancel()
	all := []series{s.inTurn(ctx, kept, "k", true), s.inTurn(ctx, fresh, "f", false), s.pipelined(ctx)}
	for i, apart := range spacings {
		all = append(all, s.spaced(ctx, fmt.Sprintf("s%d", i), apart))
	}
	return all
}

// event is one without a time: the gateway's stamp is what orders it.
func (s *sender) event(id string, n int) []byte {
	text, err := json.Marshal(map[string]any{
		"specversion": "1.0", "id": id, "source": Source, "type": EventType, "partitionkey": Participant,
		"data": map[string]int{"n": n},
	})
	if err != nil {
		panic(err) // texts and a number
	}
	return text
}

func (s *sender) id(series string, n int) string { return fmt.Sprintf("%s-%s-%d", s.run, series, n) }

func (s *sender) request(ctx context.Context, id string, n int) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, under(s.url, "/v1/events"), bytes.NewReader(s.event(id, n)))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/cloudevents+json")
	authorize(req.Header, s.key)
	return req, nil
}

// http1 keeps one connection, or makes one for each request. It speaks HTTP/1.1,
// for which alone order is promised.
func http1(keep bool) *http.Transport {
	t := &http.Transport{MaxConnsPerHost: 1, DisableKeepAlives: !keep, Protocols: new(http.Protocols)}
	if !keep {
		t.MaxConnsPerHost = 0
	}
	t.Protocols.SetHTTP1(true)
	return t
}

// inTurn sends each event after the answer to the one before.
func (s *sender) inTurn(ctx context.Context, name, letter string, keep bool) series {
	transport := http1(keep)
	defer transport.CloseIdleConnections()
	out := series{name: name, promised: true}
	var used atomic.Int64
	for n := range seriesEvents {
		if ctx.Err() != nil {
			break
		}
		out.events = append(out.events, s.one(ctx, client(transport), s.id(letter, n), n, &used))
	}
	out.connections = int(used.Load())
	return out
}

// one sends an event once. Its answer is waited for beyond the end of sending, or
// there would be events of which nobody knows whether they were taken.
func (s *sender) one(ctx context.Context, c *http.Client, id string, n int, used *atomic.Int64) sent {
	ctx, cancel := allowed(context.WithoutCancel(ctx), answerWithin)
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) {
		if !c.Reused {
			used.Add(1)
		}
	}})
	req, err := s.request(ctx, id, n)
	if err != nil {
		return sent{id: id, said: err.Error()}
	}
	// The transport repeats a POST that found its connection closed only if it may
	// read the body again; then there would be two of it.
	req.GetBody = nil
	resp, err := c.Do(req)
	if err != nil {
		return sent{id: id, said: err.Error()}
	}
	return answered(id, resp)
}

// answered reads an answer. A 202 that does not say what a gateway says is somebody
// else's.
func answered(id string, resp *http.Response) sent {
	text, err := io.ReadAll(io.LimitReader(resp.Body, bodyMax))
	_ = resp.Body.Close()
	out := sent{id: id, instance: resp.Header.Get("Veltrix-Instance"), status: resp.StatusCode}
	var said struct {
		Accepted int    `json:"accepted"`
		Type     string `json:"type"`
		Detail   string `json:"detail"`
		Errors   []struct{ Reason string }
	}
	parsed := json.Unmarshal(text, &said)
	switch {
	case err != nil:
		out.said = err.Error()
	case resp.StatusCode == http.StatusAccepted && parsed == nil && said.Accepted == 1:
		out.taken = true
	case resp.StatusCode == http.StatusAccepted:
		out.said = "202 without a gateway's receipt"
	case len(said.Errors) > 0:
		out.said = said.Errors[0].Reason
	default:
		out.said = said.Detail
	}
	return out
}

// pipelined writes all requests to one connection before it reads an answer: they
// are answered, and so appended, in their order.
func (s *sender) pipelined(ctx context.Context) series {
	out := series{name: burst, promised: true, connections: 1}
	if ctx.Err() != nil {
		return out
	}
	ctx, cancel := allowed(context.WithoutCancel(ctx), answerWithin)
	defer cancel()
	fail := func(from int, err error) series {
		for n := from; n < seriesEvents; n++ {
			out.events = append(out.events, sent{id: s.id("b", n), said: err.Error()})
		}
		return out
	}
	conn, err := s.dial(ctx)
	if err != nil {
		return fail(0, err)
	}
	defer func() { _ = conn.Close() }()
	if at, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(at)
	}
	var all bytes.Buffer
	requests := make([]*http.Request, seriesEvents)
	for n := range requests {
		if requests[n], err = s.request(ctx, s.id("b", n), n); err != nil {
			return fail(0, err)
		}
		if err = requests[n].Write(&all); err != nil {
			return fail(0, err)
		}
	}
	if _, err := conn.Write(all.Bytes()); err != nil {
		return fail(0, err)
	}
	answers := bufio.NewReader(conn)
	for n, req := range requests {
		resp, err := http.ReadResponse(answers, req)
		if err != nil {
			return fail(n, err)
		}
		out.events = append(out.events, answered(s.id("b", n), resp))
	}
	return out
}

func (s *sender) dial(ctx context.Context) (net.Conn, error) {
	u, err := url.Parse(s.url)
	if err != nil {
		return nil, err
	}
	host, port := u.Hostname(), u.Port()
	if u.Scheme == "https" {
		if port == "" {
			port = "443"
		}
		return (&tls.Dialer{Config: &tls.Config{ServerName: host, NextProtos: []string{"http/1.1"}}}).DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	}
	if port == "" {
		port = "80"
	}
	return new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(host, port))
}

// spaced sends events on connections of their own, so far apart, without waiting for
// answers. Nothing promises their order; it is told how they came.
func (s *sender) spaced(ctx context.Context, letter string, apart time.Duration) series {
	transport := http1(false)
	out := series{name: fmt.Sprintf("%d ms apart", apart.Milliseconds())}
	events := make([]sent, spacedEvents)
	var used atomic.Int64
	var sending sync.WaitGroup
	begun := 0
	for n := range events {
		if n > 0 {
			select {
			case <-time.After(apart):
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			break
		}
		sending.Go(func() { events[n] = s.one(ctx, client(transport), s.id(letter, n), n, &used) })
		begun++
	}
	sending.Wait()
	out.events, out.connections = events[:begun], int(used.Load())
	return out
}
