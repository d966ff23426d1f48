package apns_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/veltrix/veltrix/internal/channel/apns"
	"github.com/veltrix/veltrix/internal/channel/channeltest"
	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
)

func TestChannel(t *testing.T) {
	t.Parallel()
	failed := channeltest.Want{Verdict: delivery.Failed}
	refused := channeltest.Want{Verdict: delivery.Refused}
	alarm := channeltest.Want{Verdict: delivery.Failed, Alarm: true}
	now := time.Now()
	channeltest.Suite(t, func(t *testing.T, answer http.HandlerFunc) channeltest.Subject {
		return newWorld(t, answer).subject()
	}, []channeltest.Row{
		{Name: "unregistered", Answer: channeltest.APNsReason(410, "Unregistered", now), Want: channeltest.Want{Verdict: delivery.Refused, Pruned: true}},
		{Name: "unregistered before it was registered again", Answer: channeltest.APNsReason(410, "Unregistered", now.Add(-2*time.Hour)), Want: failed},
		{Name: "unregistered at no time", Answer: channeltest.APNsReason(410, "Unregistered"), Want: refused},
		{Name: "expired", Answer: channeltest.APNsReason(410, "ExpiredToken", now), Want: refused},
		{Name: "another environment's token", Answer: channeltest.APNsReason(400, "BadDeviceToken"), Want: refused},
		{Name: "another app's token", Answer: channeltest.APNsReason(400, "DeviceTokenNotForTopic"), Want: refused},
		{Name: "another push's fault", Answer: channeltest.APNsReason(400, "BadExpirationDate"), Want: refused},
		{Name: "not our topic", Answer: channeltest.APNsReason(400, "TopicDisallowed"), Want: alarm},
		{Name: "idle", Answer: channeltest.APNsReason(400, "IdleTimeout"), Want: failed},
		{Name: "not our key", Answer: channeltest.APNsReason(403, "InvalidProviderToken"), Want: alarm},
		{Name: "too large", Answer: channeltest.APNsReason(413, "PayloadTooLarge"), Want: refused},
		{Name: "too many", Answer: channeltest.APNsReason(429, "TooManyRequests"), Want: failed},
		{Name: "internal", Answer: channeltest.APNsReason(500, "InternalServerError"), Want: channeltest.Want{Verdict: delivery.Unknown}},
		{Name: "shutdown", Answer: channeltest.APNsReason(503, "Shutdown"), Want: channeltest.Want{Verdict: delivery.Unknown}},
		{Name: "a reason that is none", Answer: channeltest.APNsReason(403, "see "+phoneToken), Want: alarm},
	}...)
}

func TestPush(t *testing.T) {
	t.Parallel()
	w := newWorld(t, channeltest.Status(200))
	n := deliverytest.Note("alice", 1)
	n.Expires = time.Now().Add(time.Hour)
	res := channeltest.Attempt(t, w.subject(), n)
	channeltest.Attempt(t, w.subject(), n) // a retry
	n.Revision, n.Op, n.Body, n.Expires = 2, delivery.Update, strings.Repeat("größer <als> erlaubt ", 400), time.Time{}
	channeltest.Attempt(t, w.subject(), n)
	n.Revision, n.Op = 3, delivery.Retract
	channeltest.Attempt(t, w.subject(), n)

	var bodies [4]struct {
		APS     map[string]any
		Veltrix map[string]any
	}
	for i, p := range w.Pushes() {
		if err := json.Unmarshal(p.Body, &bodies[i]); err != nil {
			t.Fatal(err)
		}
		kind, priority := "alert", "10"
		if i == 3 {
			kind, priority = "background", "5"
		}
		if p.Path != "/3/device/"+phoneToken || p.Header.Get("apns-push-type") != kind || p.Header.Get("apns-priority") != priority || p.Header.Get("apns-collapse-id") != n.ID {
			t.Errorf("push %d to %s has %v", i, p.Path, p.Header)
		}
	}
	id := func(i int) string { return w.Pushes()[i].Header.Get("apns-id") }
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	if !uuid.MatchString(id(0)) || id(0) != id(1) || id(0) == id(2) || res.Provider != id(0) || id(0) == apns.ID(n, "tablet") {
		t.Errorf("the IDs are %s, %s, %s; the provider says %s", id(0), id(1), id(2), res.Provider)
	}
	first, _ := strconv.ParseInt(w.Pushes()[0].Header.Get("apns-expiration"), 10, 64)
	later, _ := strconv.ParseInt(w.Pushes()[2].Header.Get("apns-expiration"), 10, 64)
	if left := time.Until(time.Unix(first, 0)); left > time.Hour || left < 50*time.Minute {
		t.Errorf("it expires in %v, want an hour", left)
	}
	if left := time.Until(time.Unix(later, 0)); left > 28*24*time.Hour || left < 27*24*time.Hour {
		t.Errorf("without an expiry it expires in %v, want 28 days", left)
	}
	alert, _ := bodies[0].APS["alert"].(map[string]any)
	if alert["title"] != "Title 1" || alert["body"] != "a \"body\" with ünïcode" || bodies[0].APS["thread-id"] != "clue" || bodies[0].APS["mutable-content"] != 1.0 {
		t.Errorf("the push shows %v", bodies[0].APS)
	}
	if v := bodies[0].Veltrix; v["notification"] != n.ID || v["revision"] != 1.0 || v["op"] != "send" || v["class"] != "clue" || v["inbox_offset"] != 7.0 || v["event_type"] != "clue.found" {
		t.Errorf("the app gets %v", v)
	}
	long, _ := bodies[2].APS["alert"].(map[string]any)
	if body, _ := long["body"].(string); len(w.Pushes()[2].Body) < 4000 || !strings.HasSuffix(body, "…") || !utf8.ValidString(body) || strings.ContainsRune(body, utf8.RuneError) {
		t.Errorf("a long body is sent in %d bytes as %q", len(w.Pushes()[2].Body), body)
	}
	if aps := bodies[3].APS; aps["content-available"] != 1.0 || len(aps) != 1 || bodies[3].Veltrix["op"] != "retract" {
		t.Errorf("a retraction is %v, %v", aps, bodies[3].Veltrix)
	}
}

