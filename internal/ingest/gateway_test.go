package ingest_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/veltrix/veltrix/internal/ingest"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// event is a structured event with that id and data.
func event(id, data string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"/phone","type":"clue.found","time":"2026-05-01T11:59:59Z","partitionkey":"ada","data":%s}`, id, data)
}

const clue = `{"clue":"anchor","points":50}`

func request(method, path, contentType, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func packed(t *testing.T, r *http.Request, encoding, body string) *http.Request {
	t.Helper()
	var b bytes.Buffer
	switch encoding {
	case "gzip":
		z := gzip.NewWriter(&b)
		_, _ = z.Write([]byte(body))
		_ = z.Close()
	case "zstd":
		z, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = z.Write([]byte(body))
		_ = z.Close()
	}
	next := httptest.NewRequest(r.Method, r.URL.String(), &b)
	next.Header = r.Header.Clone()
	next.Header.Set("Content-Encoding", encoding)
	return next
}

const (
	one   = "application/cloudevents+json"
	batch = "application/cloudevents-batch+json"
	lines = "application/x-ndjson"
)

type exchange struct {
	name string
	r    *http.Request
	prep func(*log, *ingest.Options)
}

func post(contentType, body string, headers ...string) *http.Request {
	return request("POST", "/v1/events", contentType, body, headers...)
}

func accepted(t *testing.T) []exchange {
	good := event("1", clue)
	return []exchange{
		{"structured", post(one+"; charset=utf-8", good), nil},
		{"binary", post("application/json", clue, "Ce-Specversion", "1.0", "Ce-Id", "b%201", "Ce-Source", "/phone", "Ce-Type", "clue.found", "Ce-Partitionkey", "z%C3%B6e", "Ce-Subject", "s"), nil},
		{"batch", post(batch, "["+good+",\n"+event("2", clue)+"]"), nil},
		{"empty batch", post(batch, "[]"), nil},
		{"lines", post(lines, good+"\n\n"+event("2", clue)+"\r\n"), nil},
		{"several participants", post(lines, good+"\n"+strings.Replace(event("2", clue), `"ada"`, `"grace"`, 1)), nil},
		{"charset", post(one+`; charset="UTF-8"`, good), nil},
		{"gzip", packed(t, post(one, ""), "gzip", good), nil},
		{"zstd", packed(t, post(one, ""), "zstd", good), nil},
		{"partial, nothing bad", request("POST", "/v1/events?partial=true", lines, good), nil},
		{"partial is false", request("POST", "/v1/events?partial=false", lines, good), nil},
		{"partial", request("POST", "/v1/events?partial=true", lines, good+"\nno\n"+event("3", `{"clue":7}`)+"\n"+event("4", clue)), nil},
		{"no time", post(one, strings.Replace(good, `"time":"2026-05-01T11:59:59Z",`, "", 1)), nil},
		{"participant", request("GET", "/v1/participants/ada", "", ""), nil},
		{"status", request("GET", "/v1/events/3/7", "", ""), nil},
		{"status of a rejected event", request("GET", "/v1/events/3/9", "", ""), nil},
		{"status that is not known", request("GET", "/v1/events/3/8", "", ""), nil},
		{"trail", request("GET", "/v1/participants/ada/events", "", ""), nil},
		{"older trail", request("GET", "/v1/participants/ada/events?before=5", "", ""), nil},
		{"leaderboard", request("GET", "/v1/leaderboards/score", "", ""), nil},
		{"leaderboard's top", request("GET", "/v1/leaderboards/score?top=2", "", ""), nil},
		{"leaderboard around one", request("GET", "/v1/leaderboards/score?around=bob&near=1", "", ""), nil},
		{"leaderboard by time", request("GET", "/v1/leaderboards/first", "", ""), nil},
		{"help", request("GET", "/", "", ""), nil},
	}
}

func refused(t *testing.T) []exchange {
	good := event("1", clue)
	manyBad := strings.Join([]string{
		good, "not json", event("3", `{"clue":7}`), "", strings.Replace(event("5", clue), "clue.found", "clue.lost", 1),
		strings.Replace(event("6", clue), `"partitionkey":"ada",`, "", 1),
	}, "\n")
	ce := func(headers ...string) *http.Request {
		return post("application/json", clue, append([]string{"Ce-Specversion", "1.0", "Ce-Id", "1", "Ce-Source", "/phone", "Ce-Type", "clue.found", "Ce-Partitionkey", "ada"}, headers...)...)
	}
	return []exchange{
		{"not JSON", post(one, good[:50]), nil},
		{"batch cut short", post(batch, "["+good), nil},
		{"batch that is none", post(batch, good), nil},
		{"no lines", post(lines, "\n\n"), nil},
		{"bad gzip", post(one, good, "Content-Encoding", "gzip"), nil},
		{"partial is neither", request("POST", "/v1/events?partial=zzz", lines, good), nil},
		{"partial is empty", request("POST", "/v1/events?partial", lines, good), nil},
		{"partial is both", request("POST", "/v1/events?partial=true&partial=false", lines, good), nil},
		{"malformed query", request("POST", "/v1/events?partial=true;a", lines, good), nil},
		{"gzip cut short", post(one, string(flushed(t, "gzip", good)), "Content-Encoding", "gzip"), nil},
		{"zstd cut short", post(one, string(flushed(t, "zstd", good)), "Content-Encoding", "zstd"), nil},
		{"participant's name too long", request("GET", "/v1/participants/"+strings.Repeat("a", 257), "", ""), nil},
		{"no such path", request("GET", "/v2/events", "", ""), nil},
		{"unknown participant", request("GET", "/v1/participants/nobody", "", ""), nil},
		{"wrong method for events", request("GET", "/v1/events", "", ""), nil},
		{"wrong method for a participant", request("DELETE", "/v1/participants/ada", "", ""), nil},
		{"too large", post(one, strings.Repeat(" ", 4097)), nil},
		{"too large when unpacked", packed(t, post(one, ""), "gzip", strings.Repeat(" ", 5000)), nil},
		{"too many lines", post(lines, strings.Repeat(good+"\n", 6)), nil},
		{"too many in a batch", post(batch, "["+strings.Repeat(good+",", 5)+good+"]"), nil},
		{"larger than the brokers take", post(one, good), func(l *log, _ *ingest.Options) { l.fail = ingest.ErrTooLarge }},
		{"no content type", post("", good), nil},
		{"form", post("application/x-www-form-urlencoded", "a=b"), nil},
		{"malformed content type", post("a/b/c", good), nil},
		{"binary, not JSON by its type", post("text/plain", "x", "Ce-Id", "1"), nil},
		{"another charset", post(one+"; charset=iso-8859-1", good), nil},
		{"binary in another charset", post("application/json; charset=utf-16", clue, "Ce-Specversion", "1.0", "Ce-Id", "1", "Ce-Source", "/phone", "Ce-Type", "clue.found", "Ce-Partitionkey", "ada"), nil},
		{"unknown encoding", post(one, good, "Content-Encoding", "br"), nil},
		{"one bad event", post(one, event("1", `{"clue":7}`)), nil},
		{"envelope of a batch", post(batch, "["+good+",1,{}]"), nil},
		{"every bad line", post(lines, manyBad), nil},
		{"partial, all bad", request("POST", "/v1/events?partial=true", lines, "x\ny"), nil},
		{"event too large", post(one, event("1", `{"clue":"`+strings.Repeat("x", 512)+`"}`)), nil},
		{"header twice", ce("Ce-Id", "2"), nil},
		{"header with a bad escape", ce("Ce-Subject", "100%"), nil},
		{"no participant in headers", post("application/json", clue, "Ce-Specversion", "1.0", "Ce-Id", "1", "Ce-Source", "/phone", "Ce-Type", "clue.found"), nil},
		{"no id in headers", post("application/json", clue, "Ce-Specversion", "1.0"), nil},
		{"too much in flight", post(one, good), func(_ *log, o *ingest.Options) { o.InflightBytesMax = 64 }},
		{"brokers away", post(one, good), func(l *log, _ *ingest.Options) { l.fail = errAway }},
		{"Redis away", request("GET", "/v1/participants/away", "", ""), nil},
		{"no rules", request("GET", "/v1/participants/ada", "", ""), func(_ *log, o *ingest.Options) { o.States = nil }},
	}
}

// refusedReads are requests for what is not there or cannot be read.
func refusedReads() []exchange {
	return []exchange{
		{"event of no place", request("GET", "/v1/events/3/x", "", ""), nil},
		{"no event", request("GET", "/v1/events/2/7", "", ""), nil},
		{"event before the log", request("GET", "/v1/events/3/6", "", ""), nil},
		{"brokers away for a status", request("GET", "/v1/events/3/10", "", ""), nil},
		{"wrong method for a status", request("DELETE", "/v1/events/3/7", "", ""), nil},
		{"brokers away for a trail", request("GET", "/v1/participants/away/events", "", ""), nil},
		{"trail before nothing", request("GET", "/v1/participants/ada/events?before=0", "", ""), nil},
		{"unknown parameter of a trail", request("GET", "/v1/participants/ada/events?after=3", "", ""), nil},
		{"unknown leaderboard", request("GET", "/v1/leaderboards/scores", "", ""), nil},
		{"not on the leaderboard", request("GET", "/v1/leaderboards/first?around=ada", "", ""), nil},
		{"top and around", request("GET", "/v1/leaderboards/score?top=3&around=ada", "", ""), nil},
		{"near without around", request("GET", "/v1/leaderboards/score?near=3", "", ""), nil},
		{"too much of a leaderboard", request("GET", "/v1/leaderboards/score?top=1001", "", ""), nil},
		{"unknown parameter of a leaderboard", request("GET", "/v1/leaderboards/score?first=3", "", ""), nil},
		{"around nobody", request("GET", "/v1/leaderboards/score?around=", "", ""), nil},
		{"wrong method for a leaderboard", request("POST", "/v1/leaderboards/score", "", ""), nil},
		{"Redis away for a leaderboard", request("GET", "/v1/leaderboards/score?around=away", "", ""), nil},
		{"no leaderboards", request("GET", "/v1/leaderboards/score", "", ""), func(_ *log, o *ingest.Options) { o.Boards = nil }},
	}
}

func answer(e exchange) (*log, *httptest.ResponseRecorder) {
	l := &log{}
	o := options(l)
	if e.prep != nil {
		e.prep(l, &o)
	}
	w := httptest.NewRecorder()
	ingest.New(o).ServeHTTP(w, e.r)
	return l, w
}

func write(b *strings.Builder, name string, l *log, w *httptest.ResponseRecorder) {
	fmt.Fprintf(b, "# %s\n%d\n", name, w.Code)
	var names []string
	for key := range w.Header() {
		names = append(names, key)
	}
	slices.Sort(names)
	for _, key := range names {
		fmt.Fprintf(b, "%s: %s\n", key, w.Header().Get(key))
	}
	fmt.Fprintf(b, "\n%s", w.Body)
	if ids := l.ids(); ids != "" {
		fmt.Fprintf(b, "log: %s\n", ids)
	}
	b.WriteString("\n")
}

// TestAccepted writes down the good answers, and what is in the log after each.
func TestAccepted(t *testing.T) {
	var b strings.Builder
	for _, e := range accepted(t) {
		l, w := answer(e)
		write(&b, e.name, l, w)
	}
	golden(t, "accepted.txt", b.String())
}

// TestRefused writes down every problem document. None has an effect.
func TestRefused(t *testing.T) {
	var b strings.Builder
	for _, e := range append(refused(t), refusedReads()...) {
		l, w := answer(e)
		if len(l.records) > 0 {
			t.Errorf("%s: %d events are in the log", e.name, len(l.records))
		}
		if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
			t.Errorf("%s: content type %q", e.name, got)
		}
		write(&b, e.name, l, w)
	}
	golden(t, "refused.txt", b.String())
}

// TestAcceptedIsNeverRejected decodes what the gateway took as the processor
// does (P3).
func TestAcceptedIsNeverRejected(t *testing.T) {
	n := 0
	for _, e := range accepted(t) {
		l, _ := answer(e)
		for i := range l.records {
			n++
			var ev participant.Event
			if rej := wire.DecodeEvent(&l.records[i], harbour(), &ev); rej != nil || ev.TypeIndex != 0 {
				t.Errorf("%s: %v", e.name, rej)
			}
		}
	}
	if n < 10 {
		t.Errorf("only %d records", n)
	}
}

// TestStamps: events without a time are given ascending ones, so that the order
// in which they came is the order in which they happened.
func TestStamps(t *testing.T) {
	untimed := func(id string) string {
		return strings.Replace(event(id, clue), `"time":"2026-05-01T11:59:59Z",`, "", 1)
	}
	l := &log{}
	g := ingest.New(options(l))
	for _, body := range []string{untimed("1") + "\n" + untimed("2"), untimed("3"), untimed("1")} {
		w := httptest.NewRecorder()
		g.ServeHTTP(w, post(lines, body))
		if w.Code != http.StatusAccepted {
			t.Fatal(w.Body)
		}
	}
	events := make([]participant.Event, len(l.records))
	for i := range l.records {
		if rej := wire.DecodeEvent(&l.records[i], harbour(), &events[i]); rej != nil {
			t.Fatal(rej)
		}
		if want := noon.UnixMicro() + int64(i); events[i].Time != want || events[i].TimeGiven {
			t.Errorf("event %d has the time %d (given: %v), want the stamp %d", i, events[i].Time, events[i].TimeGiven, want)
		}
	}
	if events[0].Content != events[3].Content || events[0].Identity != events[3].Identity {
		t.Error("an event without a time that is sent again must be a duplicate, and is a conflict")
	}
}

// TestTrace: a request's trace is that of its events, unless they have one.
func TestTrace(t *testing.T) {
	const request, own = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-00f067aa0ba902b7-01"
	l, _ := answer(exchange{r: post(lines, event("1", clue)+"\n"+strings.Replace(event("2", clue), "{", `{"traceparent":"`+own+`",`, 1), "Traceparent", request)})
	if a, b := string(l.records[0].Header("ce_traceparent")), string(l.records[1].Header("ce_traceparent")); a != request || b != own {
		t.Errorf("got %q and %q", a, b)
	}
}

func TestMetrics(t *testing.T) {
	l := &log{}
	o := options(l)
	var accepted, refused int
	var level, most int64
	o.Metrics = ingest.Metrics{
		Accepted: func(n int) { accepted += n }, Refused: func(_ string, n int) { refused += n },
		Inflight: func(n int64) { level, most = n, max(most, n) },
	}
	g := ingest.New(o)
	for _, r := range []*http.Request{
		post(lines, event("1", clue)+"\n"+event("2", clue)), post(lines, event("3", clue)+"\nx"),
		request("POST", "/v1/events?partial=true", lines, event("4", clue)+"\nx"), post("", "x"),
	} {
		g.ServeHTTP(httptest.NewRecorder(), r)
	}
	l.fail = errors.New("no")
	g.ServeHTTP(httptest.NewRecorder(), post(one, event("5", clue)))
	if accepted != 3 || refused != 2+1+1+1 || level != 0 || most == 0 {
		t.Errorf("accepted %d, refused %d, in flight %d, at most %d", accepted, refused, level, most)
	}
}
