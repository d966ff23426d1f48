package inboxapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
	"github.com/veltrix/veltrix/internal/inboxapi"
)

// preferencesAt serves an API with preferences and presence.
func preferencesAt(t *testing.T, store delivery.PreferenceStore, presence delivery.Presence, heartbeat time.Duration) (s *server, logged *bytes.Buffer) {
	t.Helper()
	logged = &bytes.Buffer{}
	inbox := deliverytest.NewInbox(5, time.Hour)
	api, err := inboxapi.New(inboxapi.Options{
		Inbox: inbox, Secret: secret, Preferences: store, Presence: presence, Heartbeat: heartbeat,
		Logger: slog.New(slog.NewTextHandler(logged, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(api)
	t.Cleanup(func() {
		api.Close()
		srv.Close()
	})
	return &server{t: t, inbox: inbox, api: api, url: srv.URL}, logged
}

func emptyGate() *deliverytest.Gate { return deliverytest.NewGate(deliverytest.NewInbox(5, time.Hour)) }

func TestPreferencesOverHTTP(t *testing.T) {
	t.Parallel()
	gate := emptyGate()
	s, _ := preferencesAt(t, gate, nil, 0)
	const path = "/v1/participants/ada%2F1/preferences"
	ada := token(t, "ada/1", time.Minute)
	nothing := map[string]any{"participant": "ada/1", "preferences": map[string]any{}}
	if got := s.do("GET", path, ada, "", 200); !reflect.DeepEqual(got, nothing) {
		t.Errorf("of nobody's preferences it says %v", got)
	}
	const body = `{"time_zone":"Europe/Berlin","quiet_hours":{"from":"22:00","to":"07:00"},"classes":{"clue":{"channels":[]},"score":{"channels":["webpush","fcm"]}}}`
	put := s.do("PUT", path, ada, body, 200)
	got := s.do("GET", path, ada, "", 200)
	text, err := json.Marshal(got["preferences"])
	if err != nil || !reflect.DeepEqual(got, put) || got["participant"] != "ada/1" {
		t.Errorf("put gave %v and get %v, %v", put, got, err)
	}
	if again := s.do("PUT", path, ada, string(text), 200); !reflect.DeepEqual(again, got) {
		t.Errorf("sent back, it became %v", again)
	}
	want := delivery.Preferences{
		TimeZone: "Europe/Berlin", QuietHours: &delivery.QuietHours{From: "22:00", To: "07:00"},
		Classes: map[string]delivery.ClassPreference{"clue": {Channels: []string{}}, "score": {Channels: []string{"webpush", "fcm"}}},
	}
	if kept, err := gate.Preferences(t.Context(), "ada/1"); err != nil || !reflect.DeepEqual(kept, want) {
		t.Errorf("kept is %+v, %v", kept, err)
	}
	s.do("PUT", path, ada, `{"time_zone":"Asia/Tokyo"}`, 200) // replaces all
	if got := s.do("GET", path, ada, "", 200); !reflect.DeepEqual(got["preferences"], map[string]any{"time_zone": "Asia/Tokyo"}) {
		t.Errorf("then they are %v", got)
	}
	s.gone(path, ada)
	s.gone(path, ada)
	if got := s.do("GET", path, ada, "", 200); !reflect.DeepEqual(got, nothing) {
		t.Errorf("taken out, they are %v", got)
	}
	if got := s.do("POST", path, ada, "", 405)["detail"]; got != "POST is not allowed here; use GET or PUT or DELETE" {
		t.Errorf("a POST is told %v", got)
	}
	plain := serve(t, 0)
	plain.do("GET", path, ada, "", 404)
}

// A token opens its participant's preferences and no others.
func TestPreferencesAreTheirOwners(t *testing.T) {
	t.Parallel()
	gate := emptyGate()
	s, _ := preferencesAt(t, gate, nil, 0)
	const path = "/v1/participants/ada/preferences"
	s.do("PUT", path, token(t, "ada", time.Minute), `{"time_zone":"Asia/Tokyo"}`, 200)
	for status, bearer := range map[int]string{401: "", 403: token(t, "bob", time.Minute)} {
		s.do("GET", path, bearer, "", status)
		s.do("PUT", path, bearer, `{}`, status)
		s.do("DELETE", path, bearer, "", status)
	}
	s.do("GET", path+"?access_token="+token(t, "ada", time.Minute), "", "", 401)
	if kept, err := gate.Preferences(t.Context(), "ada"); err != nil || kept.TimeZone != "Asia/Tokyo" {
		t.Errorf("ada prefers %+v, %v", kept, err)
	}
}

func TestPreferencesRefused(t *testing.T) {
	t.Parallel()
	gate := emptyGate()
	s, _ := preferencesAt(t, gate, nil, 0)
	ada := token(t, "ada", time.Minute)
	const path = "/v1/participants/ada/preferences"
	s.do("PUT", path, ada, `{"time_zone":"Asia/Tokyo"}`, 200)
	var classes []string
	for i := range 201 {
		classes = append(classes, fmt.Sprintf(`"c%d":{"channels":[]}`, i))
	}
	for name, x := range map[string]struct{ body, says string }{
		"nothing":                  {``, "the body must be like"},
		"null":                     {`null`, "the body must be like"},
		"a list":                   {`[]`, "the body must be like"},
		"a text":                   {`"22:00"`, "the body must be like"},
		"half":                     {`{"time_zone":"UTC"`, "the body must be like"},
		"more behind it":           {`{"time_zone":"UTC"}{}`, "the body must be like"},
		"a brace behind it":        {`{"time_zone":"UTC"}}`, "the body must be like"},
		"an unknown field":         {`{"timezone":"UTC"}`, "the body must be like"},
		"one deeper":               {`{"quiet_hours":{"from":"22:00","to":"07:00","days":["sat"]}}`, "the body must be like"},
		"one of a class":           {`{"classes":{"clue":{"channels":[],"muted":true}}}`, "the body must be like"},
		"a number for a time":      {`{"quiet_hours":{"from":22,"to":7}}`, "the body must be like"},
		"a text for channels":      {`{"classes":{"clue":{"channels":"fcm"}}}`, "the body must be like"},
		"too much":                 {`{"time_zone":"UTC"` + strings.Repeat(" ", 64<<10) + `}`, "the body must be like"},
		"deep":                     {strings.Repeat(`{"classes":`, 20000), "the body must be like"},
		"a class without channels": {`{"classes":{"clue":{}}}`, "class clue has no channels"},
		"channels of null":         {`{"classes":{"clue":{"channels":null}}}`, "class clue has no channels"},
		"a zone of nobody":         {`{"time_zone":"Europe/Atlantis"}`, "Europe/Berlin"},
		"the machine's zone":       {`{"time_zone":"Local"}`, "Europe/Berlin"},
		"a zone that is a path":    {`{"time_zone":"../../../etc/passwd"}`, "Europe/Berlin"},
		"half of quiet hours":      {`{"quiet_hours":{"from":"22:00"}}`, "quiet_hours.to"},
		"quiet for ever":           {`{"quiet_hours":{"from":"07:00","to":"07:00"}}`, "mute the classes instead"},
		"a class that is a key":    {`{"classes":{"a}b":{"channels":[]}}}`, "cannot be the name of a class"},
		"a channel with a NUL":     {`{"classes":{"clue":{"channels":["a\u0000"]}}}`, "cannot be the name of a channel"},
		"many classes":             {`{"classes":{` + strings.Join(classes, ",") + `}}`, "at most 200"},
	} {
		got := s.do("PUT", path, ada, x.body, 400)["detail"].(string)
		if !strings.Contains(got, x.says) || len(got) > 400 {
			t.Errorf("%s is told: %s", name, got)
		}
	}
	if kept, err := gate.Preferences(t.Context(), "ada"); err != nil || !reflect.DeepEqual(kept, delivery.Preferences{TimeZone: "Asia/Tokyo"}) {
		t.Errorf("after all that ada prefers %+v, %v", kept, err)
	}
}

type brokenPreferences struct{}

func (brokenPreferences) Preferences(context.Context, string) (delivery.Preferences, error) {
	return delivery.Preferences{}, errBroken
}

func (brokenPreferences) SetPreferences(context.Context, string, delivery.Preferences) error {
	return errBroken
}

func TestPreferencesAway(t *testing.T) {
	t.Parallel()
	s, logged := preferencesAt(t, brokenPreferences{}, nil, 0)
	ada := token(t, "ada", time.Minute)
	const path = "/v1/participants/ada/preferences"
	s.do("GET", path, ada, "", 503)
	s.do("PUT", path, ada, `{}`, 503)
	s.do("DELETE", path, ada, "", 503)
	if text := logged.String(); strings.Count(text, "the preferences cannot be reached") != 3 {
		t.Errorf("the log says %s", text)
	}
}

// presences passes on what it is told, and fails.
type presences struct {
	told chan time.Duration
	err  error
	who  atomic.Value
}

func (p *presences) Present(_ context.Context, who string, life time.Duration) error {
	p.who.Store(who)
	select {
	case p.told <- life:
	default:
	}
	return p.err
}

func TestStreamsArePresence(t *testing.T) {
	t.Parallel()
	const beat = 20 * time.Millisecond
	for name, fails := range map[string]error{"noted": nil, "not noted": errBroken} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, open := range []func(s *server, token string) (next func() string){
				func(s *server, token string) func() string {
					next, _ := s.events("/v1/inbox/stream", token, "")
					return next
				},
				func(s *server, token string) func() string {
					conn, _, err := websocket.Dial(t.Context(), s.url+"/v1/inbox/ws?access_token="+token, nil) //nolint:bodyclose // it is the connection's
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { _ = conn.CloseNow() })
					return func() string {
						_, text, err := conn.Read(t.Context())
						if err != nil {
							t.Fatal(err)
						}
						return string(text)
					}
				},
			} {
				p := &presences{told: make(chan time.Duration), err: fails}
				s, _ := preferencesAt(t, nil, p, beat)
				heard := make(chan string, 1)
				next := open(s, token(t, "ada", time.Minute))
				go func() {
					for got := next(); ; got = next() {
						if strings.Contains(got, "Title 1") {
							heard <- got
							return
						}
					}
				}()
				for range 4 {
					select {
					case life := <-p.told:
						if life <= 2*beat || life >= 3*beat || p.who.Load() != "ada" {
							t.Errorf("%v is there for %v", p.who.Load(), life)
						}
					case <-time.After(20 * time.Second):
						t.Fatal("nobody is told that ada looks")
					}
				}
				s.add("ada", 1)
				select {
				case <-heard:
				case <-time.After(20 * time.Second):
					t.Fatal("the stream does not go on")
				}
			}
		})
	}
}

// Who only reads a page is not looking any more when it has come.
func TestPagesAreNoPresence(t *testing.T) {
	t.Parallel()
	p := &presences{told: make(chan time.Duration, 1)}
	s, _ := preferencesAt(t, nil, p, 0)
	ada := token(t, "ada", time.Minute)
	s.do("GET", "/v1/inbox", ada, "", 200)
	s.do("GET", "/v1/inbox/stream", "", "", 401)
	s.do("GET", "/v1/inbox/ws", ada, "", 426)
	if len(p.told) > 0 {
		t.Error("ada was said to be there")
	}
	s.events("/v1/inbox/stream", ada, "") // long before its first heartbeat
	select {
	case <-p.told:
	case <-time.After(10 * time.Second):
		t.Error("a stream that opens is told to nobody")
	}
}
