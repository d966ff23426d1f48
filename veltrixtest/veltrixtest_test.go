package veltrixtest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/veltrix/veltrix/veltrixtest"
)

func start(t testing.TB) *veltrixtest.Veltrix {
	t.Helper()
	return veltrixtest.Start(t, veltrixtest.Options{Rules: "testdata/rules.yaml"})
}

// event is one of ada's.
func event(id, kind string, at time.Time, data string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":"%s","source":"/phones","type":"%s","time":"%s","partitionkey":"ada","data":%s}`,
		id, kind, at.Format(time.RFC3339Nano), data)
}

func found(v *veltrixtest.Veltrix, id string) string {
	return event(id, "clue.found", v.Now(), `{"clue":"`+id+`","points":50}`)
}

// send posts events and returns the answer with its body, or the error of a
// connection that was dropped.
func send(v *veltrixtest.Veltrix, events ...string) (*http.Response, string, error) {
	answer, err := http.Post(v.URL()+"/v1/events", "application/x-ndjson", strings.NewReader(strings.Join(events, "\n")))
	if err != nil {
		return nil, "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer, string(body), err
}

func post(t *testing.T, v *veltrixtest.Veltrix, events ...string) string {
	t.Helper()
	answer, body, err := send(v, events...)
	if err != nil || answer.StatusCode != http.StatusAccepted {
		t.Fatalf("%v, %v: %s", err, answer, body)
	}
	return body
}

func ids(v *veltrixtest.Veltrix) string {
	var all []string
	for _, e := range v.Fates() {
		all = append(all, e.ID+" "+e.Fate)
	}
	return strings.Join(all, ", ")
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	v := start(t)
	v.Fail(veltrixtest.Unavailable, 1)
	answer, body, err := send(v, found(v, "a"))
	if err != nil || answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" ||
		!strings.Contains(body, "urn:veltrix:problem:unavailable") {
		t.Errorf("%v, %+v: %s", err, answer, body)
	}
	if v.State("ada") != nil || len(v.Fates()) != 0 {
		t.Errorf("something was taken: %s", ids(v))
	}
	post(t, v, found(v, "a"))
	if got := ids(v); got != "a applied" {
		t.Errorf("the fates are %s", got)
	}
}

func TestLostAnswer(t *testing.T) {
	t.Parallel()
	v := start(t)
	v.Fail(veltrixtest.LostAnswer, 2)
	for _, id := range []string{"a", "b"} {
		if answer, _, err := send(v, found(v, id)); err == nil {
			t.Errorf("%s was answered: %s", id, answer.Status)
		}
	}
	post(t, v, found(v, "c"))
	if got := ids(v); got != "a applied, b applied, c applied" {
		t.Errorf("the fates are %s", got)
	}
}

func TestDuplicate(t *testing.T) {
	t.Parallel()
	v := start(t)
	v.Fail(veltrixtest.Duplicate, 1)
	body := post(t, v, found(v, "a"), found(v, "b"))
	if strings.Count(body, "offset") != 2 {
		t.Errorf("two events have the positions %s", body)
	}
	post(t, v, found(v, "c"))
	if got := ids(v); got != "a applied, b applied, a duplicate, b duplicate, c applied" {
		t.Errorf("the fates are %s", got)
	}
	if state := v.State("ada"); state["score"] != 150 || state["found"] != 3 {
		t.Errorf("the state is %v", state)
	}
}

// Of two events the second arrives first; the state follows their own times.
func TestReorder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		v := veltrixtest.Start(t, veltrixtest.Options{Rules: "testdata/rules.yaml", Seed: seed})
		v.Fail(veltrixtest.Reorder, 2)
		post(t, v, found(v, "a"))
		v.Advance(time.Second)
		post(t, v, found(v, "b"))
		sent := v.Now()
		v.Advance(time.Second)
		post(t, v, found(v, "c"))
		if got := ids(v); got != "b applied, a applied, c applied" {
			t.Errorf("seed %d: the fates are %s", seed, got)
		}
		if first := v.Fates()[0]; !first.Arrived.Equal(sent) {
			t.Errorf("seed %d: b arrived at %s, sent at %s", seed, first.Arrived, sent)
		}
		var bodies []string
		for _, n := range v.Notifications("ada") {
			bodies = append(bodies, n.Title+": "+n.Body)
		}
		slices.Sort(bodies)
		want := []string{"A hundred points!: ", "Clue a found: 50 points.", "Clue b found: 100 points.", "Clue c found: 150 points."}
		if !slices.Equal(bodies, want) {
			t.Errorf("seed %d: the player sees %q", seed, bodies)
		}
	}
}

