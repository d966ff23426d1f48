package redisstore

import (
	"context"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// boards are the leaderboards of a space: a sorted set for each of them in each
// generation of a partition. What is on them is read out of the values that are
// written, in the same script (docs/adr/0013). The first participant of a
// leaderboard has the lowest score: where the highest number is first, scores are
// the numbers' negatives.
type boards struct {
	space  Space
	schema *participant.Schema
	list   []participant.Leaderboard
}

func newBoards(space Space, schema *participant.Schema) boards {
	b := boards{space: space, schema: schema}
	if schema != nil {
		b.list = schema.Leaderboards
	}
	return b
}

// keys returns the key of each leaderboard, in the order of the schema.
func (b *boards) keys(partition int32, generation string) []string {
	keys := make([]string, len(b.list))
	for i := range b.list {
		keys[i] = b.space.boardKey(partition, generation, b.list[i].Name)
	}
	return keys
}

// scoreMax is the largest number whose neighbours a sorted set tells apart.
const scoreMax = 1 << 53

// score is where a number stands on a leaderboard.
func (b *boards) score(board int, number int64) int64 {
	number = min(max(number, -scoreMax), scoreMax)
	if b.list[board].Ascending {
		return number
	}
	return -number
}

// number is the inverse of score.
func (b *boards) number(board int, score float64) int64 {
	if b.list[board].Ascending {
		return int64(score)
	}
	return -int64(score)
}

// changes appends the scripts' arguments for all leaderboards: for each the
// participants with their scores, and those that are not on it.
func (b *boards) changes(args []any, values []engine.KeyValue) []any {
	for _, r := range b.ranks(values) {
		args = append(append(args, len(r.on)), r.on...)
		args = append(append(args, len(r.off)), r.off...)
	}
	return args
}

// ranks are what values say of one leaderboard: on has scores and participants by
// turns, off has those that are not on it.
type ranks struct{ on, off []any }

func (b *boards) ranks(values []engine.KeyValue) []ranks {
	all, scores := make([]ranks, len(b.list)), b.scores(values)
	for board := range all {
		r := &all[board]
		for i := range values {
			if s := scores[i*len(b.list)+board]; s.Ranked {
				r.on = append(r.on, b.score(board, s.Value), values[i].Key)
			} else {
				r.off = append(r.off, values[i].Key)
			}
		}
	}
	return all
}

// scores returns each value's scores, one after the other. A value that cannot
// be read is not ranked: the digest of the values is what refuses it. Nor is that
// of the participant who stands for nobody.
func (b *boards) scores(values []engine.KeyValue) []wire.Score {
	if len(b.list) == 0 {
		return nil
	}
	all := make([]wire.Score, 0, len(values)*len(b.list))
	for i := range values {
		var err error
		if all, err = wire.Scores(all, values[i].Value, b.schema); err != nil || values[i].Key == wire.ProbeParticipant {
			clear(all[i*len(b.list):])
		}
	}
	return all
}

// ranked holds the leaderboards against values.
func (s *State) ranked(ctx context.Context, partition int32, generation string, values []engine.KeyValue) error {
	scores := s.boards.scores(values)
	if len(scores) == 0 {
		return nil
	}
	for board, key := range s.boards.keys(partition, generation) {
		name := s.boards.list[board].Name
		found := make([]*redis.FloatCmd, len(values))
		_, err := s.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for i := range values {
				found[i] = pipe.ZScore(ctx, key, values[i].Key)
			}
			return nil
		})
		if err != nil && err != redis.Nil { // Nil: one who is not on it
			return fmt.Errorf("read leaderboard %s of partition %d: %w", name, partition, err)
		}
		for i := range values {
			want, err := scores[i*len(s.boards.list)+board], found[i].Err()
			if want.Ranked != (err == nil) || want.Ranked && found[i].Val() != float64(s.boards.score(board, want.Value)) {
				return fmt.Errorf("leaderboard %s of partition %d is not that of its values, at %q: %w", name, partition, values[i].Key, engine.ErrDamaged)
			}
		}
	}
	return nil
}

// Ranking returns the number of every participant on a leaderboard of a
// generation that nothing moves meanwhile.
func (s *State) Ranking(ctx context.Context, partition int32, generation string, leaderboard int) (map[string]int64, error) {
	key := s.boards.keys(partition, generation)[leaderboard]
	all := map[string]int64{}
	var cursor uint64
	for {
		pairs, next, err := s.client.ZScan(ctx, key, cursor, "", scanCount).Result()
		if err != nil {
			return nil, fmt.Errorf("scan leaderboard %s of partition %d: %w", s.boards.list[leaderboard].Name, partition, err)
		}
		for i := 0; i+1 < len(pairs); i += 2 {
			if pairs[i] == "" { // the sentinel
				continue
			}
			score, err := strconv.ParseFloat(pairs[i+1], 64)
			if err != nil {
				return nil, fmt.Errorf("scan leaderboard %s of partition %d: %w", s.boards.list[leaderboard].Name, partition, err)
			}
			all[pairs[i]] = s.boards.number(leaderboard, score)
		}
		if cursor = next; cursor == 0 {
			return all, nil
		}
	}
}
