package schema_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/veltrix/veltrix/examples"
	"github.com/veltrix/veltrix/internal/ingest"
	"github.com/veltrix/veltrix/internal/rules"
	"github.com/veltrix/veltrix/internal/schema"
	"github.com/veltrix/veltrix/internal/trail"
	"github.com/veltrix/veltrix/internal/wire"
)

type log struct{ err error }

func (l *log) Append(_ context.Context, records []wire.Record) ([]ingest.Position, error) {
	return make([]ingest.Position, len(records)), l.err
}

type states struct{ of *ingest.Participant }

func (s *states) Participant(context.Context, string) (*ingest.Participant, error) { return s.of, nil }

func (s *states) Part(context.Context, int, *ingest.Place, int) ([]ingest.BoardPart, error) {
	return []ingest.BoardPart{{All: 2, Down: []ingest.Place{{Participant: "ada", Number: 7}, {Participant: "bob", Number: -3}}}}, nil
}

func (s *states) Number(_ context.Context, _ int, who string) (*ingest.Place, error) {
	if who == "ada" {
		return &ingest.Place{Participant: who, Number: 7}, nil
	}
	return nil, nil
}

func (s *states) Find(_ context.Context, _ int32, offset int64) (*trail.Entry, int64, error) {
	at := time.Now()
	e := &trail.Entry{Offset: offset, Status: trail.Applied, Notifications: []trail.Notification{
		{ID: "0a", Revision: 1, Op: "send", Channels: []trail.Delivery{{Channel: "inbox", Outcome: "sent", Attempts: 1, At: &at}, {Channel: "webhook", Outcome: trail.Pending}}},
		{ID: "0b", Revision: 2, Op: "retract"},
	}}
	switch offset {
	case 1:
		return e, 1, nil
	case 2:
		return e, 0, errors.New("no coordinator answers")
	case 3:
		return &trail.Entry{Status: trail.Rejected, Reason: "late", SequenceBreak: "gap", MovedFrom: "1/7"}, 4, nil
	}
	return nil, 0, trail.ErrUnknown
}

func (s *states) Trail(ctx context.Context, who string, _ trail.Window, _ func(int64)) (*trail.Trail, error) {
	one, _, _ := s.Find(ctx, 0, 1)
	three, _, _ := s.Find(ctx, 0, 3)
	return &trail.Trail{Participant: who, From: 7, Entries: []trail.Entry{*one, *three}}, nil
}

