package veltrixtest

import (
	"context"
	"slices"

	"github.com/veltrix/veltrix/internal/ingest"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/trail"
	"github.com/veltrix/veltrix/internal/wire"
)

// What the gateway's reads show of what is in memory.

// arrival is what became of a record of the log.
type arrival struct {
	fate          participant.Fate
	sentence      string
	notifications []*wire.NotificationRecord
}

// Find implements ingest.TrailReader. Everything accepted is processed.
func (g view) Find(_ context.Context, partition int32, offset int64) (*trail.Entry, int64, error) {
	g.v.mu.Lock()
	defer g.v.mu.Unlock()
	if err := g.v.catchUp(); err != nil {
		return nil, 0, err
	}
	for i := range g.v.log.records {
		if r := &g.v.log.records[i]; r.Partition == partition && r.Offset == offset {
			return g.v.entry(i), g.v.log.ends[partition], nil
		}
	}
	return nil, 0, trail.ErrUnknown
}

// Trail implements ingest.TrailReader.
func (g view) Trail(_ context.Context, who string, _ trail.Window, _ func(int64)) (*trail.Trail, error) {
	g.v.mu.Lock()
	defer g.v.mu.Unlock()
	if err := g.v.catchUp(); err != nil {
		return nil, err
	}
	partition := wire.PartitionFor([]byte(who), partitions)
	end := g.v.log.ends[partition]
	t := &trail.Trail{Participant: who, Partition: partition, Committed: end, Before: end, Entries: []trail.Entry{}}
	for i := range g.v.log.records {
		if string(g.v.log.records[i].Key) == who {
			t.Entries = append(t.Entries, *g.v.entry(i))
		}
	}
	slices.SortStableFunc(t.Entries, func(a, b trail.Entry) int { return a.Event.Time.Compare(b.Event.Time) })
	return t, nil
}

// entry tells what became of a record. The inbox has what was notified; of
// outside channels, Pushes tells.
func (v *Veltrix) entry(i int) *trail.Entry {
	e, a := trail.EntryOf(&v.log.records[i]), &v.arrivals[i]
	e.Status = trail.Applied
	if a.fate != participant.Applied {
		e.Status, e.Reason, e.Sentence = trail.Rejected, a.fate.String(), a.sentence
	}
	for _, n := range a.notifications {
		e.Told(n)
	}
	for i := range e.Notifications {
		for j := range e.Notifications[i].Channels {
			if d := &e.Notifications[i].Channels[j]; d.Channel == inboxChannel {
				d.Outcome = "sent"
			}
		}
	}
	return &e
}

// Part implements ingest.BoardReader.
func (g view) Part(_ context.Context, leaderboard int, at *ingest.Place, near int) ([]ingest.BoardPart, error) {
	g.v.mu.Lock()
	defer g.v.mu.Unlock()
	if err := g.v.catchUp(); err != nil {
		return nil, err
	}
	board := &g.v.rules.Schema().Leaderboards[leaderboard]
	var parts []ingest.BoardPart
	for _, oracle := range g.v.oracles {
		var places []ingest.Place
		for who := range oracle.States() {
			if n := oracle.State(who).Head[board.Slot]; n.Kind != participant.KindNone {
				places = append(places, ingest.Place{Participant: who, Number: n.Int})
			}
		}
		parts = append(parts, ingest.PartOf(places, board, at, near))
	}
	return parts, nil
}

// Number implements ingest.BoardReader.
func (g view) Number(_ context.Context, leaderboard int, who string) (*ingest.Place, error) {
	g.v.mu.Lock()
	defer g.v.mu.Unlock()
	if err := g.v.catchUp(); err != nil {
		return nil, err
	}
	h := g.v.oracles[wire.PartitionFor([]byte(who), partitions)].State(who)
	if h == nil || h.Fresh() {
		return nil, nil
	}
	n := h.Head[g.v.rules.Schema().Leaderboards[leaderboard].Slot]
	if n.Kind == participant.KindNone {
		return nil, nil
	}
	return &ingest.Place{Participant: who, Number: n.Int}, nil
}
