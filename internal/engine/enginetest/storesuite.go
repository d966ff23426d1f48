package enginetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/veltrix/veltrix/internal/engine"
)

// StoreSuite holds a Store to its contract. open returns a store of partition 0
// and 1 without any state.
func StoreSuite(t *testing.T, open func(t *testing.T) engine.Store) {
	t.Run("begins once", func(t *testing.T) { storeBegins(t, open(t)) })
	t.Run("moves by compare-and-set", func(t *testing.T) { storeMoves(t, open(t)) })
	t.Run("writes all or nothing", func(t *testing.T) { storeStale(t, open(t)) })
	t.Run("rebuilds into a new generation", func(t *testing.T) { storeRebuilds(t, open(t)) })
	t.Run("reads many positions", func(t *testing.T) { storeReadsMany(t, open(t)) })
	t.Run("takes more values than one command", func(t *testing.T) { storeMany(t, open(t)) })
	t.Run("adopts what was staged, whole", func(t *testing.T) { storeStages(t, open(t)) })
}

const suiteToken = "1/cluster/topic/2/1-rules/4"

// next is an empty generation that begins at an offset.
func next(start int64) engine.Meta {
	return engine.Meta{Token: suiteToken, Start: start, Applied: start}
}

func begin(t *testing.T, s engine.Store) engine.Meta {
	t.Helper()
	m, err := s.Init(context.Background(), 0, engine.Meta{}, next(7))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func storeBegins(t *testing.T, s engine.Store) {
	ctx := context.Background()
	if m, err := s.Meta(ctx, 0); err != nil || m.Exists {
		t.Fatalf("an empty store has the meta %+v, %v", m, err)
	}
	first := begin(t, s)
	if !first.Exists || !first.Intact || first.Token != suiteToken || first.Start != 7 || first.Applied != 7 || first.Generation == "" {
		t.Fatalf("it began with %+v", first)
	}
	second, err := s.Init(ctx, 0, engine.Meta{}, next(9))
	if err != nil || second != first {
		t.Fatalf("a second beginning replaced %+v by %+v, %v", first, second, err)
	}
	if m, err := s.Meta(ctx, 0); err != nil || m != first {
		t.Fatalf("stored is %+v, %v; want %+v", m, err, first)
	}
	if m, err := s.Meta(ctx, 1); err != nil || m.Exists {
		t.Fatalf("the other partition has the meta %+v, %v", m, err)
	}
}

func move(m engine.Meta, to int64, values ...engine.KeyValue) engine.Move {
	return engine.Move{
		Token: m.Token, Generation: m.Generation, From: m.Applied, To: to, Chain: uint64(to) << 40, Digest: ^uint64(to), Values: values,
	}
}

func storeMoves(t *testing.T, s engine.Store) {
	ctx := context.Background()
	m := begin(t, s)
	step := move(m, 12, engine.KeyValue{Key: "ada", Value: []byte("1\x00\xff")}, engine.KeyValue{Key: "bob", Value: []byte("2")})
	for range 2 { // the second is a resend after a lost answer
		got, err := s.Apply(ctx, 0, step)
		if err != nil || !got.Intact || got.Applied != 12 || got.Chain != step.Chain || got.Digest != step.Digest || got.Start != 7 {
			t.Fatalf("after the move: %+v, %v", got, err)
		}
	}
	got, values, err := s.Load(ctx, 0, m.Generation, []string{"bob", "nobody", "ada"})
	if err != nil || got.Applied != 12 || !got.Intact {
		t.Fatalf("loaded at %+v, %v", got, err)
	}
	if string(values[0]) != "2" || values[1] != nil || string(values[2]) != "1\x00\xff" {
		t.Fatalf("loaded %q", values)
	}
}

func storeStale(t *testing.T, s engine.Store) {
	ctx := context.Background()
	m := begin(t, s)
	if _, err := s.Apply(ctx, 0, move(m, 12, engine.KeyValue{Key: "ada", Value: []byte("new")})); err != nil {
		t.Fatal(err)
	}
	other := move(m, 10, engine.KeyValue{Key: "ada", Value: []byte("stale")}, engine.KeyValue{Key: "eve", Value: []byte("stale")})
	foreign := other
	foreign.From, foreign.Token = 12, "another token"
	past := other
	past.From, past.Generation = 12, "another generation"
	empty := past
	empty.Values = nil
	for name, stale := range map[string]engine.Move{
		"an older position": other, "another token": foreign, "another generation": past, "another generation, without values": empty,
	} {
		got, err := s.Apply(ctx, 0, stale)
		if err != nil || got.Applied != 12 || got.Token != suiteToken || got.Generation != m.Generation {
			t.Errorf("a move from %s answered %+v, %v", name, got, err)
		}
	}
	if got, err := s.Init(ctx, 0, m, next(7)); err != nil || got.Applied != 12 || got.Generation != m.Generation {
		t.Errorf("a beginning instead of an older position answered %+v, %v", got, err)
	}
	_, values, err := s.Load(ctx, 0, m.Generation, []string{"ada", "eve"})
	if err != nil || string(values[0]) != "new" || values[1] != nil {
		t.Fatalf("stale moves left %q, %v", values, err)
	}
}

func storeRebuilds(t *testing.T, s engine.Store) {
	ctx := context.Background()
	m := begin(t, s)
	old, err := s.Apply(ctx, 0, move(m, 12, engine.KeyValue{Key: "ada", Value: []byte("old")}))
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := s.Init(ctx, 0, old, next(7))
	if err != nil || fresh.Generation == old.Generation || fresh.Applied != 7 || fresh.Digest != 0 || fresh.Chain != 0 || !fresh.Intact {
		t.Fatalf("rebuilding began with %+v, %v", fresh, err)
	}
	if _, values, err := s.Load(ctx, 0, fresh.Generation, []string{"ada"}); err != nil || values[0] != nil {
		t.Fatalf("the new generation reads the old value %q, %v", values, err)
	}
	if late, err := s.Init(ctx, 0, old, next(7)); err != nil || late != fresh {
		t.Fatalf("a second rebuild of the same meta answered %+v, %v", late, err)
	}
	if got, err := s.Apply(ctx, 0, move(old, 20)); err != nil || got.Applied != 7 {
		t.Fatalf("the replaced generation still moves: %+v, %v", got, err)
	}
}

func storeReadsMany(t *testing.T, s engine.Store) {
	ctx := context.Background()
	if got := s.EachMeta(ctx, nil); len(got) != 0 {
		t.Fatalf("of no partition the positions are %+v", got)
	}
	moved, err := s.Apply(ctx, 0, move(begin(t, s), 12, engine.KeyValue{Key: "ada", Value: []byte("1")}))
	if err != nil {
		t.Fatal(err)
	}
	started, err := s.Init(ctx, 1, engine.Meta{}, next(3))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		asked []int32
		want  []engine.Meta
	}{
		{[]int32{1, 0}, []engine.Meta{started, moved}},
		{[]int32{0, 1}, []engine.Meta{moved, started}},
		{[]int32{0}, []engine.Meta{moved}},
	} {
		got := s.EachMeta(ctx, c.asked)
		if len(got) != len(c.want) {
			t.Fatalf("of partitions %v the positions are %+v", c.asked, got)
		}
		for i := range got {
			if got[i].Err != nil || got[i].Meta != c.want[i] {
				t.Errorf("of partitions %v, partition %d is at %+v, want %+v", c.asked, c.asked[i], got[i], c.want[i])
			}
		}
	}
}