// TestGatewayAnswersAsItsDocumentSays sends requests to a gateway, and looks up
// each answer in the document: its status has to be there, and its body to fit.
func TestGatewayAnswersAsItsDocumentSays(t *testing.T) {
	source, lines, _, err := examples.Open("harbour")
	if err != nil {
		t.Fatal(err)
	}
	lines.Close()
	program, err := rules.Load("rules.yaml", source)
	if err != nil {
		t.Fatal(err)
	}
	document := schema.OpenAPI(program.Schema(), "http://localhost:8080")
	appender, reader := &log{}, &states{}
	var keys *ingest.Keys
	bearer := ""
	options := ingest.Options{
		Appender: appender, States: reader, Boards: reader, Trail: reader, Schema: program.Schema(),
		Limits: ingest.Limits{RequestBytesMax: 4096, BatchEventsMax: 3}, InflightBytesMax: 8192, Timeout: time.Second,
	}
	const event = `{"specversion":"1.0","id":"1","source":"/s","type":"player.walked","partitionkey":"ada","data":{"metres":1}}`
	bad := strings.Replace(event, `"metres":1`, `"metres":"far"`, 1)
	seen := map[int]bool{}
	ask := func(method, path, kind, body string) {
		t.Helper()
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		r.Header.Set("Authorization", bearer)
		if options.Keys = nil; keys != nil {
			options.Keys = func() *ingest.Keys { return keys }
		}
		w := httptest.NewRecorder()
		ingest.New(options).ServeHTTP(w, r)
		seen[w.Code] = true
		documented(t, document, method, path, w)
	}
	ask("POST", "/v1/events", "application/cloudevents+json", event)
	ask("POST", "/v1/events", "application/cloudevents+json", bad)
	ask("POST", "/v1/events?partial=true", "application/x-ndjson", event+"\n"+bad)
	ask("POST", "/v1/events?partial=perhaps", "application/cloudevents+json", event)
	ask("POST", "/v1/events", "text/plain", event)
	ask("POST", "/v1/events", "application/cloudevents+json", strings.Repeat(" ", 5000))
	ask("GET", "/v1/participants/nobody", "", "")
	ask("GET", "/v1/participants/"+strings.Repeat("x", 300), "", "")
	reader.of = &ingest.Participant{State: wire.StateJSON(program.Schema().Initial(), program.Schema())}
	ask("GET", "/v1/participants/ada", "", "")
	for _, rest := range []string{"score", "score?top=2", "score?around=ada&near=1", "score?around=nobody", "scores", "score?top=0"} {
		ask("GET", "/v1/leaderboards/"+rest, "", "")
	}
	for _, path := range []string{"/v1/events/0/1", "/v1/events/0/2", "/v1/events/0/3", "/v1/events/0/4", "/v1/events/0/x", "/v1/participants/ada/events", "/v1/participants/ada/events?before=x"} {
		ask("GET", path, "", "")
	}
	secret, key := ingest.NewKey("slow", time.Now())
	key.Types, key.Rate, key.Read = []string{"player.*"}, 1, true
	keys = ingest.NewKeys([]ingest.Key{key}, nil)
	ask("POST", "/v1/events", "application/cloudevents+json", event)
	bearer = "Bearer " + secret
	ask("GET", "/v1/participants/ada", "", "")
	ask("POST", "/v1/events", "application/cloudevents+json", strings.Replace(strings.Replace(event, "player.walked", "hint.used", 1), `{"metres":1}`, `{"clue":"a","player":"b","cost":1}`, 1))
	for range 3 {
		ask("POST", "/v1/events", "application/cloudevents+json", event)
	}
	keys = nil
	appender.err = errors.New("no broker answers")
	ask("POST", "/v1/events", "application/cloudevents+json", event)
	for _, status := range []int{200, 202, 207, 400, 401, 403, 404, 413, 415, 422, 429, 503} {
		if !seen[status] {
			t.Errorf("no answer was %d", status)
		}
	}
}

func documented(t *testing.T, document map[string]any, method, path string, w *httptest.ResponseRecorder) {
	t.Helper()
	read := plain(t, document).(map[string]any)
	at := "/v1/events"
	switch parts := strings.Split(strings.SplitN(path, "?", 2)[0], "/"); {
	case parts[2] == "leaderboards":
		at = "/v1/leaderboards/{name}"
	case parts[2] == "participants" && len(parts) == 5:
		at = "/v1/participants/{id}/events"
	case parts[2] == "participants":
		at = "/v1/participants/{id}"
	case len(parts) == 5:
		at = "/v1/events/{partition}/{offset}"
	}
	pointer := "/paths/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(at) + "/" + strings.ToLower(method) + "/responses/" + strconv.Itoa(w.Code)
	response, ok := lookup(read, pointer).(map[string]any)
	if ok && response["$ref"] != nil {
		pointer = strings.TrimPrefix(response["$ref"].(string), "#")
		response, ok = lookup(read, pointer).(map[string]any)
	}
	if !ok {
		t.Errorf("%s %s answers %d %s, which the document does not know", method, path, w.Code, http.StatusText(w.Code))
		return
	}
	kind := w.Header().Get("Content-Type")
	if _, ok := response["content"].(map[string]any)[kind]; !ok {
		t.Errorf("%s %s answers %d as %q", method, path, w.Code, kind)
		return
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("openapi.json", read); err != nil {
		t.Fatal(err)
	}
	body, err := c.Compile("openapi.json#" + pointer + "/content/" + strings.ReplaceAll(kind, "/", "~1") + "/schema")
	if err != nil {
		t.Fatal(err)
	}
	if err := body.Validate(decode(t, w.Body.Bytes())); err != nil {
		t.Errorf("%s %s: %v\n%s", method, path, err, w.Body)
	}
}

// lookup follows a JSON pointer; nil where it leads nowhere.
func lookup(in any, pointer string) any {
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		object, _ := in.(map[string]any)
		in = object[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
	}
	return in
}
