package client_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/veltrix/veltrix/client"
	"github.com/veltrix/veltrix/internal/ingest"
)

// status answers in the gateway's place as a proxy would, until the nth request.
func status(code, until int, retryAfter string) func(int, http.ResponseWriter, *http.Request, http.Handler) bool {
	return func(n int, w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
		if n >= until {
			return false
		}
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		if code < 400 {
			w.Header().Set("Location", "/") // what is there is no answer to events
		}
		http.Error(w, "<html>sorry</html>", code)
		return true
	}
}

// TestRepeated: what may succeed later is sent again, as it was.
func TestRepeated(t *testing.T) {
	t.Parallel()
	for _, code := range []int{408, 429, 502, 503, 504} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.spoil = status(code, 3, "")
			if err := w.client().Send(t.Context(), clue("ada", "")); err != nil {
				t.Fatal(err)
			}
			if sent := w.sent(); len(sent) != 3 || sent[0] != sent[1] || sent[1] != sent[2] {
				t.Errorf("the requests were %q", sent)
			}
		})
	}
}

// TestNotRepeated: what would be refused again is sent once.
func TestNotRepeated(t *testing.T) {
	t.Parallel()
	for _, code := range []int{301, 400, 401, 403, 404, 413, 415, 422, 500} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.spoil = status(code, 99, "")
			err := w.client().Send(t.Context(), clue("ada", "1"))
			var problem *client.Problem
			if !errors.As(err, &problem) || problem.Status != code || problem.Type != "about:blank" || problem.Title != http.StatusText(code) {
				t.Errorf("it says %v", err)
			}
			// Only a 4xx says that nothing was taken.
			if errors.Is(err, client.ErrUncertain) != (code < 400 || code >= 500) {
				t.Errorf("it says %v", err)
			}
			if n := len(w.sent()); n != 1 {
				t.Errorf("%d requests were sent", n)
			}
		})
	}
}

// TestRetryAfter: a wait that the gateway asks for is kept, in seconds and as a
// date, although the client's own would be shorter.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]func() string{
		"seconds": func() string { return "1" },
		"date":    func() string { return time.Now().Add(2 * time.Second).UTC().Format(http.TimeFormat) }, // its fraction is cut off
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var at []time.Time // requests are one after the other
			w.spoil = func(n int, answer http.ResponseWriter, r *http.Request, pass http.Handler) bool {
				at = append(at, time.Now())
				return status(503, 2, header())(n, answer, r, pass)
			}
			if err := w.client().Send(t.Context(), clue("ada", "1")); err != nil {
				t.Fatal(err)
			}
			if len(at) != 2 || at[1].Sub(at[0]) < 900*time.Millisecond {
				t.Errorf("the requests came at %v", at)
			}
		})
	}
}

// waits collects what the client logs of its waits.
type waits struct {
	mu  sync.Mutex
	all []time.Duration
}

// Write keeps the wait of a line.
func (w *waits) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, rest, _ := strings.Cut(string(b), "wait=")
	text, _, _ := strings.Cut(rest, " ")
	wait, err := time.ParseDuration(text)
	w.all = append(w.all, wait)
	return len(b), err
}

// busy answers 503 to everything.
type busy struct{ requests int }

// RoundTrip is http.RoundTripper's.
func (b *busy) RoundTrip(*http.Request) (*http.Response, error) {
	b.requests++
	return &http.Response{StatusCode: 503, Header: http.Header{}, Body: http.NoBody}, nil
}