func storeMany(t *testing.T, s engine.Store) {
	ctx := context.Background()
	m := begin(t, s)
	var values []engine.KeyValue
	var keys []string
	for i := range 25_000 {
		keys = append(keys, fmt.Sprintf("player-%d", i))
		values = append(values, engine.KeyValue{Key: keys[i], Value: []byte(fmt.Sprint(i))})
	}
	if got, err := s.Apply(ctx, 0, move(m, 99, values...)); err != nil || got.Applied != 99 {
		t.Fatalf("the move answered %+v, %v", got, err)
	}
	slices.Reverse(keys)
	_, got, err := s.Load(ctx, 0, m.Generation, keys)
	if err != nil || len(got) != len(keys) {
		t.Fatalf("loaded %d values, %v", len(got), err)
	}
	for i := range keys {
		if want := fmt.Sprint(len(keys) - 1 - i); string(got[i]) != want {
			t.Fatalf("%s is %q, want %s", keys[i], got[i], want)
		}
	}
}

func storeStages(t *testing.T, s engine.Store) {
	ctx := context.Background()
	old, err := s.Apply(ctx, 0, move(begin(t, s), 12, engine.KeyValue{Key: "ada", Value: []byte("old")}))
	if err != nil {
		t.Fatal(err)
	}
	generation, err := s.Stage(ctx, 0, "", nil)
	if err != nil || generation == "" || generation == old.Generation {
		t.Fatalf("staging began as %q, %v", generation, err)
	}
	want := map[string]string{}
	for n := range 3 {
		var values []engine.KeyValue
		for i := range 3000 {
			key := fmt.Sprintf("player-%d-%d", n, i)
			values = append(values, engine.KeyValue{Key: key, Value: []byte(fmt.Sprint(i))})
			want[key] = fmt.Sprint(i)
		}
		if same, err := s.Stage(ctx, 0, generation, values); err != nil || same != generation {
			t.Fatalf("staged into %q, %v", same, err)
		}
	}
	if m, err := s.Meta(ctx, 0); err != nil || m != old {
		t.Fatalf("staging moved the partition to %+v, %v", m, err)
	}
	wanted := engine.Meta{Token: suiteToken, Generation: generation, Start: 7, Applied: 40, Chain: 1 << 60, Digest: 5}
	unknown := wanted
	unknown.Generation = "not-staged"
	if m, err := s.Init(ctx, 0, old, unknown); err != nil || m.Generation != old.Generation || m.Applied != 12 {
		t.Fatalf("a generation that was not staged was adopted: %+v, %v", m, err)
	}
	if _, err := s.Stage(ctx, 0, "not-staged", []engine.KeyValue{{Key: "eve", Value: []byte("1")}}); err == nil {
		t.Fatal("values were staged into a generation that has ended")
	}
	wanted.Exists, wanted.Intact = true, true
	for range 2 { // the second is a resend after a lost answer
		if m, err := s.Init(ctx, 0, old, wanted); err != nil || m != wanted {
			t.Fatalf("adopted as %+v, %v; want %+v", m, err, wanted)
		}
	}
	got := map[string]string{}
	if err := s.Scan(ctx, 0, generation, func(values []engine.KeyValue) error {
		for _, v := range values {
			got[v.Key] = string(v.Value)
		}
		return nil
	}); err != nil || !maps.Equal(got, want) {
		t.Fatalf("%d values of %d, %v", len(got), len(want), err)
	}
	if m, err := s.Meta(ctx, 0); err != nil || m != wanted {
		t.Fatalf("stored is %+v, %v; want %+v", m, err, wanted)
	}
}

