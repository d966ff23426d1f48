package verify

import (
	"context"
	"maps"
	"slices"

	"github.com/veltrix/veltrix/internal/fold"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// rankings reads the leaderboards of the partition, in the schema's order.
func (c *comparison) rankings(ctx context.Context) ([]map[string]int64, error) {
	if !c.meta.Exists {
		return nil, nil
	}
	var all []map[string]int64
	for board := range c.v.Schema.Leaderboards {
		found, err := c.v.Store.Ranking(ctx, c.part.Partition, c.meta.Generation, board)
		if err != nil {
			return nil, err
		}
		all = append(all, found)
	}
	return all, nil
}

// rankedMax is the largest number that a leaderboard tells from its neighbours;
// what is beyond stands there.
const rankedMax = 1 << 53

// compareRanking holds a leaderboard against the fold's states: of those whose
// state in Redis is right, and of those who have none.
func (c *comparison) compareRanking(oracle *fold.Oracle, board *participant.Leaderboard, found map[string]int64, right map[string]bool) {
	for who := range oracle.States() {
		number := oracle.State(who).Head[board.Slot]
		got, ranked := found[who]
		delete(found, who)
		if !right[who] {
			continue
		}
		switch want := number.Kind != participant.KindNone && who != wire.ProbeParticipant; {
		case want && !ranked:
			c.find(&c.part.Lost, "lost", "Redis", "participant %q is not on leaderboard %s", who, board.Name)
		case want != ranked || want && got != min(max(number.Int, -rankedMax), rankedMax):
			c.find(&c.part.Wrong, "wrong", "Redis", "participant %q is on leaderboard %s with %d, which is not the fold of its events", who, board.Name, got)
		}
	}
	for _, who := range slices.Sorted(maps.Keys(found)) {
		if _, has := right[who]; has {
			continue // a state that should not be there, and is ranked by it
		}
		c.find(&c.part.Wrong, "wrong", "Redis", "participant %q is on leaderboard %s and has no accepted event", who, board.Name)
	}
}