// TestBackoff: waits grow to their bound, with chance, and end with RetryFor.
func TestBackoff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // nothing but waiting takes time in it
		var logged waits
		var gateway busy
		c, err := client.New(client.Options{
			URL: "http://gateway", HTTP: &http.Client{Transport: &gateway},
			BackoffMin: 4 * time.Second, BackoffMax: 15 * time.Second, RetryFor: 10 * time.Minute,
			Logger: slog.New(slog.NewTextHandler(&logged, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		err = c.Send(t.Context(), clue("ada", "1"))
		var problem *client.Problem
		if !errors.Is(err, client.ErrUncertain) || !errors.As(err, &problem) || problem.Status != 503 {
			t.Errorf("it says %v", err)
		}
		if took := time.Since(began); took > 10*time.Minute || took < 10*time.Minute-15*time.Second {
			t.Errorf("it took %s", took)
		}
		if len(logged.all) < 30 || gateway.requests != len(logged.all)+1 {
			t.Errorf("%d requests, waits of %v", gateway.requests, logged.all)
		}
		for i, wait := range logged.all {
			most := min(4*time.Second<<min(i, 10), 15*time.Second)
			if wait < most/2 || wait > most {
				t.Errorf("wait %d is %s, want half of %s to all", i+1, wait, most)
			}
		}
		if later := slices.Compact(slices.Clone(logged.all[2:])); len(later) == 1 {
			t.Errorf("the waits are without chance: %v", logged.all)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestRetryAfterBeyondTheEnd: a wait that ends after RetryFor is not begun.
func TestRetryAfterBeyondTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.spoil = status(429, 99, "86400")
	err := w.client().Send(t.Context(), clue("ada", "1"))
	var problem *client.Problem
	if !errors.As(err, &problem) || problem.Status != 429 || errors.Is(err, client.ErrUncertain) || len(w.sent()) != 1 {
		t.Errorf("after %d requests it says %v", len(w.sent()), err)
	}
}

// TestNobodyThere: a gateway that is away, and comes back.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.client(func(o *client.Options) { o.URL, o.RetryFor = "http://127.0.0.1:1", 50*time.Millisecond })
	if err := c.Send(t.Context(), clue("ada", "1")); !errors.Is(err, client.ErrUncertain) {
		t.Errorf("it says %v", err)
	}
	w.fail = errors.New("no leader")
	time.AfterFunc(30*time.Millisecond, func() { w.mu.Lock(); w.fail = nil; w.mu.Unlock() })
	c = w.client()
	if err := c.Send(t.Context(), clue("ada", "1")); err != nil {
		t.Error(err)
	}
	if ids, _ := w.counted(); len(ids) != 1 || len(w.sent()) < 2 {
		t.Errorf("%d requests brought %s", len(w.sent()), ids)
	}
}

// TestSilentGateway: an attempt that is not answered ends with its time.
func TestSilentGateway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.spoil = func(n int, _ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if n == 1 {
			<-r.Context().Done()
		}
		return n == 1
	}
	if err := w.client(func(o *client.Options) { o.RequestTimeout = time.Second }).Send(t.Context(), clue("ada", "1")); err != nil {
		t.Error(err)
	}
}

// TestKeys: the gateway's own 401, 403 and 429.
func TestKeys(t *testing.T) {
	t.Parallel()
	secret, key := ingest.NewKey("phones", time.Now())
	key.Sources, key.Rate = []string{"/test"}, 1
	keys := ingest.NewKeys([]ingest.Key{key}, nil)
	w := newWorld(t, func(o *ingest.Options) { o.Keys = func() *ingest.Keys { return keys } })

	var problem *client.Problem
	if err := w.client().Send(t.Context(), clue("ada", "1")); !errors.As(err, &problem) || problem.Type != "urn:veltrix:problem:unauthorized" || errors.Is(err, client.ErrUncertain) {
		t.Errorf("without a key it says %v", err)
	}
	c := w.client(func(o *client.Options) { o.Key = secret })
	foreign := clue("ada", "2")
	foreign.Source = "/elsewhere"
	var refused *client.EventError
	if err := c.Send(t.Context(), foreign); !errors.As(err, &refused) || refused.Field != "source" || refused.Fate != "" {
		t.Errorf("of another source it says %v", err)
	}
	before := len(w.sent())
	for i := range 3 { // one, one on credit, and one that has to wait
		if err := c.Send(t.Context(), clue("ada", fmt.Sprint("in-time-", i))); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(w.sent()) - before; n < 4 {
		t.Errorf("%d requests at a rate of one a second: none was sent again", n)
	}
	if ids, records := w.counted(); len(ids) != 3 || records != 3 {
		t.Errorf("%d records brought %s", records, ids)
	}
}

// TestRefusedAfterALostAnswer: what was taken before the key was revoked counts.
// The caller must not believe that it does not.
func TestRefusedAfterALostAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.spoil = func(n int, answer http.ResponseWriter, r *http.Request, pass http.Handler) bool {
		if n == 1 {
			lose(answer, r, pass)
			return true
		}
		return status(401, 99, "")(n, answer, r, pass)
	}
	err := w.client().Send(t.Context(), clue("ada", "1"))
	var problem *client.Problem
	if !errors.Is(err, client.ErrUncertain) || !errors.As(err, &problem) || problem.Status != 401 {
		t.Errorf("it says %v", err)
	}
}

// TestBadEvents: one request brings the good ones, and the callers of the others
// hear why.
func TestBadEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// A lost answer before: the second one still knows which are bad.
	w.spoil = func(n int, answer http.ResponseWriter, r *http.Request, pass http.Handler) bool {
		if n == 1 {
			lose(answer, r, pass)
		}
		return n == 1
	}
	c := w.client(func(o *client.Options) { o.Linger = time.Hour })
	unknown := clue("ada", "3")
	unknown.Type = "clue.lost"
	nobody := clue("", "5")
	check(t, w.enqueue(c, clue("ada", "1"), wrong("ada", "2"), unknown, clue("bob", "4"), nobody), map[string]string{"2": "data.clue", "3": "type", "5": "partitionkey"})
	if ids, _ := w.counted(); strings.Join(ids, " ") != "1 4" || len(w.sent()) != 2 {
		t.Errorf("%d requests brought %s", len(w.sent()), ids)
	}
	// None is good: the gateway answers 422.
	check(t, w.enqueue(c, wrong("ada", "6"), wrong("ada", "7")), map[string]string{"6": "data.clue", "7": "data.clue"})
	if n := len(w.sent()); n != 3 {
		t.Errorf("%d requests", n)
	}
}

// check compares outcomes with the fields at fault.
func check(t *testing.T, heard map[string]error, faults map[string]string) {
	t.Helper()
	for id, err := range heard {
		field, bad := faults[id]
		var refused *client.EventError
		switch {
		case !bad && err != nil:
			t.Errorf("event %s: %v", id, err)
		case bad && (!errors.As(err, &refused) || refused.ID != id || refused.Field != field || refused.Reason == "" || refused.Fate == ""):
			t.Errorf("event %s: %v; its %s is at fault", id, err, field)
		}
	}
}

// TestBadEventsWithoutPartial: something between takes the parameter away, and
// the gateway refuses all for the sake of some. Those are told, the others sent
// again as they were.
func TestBadEventsWithoutPartial(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.spoil = func(_ int, _ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		r.URL.RawQuery = ""
		return false
	}
	c := w.client(func(o *client.Options) { o.Linger = time.Hour })
	check(t, w.enqueue(c, clue("ada", "1"), wrong("ada", "2"), clue("ada", "3")), map[string]string{"2": "data.clue"})
	if ids, _ := w.counted(); strings.Join(ids, " ") != "1 3" || len(w.sent()) != 2 {
		t.Errorf("%d requests brought %s", len(w.sent()), ids)
	}
}

// TestTooLarge: a batch that the gateway does not take is halved, in order; an
// event that it never takes is alone with that.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *ingest.Options) { o.BatchEventsMax, o.RequestBytesMax = 5, 1500 })
	c := w.client(func(o *client.Options) { o.Linger = time.Hour })
	large := clue("ada", "large")
	large.Data = map[string]any{"clue": strings.Repeat("x", 2000)}
	var events []client.Event
	var want []string
	for i := range 20 {
		if i == 13 {
			events = append(events, large)
		}
		events = append(events, clue("ada", fmt.Sprint(i)))
		want = append(want, fmt.Sprint(i))
	}
	heard := w.enqueue(c, events...)
	for id, err := range heard {
		var problem *client.Problem
		if id != "large" && err != nil || id == "large" && (!errors.As(err, &problem) || problem.Type != "urn:veltrix:problem:request-too-large") {
			t.Errorf("event %s: %v", id, err)
		}
	}
	if ids, records := w.counted(); !slices.Equal(ids, want) || records != 20 {
		t.Errorf("%d records brought %s", records, ids)
	}
}

