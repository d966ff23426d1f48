package wire_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/veltrix/veltrix/internal/participant"
	hunt "github.com/veltrix/veltrix/internal/participant/participanttest"
	"github.com/veltrix/veltrix/internal/wire"
)

// wantScores is what the decoded head says.
func wantScores(h *participant.History, s *participant.Schema) []wire.Score {
	out := []wire.Score{{Value: -7}} // what was there stays
	for _, b := range s.Leaderboards {
		v := h.Head[b.Slot]
		out = append(out, wire.Score{Ranked: v.Kind != participant.KindNone, Value: v.Int})
	}
	return out
}

func TestScoresAreTheHeads(t *testing.T) {
	check := func(t interface{ Fatalf(string, ...any) }, h *participant.History, s *participant.Schema) {
		got, err := wire.Scores([]wire.Score{{Value: -7}}, wire.AppendStored(nil, 1<<40, h, s), s)
		if want := wantScores(h, s); err != nil || !slices.Equal(got, want) {
			t.Fatalf("%v\n got %+v\nwant %+v", err, got, want)
		}
	}
	h, s := full(t)
	check(t, h, s)
	rapid.Check(t, func(t *rapid.T) {
		order := hunt.DefaultOrder()
		order.MaxTail = rapid.IntRange(0, 6).Draw(t, "max tail")
		program := hunt.New(order)
		s := program.Schema()
		fold, h := participant.NewFold(program), participant.NewHistory(s)
		var out participant.Outcome
		for i := range rapid.IntRange(1, 20).Draw(t, "events") {
			at := rapid.Int64Range(-100, 100).Draw(t, "at") * second
			fold.Apply(h, hunt.Finding(fmt.Sprint(i), at, rapid.StringN(0, 3, 8).Draw(t, "clue"), rapid.Int64Range(0, 40).Draw(t, "points")), &out)
		}
		check(t, h, s)
	})
}

func TestScoresOfNobodyAreNone(t *testing.T) {
	s := hunt.New(hunt.DefaultOrder()).Schema()
	got, err := wire.Scores(nil, wire.AppendStored(nil, 3, participant.NewHistory(s), s), s)
	if err != nil || !slices.Equal(got, make([]wire.Score, len(s.Leaderboards))) {
		t.Fatalf("%v %+v", err, got)
	}
}

// Whatever is not whole is an error, and never read beyond its end.
func TestScoresRefuseWhatIsCut(t *testing.T) {
	h, s := full(t)
	good := wire.AppendStored(nil, 9, h, s)
	for n := range good {
		if got, err := wire.Scores(nil, good[:n], s); err == nil {
			t.Fatalf("cut to %d of %d bytes, it has the scores %v", n, len(good), got)
		}
	}
	if _, err := wire.Scores(nil, append(slices.Clone(good), 0), s); err == nil {
		t.Fatal("a byte too many is not noticed")
	}
}

func BenchmarkScores(b *testing.B) {
	h, s := full(b)
	value := wire.AppendStored(nil, 9, h, s)
	scores := make([]wire.Score, 0, len(s.Leaderboards))
	b.ReportAllocs()
	for b.Loop() {
		scores, _ = wire.Scores(scores[:0], value, s)
	}
}
