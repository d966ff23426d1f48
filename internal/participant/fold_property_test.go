package participant_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/veltrix/veltrix/internal/participant"
	hunt "github.com/veltrix/veltrix/internal/participant/participanttest"
)

// drawEvents draws events with few distinct times and clues, so that ties,
// repeats and notifications that depend on the order are frequent.
func drawEvents(t *rapid.T, kinds []int) []*participant.Event {
	n := rapid.IntRange(1, 40).Draw(t, "events")
	span := rapid.SampledFrom([]int64{1, 20, 60, 300}).Draw(t, "span_s")
	list := make([]*participant.Event, n)
	for i := range list {
		at := rapid.Int64Range(0, 2*span).Draw(t, "at") * second / 2
		id := fmt.Sprint(i)
		switch k := rapid.SampledFrom(kinds).Draw(t, "kind"); k {
		case hunt.Find:
			clue := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g"}).Draw(t, "clue")
			list[i] = hunt.Finding(id, at, clue, rapid.Int64Range(0, 60).Draw(t, "points"))
		case hunt.Spend:
			list[i] = hunt.Spending(id, at, rapid.Int64Range(0, 60).Draw(t, "points"))
		default:
			list[i] = hunt.Event(id, at, k)
		}
	}
	return list
}

// arrivals draws an order of arrival in which nothing is later than the grace,
// and sends some events again, at any time after the first.
func arrivals(t *rapid.T, events []*participant.Event, grace int64) []*participant.Event {
	type delivery struct {
		at int64
		e  *participant.Event
	}
	var list []delivery
	for _, e := range events {
		at := e.Time + rapid.Int64Range(0, grace-1).Draw(t, "delay")
		list = append(list, delivery{at, e})
		for range rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "copies") {
			list = append(list, delivery{at + rapid.Int64Range(0, 10*grace).Draw(t, "again"), e})
		}
	}
	slices.SortStableFunc(list, func(a, b delivery) int { return int(min(max(a.at-b.at, -1), 1)) })
	out := make([]*participant.Event, len(list))
	for i, d := range list {
		e := *d.e
		e.Arrival = participant.Arrival{Offset: int64(i), Time: d.at}
		out[i] = &e
	}
	return out
}

func inOrder(events []*participant.Event) []*participant.Event {
	sorted := slices.Clone(events)
	slices.SortFunc(sorted, func(a, b *participant.Event) int { return a.Stamp().Compare(b.Stamp()) })
	return sorted
}

// screen is what a participant sees: the notifications that stand, by ID. It
// checks the rules of revisions as it goes.
type screen struct {
	shown     map[participant.Identity]participant.Notification
	revisions map[participant.Identity]uint32
}

func newScreen() *screen {
	return &screen{map[participant.Identity]participant.Notification{}, map[participant.Identity]uint32{}}
}

func (s *screen) show(t *rapid.T, list []participant.Notification) {
	for _, n := range list {
		s.revisions[n.ID]++
		if n.Revision != s.revisions[n.ID] {
			t.Fatalf("revision %d of %v, want %d", n.Revision, n.ID, s.revisions[n.ID])
		}
		_, standing := s.shown[n.ID]
		if standing != (n.Op != participant.Send) {
			t.Fatalf("%s of a notification that stands: %v", n.Op, standing)
		}
		if n.Op == participant.Retract {
			delete(s.shown, n.ID)
			continue
		}
		if old := s.shown[n.ID]; n.Op == participant.Update && old.Title == n.Title && old.Body == n.Body {
			t.Fatalf("an update that changes nothing: %+v", n)
		}
		n.Op, n.Revision = participant.Send, 1 // what stands, not how it came
		s.shown[n.ID] = n
	}
}

// plain removes from a history what depends on the order of arrival by design:
// how often a notification was revised.
func plain(h *participant.History) *participant.History {
	h = h.Clone()
	for i := range h.Tail {
		var kept []participant.Emission
		for _, m := range h.Tail[i].Emitted {
			if !m.Retracted {
				m.Revision = 1
				kept = append(kept, m)
			}
		}
		h.Tail[i].Emitted = kept
	}
	if len(h.Tail) == 0 {
		h.Tail = nil
	}
	return h
}

// naive folds a set of events with no tail and no floor: what the fold must be
// equal to. It returns the state and the notifications that are justified.
func naive(p participant.Program, set []*participant.Event) (state []participant.Value, justified []string) {
	state = p.Schema().Initial()
	for _, e := range inOrder(set) {
		if e.TypeIndex < 0 {
			continue
		}
		next := slices.Clone(state)
		o := participant.Occurrence{Participant: e.Participant, Time: e.Time, TypeIndex: e.TypeIndex, Fields: e.Fields}
		notices, err := p.Step(next, &o, nil)
		if err != nil {
			continue // no effect where it stands
		}
		state = next
		for _, n := range notices {
			justified = append(justified, fmt.Sprint(e.Time, e.Type, n))
		}
	}
	slices.Sort(justified)
	return state, justified
}

