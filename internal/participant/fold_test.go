package participant_test

import (
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/veltrix/veltrix/internal/participant"
	hunt "github.com/veltrix/veltrix/internal/participant/participanttest"
)

const second = int64(1_000_000)

// player drives one history and keeps what a client would have seen.
type player struct {
	t    testing.TB
	fold *participant.Fold
	h    *participant.History
	out  participant.Outcome
}

func newPlayer(t testing.TB, order participant.Order) *player {
	t.Helper()
	return playerOf(t, hunt.New(order))
}

func playerOf(t testing.TB, p participant.Program) *player {
	t.Helper()
	return &player{t: t, fold: participant.NewFold(p), h: participant.NewHistory(p.Schema())}
}

// apply folds e and requires the fate, and that a refused event left no trace.
func (p *player) apply(e *participant.Event, want participant.Fate) []participant.Notification {
	p.t.Helper()
	before := p.h.Clone()
	p.fold.Apply(p.h, e, &p.out)
	if p.out.Fate != want {
		p.t.Fatalf("event %s: fate %s (%s), want %s", e.ID, p.out.Fate, p.out.Reason, want)
	}
	if want != participant.Applied {
		if !reflect.DeepEqual(before, p.h.Clone()) {
			p.t.Fatalf("event %s: the history changed on %s:\n%+v\n%+v", e.ID, want, before, p.h)
		}
		if len(p.out.Notifications) != 0 {
			p.t.Fatalf("event %s: %d notifications on %s", e.ID, len(p.out.Notifications), want)
		}
		if p.out.Reason == "" || p.out.Rejection().Fate != want {
			p.t.Fatalf("event %s: %s without a reason", e.ID, want)
		}
	} else if p.out.Reason != "" || p.out.Rejection() != nil {
		p.t.Fatalf("event %s: applied with the reason %q", e.ID, p.out.Reason)
	}
	return p.out.Notifications
}

func (p *player) score(want int64) {
	p.t.Helper()
	if got := p.h.Head[hunt.Score].Int; got != want {
		p.t.Fatalf("score %d, want %d", got, want)
	}
}

func (p *player) says(fragment string) {
	p.t.Helper()
	if !strings.Contains(p.out.Reason, fragment) {
		p.t.Fatalf("reason %q does not say %q", p.out.Reason, fragment)
	}
}

func ops(list []participant.Notification) string {
	var b strings.Builder
	for i := range list {
		n := &list[i]
		b.WriteString(n.Op.String() + " " + string('0'+rune(n.Key)) + "." + string('0'+rune(n.Revision)) + " " + n.Body + "; ")
	}
	return b.String()
}

func TestInOrder(t *testing.T) {
	p := newPlayer(t, hunt.DefaultOrder())
	got := p.apply(hunt.Finding("1", 10*second, "oak", 60), participant.Applied)
	if s := ops(got); s != "send 0.1 60 points; send 1.1 ; " {
		t.Fatalf("notifications %q: want found before milestone", s)
	}
	n := got[0]
	if n.Participant != hunt.Player || n.EventType != "find" || n.EventTime != 10*second || n.Title != "Clue oak found" {
		t.Fatalf("notification %+v", n)
	}
	p.apply(hunt.Event("2", 11*second, hunt.Double), participant.Applied)
	p.score(120)
	if p.out.Refolded != 0 {
		t.Fatalf("in order, %d events were folded again", p.out.Refolded)
	}
	if p.h.Base[hunt.Score].Int != 0 || len(p.h.Tail) != 2 {
		t.Fatalf("inside the grace, events entered the base")
	}
	p.apply(hunt.Event("3", 41*second, hunt.Tick), participant.Applied)
	p.score(121)
	if p.h.Base[hunt.Score].Int != 60 || len(p.h.Tail) != 2 || p.h.Floor != (participant.Stamp{Time: 11 * second}) {
		t.Fatalf("base %d, tail %d, floor %+v: want what is older than the grace in the base, and no more",
			p.h.Base[hunt.Score].Int, len(p.h.Tail), p.h.Floor)
	}
}

