package redisstore_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/testredis"
)

// onEachRedis runs a test on miniredis and on the real server.
func onEachRedis(t *testing.T, test func(t *testing.T, client redis.UniversalClient)) {
	t.Helper()
	t.Run("miniredis", func(t *testing.T) {
		client := redisstore.Open(redisstore.Config{Addrs: []string{miniredis.RunT(t).Addr()}})
		t.Cleanup(func() { client.Close() })
		test(t, client)
	})
	t.Run("redis-server", func(t *testing.T) {
		client := redisstore.Open(redisstore.Config{Addrs: []string{testredis.Start(t, nil).Addr}})
		t.Cleanup(func() { client.Close() })
		test(t, client)
	})
}

func TestLedger(t *testing.T) {
	onEachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		deliverytest.LedgerSuite(t, func(t *testing.T) delivery.Ledger {
			return redisstore.NewLedger(client, t.Name(), time.Hour)
		})
	})
}

func TestInbox(t *testing.T) {
	onEachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		deliverytest.InboxSuite(t, func(t *testing.T, entriesMax int, retention time.Duration) delivery.Inbox {
			inbox := redisstore.NewInbox(client, t.Name(), entriesMax, retention)
			ctx, cancel := context.WithCancel(t.Context())
			subscribed, stop := inbox.Wake("nobody") // everybody is woken with the subscription, who waits by then
			defer stop()
			listening := make(chan struct{})
			go func() {
				defer close(listening)
				inbox.Listen(ctx)
			}()
			t.Cleanup(func() {
				cancel()
				<-listening
			})
			select {
			case <-subscribed:
			case <-time.After(20 * time.Second):
				t.Fatal("nothing was heard of the subscription")
			}
			return inbox
		})
	})
}

// TestLifetimes checks that entries end by themselves, not before their time.
func TestLifetimes(t *testing.T) {
	onEachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		ledger := redisstore.NewLedger(client, "v", time.Hour)
		key := delivery.Key{Participant: "a", Notification: "n", Channel: "c", Target: "t"}
		req := delivery.ClaimRequest{Owner: "o", Lease: time.Minute, Revision: 1}
		if _, err := ledger.Claim(t.Context(), key, req); err != nil {
			t.Fatal(err)
		}
		inbox := redisstore.NewInbox(client, "v", 5, time.Hour)
		if _, _, err := inbox.Append(t.Context(), deliverytest.Note("a", 1)); err != nil {
			t.Fatal(err)
		}
		for pattern, want := range map[string]time.Duration{
			"v:ledger:{a}:n:c:t": time.Hour,
			"{v:inbox:a}:meta":   25 * time.Hour, "{v:inbox:a}:log": 25 * time.Hour, "{v:inbox:a}:body": 25 * time.Hour,
			"{v:inbox:a}:seen": 25 * time.Hour, "{v:inbox:a}:revs": 25 * time.Hour,
		} {
			left, err := client.PTTL(t.Context(), pattern).Result()
			if err != nil || left > want || left < want-time.Minute {
				t.Errorf("%s lives for %v (%v), want %v", pattern, left, err, want)
			}
		}
	})
}

// TestInboxBeginsAnew checks that a lost meta does not mix two lives.
func TestInboxBeginsAnew(t *testing.T) {
	onEachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		inbox := redisstore.NewInbox(client, "v", 5, time.Hour)
		for i := 1; i <= 3; i++ {
			if _, _, err := inbox.Append(t.Context(), deliverytest.Note("a", i)); err != nil {
				t.Fatal(err)
			}
		}
		before, err := inbox.Page(t.Context(), "a", delivery.Cursor{}, 10)
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Del(t.Context(), "{v:inbox:a}:meta").Err(); err != nil {
			t.Fatal(err)
		}
		if _, offset, err := inbox.Append(t.Context(), deliverytest.Note("a", 4)); err != nil || offset != 1 {
			t.Fatalf("offset %d, %v; a new life starts at 1", offset, err)
		}
		after, err := inbox.Page(t.Context(), "a", delivery.Cursor{Epoch: before.Epoch, Offset: 1}, 10)
		if err != nil || !after.Resync || after.Epoch == before.Epoch || len(after.Entries) != 1 {
			t.Fatalf("page %+v, %v; want a resync to the one entry of the new life", after, err)
		}
	})
}

func TestTokenSecret(t *testing.T) {
	onEachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		first, err := redisstore.TokenSecret(t.Context(), client, "v")
		if err != nil || len(first) != 32 {
			t.Fatalf("%d bytes, %v", len(first), err)
		}
		again, err := redisstore.TokenSecret(t.Context(), client, "v")
		if err != nil || !bytes.Equal(first, again) {
			t.Fatalf("the second caller got another secret, %v", err)
		}
		other, err := redisstore.TokenSecret(t.Context(), client, "w")
		if err != nil || bytes.Equal(first, other) {
			t.Fatalf("another prefix got the same secret, %v", err)
		}
	})
}
