package participanttest

import (
	"strconv"

	"github.com/zeebo/xxh3"

	"github.com/veltrix/veltrix/internal/participant"
)

// Player is the participant of the events made here.
const Player = "ada"

// Event returns an event of the hunt with a time of its own, arriving at that
// time. Content follows from type, time and fields, as it does on the wire.
func Event(id string, time int64, typeIndex int, fields ...participant.Value) *participant.Event {
	e := &participant.Event{
		Source:      "/test",
		ID:          id,
		Type:        "unknown",
		Participant: Player,
		Time:        time,
		TimeGiven:   true,
		Identity:    participant.IdentityOf("/test", id),
		TypeIndex:   typeIndex,
		Fields:      fields,
		Arrival:     participant.Arrival{Time: time},
	}
	if typeIndex >= 0 {
		e.Type = Schema(participant.Order{}).Types[typeIndex].Name
	}
	b := append([]byte(e.Type), '/')
	b = strconv.AppendInt(b, time, 10)
	for _, f := range fields {
		b = append(b, '/')
		b = strconv.AppendInt(b, f.Int, 10)
		b = append(b, f.Str...)
	}
	e.Content = xxh3.Hash(b)
	return e
}

// Untimed returns the event without a time of its own, arriving at that time.
func Untimed(id string, arrival int64, typeIndex int, fields ...participant.Value) *participant.Event {
	e := Event(id, 0, typeIndex, fields...)
	e.Time, e.TimeGiven, e.Arrival.Time = arrival, false, arrival
	return e
}

// Int returns an int value.
func Int(n int64) participant.Value { return participant.Value{Kind: participant.KindInt, Int: n} }

// Str returns a string value.
func Str(s string) participant.Value { return participant.Value{Kind: participant.KindString, Str: s} }

// Finding returns the event of a clue found.
func Finding(id string, time int64, clue string, points int64) *participant.Event {
	return Event(id, time, Find, Str(clue), Int(points))
}

// Spending returns the event of points spent.
func Spending(id string, time, points int64) *participant.Event {
	return Event(id, time, Spend, Int(points))
}