// A read folds what was accepted, also in the middle of a window; the requests
// that are left are another.
func TestReadEndsTheWindow(t *testing.T) {
	t.Parallel()
	v := start(t)
	v.Fail(veltrixtest.Reorder, 4)
	post(t, v, found(v, "a"), found(v, "b"))
	if got := v.State("ada")["score"]; got != 100 {
		t.Errorf("the score is %v, want 100", got)
	}
	post(t, v, found(v, "c"), found(v, "d"))
	if got := ids(v); got != "b applied, a applied, d applied, c applied" {
		t.Errorf("the fates are %s", got)
	}
}

// story is a test's worth of calls, and everything that can be read of them.
func story(t *testing.T, seed uint64) string {
	t.Helper()
	v := veltrixtest.Start(t, veltrixtest.Options{Rules: "testdata/rules.yaml", Seed: seed})
	v.Fail(veltrixtest.Duplicate, 2)
	v.Fail(veltrixtest.Reorder, 6)
	var told []any
	for i := range 10 {
		id := fmt.Sprint("e", i)
		told = append(told, post(t, v, found(v, id), strings.ReplaceAll(found(v, id), "ada", "grace"), `{"specversion":"1.0","id":"`+id+`-own","source":"/phones","type":"clue.found","partitionkey":"ada","data":{"clue":"x","points":1}}`))
		v.Advance(3 * time.Second)
	}
	for _, who := range []string{"ada", "grace"} {
		told = append(told, v.State(who), v.Notifications(who), v.Pushes(who), v.Rejected(who))
	}
	text, err := json.Marshal(append(told, v.Fates(), v.Now()))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestSameCallsSameResults(t *testing.T) {
	t.Parallel()
	first := story(t, 1)
	for range 5 {
		if again := story(t, 1); again != first {
			t.Fatalf("the same calls gave\n%s\nand\n%s", first, again)
		}
	}
	if story(t, 2) == first {
		t.Error("another seed gives the same order")
	}
}

// The clock is the gateway's, for events without a time, and that of arrivals.
func TestClock(t *testing.T) {
	t.Parallel()
	began := time.Date(2031, 5, 1, 12, 0, 0, 0, time.FixedZone("", 7200))
	v := veltrixtest.Start(t, veltrixtest.Options{Rules: "testdata/rules.yaml", Start: began})
	if v.Now() != began.UTC() {
		t.Errorf("it is %s, want %s", v.Now(), began.UTC())
	}
	v.Advance(time.Hour)
	post(t, v, `{"specversion":"1.0","id":"a","source":"/phones","type":"clue.found","partitionkey":"ada","data":{"clue":"a","points":1}}`)
	if n := v.Notifications("ada"); len(n) != 1 || !n[0].EventTime.Equal(began.Add(time.Hour)) || !n[0].At.Equal(began.Add(time.Hour)) {
		t.Errorf("%+v", n)
	}
	post(t, v, event("b", "clue.found", v.Now().Add(2*time.Hour), `{"clue":"b","points":1}`))
	v.Advance(time.Hour)
	post(t, v, found(v, "c"), event("d", "clue.found", v.Now().Add(-3*time.Minute), `{"clue":"d","points":1}`))
	if got := ids(v); got != "a applied, b future, c applied, d late" {
		t.Errorf("the fates are %s", got)
	}
	rejected := v.Rejected("ada")
	if len(rejected) != 2 || rejected[0].Reason == "" || !rejected[0].Arrived.Equal(began.Add(time.Hour)) || v.Rejected("grace") != nil {
		t.Errorf("%+v", rejected)
	}
	if n := v.Notifications("ada"); len(n) != 2 || !n[0].Expired || n[1].Expired {
		t.Errorf("after an hour a notification that is over in ten minutes: %+v", n)
	}
}

// What is held is pushed by the clock, whether or not anybody reads in between.
func TestPushes(t *testing.T) {
	t.Parallel()
	for _, reads := range []bool{false, true} {
		v := start(t)
		look := func() {
			if reads {
				_, _ = v.Pushes("ada"), v.Notifications("ada")
			}
		}
		fined, began := v.Now(), v.Now()
		v.Advance(10 * time.Second)
		post(t, v, found(v, "a"), event("b", "clue.found", v.Now().Add(1), `{"clue":"b","points":50}`))
		look()
		v.Advance(4999 * time.Millisecond)
		if reads && len(v.Pushes("ada")) != 0 {
			t.Errorf("pushed before the hold was over: %+v", v.Pushes("ada"))
		}
		v.Advance(time.Millisecond)
		look()
		v.Advance(10 * time.Second)
		// It has gone out: now it is taken back, after a hold of its own.
		post(t, v, event("fine", "team.fined", fined, `{"points":10}`))
		look()
		v.Advance(10 * time.Second)
		var told []string
		for _, p := range v.Pushes("ada") {
			told = append(told, fmt.Sprint(p.Channel, " ", p.Op, " ", p.Name, " ", p.Pushed.Sub(began)))
		}
		if got := strings.Join(told, ", "); got != "webhook send hundred 15s, webhook retract hundred 30s" {
			t.Errorf("reading in between %t: pushed are %s", reads, got)
		}
		if n := v.Notifications("ada"); len(n) != 2 || n[0].Class != "news" {
			t.Errorf("the player sees %+v", n)
		}
	}
}

// The participant's page of the gateway is never behind.
func TestParticipantByHTTP(t *testing.T) {
	t.Parallel()
	v := start(t)
	get := func(who string) (int, string) {
		answer, err := http.Get(v.URL() + "/v1/participants/" + who)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(body)
	}
	if status, body := get("ada"); status != http.StatusNotFound {
		t.Errorf("before any event: %d, %s", status, body)
	}
	v.Fail(veltrixtest.Duplicate, 1) // and no fault of a request that reads
	if status, _ := get("ada"); status != http.StatusNotFound {
		t.Error("a read met a fault")
	}
	post(t, v, found(v, "a"))
	status, body := get("ada")
	if status != http.StatusOK || !strings.Contains(body, `"state":{"found":1,"score":50}`) || !strings.Contains(body, `"applied":2,"as_of":1`) {
		t.Errorf("%d: %s", status, body)
	}
	if want := map[string]any{"found": 1, "score": 50}; !reflect.DeepEqual(v.State("ada"), want) {
		t.Errorf("the state is %#v, want %#v", v.State("ada"), want)
	}
}

// What the gateway refuses is answered and never arrives.
func TestRefused(t *testing.T) {
	t.Parallel()
	v := start(t)
	answer, body, err := send(v, event("a", "clue.found", v.Now(), `{"clue":"a","points":"many"}`))
	if err != nil || answer.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(body, "points") {
		t.Errorf("%v, %+v: %s", err, answer, body)
	}
	if len(v.Fates()) != 0 {
		t.Errorf("it arrived: %s", ids(v))
	}
}

func TestManySenders(t *testing.T) {
	t.Parallel()
	v := start(t)
	v.Fail(veltrixtest.Duplicate, 20)
	v.Fail(veltrixtest.Reorder, 20)
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			if _, body, err := send(v, found(v, fmt.Sprint("e", i))); err != nil {
				t.Errorf("%v: %s", err, body)
			}
			v.Advance(time.Millisecond)
			v.State("ada")
		})
	}
	all.Wait()
	if state := v.State("ada"); state["score"] != 3000 || len(v.Rejected("ada")) != 20 {
		t.Errorf("the state is %v, %d were rejected", state, len(v.Rejected("ada")))
	}
}

