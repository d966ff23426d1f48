package redisstore

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Time is the clock of a primary, with this machine's before and after it was read.
type Time struct {
	Addr                   string
	Shown, Asked, Answered time.Time
}

// Times reads the clock of every primary.
func Times(ctx context.Context, cl redis.UniversalClient) ([]Time, error) {
	var all []Time
	err := eachPrimary(ctx, cl, func(ctx context.Context, node *redis.Client) error {
		t := Time{Addr: node.Options().Addr}
		if err := node.Ping(ctx).Err(); err != nil { // so that the connection is no part of the reading
			return fmt.Errorf("read the clock of %s: %w", t.Addr, err)
		}
		t.Asked = time.Now()
		shown, err := node.Time(ctx).Result()
		t.Shown, t.Answered = shown, time.Now()
		if err != nil {
			return fmt.Errorf("read the clock of %s: %w", t.Addr, err)
		}
		all = append(all, t)
		return nil
	})
	return all, err
}
