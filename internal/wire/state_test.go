package wire_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/veltrix/veltrix/internal/participant"
	hunt "github.com/veltrix/veltrix/internal/participant/participanttest"
	"github.com/veltrix/veltrix/internal/wire"
)

var rewriteState = flag.Bool("rewrite-state", false, "rewrite the golden file of the state's encoding")

const second = int64(1_000_000)

// played returns the history after those events.
func played(t testing.TB, order participant.Order, events ...*participant.Event) (*participant.History, *participant.Schema) {
	t.Helper()
	program := hunt.New(order)
	fold, h := participant.NewFold(program), participant.NewHistory(program.Schema())
	var out participant.Outcome
	for _, e := range events {
		fold.Apply(h, e, &out)
		if out.Fate != participant.Applied {
			t.Fatalf("event %s: %s: %s", e.ID, out.Fate, out.Reason)
		}
	}
	return h, program.Schema()
}

// full is a history with everything in it that an encoding can hold.
func full(t testing.TB) (*participant.History, *participant.Schema) {
	order := hunt.DefaultOrder()
	order.MaxTail = 8
	note := func(id string, at int64, opt participant.Value) *participant.Event {
		return hunt.Event(id, at, hunt.Note, hunt.Str("naïve ⚓"), participant.Value{Kind: participant.KindDouble, Int: -4611686018427387904},
			opt, participant.Value{Kind: participant.KindBool, Int: 1})
	}
	return played(t, order,
		hunt.Finding("1", -5*second, "oak", 45),
		hunt.Finding("2", -4*second, "elm", -3),
		hunt.Event("3", -3*second, -1),
		hunt.Finding("4", 0, "ash", 0),
		hunt.Finding("5", second, "yew", 1),
		hunt.Spending("7", 7*second, 40),
		hunt.Spending("6", 6*second, 20), // 7 fails now, and is retracted
		hunt.Finding("8", 5*second, "oak", 0),
		note("9", 8*second, participant.Value{}),
		note("10", 8*second, participant.Value{Kind: participant.KindTime, Int: 1_735_689_600_000_000}),
		hunt.Finding("11", 9*second, "fir", 90),
	)
}

// same says whether two histories are equal, through the values' own eyes.
func same(a, b *participant.History) bool {
	values := func(a, b []participant.Value) bool {
		return slices.EqualFunc(a, b, func(v, w participant.Value) bool { return v.Equal(&w) })
	}
	return values(a.Base, b.Base) && values(a.Head, b.Head) && a.Floor == b.Floor && a.Newest == b.Newest &&
		slices.Equal(a.Ring, b.Ring) && slices.EqualFunc(a.Tail, b.Tail, func(x, y participant.Entry) bool {
		return x.Stamp == y.Stamp && x.Content == y.Content && x.TypeIndex == y.TypeIndex && x.Failed == y.Failed &&
			x.Fields == y.Fields && slices.Equal(x.Emitted, y.Emitted)
	})
}

func TestStateGolden(t *testing.T) {
	h, s := full(t)
	if h.Floor.Hash == (participant.Identity{}) || len(h.Ring) == 0 || h.Head[hunt.Finished].Kind != participant.KindTime ||
		!slices.ContainsFunc(h.Tail, func(e participant.Entry) bool { return e.Failed }) {
		t.Fatalf("the history does not hold everything: %+v", h)
	}
	got := wire.AppendState(nil, h, s)
	path := filepath.Join("testdata", "state.v1.hex")
	dump := hex.Dump(got)
	if *rewriteState {
		if err := os.WriteFile(path, []byte(dump), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if dump != string(want) {
		t.Fatalf("the encoding changed: states in Redis could not be read any more. "+
			"A new encoding takes a new version.\ngot\n%swant\n%s", dump, want)
	}
	back, err := wire.DecodeState(got, s)
	if err != nil || !same(h, back) {
		t.Fatalf("%v\n got %+v\nwant %+v", err, back, h)
	}
}

func TestStateOfNobody(t *testing.T) {
	h, s := played(t, hunt.DefaultOrder())
	b := wire.AppendState([]byte("x"), h, s)
	if string(b) != "x\x01\x01" {
		t.Fatalf("%q", b)
	}
	back, err := wire.DecodeState(b[1:], s)
	if err != nil || !back.Fresh() || !same(h, back) {
		t.Fatalf("%v %+v", err, back)
	}
}

func TestStateRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		order := hunt.DefaultOrder()
		order.MaxTail = rapid.IntRange(0, 6).Draw(t, "max tail")
		program := hunt.New(order)
		fold, h := participant.NewFold(program), participant.NewHistory(program.Schema())
		var out participant.Outcome
		for i := range rapid.IntRange(0, 20).Draw(t, "events") {
			at := rapid.Int64Range(-100, 100).Draw(t, "at") * second
			e := hunt.Finding(fmt.Sprint(i), at, rapid.StringN(0, 3, 8).Draw(t, "clue"), rapid.Int64Range(0, 40).Draw(t, "points"))
			if rapid.Bool().Draw(t, "spend") {
				e = hunt.Spending(fmt.Sprint(i), at, rapid.Int64Range(-5, 40).Draw(t, "points"))
			}
			fold.Apply(h, e, &out)
		}
		b := wire.AppendState(nil, h, program.Schema())
		back, err := wire.DecodeState(b, program.Schema())
		if err != nil || !same(h, back) {
			t.Fatalf("%v\n got %+v\nwant %+v", err, back, h)
		}
		if again := wire.AppendState(nil, back, program.Schema()); !bytes.Equal(b, again) {
			t.Fatalf("equal histories, other bytes:\n%x\n%x", b, again)
		}
	})
}

