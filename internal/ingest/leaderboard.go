package ingest

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/veltrix/veltrix/internal/participant"
)

// Place is a participant's place on a leaderboard.
type Place struct {
	Participant string
	Number      int64 // of the slot; of a time µs since the Unix epoch
}

// BoardPart is what one partition knows of a place on a leaderboard.
type BoardPart struct {
	All    int64 // participants on it
	Before int64 // those before the place
	Better int64 // those of them with another number than the place's
	// Up are those right before the place, and Down those from it on, both in
	// the leaderboard's order.
	Up, Down []Place
}

// Standing is a participant on a leaderboard. Equal numbers share a rank, and
// the next one counts them all.
type Standing struct {
	Rank int64
	Place
}

// BoardView is a piece of a leaderboard.
type BoardView struct {
	All     int64 // participants on it
	Entries []Standing
}

// BoardReader reads leaderboards.
type BoardReader interface {
	// Part returns what each partition knows of the place at: up to near
	// participants before it, and one more from it on. Nil is the first place.
	Part(ctx context.Context, leaderboard int, at *Place, near int) ([]BoardPart, error)
	// Number returns where a participant stands; nil: not on it.
	Number(ctx context.Context, leaderboard int, participant string) (*Place, error)
}

// Top merges the first n places of all partitions.
func Top(ctx context.Context, r BoardReader, board *participant.Leaderboard, leaderboard, n int) (*BoardView, error) {
	parts, err := r.Part(ctx, leaderboard, nil, n-1)
	if err != nil {
		return nil, err
	}
	view, _ := merge(parts, board, nil, n-1)
	return view, nil
}

// readings bounds how often a place is looked for that moves meanwhile.
const readings = 5

// Around returns a participant with up to near others on each side, or nil where
// the participant is not on the leaderboard.
func Around(ctx context.Context, r BoardReader, board *participant.Leaderboard, leaderboard int, who string, near int) (*BoardView, error) {
	for reading := 1; ; reading++ {
		at, err := r.Number(ctx, leaderboard, who)
		if err != nil || at == nil {
			return nil, err
		}
		parts, err := r.Part(ctx, leaderboard, at, near)
		if err != nil {
			return nil, err
		}
		view, exact := merge(parts, board, at, near)
		if !slices.ContainsFunc(view.Entries, func(s Standing) bool { return s.Participant == who }) && reading < readings {
			continue // it has moved in between
		}
		if !exact {
			above, err := r.Part(ctx, leaderboard, &view.Entries[0].Place, 0)
			if err != nil {
				return nil, err
			}
			rerank(view.Entries, 1+better(above))
		}
		return view, nil
	}
}

func better(parts []BoardPart) (n int64) {
	for i := range parts {
		n += parts[i].Better
	}
	return n
}

// PartOf is what a partition knows of a place whose leaderboard is at hand as a
// list: the slow way, for tests. It sorts places.
func PartOf(places []Place, board *participant.Leaderboard, at *Place, near int) BoardPart {
	order := orderOf(board)
	slices.SortFunc(places, order)
	p := BoardPart{All: int64(len(places))}
	i := 0
	if at != nil {
		i, _ = slices.BinarySearchFunc(places, *at, order)
	}
	p.Before = int64(i)
	for _, other := range places[:i] {
		if other.Number != at.Number {
			p.Better++
		}
	}
	p.Up, p.Down = slices.Clone(places[max(0, i-near):i]), slices.Clone(places[i:min(len(places), i+near+1)])
	return p
}

// orderOf is a leaderboard's order: the better first, equals by name.
func orderOf(board *participant.Leaderboard) func(a, b Place) int {
	return func(a, b Place) int {
		byNumber := cmp.Compare(a.Number, b.Number)
		if !board.Ascending {
			byNumber = -byNumber
		}
		return cmp.Or(byNumber, strings.Compare(a.Participant, b.Participant))
	}
}

// merge joins the partitions' parts. Exact: the first entry's rank is known.
func merge(parts []BoardPart, board *participant.Leaderboard, at *Place, near int) (view *BoardView, exact bool) {
	view = &BoardView{}
	var before int64
	var up, down []Place
	for i := range parts {
		p := &parts[i]
		view.All += p.All
		before += p.Before
		up, down = append(up, p.Up...), append(down, p.Down...)
	}
	order := orderOf(board)
	slices.SortFunc(up, order)
	slices.SortFunc(down, order)
	up = up[max(0, len(up)-near):]
	down = down[:min(len(down), near+1)]
	first := before - int64(len(up))
	for i, p := range slices.Concat(up, down) {
		view.Entries = append(view.Entries, Standing{first + int64(i) + 1, p})
	}
	if len(view.Entries) == 0 {
		return view, true
	}
	rank := view.Entries[0].Rank
	exact = first == 0
	if at != nil && !exact && view.Entries[0].Number == at.Number {
		rank, exact = 1+better(parts), true
	}
	rerank(view.Entries, rank)
	return view, exact
}

// rerank gives equal numbers one rank: the first entry's is given, and every
// later number begins in the list.
func rerank(entries []Standing, first int64) {
	for i := range entries {
		switch {
		case i == 0:
			entries[0].Rank = first
		case entries[i].Number == entries[i-1].Number:
			entries[i].Rank = entries[i-1].Rank
		}
	}
}