// refusal is a test that is ended at once.
type refusal struct {
	testing.TB
	said string
}

func (r *refusal) Helper() {}
func (r *refusal) Fatalf(format string, args ...any) {
	r.said = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestMisuse(t *testing.T) {
	t.Parallel()
	for want, do := range map[string]func(testing.TB){
		"testdata/none.yaml": func(t testing.TB) { veltrixtest.Start(t, veltrixtest.Options{Rules: "testdata/none.yaml"}) },
		"only moves forward": func(t testing.TB) { start(t).Advance(-1) },
		"Fault(9), 1":        func(t testing.TB) { start(t).Fail(9, 1) },
		"Reorder, 0":         func(t testing.TB) { start(t).Fail(veltrixtest.Reorder, 0) },
	} {
		r := &refusal{TB: t}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			do(r)
		}()
		<-ended
		if !strings.Contains(r.said, want) {
			t.Errorf("it says %q, want %q in it", r.said, want)
		}
	}
}

// Every kind of slot, as a test writes it.
func TestState(t *testing.T) {
	t.Parallel()
	v := veltrixtest.Start(t, veltrixtest.Options{Rules: "../examples/quiz/rules.yaml"})
	at := v.Now()
	post(t, v, event("in", "player.entered", at, `{"team":"owls","pub":"swan"}`))
	if state := v.State("ada"); state["last"] != nil || !reflect.DeepEqual(state["answered"], []string{}) {
		t.Errorf("before any answer: %#v", state)
	}
	post(t, v,
		event("j", "joker.played", at.Add(time.Second), `{"question":"q1","kind":"half"}`),
		event("a", "question.answered", at.Add(2*time.Second), `{"question":"q1","asked":"2026-01-01T00:00:00Z","correct":true,"level":2}`),
		event("b", "question.answered", at.Add(3*time.Second), `{"question":"q0","asked":"2026-01-01T00:00:00Z","correct":false,"level":2}`))
	want := map[string]any{
		"team": "owls", "playing": true, "points": 20, "streak": 0, "best": 1,
		"answered": []string{"q0", "q1"}, "jokers": map[string]int{"half": 1}, "last": "2026-01-01T00:00:03Z",
	}
	state := v.State("ada")
	if !reflect.DeepEqual(state, want) {
		t.Errorf("the state is\n%#v\nwant\n%#v", state, want)
	}
	// What a test does with what it was given is no business of the fold's.
	state["answered"].([]string)[0] = "q9"
	v.Fates()[0].Fate = "lost"
	if !reflect.DeepEqual(v.State("ada"), want) || v.Fates()[0].Fate != "applied" {
		t.Error("a test has changed what it only read")
	}
}

// A request's faults are of events alone: other requests meet none.
func TestOtherRequestsMeetNoFault(t *testing.T) {
	t.Parallel()
	v := start(t)
	v.Fail(veltrixtest.LostAnswer, 1)
	for _, request := range []string{"GET /", "GET /v1/events", "POST /v1/participants/ada"} {
		method, path, _ := strings.Cut(request, " ")
		r, err := http.NewRequestWithContext(t.Context(), method, v.URL()+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatalf("%s: %v", request, err)
		}
		answer.Body.Close()
	}
	if _, _, err := send(v, found(v, "a")); err == nil {
		t.Error("the fault is gone")
	}
}