// standing lists what a screen shows in the words of naive.
func (s *screen) standing() []string {
	var list []string
	for _, n := range s.shown {
		list = append(list, fmt.Sprint(n.EventTime, n.EventType, participant.Notice{Key: n.Key, Title: n.Title, Body: n.Body}))
	}
	slices.Sort(list)
	return list
}

var neverFailing = []int{hunt.Find, hunt.Find, hunt.Find, hunt.Tick, -1}

// TestArrivalDoesNotMatter is the package's invariant.
func TestArrivalDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		order := hunt.DefaultOrder()
		order.Ring = rapid.IntRange(0, 8).Draw(t, "ring")
		program := hunt.New(order)
		fold := participant.NewFold(program)
		events := drawEvents(t, neverFailing)

		wantHistory, wantScreen := participant.NewHistory(program.Schema()), newScreen()
		var out participant.Outcome
		for _, e := range inOrder(events) {
			fold.Apply(wantHistory, e, &out)
			if out.Fate != participant.Applied {
				t.Fatalf("in order: %s: %s", out.Fate, out.Reason)
			}
			wantScreen.show(t, out.Notifications)
		}

		h, seen := participant.NewHistory(program.Schema()), newScreen()
		applied := 0
		for _, e := range arrivals(t, events, order.Grace) {
			if rapid.Bool().Draw(t, "new batch") {
				h = h.Clone()
			}
			fold.Apply(h, e, &out)
			seen.show(t, out.Notifications)
			switch out.Fate {
			case participant.Applied:
				applied++
			case participant.Duplicate, participant.Late: // a copy
			default:
				t.Fatalf("fate %s: %s", out.Fate, out.Reason)
			}
		}
		if applied != len(events) {
			t.Fatalf("%d of %d events applied", applied, len(events))
		}
		if a, b := plain(h), plain(wantHistory); !reflect.DeepEqual(a, b) {
			t.Fatalf("histories differ\n got %+v\nwant %+v", a, b)
		}
		if !reflect.DeepEqual(seen.shown, wantScreen.shown) {
			t.Fatalf("notifications differ\n got %+v\nwant %+v", seen.shown, wantScreen.shown)
		}
	})
}

// TestStateIsTheFoldOfTheAccepted holds for any arrival at all, for steps that
// fail, and for tails that run over: whatever was accepted, in its order.
func TestStateIsTheFoldOfTheAccepted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		order := hunt.DefaultOrder()
		order.MaxTail = rapid.SampledFrom([]int{0, 1, 2, 3, 5, 256}).Draw(t, "max tail")
		order.Ring = rapid.IntRange(0, 3).Draw(t, "ring")
		program := hunt.New(order)
		fold := participant.NewFold(program)
		events := drawEvents(t, []int{hunt.Find, hunt.Find, hunt.Spend, hunt.Spend, hunt.Spend, hunt.Double, hunt.Tick, -1})

		h, seen := participant.NewHistory(program.Schema()), newScreen()
		var out participant.Outcome
		var accepted []*participant.Event
		for _, e := range arrivals(t, events, 3*order.Grace) {
			before := h.Clone()
			fold.Apply(h, e, &out)
			seen.show(t, out.Notifications)
			if out.Fate == participant.Applied {
				accepted = append(accepted, e)
			} else if !reflect.DeepEqual(before, h.Clone()) {
				t.Fatalf("%s left a trace", out.Fate)
			}
			if len(h.Tail) > max(order.MaxTail, 0) || len(h.Ring) > order.Ring {
				t.Fatalf("tail %d, ring %d: over the bounds", len(h.Tail), len(h.Ring))
			}
			floor := h.Floor
			if floor.Compare(before.Floor) < 0 || h.Newest < before.Newest {
				t.Fatalf("floor or newest went back: %+v\n%+v", before, h)
			}
			for i := range h.Tail {
				if h.Tail[i].Stamp.Compare(floor) <= 0 {
					t.Fatalf("the tail is not in order above the floor: %+v", h)
				}
				floor = h.Tail[i].Stamp
			}
		}
		want, justified := naive(program, accepted)
		if !reflect.DeepEqual(h.Head, want) {
			t.Fatalf("state\n got %+v\nwant %+v", h.Head, want)
		}
		if got := seen.standing(); !slices.Equal(got, justified) {
			t.Fatalf("notifications\n got %v\nwant %v", got, justified)
		}
	})
}
