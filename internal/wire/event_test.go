package wire_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// contract is the schema that these tests decode by.
var contract = participant.NewSchema(participant.Schema{
	Hunt: "harbour", Version: 1, EventBytesMax: 4096,
	Types: []participant.EventType{
		{Name: "clue.found", Fields: []participant.Field{
			{Name: "clue", Kind: participant.KindString, BytesMax: 16},
			{Name: "points", Kind: participant.KindInt, HasMin: true, HasMax: true, IntMin: 0, IntMax: 1000},
			{Name: "distance_m", Kind: participant.KindDouble, HasMin: true, Min: 0, Optional: true},
			{Name: "at", Kind: participant.KindTime, Optional: true},
			{Name: "first", Kind: participant.KindBool, Optional: true},
			{Name: "colour", Kind: participant.KindString, Enum: []string{"red", "blue"}, Optional: true},
		}},
		{Name: "ping"},
	},
})

func h(pairs ...string) []wire.Header {
	var out []wire.Header
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, wire.Header{Key: pairs[i], Value: []byte(pairs[i+1])})
	}
	return out
}

// binary returns a sound record in binary mode with that data.
func binary(data string, more ...string) *wire.Record {
	return &wire.Record{
		Partition: 3, Offset: 41, Timestamp: 1_700_000_000_000_000, Key: []byte("ada"), Value: []byte(data),
		Headers: append(h("ce_specversion", "1.0", "ce_id", "e-1", "ce_source", "/phone/7", "ce_type", "clue.found",
			"ce_time", "2026-05-01T12:00:00.25Z", "content-type", "application/json"), h(more...)...),
	}
}

// structured returns a record in structured mode.
func structured(envelope string) *wire.Record {
	return &wire.Record{
		Partition: 3, Offset: 41, Timestamp: 1_700_000_000_000_000, Key: []byte("ada"), Value: []byte(envelope),
		Headers: h("content-type", "application/cloudevents+json; charset=UTF-8"),
	}
}

const goodData = `{"clue":"anchor","points":50,"distance_m":12.5,"at":"2026-05-01T11:59:00Z","first":true,"colour":"blue"}`

const goodEnvelope = `{"specversion":"1.0","id":"e-1","source":"/phone/7","type":"clue.found","time":"2026-05-01T12:00:00.25Z","partitionkey":"ada","data":` + goodData + `}`

func decode(t *testing.T, r *wire.Record) participant.Event {
	t.Helper()
	var e participant.Event
	if rej := wire.DecodeEvent(r, contract, &e); rej != nil {
		t.Fatal(rej)
	}
	return e
}

func TestBinaryAndStructuredAreTheSameEvent(t *testing.T) {
	a, b := decode(t, binary(goodData, "ce_partitionkey", "ada")), decode(t, structured(goodEnvelope))
	if x, y := fmt.Sprintf("%+v", a), fmt.Sprintf("%+v", b); x != y {
		t.Fatalf("binary:     %s\nstructured: %s", x, y)
	}
	want := []participant.Value{
		{Kind: participant.KindString, Str: "anchor"},
		{Kind: participant.KindInt, Int: 50},
		{Kind: participant.KindDouble, Int: int64(math.Float64bits(12.5))},
		{Kind: participant.KindTime, Int: 1777636740_000_000},
		{Kind: participant.KindBool, Int: 1},
		{Kind: participant.KindString, Str: "blue"},
	}
	for i := range want {
		if a.Fields[i] != want[i] {
			t.Errorf("field %d is %+v, want %+v", i, a.Fields[i], want[i])
		}
	}
	if a.ID != "e-1" || a.Source != "/phone/7" || a.Type != "clue.found" || a.TypeIndex != 0 || a.Participant != "ada" ||
		a.Time != 1777636800_250_000 || !a.TimeGiven || a.Identity != participant.IdentityOf("/phone/7", "e-1") ||
		a.Arrival != (participant.Arrival{Partition: 3, Offset: 41, Time: 1_700_000_000_000_000}) {
		t.Errorf("got %+v", a)
	}
}

