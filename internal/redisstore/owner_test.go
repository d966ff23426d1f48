package redisstore_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/testredis"
)

func ownerRedis(t *testing.T) redis.UniversalClient {
	t.Helper()
	cl := redisstore.Open(redisstore.Config{Addrs: []string{testredis.Start(t, nil).Addr}})
	t.Cleanup(func() { _ = cl.Close() })
	return cl
}

// TestClaim: one life has the keys until its lease ends; all its processes renew it.
func TestClaim(t *testing.T) {
	cl := ownerRedis(t)
	slots := redisstore.Slots{Client: cl, Prefix: t.Name(), Life: time.Minute}
	if life, _, err := redisstore.Claimed(t.Context(), cl, t.Name()); life != "" || err != nil {
		t.Fatalf("before anybody: %q, %v", life, err)
	}
	for range 2 {
		if err := slots.Claim(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
	}
	if err := slots.Claim(t.Context(), "b"); !errors.Is(err, redisstore.ErrOwned) || !strings.Contains(err.Error(), "belongs to a") {
		t.Errorf("another life: %v", err)
	}
	if life, left, err := redisstore.Claimed(t.Context(), cl, t.Name()); life != "a" || left <= 0 || left > time.Minute || err != nil {
		t.Errorf("%q for %v, %v", life, left, err)
	}
	slots.Life = time.Millisecond
	if err := slots.Claim(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); slots.Claim(t.Context(), "b") != nil; time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatal("a lease never ends")
		}
	}
}

// TestFences: the newest losses are remembered, and for a time only.
func TestFences(t *testing.T) {
	cl := ownerRedis(t)
	slots := redisstore.Slots{Client: cl, Prefix: t.Name(), Life: time.Minute}
	now := time.Now()
	note := func(ago time.Duration, slot int) {
		t.Helper()
		if err := slots.NoteFence(t.Context(), redisstore.Fence{At: now.Add(-ago), Slot: slot, Session: "host:1:ab", Owner: "instance:with space:0"}); err != nil {
			t.Fatal(err)
		}
	}
	note(redisstore.FencesKept, 1)
	for range 300 {
		note(time.Second, 2)
	}
	note(0, 3)
	all, err := redisstore.Fences(t.Context(), cl, t.Name(), now)
	if err != nil || len(all) != 200 || all[0].Slot != 3 || all[199].Slot != 2 || all[0].Owner != "instance:with space:0" || all[0].Session != "host:1:ab" {
		t.Errorf("%d: %+v, %v", len(all), all[0], err)
	}
	if later, err := redisstore.Fences(t.Context(), cl, t.Name(), now.Add(redisstore.FencesKept)); err != nil || len(later) != 0 {
		t.Errorf("long after: %+v, %v", later, err)
	}
}
