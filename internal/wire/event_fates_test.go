package wire_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// without returns r without the headers of that key.
func without(r *wire.Record, key string) *wire.Record {
	var kept []wire.Header
	for _, x := range r.Headers {
		if x.Key != key {
			kept = append(kept, x)
		}
	}
	r.Headers = kept
	return r
}

func keyed(r *wire.Record, key string) *wire.Record {
	r.Key = []byte(key)
	return r
}

// oddRecord is one that is not sound, or only just.
type oddRecord struct {
	name string
	r    *wire.Record
}

func odd() []oddRecord { return append(oddEnvelopes(), oddData()...) }

func oddEnvelopes() []oddRecord {
	env := func(old, new string) *wire.Record { return structured(strings.Replace(goodEnvelope, old, new, 1)) }
	return []oddRecord{
		{"no headers at all", &wire.Record{Key: []byte("ada"), Value: []byte(goodData)}},
		{"no id", without(binary(goodData), "ce_id")},
		{"no source", without(binary(goodData), "ce_source")},
		{"no type", without(binary(goodData), "ce_type")},
		{"no specversion", without(binary(goodData), "ce_specversion")},
		{"empty id", binary(goodData, "ce_id", "")},
		{"other specversion", binary(goodData, "ce_specversion", "0.3")},
		{"id too long", binary(goodData, "ce_id", strings.Repeat("x", 1025))},
		{"source not UTF-8", binary(goodData, "ce_source", "/phone/\xff")},
		{"sequence too long", binary(goodData, "ce_sequence", strings.Repeat("1", 1025))},
		{"time is no time", binary(goodData, "ce_time", "yesterday")},
		{"time before year 1", binary(goodData, "ce_time", "0001-01-01T00:00:00+10:00")},
		{"content type", binary(goodData, "content-type", "text/plain")},
		{"content type with suffix", binary(goodData, "content-type", "application/vnd.phone+json; v=1")},
		{"avro envelope", binary(goodData, "content-type", "application/cloudevents+avro")},
		{"batch in a record", binary(goodData, "content-type", "application/cloudevents-batch+json")},
		{"no key", keyed(binary(goodData), "")},
		{"key of 257 bytes", keyed(binary(goodData), strings.Repeat("k", 257))},
		{"key of 256 bytes", keyed(binary(goodData), strings.Repeat("k", 256))},
		{"key not UTF-8", keyed(binary(goodData), "a\xc3")},
		{"foreign key", binary(goodData, "ce_partitionkey", "grace")},
		{"foreign key in an envelope", env(`"ada"`, `"grace"`)},
		{"foreign key and a schema problem", binary(`{}`, "ce_partitionkey", "grace")},
		{"foreign key and malformed data", binary(`{`, "ce_partitionkey", "grace")},
		{"too large", binary(`{"x":"` + strings.Repeat("y", 4096) + `"}`)},
		{"just not too large", binary(goodData + strings.Repeat(" ", 4096-len(goodData)))},
		{"attribute given twice", env("{", `{"id":"e-2",`)},
		{"attribute given twice, once in escapes", env("{", `{"\u0069d":"e-2",`)},
		{"attribute of another type", env(`"e-1"`, "1")},
		{"attribute null", env(`"e-1"`, "null")},
		{"attribute not Unicode", env("e-1", `e\udc00`)},
		{"envelope is no object", structured("[]")},
		{"envelope cut short", structured(goodEnvelope[:60])},
		{"envelope with a tail", structured(goodEnvelope + "{}")},
		{"envelope not UTF-8", env("e-1", "e\xff")},
		{"data as base64", env(`"data":`+goodData, `"data_base64":"eyJjbHVlIjoiYW5jaG9yIiwicG9pbnRzIjo1MH0="`)},
		{"data as base64, not JSON", env(`"data":`+goodData, `"data_base64":"eA=="`)},
		{"data as bad base64", env(`"data":`+goodData, `"data_base64":"?"`)},
		{"data twice", env("{", `{"data_base64":"e30=",`)},
		{"data of another type", env("{", `{"datacontenttype":"text/xml",`)},
		{"traceparent", binary(goodData, "traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")},
		{"traceparent of another shape", binary(goodData, "ce_traceparent", "hello")},
		{"sequence", env("{", `{"sequence":7,`)},
	}
}

