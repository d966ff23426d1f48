package participant_test

import (
	"strings"
	"testing"

	"github.com/veltrix/veltrix/internal/participant"
	hunt "github.com/veltrix/veltrix/internal/participant/participanttest"
)

// nextRules are the hunt with its state in another order, one slot more and one
// less, and a bound.
func nextRules(change func(*participant.Schema)) *participant.Schema {
	s := hunt.Schema(hunt.DefaultOrder())
	s.Version, s.Digest = 2, "fedcba9876543210"
	s.Slots = []participant.Slot{
		{Name: "found", Kind: participant.KindSet, Max: 500, Zero: participant.Value{Kind: participant.KindSet}},
		{Name: "level", Kind: participant.KindInt, Zero: participant.Value{Kind: participant.KindInt, Int: 1}},
		{Name: "score", Kind: participant.KindInt, Zero: participant.Value{Kind: participant.KindInt}},
		{Name: "last", Kind: participant.KindString, Max: 64, Zero: participant.Value{Kind: participant.KindString}},
		{Name: "finished", Kind: participant.KindTime},
	}
	if change != nil {
		change(&s)
	}
	return participant.NewSchema(s)
}

func TestMigrationCarriesTheStateAndClosesThePast(t *testing.T) {
	p := newPlayer(t, hunt.DefaultOrder())
	p.apply(hunt.Finding("1", 10*second, "oak", 5), participant.Applied)
	p.apply(hunt.Finding("2", 70*second, "fir", 7), participant.Applied)
	p.apply(hunt.Finding("3", 65*second, "elm", 1), participant.Applied)
	m, err := participant.NewMigration(hunt.New(hunt.DefaultOrder()).Schema(), nextRules(nil))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(m.Kept, " ") + "|" + strings.Join(m.Added, " ") + "|" + strings.Join(m.Dropped, " "); got != "found score last finished|level|visits" {
		t.Errorf("kept|added|dropped: %s", got)
	}
	before := p.h.Clone()
	h, err := m.Apply(p.h)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.h.Tail) != len(before.Tail) || p.h.Floor != before.Floor {
		t.Error("the old history has changed")
	}
	if h.Head[0].Coll.Len() != 3 || h.Head[1].Int != 1 || h.Head[2].Int != 13 || h.Head[3].Str != "fir" || len(h.Tail) != 0 {
		t.Errorf("carried over as %+v", h)
	}
	// The present rules go on where their slots are.
	q := newPlayer(t, hunt.DefaultOrder())
	same, err := participant.NewMigration(q.fold.Program().Schema(), q.fold.Program().Schema())
	if err != nil {
		t.Fatal(err)
	}
	if q.h, err = same.Apply(p.h); err != nil {
		t.Fatal(err)
	}
	q.apply(hunt.Finding("2", 70*second, "fir", 7), participant.Duplicate)
	q.apply(hunt.Finding("3", 65*second, "elm", 1), participant.Duplicate)
	q.apply(hunt.Finding("4", 70*second, "ash", 1), participant.Late)
	q.says("the rules have changed since")
	q.apply(hunt.Finding("5", 70*second+1, "ash", 1), participant.Applied)
	q.score(14)
}

func TestMigrationRefusesWhatDoesNotFit(t *testing.T) {
	old := hunt.New(hunt.DefaultOrder()).Schema()
	_, err := participant.NewMigration(old, nextRules(func(s *participant.Schema) { s.Slots[2].Kind = participant.KindString }))
	if err == nil || !strings.Contains(err.Error(), `"score" is of type int and would be of type string: give it another name`) {
		t.Errorf("another type: %v", err)
	}
	p := newPlayer(t, hunt.DefaultOrder())
	p.apply(hunt.Finding("1", 10*second, "oak", 5), participant.Applied)
	p.apply(hunt.Finding("2", 11*second, "fir", 7), participant.Applied)
	m, err := participant.NewMigration(old, nextRules(func(s *participant.Schema) { s.Slots[0].Max = 1 }))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Apply(p.h); err == nil || !strings.Contains(err.Error(), `"found" holds 2 and the new rules allow 1`) {
		t.Errorf("a tighter bound: %v", err)
	}
	if h, err := m.Apply(participant.NewHistory(old)); err != nil || !h.Fresh() {
		t.Errorf("without events: %+v, %v", h, err)
	}
}
