package ingest_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/ingest"
)

// keyed is a gateway that asks for keys, at a time of the test's own.
type keyed struct {
	*testing.T
	log     *log
	gateway *ingest.Gateway
	keys    *ingest.Keys
	now     time.Time
}

func newKeyed(t *testing.T, keys ...ingest.Key) *keyed {
	k := &keyed{T: t, log: &log{}, now: noon, keys: ingest.NewKeys(keys, nil)}
	o := options(k.log)
	o.Keys = func() *ingest.Keys { return k.keys }
	o.Now = func() time.Time { return k.now }
	k.gateway = ingest.New(o)
	return k
}

// ask returns the status, the problem's name and the answer.
func (k *keyed) ask(method, path, secret, body string) (status int, problem string, w *httptest.ResponseRecorder) {
	k.Helper()
	var headers []string
	if secret != "" {
		headers = []string{"Authorization", "Bearer " + secret}
	}
	w = httptest.NewRecorder()
	k.gateway.ServeHTTP(w, request(method, path, "application/x-ndjson", body, headers...))
	var said struct{ Type, Detail string }
	if err := json.Unmarshal(w.Body.Bytes(), &said); err != nil {
		k.Fatalf("%v: %s", err, w.Body)
	}
	if secret != "" && strings.Contains(w.Body.String(), secret) {
		k.Errorf("the answer has the key: %s", w.Body)
	}
	return w.Code, strings.TrimPrefix(said.Type, "urn:veltrix:problem:"), w
}

func (k *keyed) want(what string, status int, problem string, gotStatus int, gotProblem string, w *httptest.ResponseRecorder) {
	k.Helper()
	if gotStatus != status || gotProblem != problem {
		k.Errorf("%s: %d %s, want %d %s: %s", what, gotStatus, gotProblem, status, problem, w.Body)
	}
}

// TestKeys asks with keys that are known, unknown, missing and limited.
func TestKeys(t *testing.T) {
	open, all := ingest.NewKey("all", noon)
	narrow, some := ingest.NewKey("some", noon)
	some.Sources, some.Types, some.EventBytes, some.Read = []string{"/phone"}, []string{"clue.*"}, 40, true
	k := newKeyed(t, all, some)
	send := func(what, secret, body string, status int, problem string) {
		t.Helper()
		code, name, w := k.ask("POST", "/v1/events", secret, body)
		k.want(what, status, problem, code, name, w)
		if challenge := w.Header().Get("WWW-Authenticate"); (challenge != "") != (code == 401) {
			t.Errorf("%s: the challenge is %q", what, challenge)
		}
	}
	good := event("1", clue)
	other := strings.Replace(good, `"source":"/phone"`, `"source":"/phones/7"`, 1)
	send("without a key", "", good, 401, "unauthorized")
	send("with a key that is not known", "vlx_none", good, 401, "unauthorized")
	send("with a key", open, good, 202, "")
	send("another source", open, other, 202, "")
	send("with a narrow key", narrow, good, 202, "")
	send("another source", narrow, other, 403, "forbidden")
	send("one of two", narrow, good+"\n"+other, 403, "forbidden")
	send("and one that is wrong", narrow, event("1", `{"clue":1}`)+"\n"+other, 422, "invalid-events")
	send("more bytes", narrow, event("1", `{"clue":"anchor","points":50,"note":"longer than that"}`), 403, "forbidden")
	if n := len(k.log.records); n != 3 {
		t.Errorf("%d events were taken, want 3", n)
	}
	code, name, w := k.ask("POST", "/v1/events?partial=true", narrow, good+"\n"+other)
	k.want("in part", 207, "", code, name, w)
	if !strings.Contains(w.Body.String(), `"refused":1,"errors":[{"line":2,"field":"source","reason":"the key some may not send events of the source \"/phones/7\""}]`) {
		t.Errorf("it says %s", w.Body)
	}
	code, name, w = k.ask("GET", "/v1/participants/ada", open, "")
	k.want("a state without the right to it", 403, "forbidden", code, name, w)
	code, name, w = k.ask("GET", "/v1/participants/ada", narrow, "")
	k.want("a state with it", 200, "", code, name, w)
	code, name, w = k.ask("GET", "/v1/participants/ada", "", "")
	k.want("a state without a key", 401, "unauthorized", code, name, w)
	code, name, w = k.ask("GET", "/v1/events/3/7", "", "")
	k.want("a status without a key", 401, "unauthorized", code, name, w)
	code, name, w = k.ask("GET", "/v1/events/3/7", open, "")
	k.want("the status of an event that the key may send", 200, "", code, name, w)
	if said := w.Body.String(); strings.Contains(said, "50 points") || !strings.Contains(said, `"in_state":null`) || !strings.Contains(said, `"outcome":"sent"`) {
		t.Errorf("a key that may not read states is told %s", said)
	}
	code, name, w = k.ask("GET", "/v1/participants/ada/events", open, "")
	k.want("a trail without the right to it", 403, "forbidden", code, name, w)

	some.Sources, some.Read = []string{"/tablet"}, false
	k.keys = ingest.NewKeys([]ingest.Key{some}, k.keys)
	code, name, w = k.ask("GET", "/v1/events/3/7", narrow, "")
	k.want("the status of another's event", 403, "forbidden", code, name, w)
	send("with a key that was revoked", open, good, 401, "unauthorized")
}

