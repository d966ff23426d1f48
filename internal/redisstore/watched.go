package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/engine"
)

// watchedFrom is the number of values from which a move is a transaction under
// WATCH, and below which it is a script. No value passes through Lua then, which
// halves what one costs Redis; but it takes three round trips instead of one.
const watchedFrom = 500

// change is one command of a move.
type change struct {
	name, key string
	arguments []any
}

// applyWatched moves a partition as apply.lua does: by compare-and-set, all or
// nothing. What has to hold is read under WATCH, of the meta and of every key that
// the move changes, so that the transaction is not made where any of them was
// touched since: moved by another, evicted, or replaced.
func (s *State) applyWatched(ctx context.Context, partition int32, move engine.Move) (engine.Meta, error) {
	meta, changes := s.space.metaKey(partition), s.changes(partition, move)
	keys := []string{meta}
	for _, c := range changes {
		if keys[len(keys)-1] != c.key {
			keys = append(keys, c.key)
		}
	}
	var at engine.Meta
	err := s.client.Watch(ctx, func(tx *redis.Tx) (err error) {
		if at, err = standing(ctx, tx, meta, changes); err != nil {
			return err
		}
		from := engine.Meta{Exists: true, Token: move.Token, Generation: move.Generation, Applied: move.From}
		if !at.Intact || !at.Same(from) {
			return nil
		}
		_, err = tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			for _, c := range changes {
				if len(c.arguments) > 0 {
					pipe.Do(ctx, append([]any{c.name, c.key}, c.arguments...)...)
				}
			}
			pipe.HSet(ctx, meta, "chain", strconv.FormatUint(move.Chain, 16), "digest", strconv.FormatUint(move.Digest, 16), "applied", move.To)
			return nil
		})
		if err == nil {
			at.Applied, at.Chain, at.Digest = move.To, move.Chain, move.Digest
		}
		return err
	}, keys...)
	if errors.Is(err, redis.TxFailedErr) {
		return s.Meta(ctx, partition) // wherever somebody else has put it
	}
	if err != nil {
		return engine.Meta{}, fmt.Errorf("move partition %d: %w", partition, err)
	}
	return at, nil
}

// changes are what a move does to buckets and leaderboards. Every key that has to be
// whole is there, and the commands of one key are neighbours.
func (s *State) changes(partition int32, move engine.Move) []change {
	var all []change
	for b, pairs := range s.byBucket(move.Values) {
		if len(pairs) > 0 {
			all = append(all, change{"HSET", s.space.bucketKey(partition, move.Generation, b), pairs})
		}
	}
	boards := s.boards.keys(partition, move.Generation)
	for board, ranks := range s.boards.ranks(move.Values) {
		all = append(all, change{"ZADD", boards[board], ranks.on}, change{"ZREM", boards[board], ranks.off})
	}
	return all
}

// standing reads the meta, and looks for the sentinel of every key that changes. It
// begins no transaction: that would end the WATCH.
func standing(ctx context.Context, tx *redis.Tx, meta string, changes []change) (engine.Meta, error) {
	var found *redis.SliceCmd
	var sentinels []redis.Cmder
	_, err := tx.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		found = pipe.HMGet(ctx, meta, metaFields...)
		for _, c := range changes {
			switch c.name {
			case "HSET":
				sentinels = append(sentinels, pipe.HGet(ctx, c.key, ""))
			case "ZADD":
				sentinels = append(sentinels, pipe.ZScore(ctx, c.key, ""))
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) { // Nil: a sentinel that is not there
		return engine.Meta{}, err
	}
	at, err := parseMeta(found.Val())
	for _, s := range sentinels {
		at.Intact = at.Intact && s.Err() == nil
	}
	return at, err
}
