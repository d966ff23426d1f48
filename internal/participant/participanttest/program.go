// Package participanttest holds a small hunt, written by hand in Go, for the
// tests of whatever runs a participant.Program. Its steps depend on the order
// of events as much as rules can: a fold that loses the order is seen.
package participanttest

import (
	"strconv"

	"github.com/veltrix/veltrix/internal/participant"
)

// The event types of the hunt, as places in Schema.Types.
const (
	Find   = iota // clue string, points int: the clue counts once, the score grows
	Spend         // points int: fails with rule-error when the score is smaller
	Double        // the score doubles; fails with overflow past ScoreMax
	Tick          // the score grows by one; nothing is ever said
	Note          // text string, weight double, at time (optional), loud bool: kept as the last clue
)

// The state's slots.
const (
	Score = iota
	Last
	Found
	Visits
	Finished
)

// The keys of the notifications.
const (
	KeyFound uint32 = iota
	KeyMilestone
	KeyFinished
	KeyPoor
)

// ScoreMax is the score past which Double fails.
const ScoreMax = 10_000

// Goal is the number of clues that finishes the hunt.
const Goal = 5

// Hunt is the program.
type Hunt struct{ schema *participant.Schema }

var _ participant.Program = (*Hunt)(nil)

// Schema returns the hunt's schema with that order.
func Schema(order participant.Order) participant.Schema {
	return participant.Schema{
		Hunt:    "test-hunt",
		Version: 1,
		Digest:  "0123456789abcdef",
		Types: []participant.EventType{
			{Name: "find", Fields: []participant.Field{
				{Name: "clue", Kind: participant.KindString, BytesMax: 64},
				{Name: "points", Kind: participant.KindInt},
			}},
			{Name: "spend", Fields: []participant.Field{{Name: "points", Kind: participant.KindInt}}},
			{Name: "double"},
			{Name: "tick"},
			{Name: "note", Fields: []participant.Field{
				{Name: "text", Kind: participant.KindString, BytesMax: 64},
				{Name: "weight", Kind: participant.KindDouble},
				{Name: "at", Kind: participant.KindTime, Optional: true},
				{Name: "loud", Kind: participant.KindBool},
			}},
		},
		Slots: []participant.Slot{
			{Name: "score", Kind: participant.KindInt, Zero: participant.Value{Kind: participant.KindInt}},
			{Name: "last", Kind: participant.KindString, Max: 64, Zero: participant.Value{Kind: participant.KindString}},
			{Name: "found", Kind: participant.KindSet, Max: 500, Zero: participant.Value{Kind: participant.KindSet}},
			{Name: "visits", Kind: participant.KindMap, Max: 500, Zero: participant.Value{Kind: participant.KindMap}},
			{Name: "finished", Kind: participant.KindTime},
		},
		Rules:         []string{"find", "spend", "double", "tick", "note"}, // each on its own type
		Leaderboards:  []participant.Leaderboard{{Name: "score", Slot: Score}, {Name: "first", Slot: Finished, Ascending: true}},
		Order:         order,
		EventBytesMax: participant.DefaultEventBytesMax,
	}
}

// DefaultOrder is the order that a rules file gets when it says nothing.
func DefaultOrder() participant.Order {
	return participant.Order{
		Grace:    participant.DefaultGrace,
		MaxAhead: participant.DefaultMaxAhead,
		MaxTail:  participant.DefaultMaxTail,
		Ring:     participant.DefaultRing,
	}
}

// New returns the hunt with that order.
func New(order participant.Order) *Hunt { return With(Schema(order)) }

// With returns the hunt with a schema that the caller has changed.
func With(s participant.Schema) *Hunt { return &Hunt{schema: participant.NewSchema(s)} }

// Schema implements participant.Program.
func (h *Hunt) Schema() *participant.Schema { return h.schema }

// Step implements participant.Program.
func (h *Hunt) Step(state []participant.Value, o *participant.Occurrence, notices []participant.Notice) ([]participant.Notice, error) {
	if o.TypeIndex >= 0 {
		o.Held = append(o.Held, o.TypeIndex)
	}
	switch o.TypeIndex {
	case Find:
		return find(state, o, notices), nil
	case Spend:
		// State and notices are spoilt before the error on purpose: the caller
		// discards both.
		state[Score].Int -= o.Fields[0].Int
		if state[Score].Int < 0 {
			notices = append(notices, participant.Notice{Key: KeyPoor, Title: "never to be seen"})
			return notices, &participant.Rejection{Fate: participant.RuleError, Reason: "the score does not suffice"}
		}
		if state[Score].Int < 10 {
			notices = append(notices, participant.Notice{Key: KeyPoor, Title: "Poor", Body: "left: " + strconv.FormatInt(state[Score].Int, 10)})
		}
	case Double:
		state[Score].Int *= 2
		if state[Score].Int > ScoreMax {
			return notices, &participant.Rejection{Fate: participant.Overflow, Reason: "the score is past its bound"}
		}
	case Tick:
		state[Score].Int++
	case Note:
		state[Last].Str = o.Fields[0].Str
	}
	return notices, nil
}

func find(state []participant.Value, o *participant.Occurrence, notices []participant.Notice) []participant.Notice {
	clue, points := o.Fields[0].Str, o.Fields[1].Int
	at, seen := state[Visits].Coll.Find(clue)
	visits := int64(1)
	if seen {
		visits += state[Visits].Coll.Ints[at]
	}
	state[Visits].Coll = state[Visits].Coll.With(clue, visits, true)
	state[Last].Str = clue
	if seen {
		return notices
	}
	before := state[Score].Int
	state[Found].Coll = state[Found].Coll.With(clue, 0, false)
	state[Score].Int += points
	// Milestone before found: callers order notices by key themselves.
	if before/50 != state[Score].Int/50 {
		notices = append(notices, participant.Notice{Key: KeyMilestone, Title: "Milestone"})
	}
	notices = append(notices, participant.Notice{
		Key:   KeyFound,
		Title: "Clue " + clue + " found",
		Body:  strconv.FormatInt(state[Score].Int, 10) + " points",
	})
	if state[Found].Coll.Len() >= Goal && state[Finished].Kind == participant.KindNone {
		state[Finished] = participant.Value{Kind: participant.KindTime, Int: o.Time}
		notices = append(notices, participant.Notice{Key: KeyFinished, Title: "Finished", Body: "after " + clue})
	}
	return notices
}

var class = &participant.Class{Name: "clue", Channels: []string{"inbox"}, ExpiresMs: 7_200_000, ResendUnknown: true}

var templates = [...]participant.Template{
	KeyFound:     {Rule: "find", Name: "found", Class: class},
	KeyMilestone: {Rule: "find", Name: "milestone", Class: class},
	KeyFinished:  {Rule: "find", Name: "finished", Class: class},
	KeyPoor:      {Rule: "spend", Name: "poor", Class: class},
}

// Template implements participant.Program.
func (h *Hunt) Template(key uint32) *participant.Template {
	if key >= uint32(len(templates)) {
		return nil
	}
	return &templates[key]
}
