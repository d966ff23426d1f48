package wire_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func cause() *participant.Event {
	return &participant.Event{
		ID: "e-1", Source: "/phone/7", Type: "clue.found", Participant: "ada", TraceParent: trace,
		Arrival: participant.Arrival{Partition: 3, Offset: 41, Time: 1_700_000_000_123_000},
	}
}

func clueTemplate() *participant.Template {
	return &participant.Template{Rule: "clue-found", Name: "next", Class: &participant.Class{
		Name: "clue", Channels: []string{"inbox", "webhook"}, ExpiresMs: 7_200_000, HoldMs: 3000, ResendUnknown: true,
	}}
}

func clueNotice() *participant.Notification {
	return &participant.Notification{
		ID: participant.Identity{Hi: 0x0123456789abcdef, Lo: 0xfe}, Op: participant.Update, Revision: 2, Participant: "ada",
		Title: "Clue \"anchor\" found\n", Body: "50 points — go on \x01\\ \U0001f680", EventType: "clue.found", EventTime: 1_699_999_999_000_001,
	}
}

func show(key, value []byte, headers []wire.Header) string {
	var b strings.Builder
	fmt.Fprintf(&b, "key %q\n", key)
	for _, x := range headers {
		fmt.Fprintf(&b, "%s: %s\n", x.Key, x.Value)
	}
	return b.String() + string(value) + "\n\n"
}

// TestOutputs writes down one record of every kind.
func TestOutputs(t *testing.T) {
	var b strings.Builder
	b.WriteString("# notification\n" + show(wire.Notification("harbour", cause(), clueNotice(), clueTemplate())))
	plain := &participant.Template{Rule: "r", Name: "n", Class: &participant.Class{Name: "c"}}
	b.WriteString("# notification, with little known\n" + show(wire.Notification("harbour", &participant.Event{Participant: "ada"},
		&participant.Notification{Op: participant.Retract, Revision: 3, Participant: "ada", EventTime: math.MinInt64}, plain)))
	end := clueTemplate()
	end.Class.Critical = true
	b.WriteString("# notification of a critical class\n" + show(wire.Notification("harbour", cause(), clueNotice(), end)))
	rej := &participant.Rejection{Fate: participant.Late, Reason: "its time is not after the floor"}
	b.WriteString("# rejected\n" + show(wire.Rejected("harbour", binary(`{"a":1}`, "odd", "\xff\xfe"), cause(), rej)))
	b.WriteString("# rejected, nothing of it known\n" + show(wire.Rejected("harbour", &wire.Record{Offset: 9, Key: []byte("\xff")}, &participant.Event{},
		&participant.Rejection{Fate: participant.Malformed, Reason: "no"})))
	x := wire.Receipt{
		Notification: "00ff", Revision: 2, Participant: "ada", Channel: "webhook", Target: "https://example.org/hook",
		Outcome: "sent", Attempt: 1, At: time.UnixMicro(1_700_000_000_000_001).UTC(), TraceParent: trace,
	}
	b.WriteString("# receipt\n" + show(x.Encode("harbour")))
	ce := wire.CloudEvent{
		ID: "e-1", Source: "/phone/7", Type: "clue.found", Participant: "ada", Time: time.UnixMicro(1_700_000_000_000_001), Stamped: true,
		Sequence: "8", TraceParent: trace, Data: []byte(`{"a": 1}`), Extensions: []wire.Extension{{Name: "subject", Value: "x"}},
	}
	b.WriteString("# event\n" + show(wire.EventRecord(&ce)))
	golden(t, "outputs.txt", b.String())
}

