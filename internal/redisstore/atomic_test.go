package redisstore_test

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/testredis"
)

// twoBuckets begins a partition whose participants ada and bob are in buckets
// of their own, and returns what a raw client needs to damage them.
func twoBuckets(t *testing.T) (*redisstore.State, redis.UniversalClient, engine.Meta) {
	t.Helper()
	server := testredis.Start(t, nil)
	client := redisstore.Open(redisstore.Config{Addrs: []string{server.Addr}})
	t.Cleanup(func() { _ = client.Close() })
	two := space
	two.Buckets = 2
	s := redisstore.NewState(client, two, nil)
	m, err := s.Init(t.Context(), 0, engine.Meta{}, engine.Meta{Token: "token"})
	if err != nil {
		t.Fatal(err)
	}
	return s, client, m
}

// inBoth is a participant for each of two buckets.
func inBoth(t *testing.T, s *redisstore.State, client redis.UniversalClient, m engine.Meta) []engine.KeyValue {
	t.Helper()
	var out []engine.KeyValue
	names := []string{"ada", "bob", "cleo", "dan", "eve", "fay", "gus"}
	generation, err := s.Stage(t.Context(), 0, "", values("x", names...))
	if err != nil {
		t.Fatal(err)
	}
	for b := range 2 {
		found, err := client.HKeys(t.Context(), bucket(generation, b)).Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range found {
			if name != "" {
				out = append(out, engine.KeyValue{Key: name, Value: []byte("old")})
				break
			}
		}
	}
	if len(out) != 2 {
		t.Fatalf("%v are not in two buckets", names)
	}
	if got, err := s.Apply(t.Context(), 0, engine.Move{Token: "token", Generation: m.Generation, To: 5, Values: out}); err != nil || got.Applied != 5 {
		t.Fatal(got, err)
	}
	return out
}

func values(value string, keys ...string) []engine.KeyValue {
	var out []engine.KeyValue
	for _, k := range keys {
		out = append(out, engine.KeyValue{Key: k, Value: []byte(value)})
	}
	return out
}

func bucket(generation string, n int) string {
	return "{veltrix.events.1/0}:" + generation + ":" + string(rune('0'+n))
}

// TestMoveIsAllOrNothing is row 13 of the failure matrix: a move of which a
// part cannot be written leaves every value and the position as they were.
func TestMoveIsAllOrNothing(t *testing.T) { bothWays(t, moveIsAllOrNothing) }

func moveIsAllOrNothing(t *testing.T, way way) {
	t.Parallel()
	for name, damage := range map[string]func(ctx context.Context, client redis.UniversalClient, m engine.Meta) error{
		"the second bucket is lost": func(ctx context.Context, client redis.UniversalClient, m engine.Meta) error {
			return client.Del(ctx, bucket(m.Generation, 1)).Err()
		},
		"the second bucket is of another type": func(ctx context.Context, client redis.UniversalClient, m engine.Meta) error {
			return client.Set(ctx, bucket(m.Generation, 1), "x", 0).Err()
		},
		"out of memory": func(ctx context.Context, client redis.UniversalClient, _ engine.Meta) error {
			return client.ConfigSet(ctx, "maxmemory", "1").Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, client, m := twoBuckets(t)
			s = way(s)
			old := inBoth(t, s, client, m)
			if err := damage(t.Context(), client, m); err != nil {
				t.Fatal(err)
			}
			got, err := s.Apply(t.Context(), 0, engine.Move{
				Token: "token", Generation: m.Generation, From: 5, To: 9, Values: values("new", old[0].Key, old[1].Key),
			})
			if err == nil && (got.Intact || got.Applied != 5) {
				t.Errorf("the move answered %+v", got)
			}
			if first, err := client.HGet(t.Context(), bucket(m.Generation, 0), old[0].Key).Result(); err != nil || first != "old" {
				t.Errorf("the first bucket holds %q, %v", first, err)
			}
			if applied, err := client.HGet(t.Context(), "{veltrix.events.1/0}:meta", "applied").Result(); err != nil || applied != "5" {
				t.Errorf("the position is %q, %v", applied, err)
			}
		})
	}
}

// TestMoveThatBreaksOff lets the script fail between two buckets, as a request
// would that was damaged on its way: the position still stands before the
// move, so whoever repeats it writes all of it.
func TestMoveThatBreaksOff(t *testing.T) {
	t.Parallel()
	s, client, m := twoBuckets(t)
	old := inBoth(t, s, client, m)
	keys := []string{"{veltrix.events.1/0}:meta", bucket(m.Generation, 0), bucket(m.Generation, 1)}
	err := client.Eval(t.Context(), redisstore.ApplySource, keys, "token", m.Generation, 5, 9, "0", "0", 2, old[0].Key, "new", "no number", old[1].Key, "new").Err()
	if err == nil {
		t.Fatal("a request without a number was taken")
	}
	if got, err := s.Meta(t.Context(), 0); err != nil || got.Applied != 5 {
		t.Fatalf("after the failure: %+v, %v", got, err)
	}
	if got, err := s.Apply(t.Context(), 0, engine.Move{
		Token: "token", Generation: m.Generation, From: 5, To: 9, Values: values("new", old[0].Key, old[1].Key),
	}); err != nil || got.Applied != 9 {
		t.Fatalf("the repetition answered %+v, %v", got, err)
	}
	if _, got, err := s.Load(t.Context(), 0, m.Generation, []string{old[0].Key, old[1].Key}); err != nil || string(got[0]) != "new" || string(got[1]) != "new" {
		t.Errorf("the repetition left %q, %v", got, err)
	}
}
