package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// What is remembered of slots that were lost to another.
const (
	// FencesKept is how long.
	FencesKept = 5 * time.Minute
	fencesMax  = 200
)

// ErrOwned says that processors of another events topic are at work here.
var ErrOwned = errors.New("processors of another events topic write under this prefix in this Redis")

// Claim takes the namespace for one life of the events topic, or renews it: two
// lives that write it in turns would each find the other's states. All processes
// of a deployment claim it for the same life. It ends by itself, a lease's life
// after the last of them; ErrOwned where another life has it.
func (s Slots) Claim(ctx context.Context, life string) error {
	held, err := s.lease(ctx, ownerKey(s.Prefix), life, "")
	if err != nil {
		return fmt.Errorf("claim prefix %q: %w", s.Prefix, err)
	}
	if held != life {
		return fmt.Errorf("prefix %q belongs to %s: %w", s.Prefix, held, ErrOwned)
	}
	return nil
}

// Claimed returns the life that has the namespace, empty where none has, and for
// how long it is held unless it is renewed.
func Claimed(ctx context.Context, client redis.UniversalClient, prefix string) (life string, left time.Duration, _ error) {
	key := ownerKey(prefix)
	var held *redis.StringCmd
	var ttl *redis.DurationCmd
	_, err := client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		held, ttl = pipe.Get(ctx, key), pipe.PTTL(ctx, key)
		return nil
	})
	if errors.Is(held.Err(), redis.Nil) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, fmt.Errorf("read %s: %w", key, err)
	}
	return held.Val(), ttl.Val(), nil
}

// Holder returns who has a slot; empty: nobody.
func Holder(ctx context.Context, client redis.UniversalClient, prefix string, slot int) (string, error) {
	held, err := client.Get(ctx, slotKey(prefix, slot)).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("read the lease of slot %d: %w", slot, err)
	}
	return held, nil
}

// Fence is one time that a session lost its slot to another member of its name.
type Fence struct {
	At      time.Time
	Slot    int
	Session string // that lost it, as its process names it
	Owner   string // of the lease that the session had
}

// NoteFence remembers a loss, for whoever looks for its cause.
func (s Slots) NoteFence(ctx context.Context, f Fence) error {
	key := fencesKey(s.Prefix)
	text := fmt.Sprintf("%d %d %s %s", f.At.UnixMilli(), f.Slot, f.Session, f.Owner)
	_, err := s.Client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.LPush(ctx, key, text)
		pipe.LTrim(ctx, key, 0, fencesMax-1)
		pipe.PExpire(ctx, key, FencesKept)
		return nil
	})
	if err != nil {
		return fmt.Errorf("note that slot %d was lost: %w", f.Slot, err)
	}
	return nil
}

// Fences returns the losses of the last FencesKept, the newest first.
func Fences(ctx context.Context, client redis.UniversalClient, prefix string, now time.Time) ([]Fence, error) {
	lines, err := client.LRange(ctx, fencesKey(prefix), 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("read who lost slots: %w", err)
	}
	var all []Fence
	for _, line := range lines {
		part := strings.SplitN(line, " ", 4)
		if len(part) != 4 {
			continue // of another version
		}
		ms, errAt := strconv.ParseInt(part[0], 10, 64)
		slot, errSlot := strconv.Atoi(part[1])
		f := Fence{At: time.UnixMilli(ms), Slot: slot, Session: part[2], Owner: part[3]}
		if errAt == nil && errSlot == nil && now.Sub(f.At) < FencesKept {
			all = append(all, f)
		}
	}
	return all, nil
}
