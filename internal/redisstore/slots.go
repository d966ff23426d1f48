package redisstore

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// slotsMax bounds the search for a free slot.
const slotsMax = 1024

//go:embed slotlease.lua
var slotLeaseSource string

var slotLeaseScript = redis.NewScript(slotLeaseSource)

// ErrSlotLost says that another process holds the slot now.
var ErrSlotLost = errors.New("the slot's lease is held by another process")

// Slots hands out numbers to processor sessions. A number names a
// transactional ID and a static group member, so two processes must not hold
// one at the same time, and a restarted process should get its own back. The
// lease only prevents needless fencing: what makes two holders harmless is the
// broker's epoch.
type Slots struct {
	Client redis.UniversalClient
	Prefix string
	Life   time.Duration
	// Gone reports whether an owner's process is known to have ended.
	Gone func(owner string) bool
}

// Acquire takes the lowest slot that is free, already this owner's, or left by
// a process that is gone.
func (s Slots) Acquire(ctx context.Context, owner string) (int, error) {
	for slot := range slotsMax {
		held, err := s.try(ctx, slot, owner, "")
		if err == nil && held != owner && s.Gone != nil && s.Gone(held) {
			held, err = s.try(ctx, slot, owner, held)
		}
		if err != nil {
			return 0, err
		}
		if held == owner {
			return slot, nil
		}
	}
	return 0, fmt.Errorf("all %d processor slots of prefix %q are taken", slotsMax, s.Prefix)
}

// Renew prolongs a lease; ErrSlotLost where another process took it.
func (s Slots) Renew(ctx context.Context, slot int, owner string) error {
	held, err := s.try(ctx, slot, owner, "")
	if err == nil && held != owner {
		return fmt.Errorf("slot %d, held by %s: %w", slot, held, ErrSlotLost)
	}
	return err
}

// Free gives a slot back.
func (s Slots) Free(ctx context.Context, slot int, owner string) error {
	key := slotKey(s.Prefix, slot)
	held, err := s.Client.Get(ctx, key).Result()
	if err == nil && held == owner {
		err = s.Client.Del(ctx, key).Err()
	}
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("free slot %d: %w", slot, err)
	}
	return nil
}

func (s Slots) try(ctx context.Context, slot int, owner, over string) (string, error) {
	held, err := s.lease(ctx, slotKey(s.Prefix, slot), owner, over)
	if err != nil {
		return "", fmt.Errorf("lease slot %d: %w", slot, err)
	}
	return held, nil
}

func (s Slots) lease(ctx context.Context, key, owner, over string) (string, error) {
	return slotLeaseScript.Run(ctx, s.Client, []string{key}, owner, s.Life.Milliseconds(), over).Text()
}