// TestNoGateway: something else answers, and says that it has the events.
func TestNoGateway(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"nothing": "", "text": "thank you", "fewer": `{"accepted":0}`, "a fault of none": `{"accepted":0,"errors":[{"line":2,"reason":"no"}]}`,
	} {
		w := newWorld(t)
		w.spoil = func(_ int, answer http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
			answer.WriteHeader(http.StatusAccepted)
			fmt.Fprint(answer, body)
			return true
		}
		if err := w.client().Send(t.Context(), clue("ada", "1")); !errors.Is(err, client.ErrUncertain) || !strings.Contains(err.Error(), "URL") {
			t.Errorf("%s: it says %v", name, err)
		}
	}
}

// TestAcceptedAndCutOff: 202 is the promise, also where the rest is lost. A 207
// is none without its list.
func TestAcceptedAndCutOff(t *testing.T) {
	t.Parallel()
	for code, requests := range map[int]int{202: 1, 207: 2} {
		w := newWorld(t)
		w.spoil = func(n int, answer http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
			if n == 1 {
				answer.Header().Set("Content-Length", "100")
				answer.WriteHeader(code)
				fmt.Fprint(answer, `{"accepted":1,`)
			}
			return n == 1
		}
		if err := w.client().Send(t.Context(), clue("ada", "1")); err != nil || len(w.sent()) != requests {
			t.Errorf("%d: after %d requests it says %v", code, len(w.sent()), err)
		}
	}
}