// NewStore returns the simulated store as an engine.Store.
func NewStore(partitions int) engine.Store { return simStore{newWorld(newDice(1), partitions)} }

type simStore struct{ w *world }

func (s simStore) Meta(_ context.Context, p int32) (engine.Meta, error) { return s.w.metaOf(p), nil }

func (s simStore) EachMeta(_ context.Context, partitions []int32) []engine.MetaResult {
	out := make([]engine.MetaResult, len(partitions))
	for i, p := range partitions {
		out[i].Meta = s.w.metaOf(p)
	}
	return out
}

func (s simStore) Load(_ context.Context, p int32, generation string, keys []string) (engine.Meta, [][]byte, error) {
	got := s.w.load(engine.LoadRequest{Partition: p, Generation: generation, Keys: keys})
	return got.Meta, got.Values, nil
}

func (s simStore) Apply(_ context.Context, p int32, m engine.Move) (engine.Meta, error) {
	return s.w.move(p, m), nil
}

func (s simStore) Init(_ context.Context, p int32, old, next engine.Meta) (engine.Meta, error) {
	return s.w.init(p, old, next), nil
}

func (s simStore) Stage(_ context.Context, _ int32, generation string, values []engine.KeyValue) (string, error) {
	return s.w.stage(generation, values)
}

func (s simStore) Scan(_ context.Context, p int32, generation string, fn func([]engine.KeyValue) error) error {
	for b := range buckets {
		if err := fn(s.w.scan(p, generation, b)); err != nil {
			return err
		}
	}
	return nil
}