// Equal histories give equal bytes, whether or not they share memory.
func TestStateBytesDoNotDependOnSharing(t *testing.T) {
	h, s := full(t)
	want := wire.AppendState(nil, h, s)
	deep := h.Clone()
	for _, values := range [][]participant.Value{deep.Base, deep.Head} {
		for i := range values {
			if c := values[i].Coll; c != nil {
				values[i].Coll = &participant.Collection{Keys: slices.Clone(c.Keys), Ints: slices.Clone(c.Ints)}
			} else if values[i].Kind == participant.KindSet || values[i].Kind == participant.KindMap {
				values[i].Coll = &participant.Collection{}
			}
		}
	}
	if got := wire.AppendState(nil, deep, s); !bytes.Equal(got, want) {
		t.Fatalf("got\n%swant\n%s", hex.Dump(got), hex.Dump(want))
	}
}

func TestStateRefusesDamage(t *testing.T) {
	h, s := full(t)
	good := wire.AppendState(nil, h, s)
	for n := range good {
		if _, err := wire.DecodeState(good[:n], s); err == nil {
			t.Fatalf("cut to %d of %d bytes, it decodes", n, len(good))
		}
	}
	if _, err := wire.DecodeState(append(slices.Clone(good), 0), s); err == nil || !strings.Contains(err.Error(), "1 bytes too many") {
		t.Fatalf("with a byte too many: %v", err)
	}
	// A changed byte may give another valid state, but never one whose own
	// bytes differ from what was read.
	for i := range good {
		for _, flip := range []byte{1, 0x80, 0xff} {
			bad := slices.Clone(good)
			bad[i] ^= flip
			if back, err := wire.DecodeState(bad, s); err == nil && !bytes.Equal(bad, wire.AppendState(nil, back, s)) {
				t.Fatalf("byte %d changed by %#x: a second encoding of one state", i, flip)
			}
		}
	}
}

