package fold_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/fold"
	"github.com/veltrix/veltrix/internal/participant"
	hunt "github.com/veltrix/veltrix/internal/participant/participanttest"
	"github.com/veltrix/veltrix/internal/rules"
	"github.com/veltrix/veltrix/internal/wire"
)

// drawRecords draws events by their records, in the order of their times, and
// an order of arrival within the grace in which some come more than once.
func drawRecords(t *rapid.T, grace int64) (sorted, arriving []*wire.Record) {
	type delivery struct {
		at int64
		r  *wire.Record
	}
	var deliveries []delivery
	n := rapid.IntRange(1, 30).Draw(t, "events")
	for i := range n {
		at := rapid.Int64Range(0, 120).Draw(t, "at") * second
		id := fmt.Sprint("id-", i)
		clue := rapid.SampledFrom([]string{"a", "b", "c", "d", "é", "f"}).Draw(t, "clue")
		r := finding(0, id, at, clue, rapid.IntRange(0, 60).Draw(t, "points"))
		if rapid.IntRange(0, 3).Draw(t, "tick") == 0 {
			r = record(0, id, "tick", at, `{}`)
		}
		sorted = append(sorted, r)
		came := at + rapid.Int64Range(0, grace-1).Draw(t, "delay")
		deliveries = append(deliveries, delivery{came, r})
		for range rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "copies") {
			deliveries = append(deliveries, delivery{came + rapid.Int64Range(0, 5*grace).Draw(t, "again"), r})
		}
	}
	slices.SortStableFunc(deliveries, func(a, b delivery) int { return int(min(max(a.at-b.at, -1), 1)) })
	for i, d := range deliveries {
		r := *d.r
		r.Offset, r.Timestamp = int64(i), start+d.at
		arriving = append(arriving, &r)
	}
	slices.SortStableFunc(sorted, func(a, b *wire.Record) int { return int(min(max(a.Timestamp-b.Timestamp, -1), 1)) })
	for i, r := range sorted {
		r.Offset = int64(i)
	}
	return sorted, arriving
}

// outcome is what is left of a run: the state, and what the player is shown.
type outcome struct {
	state   []byte
	shown   map[string]notice
	applied int
}

// play folds records in batches: at every boundary the state is cloned or goes
// through its encoding. A last event, far behind all others, settles them.
func play(t *rapid.T, f *fold.Fold, records []*wire.Record, boundary func() int) outcome {
	o := outcome{shown: map[string]notice{}}
	revisions := map[string]int{}
	s, over := f.New(), f.New()
	var out engine.Outputs
	settle := record(int64(len(records)), "the last", "tick", 3600*second, `{}`)
	for _, r := range append(slices.Clone(records), settle) {
		switch boundary() {
		case 1:
			s, over = f.Clone(s, over), s
		case 2:
			back, err := f.Load(f.Encode(nil, s))
			if err != nil {
				t.Fatal(err)
			}
			s = back
		}
		out.Reset()
		f.Apply(s, r, &out)
		o.applied += int(out.Fates[participant.Applied])
		if bad := 1 - out.Fates[participant.Applied] - out.Fates[participant.Duplicate] - out.Fates[participant.Late]; bad != 0 {
			t.Fatalf("record %d: %s", r.Offset, last(&out))
		}
		show(t, o.shown, revisions, out.List)
	}
	o.state = f.Encode(nil, s)
	return o
}

// TestArrivalBatchesAndEncodingDoNotMatter is the invariant of the core, seen
// from outside: records in, records and bytes out.
func TestArrivalBatchesAndEncodingDoNotMatter(t *testing.T) {
	t.Run("hand-written", func(t *testing.T) { checkArrival(t, newFold(hunt.DefaultOrder())) })
	program, err := rules.Load("rules.yaml", []byte(rulesText))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("rules", func(t *testing.T) { checkArrival(t, fold.New(program, partitions)) })
}