func oddData() []oddRecord {
	data := func(old, new string) *wire.Record { return binary(strings.Replace(goodData, old, new, 1)) }
	return []oddRecord{
		{"JSON cut short", binary(goodData[:40])},
		{"JSON with a tail", binary(goodData + "x")},
		{"JSON with single quotes", binary(`{'clue':1}`)},
		{"JSON with a trailing comma", data(`"blue"}`, `"blue",}`)},
		{"JSON with a leading zero", data("50", "050")},
		{"JSON with a control character", data("anchor", "an\x01chor")},
		{"data not UTF-8", data("anchor", "an\xffchor")},
		{"nested too deep", binary(strings.Repeat("[", 129)+strings.Repeat("]", 129), "ce_type", "unknown")},
		{"nested deep", binary(strings.Repeat("[", 128)+strings.Repeat("]", 128), "ce_type", "unknown")},
		{"a schema problem before malformed JSON", binary(`{"points":"many",}`)},
		{"field given twice", data("{", `{"points":1,`)},
		{"field given twice, once in escapes", data("{", `{"p\u006fints":1,`)},
		{"unknown field given twice", data("{", `{"more":1,"more":2,`)},
		{"half a surrogate pair", data("anchor", `\ud83d`)},
		{"surrogate pair", data("anchor", `\ud83d\ude80`)},
		{"no data", structured(`{"specversion":"1.0","id":"e","source":"s","type":"clue.found"}`)},
		{"no value", binary("")},
		{"no value, none needed", binary("", "ce_type", "ping")},
		{"null for data", binary(" null ", "ce_type", "ping")},
		{"data is a list", binary("[1]", "ce_type", "ping")},
		{"data is a string", binary(`"x"`)},
		{"unknown type", binary(`[true]`, "ce_type", "never.heard")},
		{"unknown type, malformed", binary(`[true`, "ce_type", "never.heard")},
		{"missing field", data(`"points":50,`, "")},
		{"null for a required field", data("50", "null")},
		{"null for an optional field", data("12.5", "null")},
		{"int as string", data("50", `"50"`)},
		{"int with a fraction", data("50", "50.0")},
		{"int with an exponent", data("50", "5e1")},
		{"int too large for 64 bits", data("50", "9223372036854775808")},
		{"int of very many digits", data("50", strings.Repeat("9", 200))},
		{"int above its bound", data("50", "1001")},
		{"int below its bound", data("50", "-1")},
		{"int minus zero", data("50", "-0")},
		{"number as string", data("12.5", `"12.5"`)},
		{"number out of range", data("12.5", "1e400")},
		{"number below its bound", data("12.5", "-0.5")},
		{"number in an exponent", data("12.5", "125e-1")},
		{"bool as number", data("true", "1")},
		{"time in a field is no time", data("2026-05-01T11:59:00Z", "noon")},
		{"time in a field without quotes", data(`"2026-05-01T11:59:00Z"`, "1777636740")},
		{"string too long", data("anchor", strings.Repeat("ä", 9))},
		{"string just not too long", data("anchor", strings.Repeat("ä", 8))},
		{"string as object", data(`"anchor"`, `{"a":{"b":[1,2,{}]}}`)},
		{"word not in the list", data("blue", "green")},
		{"empty string", data("anchor", "")},
		{"extra fields", data("{", `{"extra":{"deep":[1,null,true,"\n"]},"other":-1.5e-7,`)},
	}
}

// TestFates writes down what becomes of odd records: fate, field and sentence,
// or the event.
func TestFates(t *testing.T) {
	var b strings.Builder
	for _, c := range odd() {
		var e participant.Event
		p := wire.CheckEvent(c.r, contract, &e)
		fmt.Fprintf(&b, "# %s\n", c.name)
		who := fmt.Sprintf("id=%q source=%q participant=%q", cut(e.ID), e.Source, cut(e.Participant))
		if p != nil {
			fmt.Fprintf(&b, "%s [%s] %s\n  %s\n\n", p.Fate, p.Field, p.Reason, who)
			continue
		}
		fmt.Fprintf(&b, "accepted %s type=%d sequence=%q trace=%q\n  %v\n\n", who, e.TypeIndex, e.Sequence, e.TraceParent, e.Fields)
	}
	golden(t, "fates.txt", b.String())
}

func cut(s string) string {
	if len(s) > 20 {
		return fmt.Sprintf("%s… (%d bytes)", s[:20], len(s))
	}
	return s
}

// TestEarlierEventLeavesNothing decodes every odd record into an event that
// held another one: nothing of that may shine through.
func TestEarlierEventLeavesNothing(t *testing.T) {
	for _, c := range odd() {
		var fresh, used participant.Event
		a := wire.CheckEvent(c.r, contract, &fresh)
		wire.CheckEvent(binary(goodData, "ce_sequence", "9", "traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), contract, &used)
		b := wire.CheckEvent(c.r, contract, &used)
		if (a == nil) != (b == nil) || a != nil && *a != *b {
			t.Errorf("%s: %v, and into a used event %v", c.name, a, b)
		}
		if a != nil {
			fresh.Fields, used.Fields = nil, nil
		}
		if x, y := fmt.Sprintf("%+v", fresh), fmt.Sprintf("%+v", used); x != y {
			t.Errorf("%s:\n%s\n%s", c.name, x, y)
		}
	}
}

func TestRejectedEventKeepsItsIdentity(t *testing.T) {
	for _, r := range []*wire.Record{binary(`{"points":`), structured(strings.Replace(goodEnvelope, "50", "5000", 1)), binary("{" + strings.Repeat(" ", 5000) + "}")} {
		var e participant.Event
		if wire.DecodeEvent(r, contract, &e) == nil {
			t.Fatal("accepted")
		}
		if e.ID != "e-1" || e.Source != "/phone/7" || e.Participant != "ada" {
			t.Errorf("the rejected event says %q %q %q", e.ID, e.Source, e.Participant)
		}
	}
}

func TestNilSchemaDeclaresNothing(t *testing.T) {
	var e participant.Event
	if rej := wire.DecodeEvent(binary(`{"points":"any"}`), nil, &e); rej != nil || e.TypeIndex != -1 {
		t.Error(rej, e.TypeIndex)
	}
}
