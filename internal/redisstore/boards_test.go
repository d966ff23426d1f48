package redisstore_test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/ingest"
	"github.com/veltrix/veltrix/internal/participant"
	hunt "github.com/veltrix/veltrix/internal/participant/participanttest"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/testredis"
	"github.com/veltrix/veltrix/internal/wire"
)

// The hunt's leaderboards: by score, the highest first, and by the time of
// finishing, the lowest first.
const (
	byScore = iota
	byFinish
)

var ranks = hunt.New(hunt.DefaultOrder()).Schema()

// ranked begins a partition of a space whose schema has leaderboards.
func ranked(t *testing.T) (*redisstore.State, redis.UniversalClient, engine.Meta) {
	t.Helper()
	server := testredis.Start(t, nil)
	client := redisstore.Open(redisstore.Config{Addrs: []string{server.Addr}})
	t.Cleanup(func() { _ = client.Close() })
	s := redisstore.NewState(client, space, ranks)
	m, err := s.Init(t.Context(), 0, engine.Meta{}, engine.Meta{Token: "token"})
	if err != nil {
		t.Fatal(err)
	}
	return s, client, m
}

// holding is a stored participant. Finished 0 is not yet.
func holding(who string, score, finished int64) engine.KeyValue {
	h := participant.NewHistory(ranks)
	h.Newest, h.Floor.Time = 1, 1
	h.Base[hunt.Score].Int = score
	if finished != 0 {
		h.Base[hunt.Finished] = participant.Value{Kind: participant.KindTime, Int: finished}
	}
	h.Head = slices.Clone(h.Base)
	return engine.KeyValue{Key: who, Value: wire.AppendStored(nil, 1, h, ranks)}
}

// to moves the partition by one record.
func to(t *testing.T, s *redisstore.State, m engine.Meta, values ...engine.KeyValue) engine.Meta {
	t.Helper()
	got, err := s.Apply(t.Context(), 0, engine.Move{Token: m.Token, Generation: m.Generation, From: m.Applied, To: m.Applied + 1, Values: values})
	if err != nil || got.Applied != m.Applied+1 {
		t.Fatalf("a move answered %+v, %v", got, err)
	}
	return got
}

func wantRanking(t *testing.T, s *redisstore.State, generation string, leaderboard int, want map[string]int64) {
	t.Helper()
	if got, err := s.Ranking(t.Context(), 0, generation, leaderboard); err != nil || !maps.Equal(got, want) {
		t.Fatalf("leaderboard %d is %v, %v; want %v", leaderboard, got, err, want)
	}
}

func boardKey(generation, name string) string {
	return "{veltrix.events.1/0}:" + generation + ":leaderboard:" + name
}

func TestLeaderboardsMoveWithTheirValues(t *testing.T) { bothWays(t, leaderboardsMoveWithTheirValues) }

func leaderboardsMoveWithTheirValues(t *testing.T, way way) {
	t.Parallel()
	s, _, m := ranked(t)
	s = way(s)
	m = to(t, s, m, holding("ada", 5, 0), holding("bob", -3, 77))
	wantRanking(t, s, m.Generation, byScore, map[string]int64{"ada": 5, "bob": -3})
	wantRanking(t, s, m.Generation, byFinish, map[string]int64{"bob": 77})
	m = to(t, s, m, holding("bob", 8, 0), holding("ada", math.MaxInt64, 12)) // a refold may take a finish back
	wantRanking(t, s, m.Generation, byScore, map[string]int64{"ada": 1 << 53, "bob": 8})
	wantRanking(t, s, m.Generation, byFinish, map[string]int64{"ada": 12})
	m = to(t, s, m)
	stale := engine.Move{Token: m.Token, Generation: m.Generation, From: 1, To: 2, Values: []engine.KeyValue{holding("ada", 1, 1)}}
	if got, err := s.Apply(t.Context(), 0, stale); err != nil || got != m {
		t.Fatalf("a stale move answered %+v, %v", got, err)
	}
	wantRanking(t, s, m.Generation, byFinish, map[string]int64{"ada": 12})
	// More than the arguments of one command.
	var many []engine.KeyValue
	want := map[string]int64{"ada": 1 << 53, "bob": 8}
	for i := range 9000 {
		many = append(many, holding(fmt.Sprint("p", i), int64(i), 0))
		want[many[i].Key] = int64(i)
	}
	m = to(t, s, m, many...)
	wantRanking(t, s, m.Generation, byScore, want)
}