// rulesText is a hunt with the same events, whose notifications depend on their
// order too.
const rulesText = `
hunt: property
version: 1
events:
  find:
    data: {clue: {type: string, max: 64}, points: {type: int, min: 0, max: 100}}
  tick:
    data: {}
state:
  score: {type: int}
  found: {type: set, max: 10}
  visits: {type: map, max: 10}
  latest: {type: string, max: 64}
  rich: {type: bool}
  since: {type: time}
rules:
  - name: first
    on: find
    when: "!(event.data.clue in state.found)"
    set:
      found: add(event.data.clue)
      score: state.score + event.data.points
      latest: event.data.clue
    notify:
      - name: found
        class: clue
        when: size(state.found) != 3
        title: "Clue ${event.data.clue}"
        body: "${state.score} points"
  - name: rich
    on: find
    when: state.score > 100 && !state.rich
    set:
      rich: "true"
      since: event.time
    notify:
      - name: rich
        class: clue
        title: "Rich by ${event.data.clue}"
        body: ""
  - name: visit
    on: find
    set:
      visits: increment(event.data.clue, 1)
  - name: tick
    on: tick
    set:
      score: state.score + size(state.found)
classes:
  clue: {channels: [inbox], expires: 2h, on_unknown: resend, hold: 0s}
`

func checkArrival(t *testing.T, f *fold.Fold) {
	rapid.Check(t, func(t *rapid.T) {
		sorted, arriving := drawRecords(t, f.Schema().Order.Grace)
		want := play(t, f, sorted, func() int { return 0 })
		got := play(t, f, arriving, func() int { return rapid.IntRange(0, 2).Draw(t, "boundary") })
		if want.applied != len(sorted)+1 || got.applied != want.applied {
			t.Fatalf("applied %d and %d of %d", want.applied, got.applied, len(sorted)+1)
		}
		got.state, want.state = withoutOffset(t, f, got.state), withoutOffset(t, f, want.state)
		if !bytes.Equal(got.state, want.state) {
			t.Fatalf("states differ\n got\n%swant\n%s", hex.Dump(got.state), hex.Dump(want.state))
		}
		if !reflect.DeepEqual(got.shown, want.shown) {
			t.Fatalf("notifications differ\n got %v\nwant %v", got.shown, want.shown)
		}
	})
}

// withoutOffset is a stored state without the offset of its last event, the one
// thing that does depend on how events arrived.
func withoutOffset(t *rapid.T, f *fold.Fold, stored []byte) []byte {
	_, h, err := wire.DecodeStored(stored, f.Schema())
	if err != nil {
		t.Fatal(err)
	}
	return wire.AppendState(nil, h, f.Schema())
}

// TestOracleAgreesWithBatches folds the same records record by record and, as
// the engine does, in batches on clones of decoded states, some of them twice, in
// the memory of those before.
func TestOracleAgreesWithBatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		order := hunt.DefaultOrder()
		order.MaxTail = rapid.SampledFrom([]int{2, 5, 256}).Draw(t, "max tail")
		f := newFold(order)
		_, arriving := drawRecords(t, 3*order.Grace)
		oracle := fold.NewOracle(f, home)
		var want []string
		for _, r := range arriving {
			list, err := oracle.Feed(r)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range list {
				want = append(want, fmt.Sprintf("%q", o))
			}
		}
		state, got := f.Encode(nil, f.New()), []string(nil)
		var over engine.State
		for rest := arriving; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "batch")
			var out engine.Outputs
			var next []byte
			for range rapid.IntRange(1, 2).Draw(t, "attempts") {
				out.Reset()
				s, err := f.Load(state)
				if err != nil {
					t.Fatal(err)
				}
				s = f.Clone(s, over)
				over = s
				for _, r := range rest[:n] {
					f.Apply(s, r, &out)
				}
				next = f.Encode(nil, s)
			}
			for _, o := range out.List {
				got = append(got, fmt.Sprintf("%q", o))
			}
			state, rest = next, rest[n:]
		}
		if !slices.Equal(got, want) {
			t.Fatalf("outputs differ\n got %s\nwant %s", got, want)
		}
		for who, b := range oracle.States() {
			if who != hunt.Player || !bytes.Equal(b, state) {
				t.Fatalf("state of %s\n got\n%swant\n%s", who, hex.Dump(state), hex.Dump(b))
			}
		}
	})
}
