// Package channeltest is the one suite that every channel to the outside
// passes: a provider that answers in each way there is, and the verdict that
// each answer must lead to.
package channeltest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
)

// Timeout is what the channel under test is to be set to: it bounds an attempt
// at a provider that hangs, and is more than a busy machine takes for one that answers.
const Timeout = 2 * time.Second

// Subject is a channel under test with its provider.
type Subject struct {
	Channel     delivery.Channel
	Participant string // whom the target belongs to
	Target      string
	// Secrets are texts that no result may hold: endpoints, tokens, keys.
	Secrets []string
}

// Open returns a channel whose provider runs answer once for each message that
// arrives, after having checked the message; what else the provider serves,
// such as tokens for us, is no message. A nil answer means that nobody listens
// where the channel sends to. What is opened is closed by the test's end.
type Open func(t *testing.T, answer http.HandlerFunc) Subject

// Want is what a result must say. Its reason and its provider's ID are free.
type Want struct {
	Verdict                    delivery.Verdict
	Alarm, Pruned, Unreachable bool
	RetryAfter                 time.Duration
}

// Row is one answer of a provider and what must follow.
type Row struct {
	Name   string
	Answer http.HandlerFunc // nil: nobody listens
	Want   Want
}

// Rows are the answers that mean the same everywhere. A provider whose answers
// take another form, such as a body with a reason, replaces rows by their names.
func Rows() []Row {
	return []Row{
		{"200", Status(200), Want{Verdict: delivery.Accepted}},
		{"an answer that never ends", endless, Want{Verdict: delivery.Accepted}},
		{"302", Status(302, "Location", "/elsewhere"), Want{Verdict: delivery.Failed}},
		{"401", Status(401), Want{Verdict: delivery.Failed, Alarm: true}},
		{"403", Status(403), Want{Verdict: delivery.Failed, Alarm: true}},
		{"410", Status(410), Want{Verdict: delivery.Refused}},
		{"429", Status(429), Want{Verdict: delivery.Failed}},
		{"429 for two minutes", Status(429, "Retry-After", "120"), Want{Verdict: delivery.Failed, RetryAfter: 2 * time.Minute}},
		{"500", Status(500), Want{Verdict: delivery.Unknown}},
		{"503 for two minutes", Status(503, "Retry-After", "120"), Want{Verdict: delivery.Unknown, RetryAfter: 2 * time.Minute}},
		{"hangs", hang, Want{Verdict: delivery.Unknown}},
		{"resets", cut(true), Want{Verdict: delivery.Unknown}},
		{"accepts, then drops the connection", cut(false), Want{Verdict: delivery.Unknown}},
		{"nobody there", nil, Want{Verdict: delivery.Failed, Unreachable: true}},
	}
}

// Suite checks a channel against Rows, with the channel's own rows in the place
// of those of the same name or behind them.
func Suite(t *testing.T, open Open, own ...Row) {
	t.Helper()
	rows := Rows()
	for _, row := range own {
		if i := slices.IndexFunc(rows, func(r Row) bool { return r.Name == row.Name }); i >= 0 {
			rows[i] = row
		} else {
			rows = append(rows, row)
		}
	}
	for _, row := range rows {
		t.Run(row.Name, func(t *testing.T) {
			t.Parallel()
			walk(t, open, row)
		})
	}
	t.Run("a cut connection is no second copy", func(t *testing.T) {
		t.Parallel()
		reused(t, open)
	})
	t.Run("the schedule ends", func(t *testing.T) {
		t.Parallel()
		schedule(t, open(t, Status(200)).Channel)
	})
	t.Run("targets", func(t *testing.T) {
		t.Parallel()
		s := open(t, Status(200))
		targets, err := s.Channel.Targets(t.Context(), s.Participant)
		if err != nil || !slices.Contains(targets, s.Target) {
			t.Errorf("the targets are %q, %v; want %q among them", targets, err, s.Target)
		}
	})
}

// walk makes one attempt at a provider that answers as the row says.
func walk(t *testing.T, open Open, row Row) {
	t.Helper()
	arrived := new(atomic.Int32)
	var answer http.HandlerFunc
	if row.Answer != nil {
		answer = func(w http.ResponseWriter, r *http.Request) {
			arrived.Add(1)
			for _, never := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
				if _, has := r.Header[never]; has {
					t.Errorf("the request has %s, with which Go's transport repeats a POST by itself", never)
				}
			}
			row.Answer(w, r)
		}
	}
	s := open(t, answer)
	res := Attempt(t, s, deliverytest.Note(s.Participant, 1))
	got := Want{res.Verdict, res.Alarm, res.Pruned, res.Unreachable, res.RetryAfter}
	if got != row.Want {
		t.Errorf("got %+v (%s), want %+v", got, res.Reason, row.Want)
	}
	if n := arrived.Load(); row.Answer != nil && n != 1 {
		t.Errorf("%d requests for one attempt", n)
	}
	if res.Reason == "" && res.Verdict != delivery.Accepted {
		t.Error("it does not say why")
	}
	for _, secret := range s.Secrets {
		if strings.Contains(fmt.Sprintf("%+v", res), secret) {
			t.Errorf("the result holds a secret: %+v", res)
		}
	}
}

// reused checks that an idle connection, cut at the next request, does not
// become a second copy.
func reused(t *testing.T, open Open) {
	t.Helper()
	arrived := new(atomic.Int32)
	s := open(t, func(w http.ResponseWriter, r *http.Request) {
		if arrived.Add(1) == 1 {
			w.WriteHeader(http.StatusOK)
			return
		}
		cut(true)(w, r)
	})
	if res := Attempt(t, s, deliverytest.Note(s.Participant, 1)); res.Verdict != delivery.Accepted {
		t.Fatalf("the first is %+v", res)
	}
	if res := Attempt(t, s, deliverytest.Note(s.Participant, 2)); res.Verdict != delivery.Unknown {
		t.Errorf("the second is %+v, want unknown", res)
	}
	if n := arrived.Load(); n != 2 {
		t.Errorf("%d requests for two attempts", n)
	}
}

func schedule(t *testing.T, ch delivery.Channel) {
	t.Helper()
	if ch.Timeout() <= 0 {
		t.Errorf("an attempt is bounded by %v", ch.Timeout())
	}
	for attempt := 1; ; attempt++ {
		pause, more := ch.Retry(attempt)
		if !more {
			return
		}
		if pause <= 0 || attempt > 100 {
			t.Fatalf("the pause after attempt %d is %v", attempt, pause)
		}
	}
}

// Attempt makes one attempt as the dispatcher would.
func Attempt(t *testing.T, s Subject, n *delivery.Notification) delivery.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), s.Channel.Timeout())
	defer cancel()
	return s.Channel.Deliver(ctx, delivery.Attempt{
		Notification: n, Op: n.Op, Target: s.Target, Number: 1, InboxOffset: 7, At: time.Now(),
	})
}

// Status answers with a status and pairs of headers.
func Status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

// hang answers nothing for as long as the client waits.
func hang(_ http.ResponseWriter, r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-time.After(20 * Timeout): // a client that waits on is a failure of its own
	}
}

// endless accepts, with a body that does not end while the client reads.
func endless(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusOK)
	for r.Context().Err() == nil {
		if _, err := w.Write(make([]byte, 1<<10)); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
	}
}

// cut ends the connection in the middle: with a reset where reset is true. Of
// HTTP/2 it is the stream that ends.
func cut(reset bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		if tcp, ok := conn.(*net.TCPConn); ok && reset {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
	}
}

// Nobody returns the address of a loopback port on which nobody listens.
func Nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
