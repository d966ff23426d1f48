package fcm_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/veltrix/veltrix/internal/channel/channeltest"
	"github.com/veltrix/veltrix/internal/channel/fcm"
	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
)

func TestChannel(t *testing.T) {
	t.Parallel()
	failed := channeltest.Want{Verdict: delivery.Failed}
	refused := channeltest.Want{Verdict: delivery.Refused}
	alarm := channeltest.Want{Verdict: delivery.Failed, Alarm: true}
	channeltest.Suite(t, func(t *testing.T, answer http.HandlerFunc) channeltest.Subject {
		return newWorld(t, answer).subject()
	}, []channeltest.Row{
		{Name: "410", Answer: channeltest.Status(410), Want: failed}, // FCM says 404
		{Name: "429", Answer: channeltest.FCMFailure(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"), Want: channeltest.Want{Verdict: delivery.Failed, RetryAfter: time.Minute}},
		{Name: "unregistered", Answer: channeltest.FCMFailure(404, "NOT_FOUND", "UNREGISTERED"), Want: channeltest.Want{Verdict: delivery.Refused, Pruned: true}},
		{Name: "404 for another reason", Answer: channeltest.FCMFailure(404, "NOT_FOUND", ""), Want: failed},
		{Name: "unregistered, but not a 404", Answer: channeltest.FCMFailure(400, "INVALID_ARGUMENT", "UNREGISTERED"), Want: failed},
		{Name: "invalid argument", Answer: channeltest.FCMFailure(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"), Want: refused},
		{Name: "invalid argument without details", Answer: channeltest.FCMFailure(400, "INVALID_ARGUMENT", ""), Want: refused},
		{Name: "another sender's token", Answer: channeltest.FCMFailure(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"), Want: channeltest.Want{Verdict: delivery.Refused, Alarm: true}},
		{Name: "no permission", Answer: channeltest.FCMFailure(403, "PERMISSION_DENIED", ""), Want: alarm},
		{Name: "unauthenticated", Answer: channeltest.FCMFailure(401, "UNAUTHENTICATED", ""), Want: alarm},
		{Name: "Apple refuses the app's key", Answer: channeltest.FCMFailure(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"), Want: alarm},
		{Name: "unavailable", Answer: channeltest.FCMFailure(503, "UNAVAILABLE", "UNAVAILABLE"), Want: channeltest.Want{Verdict: delivery.Unknown}},
		{Name: "internal", Answer: channeltest.FCMFailure(500, "INTERNAL", "INTERNAL"), Want: channeltest.Want{Verdict: delivery.Unknown}},
	}...)
}

func TestMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(rw http.ResponseWriter, _ *http.Request) {
		rw.Write([]byte(`{"name": "projects/hunt/messages/7"}`)) //nolint:errcheck // the test sees it
	})
	n := deliverytest.Note("alice", 1)
	n.Expires = time.Now().Add(time.Hour)
	if res := channeltest.Attempt(t, w.subject(), n); res.Verdict != delivery.Accepted || res.Provider != "projects/hunt/messages/7" {
		t.Fatalf("got %+v", res)
	}
	n.Op, n.Revision, n.Expires = delivery.Update, 2, time.Time{}
	n.Title, n.Body = "Ein \"Fund\"", strings.Repeat("größer <als> erlaubt ", 400)
	channeltest.Attempt(t, w.subject(), n)

	first, second := w.Messages()[0], w.Messages()[1]
	want := map[string]string{
		"notification": n.ID, "revision": "1", "op": "send", "class": "clue", "title": "Title 1", "body": "a \"body\" with ünïcode",
		"inbox_offset": "7", "event_type": "clue.found", "event_time": n.EventTime.Format(time.RFC3339Nano),
	}
	for key, value := range want {
		if first.Data[key] != value {
			t.Errorf("%s is %q, want %q", key, first.Data[key], value)
		}
	}
	ttl, err := time.ParseDuration(first.Android.TTL)
	if err != nil || ttl > time.Hour || ttl < 50*time.Minute || len(first.Data) != len(want) {
		t.Errorf("a lifetime of %s, and %d fields", first.Android.TTL, len(first.Data))
	}
	if first.Token != phoneToken || first.Android.Priority != "HIGH" || first.Android.CollapseKey != n.ID {
		t.Errorf("the message is %+v", first)
	}
	text, _ := json.Marshal(second.Data) // strings
	if len(text) > 4096 || len(text) < 4000 || !utf8.ValidString(second.Data["body"]) || strings.ContainsRune(second.Data["body"], utf8.RuneError) ||
		!strings.HasSuffix(second.Data["body"], "…") || second.Data["title"] != n.Title || second.Data["op"] != "update" {
		t.Errorf("%d bytes of data: %s", len(text), text)
	}
	if kept, err := time.ParseDuration(second.Android.TTL); err != nil || kept > 28*24*time.Hour || kept < 27*24*time.Hour {
		t.Errorf("without an expiry the lifetime is %s", second.Android.TTL)
	}
}

// TestAccessToken checks how long a token is used, and when another is fetched.
func TestAccessToken(t *testing.T) {
	t.Parallel()
	var code atomic.Int32
	code.Store(200)
	w := newWorld(t, func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(int(code.Load())) })
	step := func(what string, answer int32, want delivery.Verdict, alarm bool, issued int) {
		t.Helper()
		code.Store(answer)
		before := len(w.Messages())
		res := channeltest.Attempt(t, w.subject(), deliverytest.Note("alice", 1))
		if res.Verdict != want || res.Alarm != alarm || len(w.Issued()) != issued || len(w.Messages()) != before+1 {
			t.Fatalf("%s: %+v, %d tokens, %d requests; want verdict %d, alarm %v, %d tokens, 1 request", what, res, len(w.Issued()), len(w.Messages())-before, want, alarm, issued)
		}
	}
	step("the first", 200, delivery.Accepted, false, 1)
	step("the second", 200, delivery.Accepted, false, 1)
	step("withdrawn", 401, delivery.Failed, false, 1)
	step("renewed, and refused again", 401, delivery.Failed, true, 2)
	step("not renewed for each message", 401, delivery.Failed, true, 2)
	step("taken at last", 200, delivery.Accepted, false, 2)

	w = newWorld(t, channeltest.Status(200))
	w.Lifetime = 30 // less than the margin
	channeltest.Attempt(t, w.subject(), deliverytest.Note("alice", 1))
	channeltest.Attempt(t, w.subject(), deliverytest.Note("alice", 2))
	if len(w.Issued()) != 2 {
		t.Errorf("%d tokens for two messages, with tokens about to end", len(w.Issued()))
	}
}

// TestNoAccessToken checks that nothing is sent without one, and that it is definite.
func TestNoAccessToken(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		exchange    http.HandlerFunc
		alarm, none bool
		reason      string
	}{
		"refused": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			w.Write([]byte(`{"error": "invalid_grant", "error_description": "access-secret"}`)) //nolint:errcheck // seen below
		}, true, false, "400 invalid_grant"},
		"down":     {channeltest.Status(503), false, false, "503"},
		"no token": {channeltest.Status(200), false, false, "holds none"},
		"cut":      {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false, true, "no access token"},
		"hangs": {func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-time.After(20 * channeltest.Timeout): // a client that waits on is a failure of its own
			}
		}, false, true, "no access token"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, channeltest.Status(200))
			w.Exchange = x.exchange
			res := channeltest.Attempt(t, w.subject(), deliverytest.Note("alice", 1))
			if res.Verdict != delivery.Failed || res.Alarm != x.alarm || res.Unreachable != x.none ||
				!strings.Contains(res.Reason, x.reason) || strings.Contains(res.Reason, "access-") {
				t.Errorf("got %+v", res)
			}
			if len(w.Messages()) != 0 {
				t.Error("a message left without a token")
			}
		})
	}
}