func TestStateSaysWhatIsWrong(t *testing.T) {
	h, s := full(t)
	good := wire.AppendState(nil, h, s)
	other := hunt.Schema(hunt.DefaultOrder())
	other.Slots = other.Slots[:4]
	fewer := participant.NewSchema(other)
	other = hunt.Schema(hunt.DefaultOrder())
	other.Slots[hunt.Score].Kind = participant.KindString
	changed := participant.NewSchema(other)
	for _, c := range []struct {
		b    []byte
		s    *participant.Schema
		want string
	}{
		{append([]byte{2}, good[1:]...), s, "has version 2; this binary reads version 1"},
		{append([]byte{1, 0x82}, good[2:]...), s, "unknown flags"},
		{nil, s, "byte 0 of 0: is cut short"},
		{good, fewer, "has 5 slots; the rules declare 4"},
		{good, changed, "has a value of kind 1 for score; the rules declare string"},
		{[]byte{1, 0, 0x80, 0x00}, s, "malformed number"},
		// A count of 2^32 members in a state of 20 bytes: no memory is taken for it.
		{[]byte{1, 0, 0, 0, 5, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x0f}, s, "is cut short"},
	} {
		if _, err := wire.DecodeState(c.b, c.s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
}

// Histories that no fold makes are refused, lest one that was damaged and still
// reads be folded on.
func TestStateRefusesWhatNoFoldMakes(t *testing.T) {
	emitting := func(h *participant.History) *participant.Entry {
		for i := range h.Tail {
			if len(h.Tail[i].Emitted) > 1 {
				return &h.Tail[i]
			}
		}
		t.Fatal("no event of the tail emitted two notifications")
		return nil
	}
	for want, spoil := range map[string]func(h *participant.History){
		"tail out of order":       func(h *participant.History) { h.Tail[1].Stamp = h.Tail[0].Stamp },
		"tail out of order ":      func(h *participant.History) { h.Tail[0].Stamp = h.Floor },
		"time out of range":       func(h *participant.History) { h.Tail[2].Stamp.Time = h.Tail[1].Stamp.Time - 1 },
		"keys out of order":       func(h *participant.History) { slices.Reverse(h.Base[hunt.Found].Coll.Keys) },
		"emissions out of order":  func(h *participant.History) { e := emitting(h); e.Emitted[1].Key = e.Emitted[0].Key },
		"emissions out of order ": func(h *participant.History) { slices.Reverse(emitting(h).Emitted) },
		"revision out of range":   func(h *participant.History) { emitting(h).Emitted[0].Revision = 0 },
		"event type":              func(h *participant.History) { h.Tail[0].TypeIndex, h.Tail[0].Fields = 99, "" },
	} {
		h, s := full(t)
		spoil(h)
		wide := *s
		wide.Types = append(slices.Clone(s.Types), make([]participant.EventType, 100)...)
		b := wire.AppendState(nil, h, &wide)
		if _, err := wire.DecodeState(b, s); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(want)) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	h, s := full(t)
	b := wire.AppendState(nil, h, s)
	at := bytes.LastIndex(b, []byte("\x03\x03fir")) // the head's last clue
	repeated := append(slices.Clone(b[:at]), "\x03\x03elm"...)
	repeated = append(repeated, b[at+5:]...)
	if _, err := wire.DecodeState(repeated, s); err == nil || !strings.Contains(err.Error(), "repeats the base's last") {
		t.Errorf("error %v, want the repetition of the base", err)
	}
	h.Floor.Hash = participant.Identity{}
	b = wire.AppendState(nil, h, s)
	empty := slices.Concat([]byte{1, 2}, b[2:10], make([]byte, 16), b[10:])
	if _, err := wire.DecodeState(empty, s); err == nil || !strings.Contains(err.Error(), "empty floor hash") {
		t.Errorf("error %v, want the empty floor hash", err)
	}
}

func FuzzDecodeState(f *testing.F) {
	h, s := full(f)
	f.Add(wire.AppendState(nil, h, s))
	f.Add(wire.AppendState(nil, participant.NewHistory(s), s))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := wire.DecodeState(b, s)
		if err != nil {
			return
		}
		if again := wire.AppendState(nil, h, s); !bytes.Equal(b, again) {
			t.Fatalf("a second encoding of one state:\n%x\n%x", b, again)
		}
		h.Clone()
		h.Bytes()
		if _, err := json.Marshal(wire.StateJSON(h.Head, s)); err != nil {
			t.Fatal(err)
		}
	})
}

func TestStateJSON(t *testing.T) {
	h, s := full(t)
	got, err := json.Marshal(wire.StateJSON(h.Head, s))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"finished":"1970-01-01T00:00:09Z","found":["ash","elm","fir","oak","yew"],"last":"fir","score":113,` +
		`"visits":{"ash":1,"elm":1,"fir":1,"oak":2,"yew":1}}`
	if string(got) != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
	got, _ = json.Marshal(wire.StateJSON(s.Initial(), s))
	if want := `{"finished":null,"found":[],"last":"","score":0,"visits":{}}`; string(got) != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
}

func TestFloorJSON(t *testing.T) {
	h, s := full(t)
	if got := wire.FloorJSON(h); got != "1969-12-31T23:59:57Z" {
		t.Fatalf("floor %v", got)
	}
	if got := wire.FloorJSON(participant.NewHistory(s)); got != nil {
		t.Fatalf("floor %v of nobody", got)
	}
}

func BenchmarkAppendState(b *testing.B) {
	h, s := full(b)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = wire.AppendState(buf[:0], h, s)
	}
	b.ReportMetric(float64(len(buf)), "bytes")
}

func BenchmarkDecodeState(b *testing.B) {
	h, s := full(b)
	buf := wire.AppendState(nil, h, s)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.DecodeState(buf, s); err != nil {
			b.Fatal(err)
		}
	}
}

// What is stored begins with the offset after the participant's last event,
// and has one form.
func TestStoredStateHasOneForm(t *testing.T) {
	s := hunt.New(hunt.DefaultOrder()).Schema()
	h := participant.NewHistory(s)
	for _, asOf := range []int64{0, 1, 127, 128, 1 << 40, math.MaxInt64} {
		b := wire.AppendStored(nil, asOf, h, s)
		got, back, err := wire.DecodeStored(b, s)
		if err != nil || got != asOf || !back.Fresh() {
			t.Errorf("as of %d: got %d, %v", asOf, got, err)
		}
	}
	fresh := wire.AppendState(nil, h, s)
	for name, b := range map[string][]byte{
		"empty": nil, "cut": {0x80}, "without a state": {5},
		"not minimal":       append([]byte{0x81, 0x00}, fresh...),
		"beyond any offset": append([]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 1}, fresh...),
	} {
		if _, _, err := wire.DecodeStored(b, s); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
