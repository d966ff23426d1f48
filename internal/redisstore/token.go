package redisstore

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// TokenSecret returns the 32 bytes that sign players' tokens under prefix. The
// first caller of all creates them; everybody else finds the same.
func TokenSecret(ctx context.Context, client redis.UniversalClient, prefix string) ([]byte, error) {
	fresh := make([]byte, 32)
	rand.Read(fresh) //nolint:errcheck // never fails
	return KeepTokenSecret(ctx, client, prefix, fresh)
}

// KeepTokenSecret returns the secret that holds, which is mine where there is
// none: a Redis that lost it gets it back from whoever still has it.
func KeepTokenSecret(ctx context.Context, client redis.UniversalClient, prefix string, mine []byte) ([]byte, error) {
	key := tokenSecretKey(prefix)
	if err := client.SetNX(ctx, key, hex.EncodeToString(mine), 0).Err(); err != nil {
		return nil, fmt.Errorf("create the token secret: %w", err)
	}
	kept, err := client.Get(ctx, key).Result()
	if err != nil {
		return nil, fmt.Errorf("read the token secret: %w", err)
	}
	secret, err := hex.DecodeString(kept)
	if err != nil || len(secret) != 32 {
		return nil, fmt.Errorf("the token secret under %s is damaged: delete the key, and every token is void", key)
	}
	return secret, nil
}

// HasTokenSecret reports whether a notifier has ever used this Redis under
// prefix.
func HasTokenSecret(ctx context.Context, client redis.UniversalClient, prefix string) (bool, error) {
	n, err := client.Exists(ctx, tokenSecretKey(prefix)).Result()
	if err != nil {
		return false, fmt.Errorf("look for the token secret: %w", err)
	}
	return n > 0, nil
}
