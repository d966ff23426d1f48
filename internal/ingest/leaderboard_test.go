package ingest_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/veltrix/veltrix/internal/ingest"
	"github.com/veltrix/veltrix/internal/participant"
)

// board is a leaderboard over partitions, as a plain list of each.
type board struct {
	participant.Leaderboard
	partitions [][]ingest.Place
	calls      int
	onNumber   func(calls int)
}

// compare orders places: the better first, equals by name.
func (b *board) compare(x, y ingest.Place) int {
	byNumber := cmp.Compare(y.Number, x.Number)
	if b.Ascending {
		byNumber = -byNumber
	}
	return cmp.Or(byNumber, strings.Compare(x.Participant, y.Participant))
}

func (b *board) Part(_ context.Context, _ int, at *ingest.Place, near int) ([]ingest.BoardPart, error) {
	var parts []ingest.BoardPart
	for _, places := range b.partitions {
		parts = append(parts, ingest.PartOf(places, &b.Leaderboard, at, near))
	}
	return parts, nil
}

func (b *board) Number(_ context.Context, _ int, who string) (*ingest.Place, error) {
	b.calls++
	if b.onNumber != nil {
		defer b.onNumber(b.calls)
	}
	for _, places := range b.partitions {
		for _, p := range places {
			if p.Participant == who {
				return &p, nil
			}
		}
	}
	return nil, nil
}

// all is the whole leaderboard with ranks, the slow way.
func (b *board) all() []ingest.Standing {
	places := slices.Concat(b.partitions...)
	slices.SortFunc(places, b.compare)
	out := make([]ingest.Standing, len(places))
	for i, p := range places {
		out[i] = ingest.Standing{Rank: 1, Place: p}
		for _, other := range places {
			if other.Number != p.Number && b.compare(other, p) < 0 {
				out[i].Rank++
			}
		}
	}
	return out
}

func drawBoard(t *rapid.T) *board {
	b := &board{partitions: make([][]ingest.Place, rapid.IntRange(1, 4).Draw(t, "partitions"))}
	b.Ascending = rapid.Bool().Draw(t, "ascending")
	for i := range rapid.IntRange(0, 25).Draw(t, "participants") {
		p := rapid.IntRange(0, len(b.partitions)-1).Draw(t, "partition")
		// Few numbers, so that many are equal.
		place := ingest.Place{Participant: fmt.Sprint("p", i), Number: rapid.Int64Range(-2, 2).Draw(t, "number")}
		b.partitions[p] = append(b.partitions[p], place)
	}
	return b
}

func TestTopIsTheSlowWays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawBoard(t)
		n := rapid.IntRange(1, 30).Draw(t, "n")
		got, err := ingest.Top(context.Background(), b, &b.Leaderboard, 0, n)
		want := b.all()
		if err != nil || got.All != int64(len(want)) || !slices.Equal(got.Entries, want[:min(n, len(want))]) {
			t.Fatalf("%v\n got %+v\nwant %+v", err, got, want)
		}
	})
}

func TestAroundIsTheSlowWays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawBoard(t)
		want := b.all()
		if len(want) == 0 {
			return
		}
		at, near := rapid.IntRange(0, len(want)-1).Draw(t, "at"), rapid.IntRange(0, 6).Draw(t, "near")
		got, err := ingest.Around(context.Background(), b, &b.Leaderboard, 0, want[at].Participant, near)
		want = want[max(0, at-near):min(len(want), at+near+1)]
		if err != nil || !slices.Equal(got.Entries, want) {
			t.Fatalf("%v\n got %+v\nwant %+v", err, got, want)
		}
	})
}

// Whoever moves while being looked for is looked for again.
func TestAroundOneThatMoves(t *testing.T) {
	b := &board{partitions: [][]ingest.Place{{{Participant: "ada", Number: 1}, {Participant: "bob", Number: 5}, {Participant: "cleo", Number: 9}}}}
	b.onNumber = func(calls int) {
		if calls == 1 {
			b.partitions[0][slices.IndexFunc(b.partitions[0], func(p ingest.Place) bool { return p.Participant == "ada" })].Number = 20
		}
	}
	got, err := ingest.Around(t.Context(), b, &b.Leaderboard, 0, "ada", 0)
	if want := []ingest.Standing{{Rank: 1, Place: ingest.Place{Participant: "ada", Number: 20}}}; err != nil || !slices.Equal(got.Entries, want) {
		t.Fatalf("%v %+v", err, got)
	}
	if got, err = ingest.Around(t.Context(), b, &b.Leaderboard, 0, "nobody", 3); err != nil || got != nil {
		t.Fatalf("of nobody: %v %+v", err, got)
	}
}