func TestStagedLeaderboardsAreAdopted(t *testing.T) {
	t.Parallel()
	s, client, m := ranked(t)
	m = to(t, s, m, holding("old", 1, 0))
	generation := ""
	var err error
	for _, batch := range [][]engine.KeyValue{{holding("ada", 5, 9)}, {holding("bob", 7, 0)}} {
		if generation, err = s.Stage(t.Context(), 0, generation, batch); err != nil {
			t.Fatal(err)
		}
	}
	next := engine.Meta{Token: "token", Generation: generation, Start: 3, Applied: 4}
	if got, err := s.Init(t.Context(), 0, m, next); err != nil || got.Generation != generation {
		t.Fatal(got, err)
	}
	wantRanking(t, s, generation, byScore, map[string]int64{"ada": 5, "bob": 7})
	wantRanking(t, s, generation, byFinish, map[string]int64{"ada": 9})
	keys, err := client.Keys(t.Context(), "*leaderboard*").Result()
	if err != nil || len(keys) != 2 {
		t.Fatalf("the leaderboards of the generation before are still there: %v, %v", keys, err)
	}
	for _, key := range keys {
		if life, err := client.TTL(t.Context(), key).Result(); err != nil || life > 0 {
			t.Errorf("%s, which was adopted, ends in %s, %v", key, life, err)
		}
	}
	if m, err = s.Meta(t.Context(), 0); err != nil || !m.Intact {
		t.Fatalf("what was adopted is %+v, %v", m, err)
	}
	if _, err := s.Forget(t.Context(), 0, m); err != nil {
		t.Fatal(err)
	}
	if keys, err := client.Keys(t.Context(), "*").Result(); err != nil || len(keys) != 0 {
		t.Fatalf("of what was forgotten remain %v, %v", keys, err)
	}
}

// A leaderboard that Redis lost is noticed as a bucket is, and never written to
// or adopted as if it were whole.
func TestLostLeaderboardIsNoticed(t *testing.T) { bothWays(t, lostLeaderboardIsNoticed) }

func lostLeaderboardIsNoticed(t *testing.T, way way) {
	t.Parallel()
	s, client, m := ranked(t)
	s = way(s)
	m = to(t, s, m, holding("ada", 5, 0))
	if err := client.Del(t.Context(), boardKey(m.Generation, "first")).Err(); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Meta(t.Context(), 0); err != nil || !got.Exists || got.Intact {
		t.Errorf("meta is %+v, %v; want it not intact", got, err)
	}
	move := engine.Move{Token: m.Token, Generation: m.Generation, From: m.Applied, To: 9, Values: []engine.KeyValue{holding("ada", 6, 0)}}
	if got, err := s.Apply(t.Context(), 0, move); err != nil || got.Applied != m.Applied || got.Intact {
		t.Errorf("a move answered %+v, %v; want it refused", got, err)
	}
	generation, err := s.Stage(t.Context(), 0, "", []engine.KeyValue{holding("ada", 5, 0)})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Del(t.Context(), boardKey(generation, "score")).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stage(t.Context(), 0, generation, []engine.KeyValue{holding("bob", 5, 0)}); err == nil {
		t.Error("what has lost a leaderboard is staged further")
	}
	if got, err := s.Init(t.Context(), 0, m, engine.Meta{Token: "token", Generation: generation}); err != nil || got.Generation != m.Generation {
		t.Errorf("what has lost a leaderboard was adopted: %+v, %v", got, err)
	}
}

