package redisstore

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/engine"
)

// What is done with all values of a partition at once.

const (
	// scanCount is the number of participants asked for at a time.
	scanCount = 1000
	// stagedLife is how long a staged generation waits for the next values, or
	// to be adopted.
	stagedLife = time.Hour
)

//go:embed stage.lua
var stageSource string

var stageScript = redis.NewScript(stageSource)

var errStagedEnded = errors.New("what was staged has ended")

// Stage puts values into a generation that is nobody's yet; see stage.lua.
func (s *State) Stage(ctx context.Context, partition int32, generation string, values []engine.KeyValue) (string, error) {
	first := 0
	if generation == "" {
		first, generation = 1, newGeneration()
	}
	var keys []string
	args := []any{generation, int(stagedLife.Seconds()), first, 0}
	for b, pairs := range s.byBucket(values) {
		if first == 1 || len(pairs) > 0 {
			keys = append(keys, s.space.bucketKey(partition, generation, b))
			args = append(append(args, len(pairs)), pairs...)
		}
	}
	if len(keys) == 0 {
		return generation, nil
	}
	args[3] = len(keys)
	keys = append(keys, s.boards.keys(partition, generation)...)
	args = s.boards.changes(args, values)
	whole, err := stageScript.Run(ctx, s.client, keys, args...).Bool()
	if err == nil && !whole {
		err = errStagedEnded
	}
	if err != nil {
		return generation, fmt.Errorf("stage states of partition %d: %w", partition, err)
	}
	return generation, nil
}

// Scan calls fn with every participant of a generation that nothing moves
// meanwhile, in no order and some of them twice. It holds the leaderboards
// against them; one that is not theirs is engine.ErrDamaged, after the last.
func (s *State) Scan(ctx context.Context, partition int32, generation string, fn func([]engine.KeyValue) error) error {
	var damage error
	err := s.scan(ctx, partition, generation, func(values []engine.KeyValue) error {
		if damage == nil {
			damage = s.ranked(ctx, partition, generation, values)
		}
		if damage != nil && !errors.Is(damage, engine.ErrDamaged) {
			return damage
		}
		return fn(values)
	})
	if err != nil {
		return err
	}
	return damage
}

func (s *State) scan(ctx context.Context, partition int32, generation string, fn func([]engine.KeyValue) error) error {
	for _, key := range s.space.bucketKeys(partition, generation) {
		var cursor uint64
		for {
			pairs, next, err := s.client.HScan(ctx, key, cursor, "", scanCount).Result()
			if err != nil {
				return fmt.Errorf("scan partition %d: %w", partition, err)
			}
			values := make([]engine.KeyValue, 0, len(pairs)/2)
			for i := 0; i+1 < len(pairs); i += 2 {
				if pairs[i] != "" { // not the sentinel
					values = append(values, engine.KeyValue{Key: pairs[i], Value: []byte(pairs[i+1])})
				}
			}
			if err := fn(values); err != nil {
				return err
			}
			if cursor = next; cursor == 0 {
				break
			}
		}
	}
	return nil
}

// All calls fn with every participant of a generation, some of them twice.
func (s *State) All(ctx context.Context, partition int32, generation string, fn func(participant string, value []byte) error) error {
	return s.scan(ctx, partition, generation, func(values []engine.KeyValue) error {
		for _, v := range values {
			if err := fn(v.Key, v.Value); err != nil {
				return err
			}
		}
		return nil
	})
}
