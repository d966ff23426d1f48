package veltrixtest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// shown is what the gateway shows there.
func shown(t *testing.T, url string) string {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v %s: %s", url, err, answer.Status, body)
	}
	return string(body)
}

// TestGatewayTellsWhatBecameOfEvents: a sender that follows a 202 to its status,
// to the trail or to a leaderboard finds what it finds in a deployment.
func TestGatewayTellsWhatBecameOfEvents(t *testing.T) {
	v := start(t)
	answer, _, err := send(v, found(v, "oak"))
	if err != nil {
		t.Fatal(err)
	}
	location := answer.Header.Get("Location")
	if said := shown(t, v.URL()+location); !strings.Contains(said, `"status":"applied"`) || !strings.Contains(said, `"in_state":true`) ||
		!strings.Contains(said, `"title":"Clue oak found","channels":[{"channel":"inbox","outcome":"sent"}]`) {
		t.Errorf("the status at %s is %s", location, said)
	}
	again, _, err := send(v, found(v, "oak"))
	if err != nil {
		t.Fatal(err)
	}
	if said := shown(t, v.URL()+again.Header.Get("Location")); !strings.Contains(said, `"status":"rejected","reason":"duplicate"`) {
		t.Errorf("the copy's status is %s", said)
	}
	var trail struct {
		Entries []struct{ Status string }
	}
	if err := json.Unmarshal([]byte(shown(t, v.URL()+"/v1/participants/ada/events")), &trail); err != nil || len(trail.Entries) != 2 {
		t.Errorf("the trail is %+v, %v", trail, err)
	}
	want := `"entries":[{"rank":1,"participant":"ada","score":50}]`
	for _, query := range []string{"top=3", "around=ada"} {
		if said := shown(t, v.URL()+"/v1/leaderboards/score?"+query); !strings.Contains(said, want) {
			t.Errorf("?%s shows %s", query, said)
		}
	}
}
