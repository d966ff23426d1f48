package redisstore_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/testredis"
)

// A position is dropped only where it is the one that was seen, and with it all
// values of its life.
func TestForget(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	client := redisstore.Open(redisstore.Config{Addrs: []string{testredis.Start(t, nil).Addr}})
	t.Cleanup(func() { _ = client.Close() })
	s := redisstore.NewState(client, space, nil)
	begun, err := s.Init(ctx, 0, engine.Meta{}, engine.Meta{Token: "token", Start: 3, Applied: 3})
	if err != nil {
		t.Fatal(err)
	}
	at, err := s.Apply(ctx, 0, engine.Move{Token: "token", Generation: begun.Generation, From: 3, To: 5, Values: []engine.KeyValue{{Key: "ada", Value: []byte("1")}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*engine.Meta){
		"an older position": func(m *engine.Meta) { m.Applied = 3 },
		"another life":      func(m *engine.Meta) { m.Generation = "other" },
		"another token":     func(m *engine.Meta) { m.Token = "other" },
		"nothing":           func(m *engine.Meta) { *m = engine.Meta{} },
	} {
		seen := at
		change(&seen)
		if got, err := s.Forget(ctx, 0, seen); err != nil || got != at {
			t.Errorf("to whoever saw %s it answered %+v, %v; want %+v", name, got, err, at)
		}
	}
	if got, err := s.Meta(ctx, 0); err != nil || got != at {
		t.Fatalf("stored is %+v, %v; want %+v", got, err, at)
	}
	if got, err := s.Forget(ctx, 0, at); err != nil || got.Exists {
		t.Fatalf("it answered %+v, %v", got, err)
	}
	if got, err := s.Meta(ctx, 0); err != nil || got.Exists {
		t.Fatalf("stored is %+v, %v", got, err)
	}
	if keys, err := client.Keys(ctx, "*").Result(); err != nil && err != redis.Nil || len(keys) > 0 {
		t.Errorf("left are %v, %v", keys, err)
	}
	if got, err := s.Forget(ctx, 0, at); err != nil || got.Exists {
		t.Errorf("a second time it answered %+v, %v", got, err)
	}
}
