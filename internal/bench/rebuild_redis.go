package bench

import (
	"context"
	"fmt"
	"time"
)

// What the bench does to Redis by hand: it stands for whatever goes wrong there.

// older is a copy of one partition's keys.
type older map[string]string

// keys returns the keys of the deployment that match.
func (b *rebuild) keys(ctx context.Context, pattern string) ([]string, error) {
	var all []string
	for cursor := uint64(0); ; {
		keys, next, err := b.redis.Scan(ctx, cursor, pattern, 1000).Result()
		if err != nil {
			return nil, fmt.Errorf("list the keys of %s: %w", b.place.kafka.Prefix, err)
		}
		all = append(all, keys...)
		if cursor = next; cursor == 0 {
			return all, nil
		}
	}
}

// first matches the keys of partition 0.
func (b *rebuild) first() string { return "{" + b.place.kafka.Prefix + ".events.*/0}:*" }

// dump copies partition 0.
func (b *rebuild) dump(ctx context.Context) (older, error) {
	keys, err := b.keys(ctx, b.first())
	if err != nil {
		return nil, err
	}
	copied := older{}
	for _, key := range keys {
		value, err := b.redis.Dump(ctx, key).Result()
		if err != nil {
			return nil, fmt.Errorf("copy %s: %w", key, err)
		}
		copied[key] = value
	}
	return copied, nil
}

// restore puts a copy of partition 0 in the place of what is there, at once.
func (b *rebuild) restore(ctx context.Context, copied older) error {
	keys, err := b.keys(ctx, b.first())
	if err != nil {
		return err
	}
	pipe := b.redis.TxPipeline()
	pipe.Del(ctx, keys...)
	for key, value := range copied {
		pipe.RestoreReplace(ctx, key, time.Duration(0), value)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("roll partition 0 back: %w", err)
	}
	return nil
}

// forget takes away the position of every partition.
func (b *rebuild) forget(ctx context.Context) error {
	keys, err := b.keys(ctx, "{"+b.place.kafka.Prefix+".events.*}:meta")
	if err != nil {
		return err
	}
	if n, err := b.redis.Del(ctx, keys...).Result(); err != nil || n != int64(b.opts.Partitions) {
		return fmt.Errorf("forget the positions: %d of %d, %w", n, b.opts.Partitions, err)
	}
	return nil
}

// participants counts those of partitions [first, last).
func (b *rebuild) participants(ctx context.Context, v *view, first, last int32) (n int64, err error) {
	for p := first; p < last; p++ {
		meta, err := v.state.Meta(ctx, p)
		if err != nil {
			return 0, err
		}
		err = v.state.All(ctx, p, meta.Generation, func(string, []byte) error { n++; return nil })
		if err != nil {
			return 0, err
		}
	}
	return n, nil
}
