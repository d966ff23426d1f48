package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/veltrix/veltrix/client"
	"github.com/veltrix/veltrix/internal/wire"
)

// TestLostAnswers: the gateway takes every event, and nobody hears of it, twice.
// The third attempt is the same to the last bit, also for events that their
// caller gave neither id nor time.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.spoil = func(n int, answer http.ResponseWriter, r *http.Request, pass http.Handler) bool {
		if n%3 == 0 {
			return false
		}
		lose(answer, r, pass)
		return true
	}
	c := w.client()
	for range 3 {
		if err := c.Send(t.Context(), clue("ada", "")); err != nil {
			t.Fatal(err)
		}
	}
	ids, records := w.counted()
	if len(ids) != 3 || records != 9 {
		t.Errorf("%d events in %d records, want 3 in 9", len(ids), records)
	}
	requests := w.sent()
	for i, body := range requests {
		if body != requests[i-i%3] {
			t.Errorf("request %d is\n%s and not\n%s", i+1, body, requests[i-i%3])
		}
	}
}

// TestOrder sends from many callers by several lanes over a network that loses
// requests and answers. Each participant's events are in the log in the order of
// their hand-over, counted where each is first.
func TestOrder(t *testing.T) {
	t.Parallel()
	const participants, each = 12, 40
	w := newWorld(t)
	w.spoil = func(n int, answer http.ResponseWriter, r *http.Request, pass http.Handler) bool {
		switch n % 5 {
		case 0:
			lose(answer, r, pass)
		case 1:
			hangUp(answer)
		case 2:
			answer.WriteHeader(http.StatusBadGateway)
		default:
			return false
		}
		return true
	}
	c := w.client(func(o *client.Options) { o.Lanes, o.BatchEvents, o.QueueEvents = 3, 7, 50 })
	var group sync.WaitGroup
	for p := range participants {
		group.Go(func() {
			who := fmt.Sprint("team-", p)
			for i := range each {
				done := func(err error) {
					if err != nil {
						t.Error(err)
					}
				}
				if err := c.Enqueue(t.Context(), clue(who, fmt.Sprintf("%s/%d", who, i)), done); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	ids, _ := w.counted()
	next := map[string]int{}
	for _, id := range ids {
		who, _, _ := strings.Cut(id, "/")
		if want := fmt.Sprintf("%s/%d", who, next[who]); id != want {
			t.Fatalf("%s is in the log where %s should be", id, want)
		}
		next[who]++
	}
	if len(ids) != participants*each {
		t.Errorf("%d events are in the log, want %d", len(ids), participants*each)
	}
	// And in the order of their times, which is what counts in the end.
	w.mu.Lock()
	defer w.mu.Unlock()
	newest, seen := map[string]time.Time{}, map[string]bool{}
	for i := range w.records {
		r := &w.records[i]
		who, id := string(r.Key), string(r.Header("ce_id"))
		at, err := time.Parse(time.RFC3339Nano, string(r.Header("ce_time")))
		if err != nil || !seen[id] && !at.After(newest[who]) {
			t.Errorf("%s has the time %s (%v), one before it %s", id, at, err, newest[who])
		}
		if !seen[id] {
			seen[id], newest[who] = true, at
		}
	}
}

// TestBatchesGrow: what is handed over while a request is in flight goes with
// the next one, up to the bounds.
func TestBatchesGrow(t *testing.T) {
	t.Parallel()
	five := 5*len(line(t, clue("ada", "0"))) + 20 // that many would fit
	w := newWorld(t)
	w.block = make(chan struct{})
	c := w.client(func(o *client.Options) { o.BatchEvents, o.BatchBytes = 4, five })
	ignore := func(error) {}
	hand := func(e client.Event) {
		if err := c.Enqueue(t.Context(), e, ignore); err != nil {
			t.Fatal(err)
		}
	}
	hand(clue("ada", "first"))
	waitFor(t, "it is on its way", func() bool { return len(w.sent()) == 1 })
	for i := range 6 {
		hand(clue("ada", fmt.Sprint(i)))
	}
	for i := range 2 {
		e := clue("ada", fmt.Sprint("large-", i))
		e.Data = map[string]any{"clue": strings.Repeat("x", 450)}
		hand(e)
	}
	close(w.block)
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, body := range w.sent() {
		got = append(got, idsOf(body))
	}
	if want := []string{"first", "0 1 2 3", "4 5", "large-0", "large-1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestBackPressure fills the queue while the log stands still.
func TestBackPressure(t *testing.T) {
	t.Parallel()
	for name, bound := range map[string]func(*client.Options){
		"events": func(o *client.Options) { o.QueueEvents = 3 },
		"bytes":  func(o *client.Options) { o.QueueBytes = 3*len(line(t, clue("ada", "0"))) + 10 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.block = make(chan struct{})
			c := w.client(bound)
			var heard outcomes
			for i := range 3 {
				if err := c.TryEnqueue(clue("ada", fmt.Sprint(i)), heard.of(fmt.Sprint(i))); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.TryEnqueue(clue("ada", "3"), heard.of("3")); !errors.Is(err, client.ErrFull) {
				t.Errorf("without room it says %v", err)
			}
			short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			err := c.Enqueue(short, clue("ada", "4"), heard.of("4"))
			if !errors.Is(err, client.ErrFull) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("without room for its time it says %v", err)
			}
			waited := make(chan error, 1)
			go func() { waited <- c.Enqueue(t.Context(), clue("ada", "5"), heard.of("5")) }()
			select {
			case err := <-waited:
				t.Fatalf("it was handed over without room: %v", err)
			case <-time.After(20 * time.Millisecond):
			}
			close(w.block)
			if err := <-waited; err != nil {
				t.Fatal(err)
			}
			if err := c.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			if ids, _ := w.counted(); strings.Join(ids, " ") != "0 1 2 5" {
				t.Errorf("got %s: what was not handed over must not be there, the rest must", ids)
			}
		})
	}
}

// line is what a client with the tests' source sends.
func line(t *testing.T, e client.Event) string {
	t.Helper()
	w := newWorld(t)
	w.enqueue(w.client(), e)
	return w.sent()[0]
}

// TestLinger: an event waits for others, and neither Flush, a full queue nor
// Close wait for that.
func TestLinger(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	long := func(o *client.Options) { o.Linger, o.QueueEvents = time.Hour, 2 }
	c := w.client(long)
	var heard outcomes
	hand := func(id string) {
		if err := c.Enqueue(t.Context(), clue("ada", id), heard.of(id)); err != nil {
			t.Fatal(err)
		}
	}
	hand("1")
	hand("2")
	hand("3") // there is no room: the two that linger have to go
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	hand("4")
	if n := len(w.sent()); n != 2 {
		t.Errorf("%d requests, want two: the fourth event lingers", n)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if ids, _ := w.counted(); strings.Join(ids, " ") != "1 2 3 4" {
		t.Errorf("got %s", ids)
	}
}

// TestClose drains, or says how many it could not.
func TestClose(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.block = make(chan struct{})
	c := w.client(func(o *client.Options) { o.BatchEvents = 2 })
	var heard outcomes
	for i := range 5 {
		if err := c.Enqueue(t.Context(), clue("ada", fmt.Sprint(i)), heard.of(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the first is on its way", func() bool { return len(w.sent()) == 1 })
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var drain *client.DrainError
	if err := c.Close(ctx); !errors.As(err, &drain) || drain.Events != 5 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it says %v", err)
	}
	for i := range 5 {
		err := heard.errs[fmt.Sprint(i)]
		if !errors.Is(err, client.ErrClosed) || errors.Is(err, client.ErrUncertain) != (i == 0) {
			t.Errorf("event %d: its caller heard %v; only the first was on its way", i, err)
		}
	}
	if err := c.Send(t.Context(), clue("ada", "6")); !errors.Is(err, client.ErrClosed) {
		t.Errorf("after Close it says %v", err)
	}
	close(w.block)
}

// TestCloseWhileWaitingForRoom: whoever waits for room is told.
func TestCloseWhileWaitingForRoom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.block = make(chan struct{})
	c := w.client(func(o *client.Options) { o.QueueEvents = 1 })
	if err := c.TryEnqueue(clue("ada", "1"), func(error) {}); err != nil {
		t.Fatal(err)
	}
	waited := make(chan error, 1)
	go func() { waited <- c.Send(t.Context(), clue("ada", "2")) }()
	closed := make(chan error, 1)
	time.AfterFunc(20*time.Millisecond, func() { closed <- c.Close(t.Context()) })
	if err := <-waited; !errors.Is(err, client.ErrClosed) {
		t.Errorf("it heard %v", err)
	}
	close(w.block)
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// TestSendWhoseContextEnds: the caller goes, the event arrives.
func TestSendWhoseContextEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.block = make(chan struct{})
	c := w.client()
	ctx, cancel := context.WithCancel(t.Context())
	sent := make(chan error, 1)
	go func() { sent <- c.Send(ctx, clue("ada", "1")) }()
	waitFor(t, "it is on its way", func() bool { return len(w.sent()) == 1 })
	cancel()
	if err := <-sent; !errors.Is(err, client.ErrUncertain) || !errors.Is(err, context.Canceled) {
		t.Errorf("it heard %v", err)
	}
	close(w.block)
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if ids, _ := w.counted(); len(ids) != 1 {
		t.Error("the event did not arrive")
	}
	if err := c.Send(ctx, clue("ada", "2")); !errors.Is(err, context.Canceled) || errors.Is(err, client.ErrUncertain) {
		t.Errorf("with an ended context it says %v", err)
	}
}

// TestTimesAscend stamps events at one and the same moment.
func TestTimesAscend(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // time stands still in it
		c, err := client.New(client.Options{URL: "http://127.0.0.1:1"})
		if err != nil {
			t.Fatal(err)
		}
		var before time.Time
		for range 1000 {
			e := c.Stamp(client.Event{})
			if !e.Time.After(before) {
				t.Fatalf("%s comes after %s", e.Time, before)
			}
			before = e.Time
		}
		if ahead := time.Until(before); ahead > time.Millisecond {
			t.Errorf("a thousand events are %s ahead of the clock", ahead)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestStamp fixes what an event lacks, once.
func TestStamp(t *testing.T) {
	t.Parallel()
	c := newWorld(t).client()
	first := c.Stamp(client.Event{Participant: "ada"})
	if first != c.Stamp(first) || first.Source != "/test" || len(first.ID) != 32 {
		t.Errorf("got %+v, and then %+v", first, c.Stamp(first))
	}
	if other := c.Stamp(client.Event{}); other.ID == first.ID {
		t.Errorf("two events have the id %s", first.ID)
	}
	own := client.Event{ID: "7", Source: "/own", Time: time.Date(2026, 5, 1, 14, 0, 0, 1999, time.FixedZone("", 7200))}
	if got := c.Stamp(own); got.ID != "7" || got.Source != "/own" || !got.Time.Equal(time.Date(2026, 5, 1, 12, 0, 0, 1000, time.UTC)) {
		t.Errorf("what was given is changed: %+v", got)
	}
}

// TestAttributes: every field of an event is in its record.
func TestAttributes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	e := client.Event{
		ID: `a "1" <ö>`, Source: "/own", Type: "clue.found", Participant: "ada & bob", Time: time.Date(2026, 5, 1, 12, 0, 0, 1000, time.UTC),
		Sequence: "42", TraceParent: trace, Data: json.RawMessage("{\n\"clue\": \"<anchor>\" }"),
	}
	if err := w.client().Send(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	r := &w.records[0]
	for name, want := range map[string]string{
		"ce_id": e.ID, "ce_source": "/own", "ce_type": "clue.found", "ce_time": "2026-05-01T12:00:00.000001Z", "ce_sequence": "42", "ce_traceparent": trace,
	} {
		if got := header(r, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if string(r.Key) != "ada & bob" || !bytes.Contains(r.Value, []byte(`"<anchor>"`)) {
		t.Errorf("the record of %s has %s", r.Key, r.Value)
	}
}

func header(r *wire.Record, name string) string { return string(r.Header(name)) }

// TestNotHandedOver: what cannot be sent is an error at once.
func TestNotHandedOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.client(func(o *client.Options) { o.QueueBytes = 1000 })
	large := clue("ada", "1")
	large.Data = strings.Repeat("x", 1000)
	loop := clue("ada", "1")
	loop.Data = func() {}
	for name, e := range map[string]client.Event{
		"UTF-8": clue("ada", "\xff"), "QueueBytes": large, "as JSON": loop,
	} {
		if err := c.Send(t.Context(), e); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("it says %v, and nothing of %s", err, name)
		}
	}
	if err := c.Enqueue(t.Context(), clue("ada", "1"), nil); err == nil {
		t.Error("it takes an event whose outcome nobody hears")
	}
	if n := len(w.sent()); n > 0 {
		t.Errorf("%d requests were sent", n)
	}
}

// TestOptions: each mistake is named.
func TestOptions(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]client.Options{
		`the URL "" is none`:            {},
		`the URL "localhost:8080" is`:   {URL: "localhost:8080"},
		"the URL \"http://g/?x=1\" is":  {URL: "http://g/?x=1"},
		"Lanes is -1":                   {URL: "http://g", Lanes: -1},
		"Linger is -1s":                 {URL: "http://g", Linger: -time.Second},
		"BackoffMax is 1ms, less than ": {URL: "http://g", BackoffMax: time.Millisecond},
	} {
		if c, err := client.New(o); err == nil || !strings.Contains(err.Error(), want) || c != nil {
			t.Errorf("it says %v, want %s", err, want)
		}
	}
}
