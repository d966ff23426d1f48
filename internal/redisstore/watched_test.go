package redisstore_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/redisstore"
)

// between does something between what a watched move reads and what it writes.
type between struct{ do func(context.Context) error }

func (b *between) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (b *between) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (b *between) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if do := b.do; do != nil && cmds[0].Name() == "multi" {
			b.do = nil
			if err := do(ctx); err != nil {
				return err
			}
		}
		return next(ctx, cmds)
	}
}

// TestWatchedMoveGivesWay: what touches the partition after a move has looked at it
// is noticed, and then nothing of the move is written.
func TestWatchedMoveGivesWay(t *testing.T) {
	t.Parallel()
	const meta = "{veltrix.events.1/0}:meta"
	for name, c := range map[string]struct {
		do      func(ctx context.Context, raw redis.UniversalClient, generation string) error
		applied int64
		intact  bool
	}{
		"moved by another": {func(ctx context.Context, raw redis.UniversalClient, _ string) error {
			return raw.HSet(ctx, meta, "applied", 7).Err()
		}, 7, true},
		"taken by another life": {func(ctx context.Context, raw redis.UniversalClient, _ string) error {
			return raw.HSet(ctx, meta, "token", "theirs").Err()
		}, 5, true},
		"a bucket is evicted": {func(ctx context.Context, raw redis.UniversalClient, generation string) error {
			return raw.Del(ctx, bucket(generation, 1)).Err()
		}, 5, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, raw, m := twoBuckets(t)
			old := inBoth(t, s, raw, m)
			hooked := redisstore.Open(redisstore.Config{Addrs: []string{raw.(*redis.Client).Options().Addr}})
			t.Cleanup(func() { _ = hooked.Close() })
			hook := &between{do: func(ctx context.Context) error { return c.do(ctx, raw, m.Generation) }}
			hooked.(*redis.Client).AddHook(hook)
			two := space
			two.Buckets = 2
			move := engine.Move{Token: "token", Generation: m.Generation, From: 5, To: 9, Values: values("new", old[0].Key, old[1].Key)}
			got, err := redisstore.Watched(redisstore.NewState(hooked, two, nil)).Apply(t.Context(), 0, move)
			if err != nil || got.Applied != c.applied || got.Intact != c.intact || hook.do != nil {
				t.Errorf("the move answered %+v, %v; it was met: %t", got, err, hook.do == nil)
			}
			if value, err := raw.HGet(t.Context(), bucket(m.Generation, 0), old[0].Key).Result(); err != nil || value != "old" {
				t.Errorf("the first bucket holds %q, %v", value, err)
			}
		})
	}
}

// TestLargeMovesAreWatched: without anybody asking for it.
func TestLargeMovesAreWatched(t *testing.T) {
	t.Parallel()
	s, raw, m := twoBuckets(t)
	moved := func(n int) (scripts int64) {
		var many []engine.KeyValue
		for i := range n {
			many = append(many, engine.KeyValue{Key: string(rune('a'+i%26)) + string(rune('0'+i/26)), Value: []byte("v")})
		}
		before := scriptsRun(t, raw)
		got, err := s.Apply(t.Context(), 0, engine.Move{Token: "token", Generation: m.Generation, From: m.Applied, To: m.Applied + 1, Values: many})
		if err != nil || got.Applied != m.Applied+1 {
			t.Fatalf("a move of %d values answered %+v, %v", n, got, err)
		}
		m = got
		return scriptsRun(t, raw) - before
	}
	if moved(499) == 0 || moved(500) != 0 {
		t.Error("499 values go by the script, and 500 under WATCH")
	}
}

// scriptsRun is how many scripts a server has run.
func scriptsRun(t *testing.T, raw redis.UniversalClient) (n int64) {
	t.Helper()
	stats, err := raw.InfoMap(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range stats["Commandstats"] {
		if name == "cmdstat_evalsha" || name == "cmdstat_eval" {
			var calls int64
			if _, err := fmt.Sscanf(text, "calls=%d", &calls); err != nil {
				t.Fatal(err)
			}
			n += calls
		}
	}
	return n
}
