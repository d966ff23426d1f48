package redisstore

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/engine"
)

// Positions of many partitions, read together. See the package's doc.

//go:embed meta.lua
var metaSource string

var metaScript = redis.NewScript(metaSource)

// Meta reads a partition's position and whether every bucket has its sentinel.
func (s *State) Meta(ctx context.Context, partition int32) (engine.Meta, error) {
	result := s.EachMeta(ctx, []int32{partition})[0]
	return result.Meta, result.Err
}

// EachMeta reads the positions of partitions: in one pipeline the generation of each,
// which names its keys, and in the next one each position with its sentinels; see
// meta.lua. A Redis that does not have the script yet needs a third.
func (s *State) EachMeta(ctx context.Context, partitions []int32) []engine.MetaResult {
	out := make([]engine.MetaResult, len(partitions))
	generations := make([]*redis.StringCmd, len(partitions))
	s.pipelined(ctx, func(pipe redis.Pipeliner) {
		for i, p := range partitions {
			generations[i] = pipe.HGet(ctx, s.space.metaKey(p), "generation")
		}
	})
	var begun []int // those that have a generation, as places in partitions
	for i, cmd := range generations {
		switch {
		case cmd.Err() == nil:
			begun = append(begun, i)
		case !errors.Is(cmd.Err(), redis.Nil):
			out[i].Err = fmt.Errorf("read meta of partition %d: %w", partitions[i], cmd.Err())
		}
	}
	read := func(i int) (keys []string, args []any) {
		p := partitions[i]
		return append([]string{s.space.metaKey(p)}, s.keys(p, generations[i].Val())...), []any{s.space.Buckets}
	}
	replies := s.scripted(ctx, metaScript, begun, read)
	for n, i := range begun {
		reply, err := replies[n].Slice()
		out[i].Meta, out[i].Err = parseReply("read meta of", partitions[i], reply, err)
	}
	return out
}

// scripted runs a script once for each place, in one pipeline. A server that does
// not have it is sent its text, in another one.
func (s *State) scripted(ctx context.Context, script *redis.Script, places []int, request func(place int) ([]string, []any)) []*redis.Cmd {
	replies := make([]*redis.Cmd, len(places))
	s.pipelined(ctx, func(pipe redis.Pipeliner) {
		for n, place := range places {
			keys, args := request(place)
			replies[n] = script.EvalSha(ctx, pipe, keys, args...)
		}
	})
	s.pipelined(ctx, func(pipe redis.Pipeliner) {
		for n, place := range places {
			if redis.HasErrorPrefix(replies[n].Err(), "NOSCRIPT") {
				keys, args := request(place)
				replies[n] = script.Eval(ctx, pipe, keys, args...)
			}
		}
	})
	return replies
}

// pipelined sends what fn puts into a pipeline, and nothing where that is nothing.
// Each command has an error of its own: those of one say nothing of the others.
func (s *State) pipelined(ctx context.Context, fn func(redis.Pipeliner)) {
	_, _ = s.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		fn(pipe)
		return nil
	})
}