func TestDuplicateAndConflict(t *testing.T) {
	p := newPlayer(t, hunt.DefaultOrder())
	p.apply(hunt.Finding("1", 10*second, "oak", 5), participant.Applied)
	p.apply(hunt.Finding("1", 10*second, "oak", 5), participant.Duplicate)
	p.apply(hunt.Finding("1", 10*second, "elm", 5), participant.Conflict)
	p.apply(hunt.Finding("1", 12*second, "oak", 5), participant.Conflict) // another time is other content
	p.apply(hunt.Finding("2", 10*second, "oak", 5), participant.Applied)  // another id is another event
	p.score(5)
}

func TestLateAndRing(t *testing.T) {
	order := hunt.DefaultOrder()
	order.Ring = 2
	p := newPlayer(t, order)
	for i, id := range []string{"a", "b", "c"} {
		p.apply(hunt.Event(id, int64(i+1)*second, hunt.Tick), participant.Applied)
	}
	p.apply(hunt.Event("d", 100*second, hunt.Tick), participant.Applied)
	p.apply(hunt.Event("c", 3*second, hunt.Tick), participant.Duplicate)
	p.apply(hunt.Event("b", 2*second, hunt.Tick), participant.Duplicate)
	p.apply(hunt.Event("a", 1*second, hunt.Tick), participant.Late) // the ring holds two
	p.says("is not after the participant's floor 1970-01-01T00:01:10Z: events count while they are at most 30s behind")
	p.apply(hunt.Event("e", 70*second-1, hunt.Tick), participant.Late)
	p.apply(hunt.Event("f", 70*second, hunt.Tick), participant.Applied) // its hash is above the floor's zero
	p.score(5)
}

func TestUntimed(t *testing.T) {
	p := newPlayer(t, hunt.DefaultOrder())
	p.apply(hunt.Untimed("1", 10*second, hunt.Tick), participant.Applied)
	p.apply(hunt.Untimed("1", 15*second, hunt.Tick), participant.Duplicate) // in the tail
	p.apply(hunt.Event("2", 60*second, hunt.Tick), participant.Applied)
	p.apply(hunt.Untimed("1", 61*second, hunt.Tick), participant.Duplicate) // in the ring
	p.score(2)
}

func TestFuture(t *testing.T) {
	p := newPlayer(t, hunt.DefaultOrder())
	e := hunt.Event("1", 100*second, hunt.Tick)
	e.Arrival.Time = 40*second - 1
	p.apply(e, participant.Future)
	p.says("1970-01-01T00:01:40Z is later than its arrival at 1970-01-01T00:00:39.999999Z by more than 1m0s")
	e.Arrival.Time = 40 * second
	p.apply(e, participant.Applied)
	far := hunt.Event("2", math.MaxInt64, hunt.Tick)
	far.Arrival.Time = 41 * second
	p.apply(far, participant.Future)
	p.apply(hunt.Event("3", 101*second, hunt.Tick), participant.Applied)
	p.score(2)
}

func TestTimesAtTheEndsDoNotWrap(t *testing.T) {
	p := newPlayer(t, hunt.DefaultOrder())
	p.apply(hunt.Event("1", math.MinInt64+1, hunt.Tick), participant.Applied)
	if p.h.Floor.Time != math.MinInt64 {
		t.Fatalf("floor %d", p.h.Floor.Time)
	}
	p.apply(hunt.Event("2", math.MaxInt64, hunt.Tick), participant.Applied)
	p.apply(hunt.Event("1", math.MinInt64+1, hunt.Tick), participant.Duplicate)
	p.score(2)
}

