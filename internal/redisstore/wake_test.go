package redisstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/testredis"
)

// TestWakeAfterALostSubscription cuts the connection that hears of new entries.
// What was published meanwhile nobody hears again, so everybody has to look.
func TestWakeAfterALostSubscription(t *testing.T) {
	t.Parallel()
	client := redisstore.Open(redisstore.Config{Addrs: []string{testredis.Start(t, nil).Addr}})
	t.Cleanup(func() { client.Close() })
	inbox := redisstore.NewInbox(client, "v", 5, time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		inbox.Listen(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-listening
	})
	ada, stop := inbox.Wake("ada")
	defer stop()
	bob, stopBob := inbox.Wake("bob")
	defer stopBob()
	// It listens when it hears.
	for end := time.Now().Add(20 * time.Second); ; {
		if _, _, err := inbox.Append(t.Context(), deliverytest.Note("ada", int(time.Now().UnixNano()>>10))); err != nil {
			t.Fatal(err)
		}
		if subscribers, err := client.PubSubNumSub(t.Context(), "v:inbox:wake").Result(); err != nil || time.Now().After(end) {
			t.Fatalf("nobody listens, %v", err)
		} else if subscribers["v:inbox:wake"] == 1 {
			break
		}
	}
	for quiet := false; !quiet; { // what it was told so far
		select {
		case <-ada:
		case <-bob:
		case <-time.After(200 * time.Millisecond):
			quiet = true
		}
	}
	if killed, err := client.Do(t.Context(), "CLIENT", "KILL", "TYPE", "pubsub").Int(); err != nil || killed != 1 {
		t.Fatalf("%d subscriptions were cut, %v", killed, err)
	}
	for name, woken := range map[string]<-chan struct{}{"ada": ada, "bob": bob} {
		select {
		case <-woken:
		case <-time.After(20 * time.Second):
			t.Errorf("%s was not woken after the subscription was lost", name)
		}
	}
}
