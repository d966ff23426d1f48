package redisstore

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/ingest"
)

//go:embed around.lua
var aroundSource string

var aroundScript = redis.NewScript(aroundSource)

// Metas reads the positions of the first n partitions. It does not look for
// sentinels.
func (s *State) Metas(ctx context.Context, n int32) ([]engine.Meta, error) {
	found := make([]*redis.SliceCmd, n)
	_, err := s.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for p := range n {
			found[p] = pipe.HMGet(ctx, s.space.metaKey(p), metaFields...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the positions of %d partitions: %w", n, err)
	}
	metas := make([]engine.Meta, n)
	for p := range found {
		if metas[p], err = parseMeta(found[p].Val()); err != nil {
			return nil, fmt.Errorf("partition %d: %w", p, err)
		}
	}
	return metas, nil
}

// BoardParts reads what each partition that has a position knows of a place on a
// leaderboard, as ingest.BoardReader says. Whole is false where a generation has
// ended since metas was read.
func (s *State) BoardParts(ctx context.Context, metas []engine.Meta, leaderboard int, at *ingest.Place, near int) (parts []ingest.BoardPart, whole bool, err error) {
	score, name := "-inf", ""
	if at != nil {
		score, name = strconv.FormatInt(s.boards.score(leaderboard, at.Number), 10), at.Participant
	}
	var found []*redis.Cmd
	_, err = s.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for p := range metas {
			if metas[p].Exists {
				key := s.boards.keys(int32(p), metas[p].Generation)[leaderboard]
				found = append(found, aroundScript.Eval(ctx, pipe, []string{key}, score, name, near))
			}
		}
		return nil
	})
	if err != nil && err != redis.Nil { // Nil: a leaderboard that is gone
		return nil, false, fmt.Errorf("read leaderboard %s: %w", s.boards.list[leaderboard].Name, err)
	}
	for _, cmd := range found {
		if cmd.Err() == redis.Nil {
			return nil, false, nil
		}
		part, err := s.boardPart(leaderboard, cmd)
		if err != nil {
			return nil, false, fmt.Errorf("read leaderboard %s: %w", s.boards.list[leaderboard].Name, err)
		}
		parts = append(parts, part)
	}
	return parts, true, nil
}

// boardPart reads the answer of around.lua.
func (s *State) boardPart(leaderboard int, cmd *redis.Cmd) (part ingest.BoardPart, err error) {
	reply, err := cmd.Slice()
	if err != nil {
		return part, err
	}
	if len(reply) != 5 {
		return part, fmt.Errorf("unexpected reply of %d fields", len(reply))
	}
	part.All, _ = reply[0].(int64)
	part.Before, _ = reply[1].(int64)
	part.Better, _ = reply[2].(int64)
	if part.Up, err = s.places(leaderboard, reply[3]); err == nil {
		part.Down, err = s.places(leaderboard, reply[4])
	}
	return part, err
}

func (s *State) places(leaderboard int, reply any) ([]ingest.Place, error) {
	pairs, _ := reply.([]any)
	var list []ingest.Place
	for i := 0; i+1 < len(pairs); i += 2 {
		who, _ := pairs[i].(string)
		text, _ := pairs[i+1].(string)
		if who == "" { // the sentinel
			continue
		}
		score, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("a score is %q: %w", text, err)
		}
		list = append(list, ingest.Place{Participant: who, Number: s.boards.number(leaderboard, score)})
	}
	return list, nil
}