func TestUnknownType(t *testing.T) {
	p := newPlayer(t, hunt.DefaultOrder())
	p.apply(hunt.Event("1", 10*second, -1), participant.Applied)
	p.apply(hunt.Event("1", 10*second, -1), participant.Duplicate)
	p.apply(hunt.Event("0", 9*second, hunt.Tick), participant.Applied) // refolds over it
	p.score(1)

	s := hunt.Schema(hunt.DefaultOrder())
	s.RejectUnknown = true
	p = playerOf(t, hunt.With(s))
	p.apply(hunt.Event("1", 10*second, -1), participant.SchemaMismatch)
	p.says(`"unknown" is not declared`)
}

func TestRuleErrorAndOverflow(t *testing.T) {
	p := newPlayer(t, hunt.DefaultOrder())
	p.apply(hunt.Spending("1", 10*second, 5), participant.RuleError)
	p.says("does not suffice")
	p.apply(hunt.Finding("2", 11*second, "oak", 8_000), participant.Applied)
	p.apply(hunt.Event("3", 12*second, hunt.Double), participant.Overflow)
	p.apply(hunt.Spending("4", 10*second, 5), participant.RuleError) // in order there, it would have sufficed
	p.apply(hunt.Spending("1", 13*second, 5), participant.Applied)   // refused once, the id is still free
	p.score(7_995)
}

func TestRefoldChangesWhatWasSaid(t *testing.T) {
	p := newPlayer(t, hunt.DefaultOrder())
	late := p.apply(hunt.Finding("2", 20*second, "oak", 45), participant.Applied)
	id := late[0].ID
	got := p.apply(hunt.Finding("1", 10*second, "elm", 10), participant.Applied)
	if s := ops(got); s != "send 0.1 10 points; update 0.2 55 points; send 1.1 ; " {
		t.Fatalf("notifications %q", s)
	}
	if got[1].ID != id || got[0].ID == id {
		t.Fatal("an update must carry the ID of what it updates, and no other")
	}
	if p.out.Refolded != 1 {
		t.Fatalf("refolded %d, want 1", p.out.Refolded)
	}
	// The clue found earlier after all: the later find justifies nothing any more.
	got = p.apply(hunt.Finding("0", 5*second, "oak", 1), participant.Applied)
	if s := ops(got); s != "send 0.1 1 points; update 0.2 11 points; retract 0.3 ; retract 1.2 ; " {
		t.Fatalf("notifications %q", s)
	}
	p.score(11)
}

func TestAcceptedEventLosesAndRegainsItsEffect(t *testing.T) {
	p := newPlayer(t, hunt.DefaultOrder())
	p.apply(hunt.Finding("1", 10*second, "oak", 12), participant.Applied)
	p.apply(hunt.Spending("3", 30*second, 8), participant.Applied)
	p.score(4)
	got := p.apply(hunt.Spending("2", 20*second, 5), participant.Applied)
	if s := ops(got); s != "send 3.1 left: 7; retract 3.2 ; " {
		t.Fatalf("notifications %q", s)
	}
	p.score(7)
	if !p.h.Tail[2].Failed {
		t.Fatal("the event without effect is not marked")
	}
	got = p.apply(hunt.Finding("0", 15*second, "elm", 3), participant.Applied)
	if s := ops(got); s != "send 0.1 15 points; retract 3.2 ; send 3.3 left: 2; " {
		t.Fatalf("notifications %q", s)
	}
	p.score(2)
	if p.h.Tail[3].Failed {
		t.Fatal("the revived event is still marked")
	}
}

func TestFailedEventEntersTheBaseWithoutEffect(t *testing.T) {
	p := newPlayer(t, hunt.DefaultOrder())
	p.apply(hunt.Finding("1", 10*second, "oak", 12), participant.Applied)
	p.apply(hunt.Spending("3", 30*second, 8), participant.Applied)
	p.apply(hunt.Spending("2", 20*second, 5), participant.Applied)
	p.apply(hunt.Event("4", 55*second, hunt.Tick), participant.Applied)
	p.apply(hunt.Event("5", 65*second, hunt.Tick), participant.Applied)
	if len(p.h.Tail) != 2 || p.h.Base[hunt.Score].Int != 7 {
		t.Fatalf("tail %d, base %d; want 2 and 7", len(p.h.Tail), p.h.Base[hunt.Score].Int)
	}
	p.score(9)
}