// TestProviderToken checks how long a token is used, and what renews it.
func TestProviderToken(t *testing.T) {
	t.Parallel()
	var old atomic.Bool
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		if old.Load() {
			channeltest.APNsReason(403, "ExpiredProviderToken")(rw, r)
		}
	})
	last := ""
	step := func(what string, pass time.Duration, renewed bool, want delivery.Verdict, alarm bool) {
		t.Helper()
		w.pass(pass)
		before := len(w.Pushes())
		res := channeltest.Attempt(t, w.subject(), deliverytest.Note("alice", 1))
		if res.Verdict != want || res.Alarm != alarm || len(w.Pushes()) != before+1 {
			t.Fatalf("%s: %+v in %d requests; want verdict %d, alarm %v, 1 request", what, res, len(w.Pushes())-before, want, alarm)
		}
		token := w.Pushes()[before].Bearer
		if (token != last) != renewed {
			t.Fatalf("%s: a new token: %v, want %v", what, token != last, renewed)
		}
		last = token
	}
	step("the first", 0, true, delivery.Accepted, false)
	step("soon after", 39*time.Minute, false, delivery.Accepted, false)
	step("after 40 minutes", 2*time.Minute, true, delivery.Accepted, false)
	old.Store(true)
	step("young, and called expired: the clocks differ", time.Minute, false, delivery.Failed, true)
	step("called expired", 24*time.Minute, false, delivery.Failed, false)
	step("renewed at the next attempt", 0, true, delivery.Failed, true)
	old.Store(false)
	step("the clock was put back", -time.Hour, true, delivery.Accepted, false)
}

// TestDevice checks that the device is the one of the moment.
func TestDevice(t *testing.T) {
	t.Parallel()
	var w *world
	w = newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		w.put(newToken, w.registered) // while APNs answers for the old token
		channeltest.APNsReason(410, "Unregistered", time.Now())(rw, r)
	})
	if res := channeltest.Attempt(t, w.subject(), deliverytest.Note("alice", 1)); res.Verdict != delivery.Failed || res.Pruned {
		t.Errorf("a token that was renewed meanwhile: %+v", res)
	}
	w.answer = func(rw http.ResponseWriter, r *http.Request) {
		w.put(newToken, time.Now()) // the same token, registered again
		channeltest.APNsReason(410, "Unregistered", time.Now())(rw, r)
	}
	if res := channeltest.Attempt(t, w.subject(), deliverytest.Note("alice", 1)); res.Verdict != delivery.Failed || res.Pruned {
		t.Errorf("a token that was registered again meanwhile: %+v", res)
	}
	if got := w.Pushes()[1].Path; got != "/3/device/"+newToken {
		t.Errorf("the second push went to %s", got)
	}
	for _, token := range []string{"", "../../x", "zz", "0a/../1b"} {
		w.put(token, w.registered)
		if res := channeltest.Attempt(t, w.subject(), deliverytest.Note("alice", 1)); res.Verdict != delivery.Refused || res.Pruned {
			t.Errorf("the token %q: %+v", token, res)
		}
	}
	if err := w.devices.Delete(t.Context(), "alice", "phone"); err != nil {
		t.Fatal(err)
	}
	if res := channeltest.Attempt(t, w.subject(), deliverytest.Note("alice", 1)); res.Verdict != delivery.Refused || res.Reason != "the device is gone" {
		t.Errorf("no device: %+v", res)
	}
	if len(w.Pushes()) != 2 {
		t.Errorf("%d pushes, want 2", len(w.Pushes()))
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, channeltest.Status(200))
	whole := apns.Config{Key: w.Key, KeyID: "KEY1234567", Team: "TEAM123456", Topic: "com.example.hunt", Environment: "production"}
	if _, err := apns.New(whole, w.devices); err != nil {
		t.Fatal(err)
	}
	for key, spoil := range map[string]func(*apns.Config){
		"key_file":    func(c *apns.Config) { c.Key = "secret" },
		"key_id":      func(c *apns.Config) { c.KeyID = "" },
		"team_id":     func(c *apns.Config) { c.Team = "" },
		"topic":       func(c *apns.Config) { c.Topic = "" },
		"environment": func(c *apns.Config) { c.Environment = "development" },
	} {
		c := whole
		spoil(&c)
		if _, err := apns.New(c, w.devices); err == nil || !strings.Contains(err.Error(), "notifier.apns."+key) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", key, err)
		}
	}
}