func TestEventOutlivesItsRecord(t *testing.T) {
	for _, r := range []*wire.Record{binary(goodData), structured(goodEnvelope)} {
		e := decode(t, r)
		before := fmt.Sprintf("%+v", e)
		for _, b := range append([][]byte{r.Key, r.Value}, func() (values [][]byte) {
			for _, x := range r.Headers {
				values = append(values, x.Value)
			}
			return
		}()...) {
			for i := range b {
				b[i] = '#'
			}
		}
		if after := fmt.Sprintf("%+v", e); before != after {
			t.Errorf("the event changed with its record:\n%s\n%s", before, after)
		}
	}
}

func TestContent(t *testing.T) {
	base := decode(t, binary(goodData)).Content
	same := []*wire.Record{
		binary(" {\n\t\"clue\": \"anchor\",\r\n" + goodData[len(`{"clue":"anchor",`):] + "\n"),
		structured(goodEnvelope),
		structured(strings.Replace(goodEnvelope, `"points":50`, `"points" : 50`, 1)),
		binary(goodData, "ce_time", "2026-05-01T14:00:00.250+02:00"),
	}
	for i, r := range same {
		if got := decode(t, r).Content; got != base {
			t.Errorf("%d: other content for the same event", i)
		}
	}
	other := []*wire.Record{
		binary(strings.Replace(goodData, "anchor", "anch or", 1)),
		binary(strings.Replace(goodData, "50", "51", 1)),
		binary(goodData, "ce_time", "2026-05-01T12:00:01Z"),
		binary(goodData, "veltrix-time", "gateway"),
		binary(strings.Replace(goodData, "{", `{"more":1,`, 1)),
		binary(goodData, "ce_type", "ping"),
	}
	for i, r := range other {
		if got := decode(t, r).Content; got == base {
			t.Errorf("%d: the same content for another event", i)
		}
	}
	a := decode(t, binary(goodData, "veltrix-time", "gateway"))
	b := decode(t, binary(goodData, "veltrix-time", "gateway", "ce_time", "2026-05-01T12:30:00Z"))
	if a.TimeGiven || a.Time != 1777636800_250_000 || a.Content != b.Content || a.Time == b.Time {
		t.Errorf("a stamped time must order the event and be no part of its content: %+v %+v", a, b)
	}
	none := decode(t, binary(`null`, "ce_type", "ping")).Content
	if got := decode(t, structured(`{"specversion":"1.0","id":"e-1","source":"/phone/7","type":"ping","time":"2026-05-01T12:00:00.25Z"}`)).Content; got != none {
		t.Error("no data and null data differ")
	}
}

func TestDecodeEventReusesMemory(t *testing.T) {
	r := binary(goodData)
	var e participant.Event
	wire.DecodeEvent(r, contract, &e)
	first := &e.Fields[0]
	wire.DecodeEvent(r, contract, &e)
	if &e.Fields[0] != first {
		t.Error("the fields' memory was not reused")
	}
	if n := testing.AllocsPerRun(100, func() { wire.DecodeEvent(r, contract, &e) }); n > 2 {
		t.Errorf("%v allocations an event, want at most 2: its texts, and its fields packed", n)
	}
}

func BenchmarkDecodeEvent(b *testing.B) {
	for name, r := range map[string]*wire.Record{
		"binary": binary(goodData, "ce_partitionkey", "ada"), "structured": structured(goodEnvelope),
	} {
		b.Run(name, func(b *testing.B) {
			var e participant.Event
			b.ReportAllocs()
			b.SetBytes(int64(len(r.Value)))
			for b.Loop() {
				if rej := wire.DecodeEvent(r, contract, &e); rej != nil {
					b.Fatal(rej)
				}
			}
		})
	}
}

// BenchmarkEncodingJSON is what the standard library takes for the data alone,
// without an envelope, bounds or hashes.
func BenchmarkEncodingJSON(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		var data struct {
			Clue     string    `json:"clue"`
			Points   int64     `json:"points"`
			Distance float64   `json:"distance_m"`
			At       time.Time `json:"at"`
			First    bool      `json:"first"`
			Colour   string    `json:"colour"`
		}
		if err := json.Unmarshal([]byte(goodData), &data); err != nil {
			b.Fatal(err)
		}
	}
}