func TestMaxTail(t *testing.T) {
	order := hunt.DefaultOrder()
	order.MaxTail = 2
	p := newPlayer(t, order)
	for i, id := range []string{"a", "b", "c", "d"} {
		p.apply(hunt.Event(id, int64(i+1)*second, hunt.Tick), participant.Applied)
	}
	if len(p.h.Tail) != 2 || p.h.Floor.Time != 2*second || p.h.Floor.Hash != participant.IdentityOf("/test", "b") {
		t.Fatalf("tail %d, floor %+v; want the last two, and the floor at b", len(p.h.Tail), p.h.Floor)
	}
	p.apply(hunt.Event("b", 2*second, hunt.Tick), participant.Duplicate)
	p.apply(hunt.Event("e", 1*second+1, hunt.Tick), participant.Late)
	p.says("at least 2 later events have arrived before it")
	// Accepted as the oldest of three, it goes straight to the base.
	p.apply(hunt.Event("f", 2*second+1, hunt.Tick), participant.Applied)
	if len(p.h.Tail) != 2 || p.h.Floor.Time != 2*second+1 || p.h.Base[hunt.Score].Int != 3 {
		t.Fatalf("tail %d, floor %+v, base %d", len(p.h.Tail), p.h.Floor, p.h.Base[hunt.Score].Int)
	}
	p.score(5)
}

// Other rules may allow a longer tail or grace; what is settled stays settled.
func TestFloorStaysWhereOtherRulesPutIt(t *testing.T) {
	order := hunt.DefaultOrder()
	order.MaxTail = 1
	p := newPlayer(t, order)
	for i, id := range []string{"a", "b", "c"} {
		p.apply(hunt.Event(id, int64(i+1)*second, hunt.Tick), participant.Applied)
	}
	order.MaxTail = 256
	p.fold = participant.NewFold(hunt.New(order))
	p.apply(hunt.Event("d", 4*second, hunt.Tick), participant.Applied)
	if p.h.Floor.Time != 2*second {
		t.Fatalf("floor %+v, want it to stay at b", p.h.Floor)
	}
	p.apply(hunt.Event("e", second, hunt.Tick), participant.Late)
}

// A new version may have dropped a notification that the tail still remembers.
func TestWhatOtherRulesSaidStands(t *testing.T) {
	p := newPlayer(t, hunt.DefaultOrder())
	p.apply(hunt.Finding("2", 20*second, "oak", 5), participant.Applied)
	p.h.Tail[0].Emitted = append(p.h.Tail[0].Emitted, participant.Emission{Key: 99, Revision: 4, Content: 1})
	got := p.apply(hunt.Finding("1", 10*second, "elm", 1), participant.Applied)
	if s := ops(got); s != "send 0.1 1 points; update 0.2 6 points; " {
		t.Fatalf("notifications %q", s)
	}
	if m := p.h.Tail[1].Emitted[1]; m.Key != 99 || m.Revision != 4 || m.Retracted {
		t.Fatalf("emission %+v", m)
	}
}

func TestNoTailAtAll(t *testing.T) {
	p := newPlayer(t, participant.Order{})
	p.apply(hunt.Event("a", second, hunt.Tick), participant.Applied)
	p.apply(hunt.Event("b", second-1, hunt.Tick), participant.Late)
	p.apply(hunt.Event("a", second, hunt.Tick), participant.Late) // no ring either
	if len(p.h.Tail) != 0 || p.h.Base[hunt.Score].Int != 1 {
		t.Fatalf("tail %d, base %d", len(p.h.Tail), p.h.Base[hunt.Score].Int)
	}
}
