package redisstore_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/testredis"
)

// many partitions, most of them in slots of their own.
const many = 40

// beginMany begins partitions, each at its own number.
func beginMany(t *testing.T, s *redisstore.State) (partitions []int32, at []engine.Meta) {
	t.Helper()
	for p := range int32(many) {
		m, err := s.Init(t.Context(), p, engine.Meta{}, engine.Meta{Token: "token", Start: int64(p), Applied: int64(p)})
		if err != nil || !m.Intact {
			t.Fatal(m, err)
		}
		partitions, at = append(partitions, p), append(at, m)
	}
	return partitions, at
}

// expect fails where a result is not the partition's meta. Those for which fails says
// so have to have an error instead.
func expect(t *testing.T, got []engine.MetaResult, want []engine.Meta, fails func(p int) bool) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d results for %d partitions", len(got), len(want))
	}
	for p := range got {
		if failed := got[p].Err != nil; failed != fails(p) || !failed && got[p].Meta != want[p] {
			t.Errorf("partition %d is at %+v, want %+v; must fail: %t", p, got[p], want[p], fails(p))
		}
	}
}

func never(int) bool { return false }

// trips counts requests that wait for an answer.
type trips struct{ single, pipelines atomic.Int64 }

func (c *trips) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.single.Add(1)
		return next(ctx, cmd)
	}
}

func (c *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.pipelines.Add(1)
		return next(ctx, cmds)
	}
}

// TestManyPositionsTakeFewTrips reads many partitions of a cluster's node, whose keys are
// of many slots, by two pipelines; a third one where the server was started again.
func TestManyPositionsTakeFewTrips(t *testing.T) {
	t.Parallel()
	client := startCluster(t)
	s := redisstore.NewState(client, space, nil)
	partitions, at := beginMany(t, s)
	var count trips
	client.AddHook(&count)
	expect(t, s.EachMeta(t.Context(), partitions), at, never) // with what a connection begins with
	if err := client.ScriptFlush(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int64{3, 2} {
		count.pipelines.Store(0)
		count.single.Store(0)
		expect(t, s.EachMeta(t.Context(), partitions), at, never)
		if got := count.pipelines.Load(); got != want || count.single.Load() != 0 {
			t.Errorf("reading %d positions took %d pipelines and %d requests, in turn %d; want %d pipelines", many, got, count.single.Load(), i+1, want)
		}
	}
}

// TestPositionThatCannotBeRead damages one partition after the other: whichever part of
// it cannot be read, the error is its own, and a bucket that is lost is its loss.
func TestPositionThatCannotBeRead(t *testing.T) {
	t.Parallel()
	client := redisstore.Open(redisstore.Config{Addrs: []string{testredis.Start(t, nil).Addr}})
	t.Cleanup(func() { _ = client.Close() })
	s := redisstore.NewState(client, space, nil)
	partitions, at := beginMany(t, s)
	tag := func(p string) string { return "{veltrix.events.1/" + p + "}:" }
	ctx := t.Context()
	for _, err := range []error{
		client.Set(ctx, tag("3")+"meta", "x", 0).Err(),
		client.HSet(ctx, tag("5")+"meta", "applied", "x").Err(),
		client.Set(ctx, tag("7")+at[7].Generation+":2", "x", 0).Err(),
		client.Del(ctx, tag("9")+at[9].Generation+":2").Err(),
		client.HDel(ctx, tag("11")+at[11].Generation+":0", "").Err(),
		client.Del(ctx, tag("13")+"meta").Err(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	at[9].Intact, at[11].Intact, at[13] = false, false, engine.Meta{}
	for range 2 { // the script is known only to the second one
		expect(t, s.EachMeta(ctx, partitions), at, func(p int) bool { return p == 3 || p == 5 || p == 7 })
	}
}

// TestNodeThatIsAway reads partitions of two nodes, of which one is gone: the other one's
// partitions are read all the same.
func TestNodeThatIsAway(t *testing.T) {
	t.Parallel()
	nodes := []*miniredis.Miniredis{miniredis.RunT(t), miniredis.RunT(t)}
	client := redis.NewClusterClient(&redis.ClusterOptions{
		MaxRetries: -1, DialTimeout: time.Second,
		ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
			return []redis.ClusterSlot{
				{Start: 0, End: 8191, Nodes: []redis.ClusterNode{{Addr: nodes[0].Addr()}}},
				{Start: 8192, End: 16383, Nodes: []redis.ClusterNode{{Addr: nodes[1].Addr()}}},
			}, nil
		},
	})
	t.Cleanup(func() { _ = client.Close() })
	s := redisstore.NewState(client, space, nil)
	partitions, at := beginMany(t, s)
	expect(t, s.EachMeta(t.Context(), partitions), at, never)
	lost := map[int]bool{}
	for p := range at {
		if nodes[1].Exists(fmt.Sprintf("{veltrix.events.1/%d}:meta", p)) {
			lost[p] = true
		}
	}
	if len(lost) == 0 || len(lost) == many {
		t.Fatalf("%d of %d partitions lie on the second node", len(lost), many)
	}
	nodes[1].Close()
	expect(t, s.EachMeta(t.Context(), partitions), at, func(p int) bool { return lost[p] })
}
