package examples

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// event is what every line must decode to.
type event struct {
	SpecVersion  string         `json:"specversion"`
	ID           string         `json:"id"`
	Source       string         `json:"source"`
	Type         string         `json:"type"`
	Time         time.Time      `json:"time"`
	PartitionKey string         `json:"partitionkey"`
	Sequence     string         `json:"sequence"`
	Data         map[string]any `json:"data"`
}

type opener func(string) ([]byte, io.ReadCloser, int, error)

// linesOf opens an example and returns its lines.
func linesOf(t *testing.T, open opener, name string) []string {
	t.Helper()
	rules, content, count, err := open(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(rules, []byte("\nhunt: ")) {
		t.Errorf("%s has no rules", name)
	}
	all, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	if err := content.Close(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(all), "\n"), "\n")
	if len(lines) != count {
		t.Errorf("%s has %d lines and says %d", name, len(lines), count)
	}
	return lines
}

// asSent holds what Open gives for each example, decoded once for all tests:
// under the race detector that is most of their time.
var asSent = map[string]struct {
	lines  []string
	events []event
}{}

func sentOf(t *testing.T, name string) (lines []string, events []event) {
	t.Helper()
	known, ok := asSent[name]
	if !ok {
		known.lines = linesOf(t, Open, name)
		known.events = decodeLines(t, known.lines)
		asSent[name] = known
	}
	return known.lines, known.events
}

func decodeLines(t *testing.T, lines []string) []event {
	t.Helper()
	events := make([]event, len(lines))
	for i, line := range lines {
		strict := json.NewDecoder(strings.NewReader(line))
		strict.DisallowUnknownFields()
		strict.UseNumber()
		if err := strict.Decode(&events[i]); err != nil {
			t.Fatalf("line %d: %v: %s", i+1, err, line)
		}
		e := &events[i]
		if e.SpecVersion != "1.0" || e.ID == "" || e.Source == "" || e.PartitionKey == "" || e.Time.IsZero() {
			t.Fatalf("line %d lacks an attribute: %s", i+1, line)
		}
	}
	return events
}

// The file that is checked in: January, each event once, by time.
func TestJanuary(t *testing.T) {
	events := decodeLines(t, linesOf(t, Sorted, "flights"))
	ids, participants, kinds := map[string]bool{}, map[string]bool{}, map[string]int{}
	for i, e := range events {
		if i > 0 && e.Time.Before(events[i-1].Time) {
			t.Fatalf("line %d is earlier than the one before", i+1)
		}
		if ids[e.Source+e.ID] {
			t.Fatalf("line %d: %s is there twice", i+1, e.ID)
		}
		ids[e.Source+e.ID], participants[e.PartitionKey] = true, true
		kinds[e.Type]++
	}
	first, last := events[0].Time, events[len(events)-1].Time
	if kinds["flight.departed"] != 26_483 || kinds["flight.arrived"] != 26_468 || kinds["flight.cancelled"] != 366 ||
		len(kinds) != 3 || len(participants) != 3_148 {
		t.Errorf("January has %v and %d participants", kinds, len(participants))
	}
	if first.Format(time.RFC3339) != "2013-01-01T10:17:00Z" || last.Format(time.RFC3339) != "2013-02-01T09:09:00Z" {
		t.Errorf("January is from %s to %s", first, last)
	}
}

// As sent, an example is the same set of events, some twice, out of order for
// some participants, and never further behind than the grace of its rules.
func TestAsSent(t *testing.T) {
	for name, want := range map[string]struct{ repeats, behind int }{
		"flights": {1_066, 1_109},
		"quiz":    {295, 168},
	} {
		grace := time.Duration(compile(t, name).Schema().Order.Grace) * time.Microsecond
		sorted := linesOf(t, Sorted, name)
		sent, events := sentOf(t, name)
		times := map[string]int{}
		for _, line := range sent {
			times[line]++
		}
		for _, line := range sorted {
			if times[line] < 1 || times[line] > 2 {
				t.Fatalf("sent %d times: %s", times[line], line)
			}
		}
		if len(times) != len(sorted) {
			t.Errorf("%s: %d different lines are sent, %d are there", name, len(times), len(sorted))
		}
		newest, behind := map[string]time.Time{}, 0
		seen := map[string]bool{}
		for i, e := range events {
			lag := newest[e.PartitionKey].Sub(e.Time)
			if lag <= 0 {
				newest[e.PartitionKey] = e.Time
			} else if !seen[sent[i]] {
				behind++
			}
			seen[sent[i]] = true
			if lag >= grace {
				t.Errorf("%s: %s is %s behind", name, e.ID, lag)
			}
		}
		if repeats := len(sent) - len(sorted); repeats != want.repeats || behind != want.behind {
			t.Errorf("%s: %d are sent twice, %d out of order", name, repeats, behind)
		}
	}
}

func TestAlwaysTheSame(t *testing.T) {
	for _, name := range Names() {
		first, _ := sentOf(t, name)
		if second := linesOf(t, Open, name); strings.Join(first, "\n") != strings.Join(second, "\n") {
			t.Errorf("a second opening of %s gives something else", name)
		}
	}
}

func TestUnknownExample(t *testing.T) {
	const want = `there is no example "harbor": choose flights, harbour or quiz`
	for _, open := range []opener{Open, Sorted} {
		if _, _, _, err := open("harbor"); err == nil || err.Error() != want {
			t.Errorf("error is %v, want %s", err, want)
		}
	}
}

// What a newcomer is given to try is taken by the rules.
func TestTry(t *testing.T) {
	for _, e := range All() {
		line := fmt.Sprintf(`{"specversion":"1.0","id":"1","source":"/curl","type":"%s","time":"2025-06-14T10:00:00Z","partitionkey":"you","data":%s}`, e.TryType, e.TryData)
		program := compile(t, e.Name)
		r := wire.Record{Key: []byte("you"), Value: []byte(line), Timestamp: arrival, Headers: []wire.Header{{Key: "content-type", Value: []byte("application/cloudevents+json")}}}
		if got := foldAll(t, program, []string{line}, decodeLines(t, []string{line})); got.fates["applied"] != 1 {
			t.Errorf("%s: %v: %s", e.Name, got.fates, line)
		}
		if fault := wire.DecodeEvent(&r, program.Schema(), &participant.Event{}); fault != nil {
			t.Errorf("%s: %v: %s", e.Name, fault, line)
		}
	}
}

func TestDisorderRefuses(t *testing.T) {
	const line = `{"specversion":"1.0","id":"1","time":"2013-01-01T10:17:00Z","data":{}}` + "\n"
	for want, in := range map[string]string{
		"line 2: the file is not sorted":    line + strings.Replace(line, "10:17", "10:16", 1),
		"line 2: the event has no time":     line + "{}\n",
		"line 1: the event's time has no e": `{"time":"2013`,
		"line 1: parsing time":              `{"time":"yesterday"}`,
	} {
		if _, err := Disorder(io.Discard, strings.NewReader(in), 1, FlightReports); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want one with %q", err, want)
		}
	}
}
