package redisstore_test

import (
	"context"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/engine/enginetest"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/testredis"
)

var space = redisstore.Space{Prefix: "veltrix", Generation: 1, Buckets: 4}

// way is how moves are made: by the script, or under WATCH.
type way func(*redisstore.State) *redisstore.State

func script(s *redisstore.State) *redisstore.State { return s }

func bothWays(t *testing.T, test func(t *testing.T, way way)) {
	t.Parallel()
	t.Run("script", func(t *testing.T) { test(t, script) })
	t.Run("watched", func(t *testing.T) { test(t, redisstore.Watched) })
}

func TestStateMiniredis(t *testing.T) { bothWays(t, stateMiniredis) }

func stateMiniredis(t *testing.T, way way) {
	t.Parallel()
	enginetest.StoreSuite(t, func(t *testing.T) engine.Store {
		client := redisstore.Open(redisstore.Config{Addrs: []string{miniredis.RunT(t).Addr()}})
		t.Cleanup(func() { _ = client.Close() })
		return way(redisstore.NewState(client, space, nil))
	})
}

func TestStateRedis(t *testing.T) { bothWays(t, stateRedis) }

func stateRedis(t *testing.T, way way) {
	t.Parallel()
	server := testredis.Start(t, nil)
	client := redisstore.Open(redisstore.Config{Addrs: []string{server.Addr}})
	t.Cleanup(func() { _ = client.Close() })
	enginetest.StoreSuite(t, func(t *testing.T) engine.Store {
		if err := client.FlushAll(context.Background()).Err(); err != nil {
			t.Fatal(err)
		}
		return way(redisstore.NewState(client, space, nil))
	})
}

// A bucket that Redis lost must be noticed, whichever way it is looked at, and
// must not be written to as if it were whole.
func TestLostBucketIsNoticed(t *testing.T) { bothWays(t, lostBucketIsNoticed) }

func lostBucketIsNoticed(t *testing.T, way way) {
	t.Parallel()
	ctx := context.Background()
	server := miniredis.RunT(t)
	client := redisstore.Open(redisstore.Config{Addrs: []string{server.Addr()}})
	t.Cleanup(func() { _ = client.Close() })
	one := space
	one.Buckets = 1
	s := way(redisstore.NewState(client, one, nil))
	m, err := s.Init(ctx, 0, engine.Meta{}, engine.Meta{Token: "token"})
	if err != nil {
		t.Fatal(err)
	}
	step := engine.Move{Token: "token", Generation: m.Generation, To: 5, Values: []engine.KeyValue{{Key: "ada", Value: []byte("1")}}}
	if m, err = s.Apply(ctx, 0, step); err != nil || m.Applied != 5 {
		t.Fatalf("%+v, %v", m, err)
	}
	server.Del("{veltrix.events.1/0}:" + m.Generation + ":0")
	if got, err := s.Meta(ctx, 0); err != nil || !got.Exists || got.Intact {
		t.Errorf("meta is %+v, %v; want it not intact", got, err)
	}
	if got, _, err := s.Load(ctx, 0, m.Generation, []string{"ada"}); err != nil || got.Intact {
		t.Errorf("load found %+v, %v; want it not intact", got, err)
	}
	step.From, step.To = 5, 9
	if got, err := s.Apply(ctx, 0, step); err != nil || got.Applied != 5 || got.Intact {
		t.Errorf("a move answered %+v, %v; want it refused", got, err)
	}
}