func TestScanFindsDamagedLeaderboards(t *testing.T) {
	t.Parallel()
	s, client, m := ranked(t)
	m = to(t, s, m, holding("ada", 5, 0), holding("bob", 7, 3))
	scan := func() (n int, err error) {
		err = s.Scan(t.Context(), 0, m.Generation, func(values []engine.KeyValue) error { n += len(values); return nil })
		return n, err
	}
	if n, err := scan(); n != 2 || err != nil {
		t.Fatalf("of a whole generation %d were scanned, %v", n, err)
	}
	for _, damage := range []struct{ what, name, member string }{
		{"a changed score", "score", "ada"}, {"somebody who has not finished", "first", "ada"}, {"a changed time", "first", "bob"},
	} {
		key := boardKey(m.Generation, damage.name)
		before := client.ZScore(t.Context(), key, damage.member)
		client.ZAdd(t.Context(), key, redis.Z{Score: 99, Member: damage.member})
		if n, err := scan(); n != 2 || !errors.Is(err, engine.ErrDamaged) {
			t.Errorf("%s: %d scanned, %v", damage.what, n, err)
		}
		client.ZRem(t.Context(), key, damage.member)
		if _, err := scan(); (before.Err() == nil) != errors.Is(err, engine.ErrDamaged) {
			t.Errorf("without %s: %v", damage.what, err)
		}
		if before.Err() == nil {
			client.ZAdd(t.Context(), key, redis.Z{Score: before.Val(), Member: damage.member})
		}
	}
	if _, err := scan(); err != nil {
		t.Errorf("mended: %v", err)
	}
}

// Places among equals are found by name, by the bytes of it.
func TestBoardParts(t *testing.T) {
	t.Parallel()
	s, _, m := ranked(t)
	var places []ingest.Place
	var values []engine.KeyValue
	for i, who := range []string{"a", "B", "ä", "aa", "\xf0\x9f\x98\x80", "é", "Z", "zz", "_", "0", "b", "ß", "ab"} {
		p := ingest.Place{Participant: who, Number: int64(i % 3)}
		places, values = append(places, p), append(values, holding(who, p.Number, 0))
	}
	to(t, s, m, values...)
	slices.SortFunc(places, func(a, b ingest.Place) int {
		return cmp.Or(cmp.Compare(b.Number, a.Number), strings.Compare(a.Participant, b.Participant))
	})
	metas, err := s.Metas(t.Context(), 2)
	if err != nil || !metas[0].Exists || metas[1].Exists {
		t.Fatalf("%+v, %v", metas, err)
	}
	for i, at := range places {
		parts, whole, err := s.BoardParts(t.Context(), metas, byScore, &at, 2)
		if err != nil || !whole || len(parts) != 1 {
			t.Fatal(parts, whole, err)
		}
		better := slices.IndexFunc(places, func(p ingest.Place) bool { return p.Number == at.Number })
		p := parts[0]
		if p.All != int64(len(places)) || p.Before != int64(i) || p.Better != int64(better) ||
			!slices.Equal(p.Up, places[max(0, i-2):i]) || !slices.Equal(p.Down, places[i:min(len(places), i+3)]) {
			t.Errorf("around %+v, the %d. of %v: %+v", at, i, places, p)
		}
	}
	parts, _, err := s.BoardParts(t.Context(), metas, byScore, nil, 3)
	if err != nil || parts[0].Before != 0 || !slices.Equal(parts[0].Down, places[:4]) || len(parts[0].Up) != 0 {
		t.Errorf("the top: %+v, %v", parts, err)
	}
	metas[0].Generation = "gone"
	if parts, whole, err := s.BoardParts(t.Context(), metas, byScore, nil, 3); err != nil || whole || parts != nil {
		t.Errorf("of a generation that is gone: %+v, %t, %v", parts, whole, err)
	}
}

// TestProbesAreOnNoLeaderboard: whom a probe sends events of has a state as all have,
// and nobody is below or above it; a look at all values finds that right.
func TestProbesAreOnNoLeaderboard(t *testing.T) {
	t.Parallel()
	s, client, m := ranked(t)
	m = to(t, s, m, holding("ada", 5, 7), holding("veltrix-probe", 9, 3), holding("bob", 4, 8))
	wantRanking(t, s, m.Generation, byScore, map[string]int64{"ada": 5, "bob": 4})
	wantRanking(t, s, m.Generation, byFinish, map[string]int64{"ada": 7, "bob": 8})
	look := func() error {
		return s.Scan(t.Context(), 0, m.Generation, func([]engine.KeyValue) error { return nil })
	}
	if err := look(); err != nil {
		t.Fatal(err)
	}
	client.ZAdd(t.Context(), boardKey(m.Generation, "score"), redis.Z{Score: -9, Member: "veltrix-probe"})
	if err := look(); !errors.Is(err, engine.ErrDamaged) {
		t.Errorf("it is on a leaderboard, and that is said to be right: %v", err)
	}
}
