package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/trail"
)

// status is what a gateway says of an event.
type status struct {
	trail.Entry
	Committed *int64 `json:"committed"`
	InState   *bool  `json:"in_state"`
}

// ask reads what a gateway has there.
func (d *deployment) ask(gateway, path string, into any) {
	d.t.Helper()
	resp, err := http.Get("http://" + gateway + path)
	d.must(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	d.must(err)
	if resp.StatusCode != http.StatusOK {
		d.t.Fatalf("%s: %s: %s", path, resp.Status, body)
	}
	d.must(json.Unmarshal(body, into))
}

// TestStatusOfAnEvent follows the Location of a 202 while the rest of the pipeline
// stands still, and as its parts come up one after the other: at each moment it
// says what has happened and no more.
func TestStatusOfAnEvent(t *testing.T) {
	onEach(t, func(t *testing.T, at place) {
		source, _ := lines(t, "harbour", 1)
		d := deploy(t, at, 3, source)
		gateway := d.gateway()
		const found = `{"specversion":"1.0","id":"%s","source":"/phone","type":"clue.found","time":"2026-05-01T12:00:00Z","partitionkey":"ada","data":{"clue":"anchor","player":"you","distance_m":5,"points":10},"sequence":"%d"}`
		send := func(id string, sequence int) (location string) {
			t.Helper()
			resp, err := http.Post("http://"+gateway+"/v1/events", "application/cloudevents+json", strings.NewReader(fmt.Sprintf(found, id, sequence)))
			d.must(err)
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusAccepted {
				body, _ := io.ReadAll(resp.Body)
				t.Fatalf("%s: %s", resp.Status, body)
			}
			return resp.Header.Get("Location")
		}
		first, again := send("a", 1), send("a", 1)

		var s status
		d.until(func() (bool, string) { // a new broker has no coordinator for a moment
			if d.ask(gateway, first, &s); s.Status != trail.Accepted || len(s.Notifications) != 0 {
				t.Fatalf("with no processor it says %+v", s)
			}
			return s.Committed != nil && *s.Committed == 0, fmt.Sprintf("with no processor it says %+v", s)
		})
		_, stop := d.processor()
		d.processed()
		if d.ask(gateway, first, &s); s.Status != trail.Applied || s.InState == nil || !*s.InState || len(s.Notifications) != 1 || s.Notifications[0].Channels[0].Outcome != trail.Pending {
			t.Fatalf("with a processor and no notifier it says %+v", s)
		}
		var second status
		if d.ask(gateway, again, &second); second.Status != trail.Rejected || second.Reason != "duplicate" || len(second.Notifications) != 0 {
			t.Fatalf("of the copy it says %+v", second)
		}
		d.notifier()
		d.delivered()
		if d.ask(gateway, first, &s); s.Notifications[0].Channels[0].Channel != "inbox" || s.Notifications[0].Channels[0].Outcome != "sent" || s.Notifications[0].Channels[0].At == nil {
			t.Fatalf("with all of it running it says %+v", s)
		}

		// Stalled again, what was done is told, and what was not is not.
		stop()
		third := send("c", 4)
		if d.ask(gateway, third, &s); s.Status != trail.Accepted {
			t.Fatalf("with the processor gone it says %+v", s)
		}
		d.processor()
		d.delivered()
		var all struct {
			Entries []trail.Entry `json:"entries"`
			Older   string        `json:"older"`
		}
		d.ask(gateway, "/v1/participants/ada/events", &all)
		if len(all.Entries) != 3 || all.Older != "" || all.Entries[0].Status != trail.Applied || all.Entries[1].Reason != "duplicate" || all.Entries[2].SequenceBreak != "gap" {
			t.Fatalf("the trail is %+v", all)
		}
		explained, err := app.Trail(t.Context(), d.rt, "ada", trail.Window{}, nil)
		d.must(err)
		if a, b := asJSON(t, explained.Entries), asJSON(t, all.Entries); a != b {
			t.Errorf("the command says\n%s\nand the gateway\n%s", a, b)
		}
	})
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// statuses asks a gateway for each bad record's status, which says what the
// rejected topic does.
func (d *deployment) statuses(bads []bad) {
	d.t.Helper()
	gateway := d.gateway()
	for _, b := range bads {
		var s status
		d.ask(gateway, fmt.Sprintf("/v1/events/%d/%d", b.record.Partition, b.record.Offset), &s)
		switch {
		case b.fate == string(s.Status): // rerouted
		case s.Status != trail.Rejected || s.Reason != b.fate || s.Sentence == "" || !strings.Contains(s.Sentence, b.sentence):
			d.t.Errorf("%s: its status is %s %s (%s), want %s with %q", b.name, s.Status, s.Reason, s.Sentence, b.fate, b.sentence)
		}
	}
}