// TestKeyRate uses a key's rate up, waits as long as the answer says, and reads
// the keys again in between.
func TestKeyRate(t *testing.T) {
	secret, key := ingest.NewKey("slow", noon)
	key.Rate = 2
	k := newKeyed(t, key)
	ask := func(events, status int) int {
		t.Helper()
		var body []string
		for i := range events {
			body = append(body, event(fmt.Sprint(i), clue))
		}
		code, name, w := k.ask("POST", "/v1/events", secret, strings.Join(body, "\n"))
		problem := ""
		if status == 429 {
			problem = "rate-limited"
		}
		k.want(fmt.Sprint(events, " events"), status, problem, code, name, w)
		wait := 0
		if status == 429 {
			if _, err := fmt.Sscan(w.Header().Get("Retry-After"), &wait); err != nil || wait < 1 {
				t.Errorf("Retry-After is %q", w.Header().Get("Retry-After"))
			}
		}
		return wait
	}
	ask(1, 202)
	ask(1, 202)
	if wait := ask(1, 429); wait != 1 {
		t.Errorf("it says to wait %d s", wait)
	}
	k.now = k.now.Add(time.Second)
	ask(5, 202) // more than a second's are a debt
	k.keys = ingest.NewKeys([]ingest.Key{key}, k.keys)
	wait := ask(1, 429)
	if wait != 2 {
		t.Errorf("it says to wait %d s", wait)
	}
	k.now = k.now.Add(time.Duration(wait) * time.Second)
	ask(1, 202)
	if n := len(k.log.records); n != 8 {
		t.Errorf("%d events were taken, want 8", n)
	}
}

// TestKeysFile writes keys and reads them again, and says what is wrong with
// files that are none.
func TestKeysFile(t *testing.T) {
	secret, key := ingest.NewKey("phones", noon)
	key.Sources, key.Rate, key.Read = []string{"/phone/*"}, 5, true
	_, other := ingest.NewKey("other", noon)
	text, err := ingest.FormatKeys([]ingest.Key{key, other})
	if err != nil || strings.Contains(string(text), secret) || strings.Contains(string(text), secret[4:]) {
		t.Fatalf("%v\n%s", err, text)
	}
	keys, err := ingest.ParseKeys(text)
	if err != nil || len(keys) != 2 || fmt.Sprint(keys[0]) != fmt.Sprint(key) {
		t.Errorf("%v, %+v, want %+v", err, keys, key)
	}
	if keys, err := ingest.ParseKeys(nil); err != nil || len(keys) != 0 {
		t.Errorf("an empty file: %v, %v", keys, err)
	}
	hash := strings.Repeat("0", 64)
	for src, want := range map[string]string{
		"keys: [{name: a, hash: abc}]":                                         "not 64 hexadecimal digits",
		"keys: [{name: a b, hash: " + hash + "}]":                              "the name",
		"keys: [{name: a, hash: " + hash + "}, {name: b, hash: " + hash + "}]": "twice",
		"keys: [{name: a, hash: " + hash + ", sources: ['/a*b']}]":             "may have a * at its end only",
		"keys: [{name: a, hash: " + hash + ", rate: -1}]":                      "below 0",
		"keys: [{name: a, hash: " + hash + ", source: [x]}]":                   "source not found",
		"keys: {}}": "read the keys",
	} {
		if _, err := ingest.ParseKeys([]byte(src)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("of %s it says %v, want %q", src, err, want)
		}
	}
}