// TestDevice checks that the device is the one of the moment.
func TestDevice(t *testing.T) {
	t.Parallel()
	var w *world
	w = newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		w.put("renewed") // while FCM answers for the old token
		channeltest.FCMFailure(404, "NOT_FOUND", "UNREGISTERED")(rw, r)
	})
	if res := channeltest.Attempt(t, w.subject(), deliverytest.Note("alice", 1)); res.Verdict != delivery.Failed || res.Pruned {
		t.Errorf("a token that was renewed meanwhile: %+v", res)
	}
	w.answer = channeltest.Status(200)
	if res := channeltest.Attempt(t, w.subject(), deliverytest.Note("alice", 1)); res.Verdict != delivery.Accepted {
		t.Errorf("the renewed one: %+v", res)
	}
	if got := w.Messages()[1].Token; got != "renewed" {
		t.Errorf("the second message went to %s", got)
	}
	for _, d := range []string{"phone", "nothing"} {
		err := w.devices.Put(t.Context(), "alice", delivery.Device{ID: d, Channel: "apns", Token: d})
		if err != nil {
			t.Fatal(err)
		}
	}
	if res := channeltest.Attempt(t, w.subject(), deliverytest.Note("alice", 1)); res.Verdict != delivery.Refused || res.Reason != "the device is gone" {
		t.Errorf("a device of another channel: %+v", res)
	}
	if targets, err := w.ch.Targets(t.Context(), "alice"); err != nil || len(targets) != 0 {
		t.Errorf("the targets are %q, %v", targets, err)
	}
	if len(w.Messages()) != 2 {
		t.Errorf("%d messages, want 2", len(w.Messages()))
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "nonsense-secret", `{"type": "authorized_user"}`, `{"type": "service_account", "private_key": "secret"}`,
		`{"type": "service_account", "project_id": "p", "client_email": "e", "token_uri": "u", "private_key": "secret"}`,
	} {
		_, err := fcm.New(fcm.Config{Credentials: text}, nil)
		if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "notifier.fcm.credentials_file") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
