package hand

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/bench"
)

// plain is an event as the standard library reads it.
type plain struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	Time string `json:"time"`
	Who  string `json:"partitionkey"`
	Data struct {
		Metres int64  `json:"metres"`
		Points int64  `json:"points"`
		Clue   string `json:"clue"`
		Zone   string `json:"zone"`
		Device string `json:"device"`
	} `json:"data"`
}

func (p *plain) event() Event {
	d := &p.Data
	return Event{
		ID: []byte(p.ID), Type: []byte(p.Type), Time: []byte(p.Time), Participant: []byte(p.Who),
		Clue: []byte(d.Clue), Zone: []byte(d.Zone), Device: []byte(d.Device), Metres: d.Metres, Points: d.Points,
	}
}

func same(a, b *Event) bool {
	texts := func(e *Event) [][]byte {
		return [][]byte{e.ID, e.Type, e.Time, e.Participant, e.Clue, e.Zone, e.Device}
	}
	for i, text := range texts(a) {
		if !bytes.Equal(text, texts(b)[i]) {
			return false
		}
	}
	return a.Metres == b.Metres && a.Points == b.Points
}

// scanned fails the test where the scanner reads another event than the library.
func scanned(t *testing.T, value []byte) {
	t.Helper()
	var p plain
	if err := json.Unmarshal(value, &p); err != nil {
		t.Fatal(err)
	}
	var got Event
	if err := got.Scan(value); err != nil {
		t.Fatalf("%v: %s", err, value)
	}
	if want := p.event(); !same(&got, &want) {
		t.Fatalf("%s was read as %+v", value, got)
	}
}

func TestScanReadsTheWorkloads(t *testing.T) {
	for _, name := range bench.Workloads() {
		w, err := bench.NewWorkload(name, 2000, 50, bench.Structured)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Each(4, func(r *kgo.Record) error { scanned(t, r.Value); return nil }); err != nil {
			t.Fatal(err)
		}
	}
}

// FuzzScan: whatever the standard library writes, the scanner reads as it does, with
// members that it does not know, and with blanks. What is no JSON does not panic.
func FuzzScan(f *testing.F) {
	f.Add("1", "clue.found", "c-1", "harbour-1", int64(3), int64(20), `{"a":[1,-2.5e3,null,{"b":"c\""}],"d":true}`)
	f.Add("\x00\"\\\u2028é", "player.walked", "", "\n", int64(-1), int64(9223372036854775807), `[[[]],{}]`)
	f.Add("", "", "日本", "\xff", int64(-9223372036854775807), int64(0), `{"data":{"metres":3},"id":4`)
	f.Fuzz(func(t *testing.T, id, kind, clue, zone string, metres, points int64, more string) {
		_ = new(Event).Scan([]byte(more))
		var unknown any = more
		if json.Valid([]byte(more)) {
			unknown = json.RawMessage(more)
		}
		value, err := json.Marshal(map[string]any{
			"aaa": unknown, "id": id, "type": kind, "time": clue, "partitionkey": zone, "zzz": unknown,
			"data": map[string]any{"aaa": unknown, "metres": metres, "points": points, "clue": clue, "zone": zone, "device": id, "zzz": unknown},
		})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(more, "[")+strings.Count(more, "{") > depthMax || metres == -1<<63 || points == -1<<63 {
			return // refused, which is said
		}
		scanned(t, value)
		var spread bytes.Buffer
		if err := json.Indent(&spread, value, "\t", "  "); err != nil {
			t.Fatal(err)
		}
		scanned(t, spread.Bytes())
	})
}

func TestScanRefuses(t *testing.T) {
	for _, value := range []string{
		"", "[]", "{", `{"id"`, `{"id":`, `{"id":"a`, `{"id":"a\`, `{"id":"a"`, `{"id":"a";}`, `{"id":1}`, `{"id":"\x"}`,
		`{"data":{"metres":"3"}}`, `{"data":{"metres":}}`, `{"data":{"points":99999999999999999999}}`, `{"data":3}`, `{"x":}`, `{"x":[1}`,
		`{"x":` + strings.Repeat("[", depthMax+2) + strings.Repeat("]", depthMax+2) + `}`,
	} {
		if err := new(Event).Scan([]byte(value)); err == nil {
			t.Errorf("%s was read", value)
		}
	}
}