func TestNotificationIsReadBack(t *testing.T) {
	key, value, headers := wire.Notification("harbour", cause(), clueNotice(), clueTemplate())
	n, err := wire.DecodeNotification(&wire.Record{Key: key, Value: value, Headers: headers})
	if err != nil {
		t.Fatal(err)
	}
	want := clueNotice()
	if n.Title != want.Title || n.Body != want.Body || n.Revision != 2 || n.Op != "update" || n.ID != "0123456789abcdef00000000000000fe" ||
		n.Participant != "ada" || n.Class != "clue" || n.HoldMs != 3000 || n.OnUnknown != "resend" || n.Hunt != "harbour" || n.TraceParent != trace ||
		n.Cause != (wire.Cause{ID: "e-1", Source: "/phone/7", Partition: 3, Offset: 41}) ||
		n.Expires.Sub(n.Time) != 2*time.Hour || n.Time.UnixMicro() != 1_700_000_000_123_000 || n.EventTime.UnixMicro() != want.EventTime {
		t.Errorf("%+v", n)
	}
	for name, r := range map[string]*wire.Record{
		"another key":       {Key: []byte("grace"), Value: value, Headers: headers},
		"another type":      {Key: key, Value: value, Headers: append(h("ce_type", "x"), h("ce_type", "veltrix.rejected.v1")...)},
		"no JSON":           {Key: key, Value: value[:50], Headers: headers},
		"no operation":      {Key: key, Value: bytes.Replace(value, []byte("update"), []byte("upward"), 1), Headers: headers},
		"another ID":        {Key: key, Value: bytes.Replace(value, []byte("0123"), []byte("xyz0"), 1), Headers: headers},
		"no revision":       {Key: key, Value: bytes.Replace(value, []byte(`n":2`), []byte(`n":0`), 1), Headers: headers},
		"no cause":          {Key: key, Value: value, Headers: headers[:len(headers)-3]},
		"a time of its own": {Key: key, Value: value, Headers: append(append([]wire.Header(nil), headers...), h("ce_time", "now")...)},
	} {
		if _, err := wire.DecodeNotification(r); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestRejectedIsReadBack(t *testing.T) {
	r := binary("{\x00\xff", "odd", "\xff\xfe")
	r.Key = []byte("\xc3")
	rej := &participant.Rejection{Fate: participant.Malformed, Reason: "its data is not UTF-8 text"}
	key, value, headers := wire.Rejected("harbour", r, &participant.Event{ID: "e-1"}, rej)
	x, err := wire.DecodeRejected(&wire.Record{Key: key, Value: value, Headers: headers})
	if err != nil {
		t.Fatal(err)
	}
	last := x.Headers[len(x.Headers)-1]
	if x.Reason != "malformed" || x.Sentence != rej.Reason || x.Partition != 3 || x.Offset != 41 || !bytes.Equal(x.Original, r.Value) ||
		!bytes.Equal(x.Key, r.Key) || !bytes.Equal(x.RecordKey, r.Key) || last.Key != "odd" || string(last.Base64) != "\xff\xfe" ||
		len(x.Headers) != len(r.Headers) || x.Cause.ID != "e-1" || x.Cause.Offset != 41 || x.Participant != "" {
		t.Errorf("%+v", x)
	}
}

// TestRejectionFitsABroker gives the worst records that a broker takes: their
// rejections must stay below its limit.
func TestRejectionFitsABroker(t *testing.T) {
	const brokerMax = 1 << 20
	for name, r := range map[string]*wire.Record{
		"key":                {Key: bytes.Repeat([]byte{1}, 1_000_000)},
		"value":              {Value: bytes.Repeat([]byte{1}, 1_000_000)},
		"header":             {Headers: []wire.Header{{Key: strings.Repeat("\x01", 500_000), Value: bytes.Repeat([]byte{1}, 500_000)}}},
		"headers":            {Headers: make([]wire.Header, 150_000)},
		"all just fitting":   {Key: bytes.Repeat([]byte{1}, 4096), Value: bytes.Repeat([]byte{1}, 400<<10), Headers: []wire.Header{{Key: "", Value: bytes.Repeat([]byte{1}, 65_000)}}},
		"value and header":   {Value: bytes.Repeat([]byte{1}, 700_000), Headers: []wire.Header{{Key: "", Value: bytes.Repeat([]byte{1}, 65_000)}}},
		"most JSON a header": {Key: bytes.Repeat([]byte{1}, 4096), Value: bytes.Repeat([]byte{1}, 400<<10), Headers: make([]wire.Header, 2047)},
	} {
		var e participant.Event
		rej := wire.DecodeEvent(r, contract, &e)
		key, value, headers := wire.Rejected("harbour", r, &e, rej)
		total := len(key) + len(value)
		for _, x := range headers {
			total += len(x.Key) + len(x.Value)
		}
		if total > brokerMax-(16<<10) {
			t.Errorf("%s: the rejection has %d bytes", name, total)
		}
		if !json.Valid(value) {
			t.Errorf("%s: not JSON", name)
		}
		if _, err := wire.DecodeRejected(&wire.Record{Key: key, Value: value, Headers: headers}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReceiptIsReadBack(t *testing.T) {
	x := wire.Receipt{Notification: "00", Revision: 1, Participant: "ada", Channel: "inbox", Outcome: "accepted", At: time.UnixMilli(1).UTC(), TraceParent: trace}
	key, value, headers := x.Encode("harbour")
	y, err := wire.DecodeReceipt(&wire.Record{Key: key, Value: value, Headers: headers})
	if err != nil || *y != x || string(key) != "ada" {
		t.Errorf("%+v %v", y, err)
	}
	if _, err := wire.DecodeReceipt(&wire.Record{Value: []byte("{}")}); err == nil {
		t.Error("an empty receipt was read")
	}
}

// TestEventIsReadBack holds the two sides of the gateway together: what is
// parsed, written and decoded is the event that was sent.
func TestEventIsReadBack(t *testing.T) {
	envelope := strings.Replace(goodEnvelope, "{", `{"subject":"s","big":12,"flag":true,"sequence":7,"traceparent":"`+trace+`",`, 1)
	var ce wire.CloudEvent
	if p := wire.ParseCloudEvent([]byte(envelope), &ce); p != nil {
		t.Fatal(p)
	}
	key, value, headers := wire.EventRecord(&ce)
	direct := decode(t, structured(envelope))
	direct.Arrival = participant.Arrival{}
	through := decode(t, &wire.Record{Key: key, Value: value, Headers: headers})
	if x, y := fmt.Sprintf("%+v", direct), fmt.Sprintf("%+v", through); x != y {
		t.Errorf("direct:          %s\nthrough gateway: %s", x, y)
	}
	if len(ce.Extensions) != 3 || ce.Extensions[1] != (wire.Extension{Name: "big", Value: "12"}) {
		t.Errorf("%+v", ce.Extensions)
	}
}

func TestParseCloudEventRefuses(t *testing.T) {
	for change, want := range map[[2]string]string{
		{`"specversion":"1.0",`, ""}:                             "specversion",
		{`"id":"e-1",`, ""}:                                      "id",
		{`"partitionkey":"ada",`, ""}:                            "partitionkey",
		{`"id"`, `"subject":{},"id"`}:                            "subject",
		{`"id"`, `"subject":1.5,"id"`}:                           "subject",
		{`"id"`, `"Subject":"x","id"`}:                           "Subject",
		{`"id"`, `"a_b":"x","id"`}:                               "a_b",
		{`"id"`, `"x":1,"x":1,"id"`}:                             "x",
		{`"id"`, `"x":"` + strings.Repeat("y", 1025) + `","id"`}: "x",
		{`2026-05-01T12:00:00.25Z`, "12:00"}:                     "time",
		{`"id"`, `"datacontenttype":"text/xml","id"`}:            "datacontenttype",
		{`"1.0"`, `"2.0"`}:                                       "specversion",
	} {
		var ce wire.CloudEvent
		p := wire.ParseCloudEvent([]byte(strings.Replace(goodEnvelope, change[0], change[1], 1)), &ce)
		if p == nil || p.Field != want {
			t.Errorf("%v: %+v, want a complaint about %s", change, p, want)
		}
	}
}

// TestPartitionFor compares with the Java client's published vectors, and with
// the partitioner of the Go client.
func TestPartitionFor(t *testing.T) {
	for key, want := range map[string]int32{ // Utils.murmur2, from Kafka's UtilsTest
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107,
	} {
		const many = math.MaxInt32
		if got := wire.PartitionFor([]byte(key), many); got != (want&0x7fffffff)%many {
			t.Errorf("%s: got %d", key, got)
		}
	}
	client := kgo.StickyKeyPartitioner(nil).ForTopic("x")
	for i := range 2000 {
		key := []byte(strings.Repeat(fmt.Sprint(i, "-player"), 4)[:i%23+1])
		for _, n := range []int{1, 3, 8, 64} {
			if got, want := wire.PartitionFor(key, int32(n)), client.Partition(&kgo.Record{Key: key}, n); int(got) != want {
				t.Fatalf("key %q of %d partitions: %d, the client says %d", key, n, got, want)
			}
		}
	}
}

func BenchmarkNotification(b *testing.B) {
	e, n, t := cause(), clueNotice(), clueTemplate()
	b.ReportAllocs()
	for b.Loop() {
		wire.Notification("harbour", e, n, t)
	}
}

func BenchmarkRejected(b *testing.B) {
	r, e := binary(goodData), cause()
	rej := &participant.Rejection{Fate: participant.Duplicate, Reason: "this event was already accepted"}
	b.ReportAllocs()
	for b.Loop() {
		wire.Rejected("harbour", r, e, rej)
	}
}
