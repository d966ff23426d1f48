package redisstore

import (
	"context"
	_ "embed"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/engine"
)

//go:embed forget.lua
var forgetSource string

var forgetScript = redis.NewScript(forgetSource)

// Forget drops the partition's position if it is old, and returns what is stored
// then; see forget.lua. The values of the dropped life are deleted.
func (s *State) Forget(ctx context.Context, partition int32, old engine.Meta) (engine.Meta, error) {
	if !old.Exists {
		return s.Meta(ctx, partition)
	}
	meta, err := s.run(ctx, "forget", partition, forgetScript, []string{s.space.metaKey(partition)}, []any{old.Token, old.Generation, old.Applied})
	if err == nil && !meta.Exists {
		// Only memory is at stake: nobody reads this generation any more.
		_ = s.client.Unlink(ctx, s.keys(partition, old.Generation)...).Err()
	}
	return meta, err
}
