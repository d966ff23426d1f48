package wire_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// depth returns how deep valid JSON is nested.
func depth(b []byte) int {
	d := json.NewDecoder(strings.NewReader(string(b)))
	now, most := 0, 0
	for {
		t, err := d.Token()
		if err != nil {
			return most
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			now++
			most = max(most, now)
		case json.Delim('}'), json.Delim(']'):
			now--
		}
	}
}

// FuzzJSON compares the scanner with encoding/json: an event of an unknown type
// is accepted exactly where its data is valid JSON, in UTF-8, not too deep; and
// white space makes no difference to its content.
func FuzzJSON(f *testing.F) {
	for _, c := range odd() {
		f.Add(c.r.Value)
	}
	for _, s := range []string{`[1,-0,0.5e+7,"\u00e4\"",{},[]," "]`, `-`, `"\`, `"\u12`, `[}`, `{"a"}`, `[1,]`, "\ufeff1", `1 2`, `tru`, `"a` + "\t"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var e participant.Event
		p := wire.CheckEvent(binary(string(data), "ce_type", "unknown"), nil, &e)
		want := len(data) == 0 || json.Valid(data) && utf8.Valid(data) && depth(data) <= 128
		if len(data) > participant.DefaultEventBytesMax {
			want = false
		}
		if (p == nil) != want {
			t.Fatalf("%q: %v, encoding/json says %v", data, p, want)
		}
		if p != nil {
			return
		}
		var spaced participant.Event
		if q := wire.CheckEvent(binary(" "+string(data)+"\n", "ce_type", "unknown"), nil, &spaced); len(data) > 0 && (q != nil || spaced.Content != e.Content) {
			t.Fatalf("%q: white space changes the content", data)
		}
	})
}

// FuzzFields compares the fields read with what encoding/json reads.
func FuzzFields(f *testing.F) {
	for _, c := range odd() {
		f.Add(c.r.Value)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var e participant.Event
		p := wire.CheckEvent(binary(string(data)), contract, &e)
		if p != nil {
			if p.Reason == "" || !utf8.ValidString(p.Reason) || len(p.Reason) > 2000 {
				t.Fatalf("bad sentence %q", p.Reason)
			}
			if p.Fate != participant.Malformed && len(data) > 0 && !json.Valid(data) && len(data) <= 4096 {
				t.Fatalf("%q is not JSON and %v", data, p)
			}
			return
		}
		var want map[string]any
		d := json.NewDecoder(strings.NewReader(string(data)))
		d.UseNumber()
		if err := d.Decode(&want); err != nil {
			t.Fatalf("%q: accepted, and encoding/json says %v", data, err)
		}
		if got := e.Fields[0].Str; got != want["clue"] {
			t.Fatalf("%q: clue %q, want %q", data, got, want["clue"])
		}
		n, err := want["points"].(json.Number).Int64()
		if err != nil || e.Fields[1].Int != n {
			t.Fatalf("%q: points %d, want %v", data, e.Fields[1].Int, want["points"])
		}
		if v := want["colour"]; v != nil && v != e.Fields[5].Str {
			t.Fatalf("%q: colour %q, want %q", data, e.Fields[5].Str, v)
		}
		if v := want["first"]; v != nil && v != (e.Fields[4].Int == 1) {
			t.Fatalf("%q: first %d, want %v", data, e.Fields[4].Int, v)
		}
	})
}

// FuzzEnvelope reads arbitrary envelopes both ways: nothing panics, what the
// gateway would accept is never malformed behind it, and a rejection is always
// written and read back.
func FuzzEnvelope(f *testing.F) {
	f.Add([]byte(goodEnvelope), []byte("ada"))
	for _, c := range odd() {
		f.Add(c.r.Value, c.r.Key)
	}
	f.Fuzz(func(t *testing.T, value, key []byte) {
		r := structured(string(value))
		r.Key = key
		var e participant.Event
		if p := wire.CheckEvent(r, contract, &e); p != nil {
			k, v, headers := wire.Rejected("hunt", r, &e, &p.Rejection)
			if _, err := wire.DecodeRejected(&wire.Record{Key: k, Value: v, Headers: headers}); err != nil {
				t.Fatal(err)
			}
		}
		var ce wire.CloudEvent
		if wire.ParseCloudEvent(value, &ce) != nil {
			return
		}
		k, v, headers := wire.EventRecord(&ce)
		again := &wire.Record{Key: k, Value: v, Headers: headers, Timestamp: r.Timestamp}
		var through, direct participant.Event
		unread := &wire.Record{Key: k, Value: value, Headers: r.Headers, Timestamp: r.Timestamp}
		// With a contract, fields are read where they stand in the one, and behind the envelope in the other.
		for _, schema := range []*participant.Schema{nil, contract} {
			p, q := wire.CheckEvent(again, schema, &through), wire.CheckEvent(unread, schema, &direct)
			if (p == nil) != (q == nil) || p != nil && p.Fate != q.Fate {
				t.Fatalf("through the gateway: %v; direct: %v", p, q)
			}
			if p == nil && !ce.Time.IsZero() {
				if x, y := fmt.Sprintf("%+v", through), fmt.Sprintf("%+v", direct); x != y {
					t.Fatalf("through the gateway: %s\ndirect: %s", x, y)
				}
			}
		}
	})
}
