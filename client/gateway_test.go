package client_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/veltrix/veltrix/client"
	"github.com/veltrix/veltrix/internal/ingest"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// world is the real gateway over a log in memory, behind a network that a test
// may spoil.
type world struct {
	*testing.T
	url string

	mu       sync.Mutex
	records  []wire.Record
	requests []string      // the bodies, as they came
	block    chan struct{} // if set, the log waits for it
	fail     error         // if set, what the log answers, having written nothing
	// spoil, if set, answers the nth request, from 1, in the gateway's place, and
	// says whether it did. pass hands the request on.
	spoil func(n int, w http.ResponseWriter, r *http.Request, pass http.Handler) bool
}

// Append is ingest.Appender's.
func (w *world) Append(ctx context.Context, records []wire.Record) ([]ingest.Position, error) {
	w.mu.Lock()
	block, fail := w.block, w.fail
	w.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if fail != nil {
		return nil, fail
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	at := make([]ingest.Position, 0, len(records))
	for _, r := range records {
		r.Key, r.Value = bytes.Clone(r.Key), bytes.Clone(r.Value)
		at = append(at, ingest.Position{Offset: int64(len(w.records))})
		w.records = append(w.records, r)
	}
	return at, nil
}

func newWorld(t *testing.T, change ...func(*ingest.Options)) *world {
	t.Helper()
	w := &world{T: t}
	o := ingest.Options{
		Appender: w, Limits: ingest.Limits{RequestBytesMax: 1 << 20, BatchEventsMax: 1000}, InflightBytesMax: 4 << 20, Timeout: 30 * time.Second,
		Schema: participant.NewSchema(participant.Schema{
			Hunt: "harbour", RejectUnknown: true, EventBytesMax: 512,
			Types: []participant.EventType{{Name: "clue.found", Fields: []participant.Field{
				{Name: "clue", Kind: participant.KindString, BytesMax: 600},
			}}},
		}),
	}
	for _, f := range change {
		f(&o)
	}
	gateway := ingest.New(o)
	s := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client has gone
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		w.mu.Lock()
		w.requests = append(w.requests, string(body))
		n, spoil := len(w.requests), w.spoil
		w.mu.Unlock()
		if spoil == nil || !spoil(n, answer, r, gateway) {
			gateway.ServeHTTP(answer, r)
		}
	}))
	t.Cleanup(s.Close)
	w.url = s.URL
	return w
}

// lose processes a request and lets nobody hear the answer.
func lose(w http.ResponseWriter, r *http.Request, pass http.Handler) {
	pass.ServeHTTP(httptest.NewRecorder(), r)
	hangUp(w)
}

func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_ = conn.Close()
}

// client makes one that does not wait long. It is closed with the test.
func (w *world) client(change ...func(*client.Options)) *client.Client {
	w.Helper()
	o := client.Options{URL: w.url, Source: "/test", BackoffMin: time.Millisecond, BackoffMax: 5 * time.Millisecond}
	for _, f := range change {
		f(&o)
	}
	c, err := client.New(o)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = c.Close(ctx)
	})
	return c
}

// sent returns the requests so far.
func (w *world) sent() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.requests...)
}

// counted returns the log's ids without repetitions, as a processor counts, and
// the number of records. A repetition that differs from the first is an error:
// it would be a conflict.
func (w *world) counted() (ids []string, records int) {
	w.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	first := map[string]string{}
	for i := range w.records {
		r := &w.records[i]
		id, whole := string(r.Header("ce_id")), fmt.Sprintf("%s %s %q", r.Key, r.Value, r.Headers)
		before, again := first[id]
		if again && before != whole {
			w.Errorf("event %s came as\n%s\nand then as\n%s", id, before, whole)
		}
		if !again {
			first[id] = whole
			ids = append(ids, id)
		}
	}
	return ids, len(w.records)
}

// clue is an event that the rules take.
func clue(who, id string) client.Event {
	return client.Event{ID: id, Type: "clue.found", Participant: who, Data: map[string]any{"clue": "anchor"}}
}

// wrong is one that they do not.
func wrong(who, id string) client.Event {
	return client.Event{ID: id, Type: "clue.found", Participant: who, Data: map[string]any{"clue": 7}}
}

// outcomes collects what callers hear.
type outcomes struct {
	mu   sync.Mutex
	errs map[string]error
	all  int
}

func (o *outcomes) of(id string) func(error) {
	return func(err error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.errs == nil {
			o.errs = map[string]error{}
		}
		o.errs[id] = err
		o.all++
	}
}

// enqueue hands over events and waits for their outcomes.
func (w *world) enqueue(c *client.Client, events ...client.Event) map[string]error {
	w.Helper()
	var heard outcomes
	for _, e := range events {
		if err := c.Enqueue(w.Context(), e, heard.of(e.ID)); err != nil {
			w.Fatal(err)
		}
	}
	if err := c.Flush(w.Context()); err != nil {
		w.Fatal(err)
	}
	heard.mu.Lock()
	defer heard.mu.Unlock()
	if heard.all != len(events) {
		w.Errorf("%d outcomes of %d events", heard.all, len(events))
	}
	return heard.errs
}

func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 2000 {
		if holds() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("waited in vain until " + what)
}

// idsOf returns the ids of a request's events.
func idsOf(body string) string {
	var ids []string
	for line := range strings.Lines(body) {
		_, rest, _ := strings.Cut(line, `"id":"`)
		id, _, _ := strings.Cut(rest, `"`)
		ids = append(ids, id)
	}
	return strings.Join(ids, " ")
}
