package participant_test

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/veltrix/veltrix/internal/participant"
	hunt "github.com/veltrix/veltrix/internal/participant/participanttest"
)

func TestCloneIsIndependent(t *testing.T) {
	order := hunt.DefaultOrder()
	order.MaxTail, order.Ring = 6, 3
	history := func() *player {
		p := newPlayer(t, order)
		for i := range 10 {
			p.apply(hunt.Finding(fmt.Sprint("e", i), int64(10+i)*second, fmt.Sprint("c", i%7), 20), participant.Applied)
		}
		return p
	}
	p, want := history(), history().h
	kept := p.h.Clone()
	change := func(h *participant.History) {
		for i := range 30 {
			// Before, between and after what is there, so that every part changes.
			p.fold.Apply(h, hunt.Finding(fmt.Sprint("x", i), int64(13+i)*second+second/2, fmt.Sprint("d", i), 9), &p.out)
		}
	}
	change(p.h)
	if !reflect.DeepEqual(kept, want) {
		t.Fatalf("changing a history changed its clone:\n%+v\n%+v", kept, want)
	}
	q := history()
	clone := q.h.Clone()
	change(clone)
	if !reflect.DeepEqual(q.h, want) {
		t.Fatalf("changing a clone changed the original:\n%+v\n%+v", q.h, want)
	}
	if !reflect.DeepEqual(clone, p.h) || reflect.DeepEqual(clone, want) {
		t.Fatal("a clone and its original must change alike")
	}
}

func TestBytesGrowsWithWhatIsHeld(t *testing.T) {
	p := newPlayer(t, hunt.DefaultOrder())
	last := p.h.Bytes()
	for i := range 100 {
		clue := fmt.Sprintf("a clue with a name of some length %04d", i)
		p.apply(hunt.Finding(fmt.Sprint(i), int64(i)*second, clue, 1), participant.Applied)
		if i%25 != 24 {
			continue
		}
		now := p.h.Bytes()
		if now < last+25*len(clue) {
			t.Fatalf("after %d clues: %d bytes, were %d", i+1, now, last)
		}
		last = now
	}
	// 100 names of 39 bytes, held as keys of a set and of a map by head and base.
	if last < 100*39 || last > 64<<10 {
		t.Fatalf("%d bytes is no estimate of this history", last)
	}
}

func TestValueEqual(t *testing.T) {
	set := func(keys ...string) participant.Value {
		v := participant.Value{Kind: participant.KindSet}
		for _, k := range keys {
			v.Coll = v.Coll.With(k, 0, false)
		}
		return v
	}
	empty := participant.Value{Kind: participant.KindSet, Coll: &participant.Collection{}}
	one := participant.Value{Kind: participant.KindMap, Coll: (*participant.Collection)(nil).With("a", 1, true)}
	two := participant.Value{Kind: participant.KindMap, Coll: (*participant.Collection)(nil).With("a", 2, true)}
	for _, c := range []struct {
		a, b participant.Value
		want bool
	}{
		{set(), empty, true},
		{set("a", "b"), set("b", "a"), true},
		{set("a"), set("b"), false},
		{set("a"), set("a", "b"), false},
		{one, one, true},
		{one, two, false},
		{hunt.Int(0), participant.Value{}, false},
		{hunt.Int(1), hunt.Int(2), false},
		{hunt.Str("a"), hunt.Str("b"), false},
	} {
		if c.a.Equal(&c.b) != c.want || c.b.Equal(&c.a) != c.want {
			t.Errorf("%+v equal %+v: want %v", c.a, c.b, c.want)
		}
	}
}

func TestCollectionsAreReplaced(t *testing.T) {
	var none *participant.Collection
	one := none.With("b", 1, true)
	two := one.With("a", 2, true)
	three := two.With("b", 3, true)
	gone := three.Without("a")
	for _, c := range []struct {
		got  *participant.Collection
		want string
	}{
		{one, "&{[b] [1]}"},
		{two, "&{[a b] [2 1]}"},
		{three, "&{[a b] [2 3]}"},
		{gone, "&{[b] [3]}"},
		{none.Without("x"), "<nil>"},
		{three.Without("x"), "&{[a b] [2 3]}"},
	} {
		if s := fmt.Sprint(c.got); s != c.want {
			t.Errorf("%s, want %s", s, c.want)
		}
	}
	if none.Len() != 0 || two.Len() != 2 {
		t.Error("wrong length")
	}
}
