package enginetest_test

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/engine/enginetest"
)

// What the simulated world is too kind to show is shown to the machine here.

func kinds(effects []engine.Effect) string {
	var out string
	for _, e := range effects {
		out += reflect.TypeOf(e).Name() + " "
	}
	return out
}

func metaAt(applied int64) engine.Meta {
	return engine.Meta{Exists: true, Intact: true, Token: engine.Token{ClusterID: "c"}.String(), Generation: "g", Applied: applied}
}

// A client may have fetched records before it was told to pause, and its poll
// returns them when the partition is already being decided anew: no batch may
// begin with them, since nobody knows yet where it has to.
func TestRecordsOfAnUnreadyPartitionAreDropped(t *testing.T) {
	m := own(t)
	m.Step(engine.Assigned{Partitions: []int32{0}})
	got := kinds(m.Step(engine.Polled{Runs: []engine.Run{{Records: []engine.Record{{Offset: 0, Key: []byte("p0"), Value: []byte("v")}}}}}))
	if got != "Release Rewind " || m.Gathered() != 0 {
		t.Errorf("it answered with %q and has %d records", got, m.Gathered())
	}
}

// A move that Redis answers with another position did not happen: what the
// machine takes as stored would be forgotten, and be read back too old.
func TestMoveThatRedisRefusedIsNotStored(t *testing.T) {
	m := own(t)
	batch(m, 0)
	got := kinds(m.Step(engine.Flushed{Epoch: 1, Meta: metaAt(0)}))
	if got != "Pause ReadMeta " || m.Status()[0].Applied == 1 {
		t.Errorf("it answered with %q and takes %d as applied", got, m.Status()[0].Applied)
	}
}

// The same in the middle of a batch: its overlays were folded over states that
// are somebody else's by now.
func TestMoveThatRedisRefusedEndsTheBatchsSession(t *testing.T) {
	m := own(t)
	batch(m, 0)
	m.Step(engine.Polled{Runs: []engine.Run{{Records: []engine.Record{{Offset: 1, Key: []byte("p0"), Value: []byte("v")}}}}})
	m.Step(engine.Seal{})
	if got := kinds(m.Step(engine.Flushed{Epoch: 1, Meta: metaAt(0)})); got != "Restart " {
		t.Errorf("it answered with %q", got)
	}
}

// Partitions that are idle are compared together, each once at a time, and those
// that are not idle by their moves.
func TestIdlePartitionsAreComparedTogether(t *testing.T) {
	m := own(t)
	m.Step(engine.Assigned{Partitions: []int32{1, 2, 3}})
	for p := int32(1); p < 4; p++ {
		m.Step(engine.MetaRead{Partition: p, Epoch: uint64(p) + 1, Meta: metaAt(0)})
		if p < 3 { // the last one is still being decided
			m.Step(engine.CommittedRead{Partition: p, Epoch: uint64(p) + 1, Committed: engine.Committed{Absent: true}})
		}
	}
	compare := func(want ...engine.ReadMeta) {
		t.Helper()
		var got []engine.ReadMeta
		for _, e := range m.Step(engine.Compare{}) {
			got = append(got, e.(engine.ReadMetas).Each...)
		}
		if !slices.Equal(got, want) {
			t.Errorf("compared are %+v, want %+v", got, want)
		}
	}
	compare(engine.ReadMeta{Partition: 0, Epoch: 1}, engine.ReadMeta{Partition: 1, Epoch: 2}, engine.ReadMeta{Partition: 2, Epoch: 3})
	compare() // all are under way
	m.Step(engine.MetaRead{Partition: 2, Epoch: 3, Meta: metaAt(0)})
	compare(engine.ReadMeta{Partition: 2, Epoch: 3})
}

// What is read under another token or generation is somebody else's state.
func TestStatesOfAnotherLifeAreNotBelieved(t *testing.T) {
	for _, change := range []func(*engine.Meta){
		func(*engine.Meta) {},
		func(m *engine.Meta) { m.Generation = "another" },
		func(m *engine.Meta) { m.Token = "another" },
	} {
		m, found := own(t), metaAt(0)
		change(&found)
		m.Step(engine.Polled{Runs: []engine.Run{{Records: []engine.Record{{Offset: 0, Key: []byte("p0"), Value: []byte("v")}}}}})
		m.Step(engine.Seal{})
		want := "Restart "
		if found == metaAt(0) {
			want = "Begin Produce Release "
		}
		got := kinds(m.Step(engine.Loaded{Results: []engine.LoadResult{{Meta: found, Values: [][]byte{nil}}}}))
		if got != want {
			t.Errorf("states of %+v: %q, want %q", found, got, want)
		}
	}
}

// A scan says something only about values that stood still: where it failed,
// or where its partition moved meanwhile, nothing follows from it. Where Redis
// went back meanwhile, no snapshot follows from it.
func TestScanIsJudgedOnlyWhereNothingMoved(t *testing.T) {
	for name, c := range map[string]struct {
		scanned engine.Scanned
		moves   bool
		want    string
		damaged int64
	}{
		"right":            {engine.Scanned{Meta: metaAt(0)}, false, "Resume Save ", 0},
		"damaged":          {engine.Scanned{Meta: metaAt(0), Digest: 1}, false, "Discard Pause ReadMeta ", 1},
		"damaged beside":   {engine.Scanned{Meta: metaAt(0), Damaged: true}, false, "Discard Pause ReadMeta ", 1},
		"failed":           {engine.Scanned{Err: errors.New("redis is away")}, false, "Discard Resume ", 0},
		"moved meanwhile":  {engine.Scanned{Meta: metaAt(1), Digest: 1}, true, "Discard Resume ", 0},
		"another position": {engine.Scanned{Meta: metaAt(7)}, false, "Discard Pause ReadMeta ", 0},
	} {
		t.Run(name, func(t *testing.T) {
			m := ownWith(t, true)
			if got := kinds(m.Step(engine.Scrub{Save: true})); got != "Pause Scan " {
				t.Fatalf("it began with %q", got)
			}
			if c.moves { // with records that were fetched before the pause
				batch(m, 0)
				m.Step(engine.Flushed{Epoch: 1, Meta: metaAt(1)})
			}
			c.scanned.Epoch = 1
			got := kinds(m.Step(c.scanned))
			if got != c.want || m.Counts().Damaged != c.damaged {
				t.Errorf("it answered with %q and counts %d as damaged; want %q", got, m.Counts().Damaged, c.want)
			}
		})
	}
}

// A snapshot is taken for a rebuild only if it is of this life of the state,
// not past what was committed, and met by the log.
func TestSnapshotsThatDoNotFit(t *testing.T) {
	token := engine.Token{ClusterID: "c"}.String()
	fits := engine.Snapshot{Token: token, Start: 2, Offset: 20, ID: "s"}
	for name, c := range map[string]struct {
		change func(*engine.Snapshot)
		want   string
	}{
		"fits":                {func(*engine.Snapshot) {}, "Restore "},
		"another token":       {func(s *engine.Snapshot) { s.Token = "another" }, "Pause Refuse "},
		"another start":       {func(s *engine.Snapshot) { s.Start = 0 }, "Pause Refuse "},
		"past K":              {func(s *engine.Snapshot) { s.Offset = 31 }, "Pause Refuse "},
		"before the log":      {func(s *engine.Snapshot) { s.Offset = 9 }, "Pause Refuse "},
		"at the log's start":  {func(s *engine.Snapshot) { s.Offset = 10 }, "Restore "},
		"exactly what it was": {func(s *engine.Snapshot) { s.Offset = 30 }, "Restore "},
	} {
		t.Run(name, func(t *testing.T) {
			m := engine.New(enginetest.Fold{}, engine.Config{Token: engine.Token{ClusterID: "c"}, CacheBytes: 1 << 20, Snapshots: true})
			m.Step(engine.Assigned{Partitions: []int32{0}})
			m.Step(engine.MetaRead{Epoch: 1})
			got := kinds(m.Step(engine.CommittedRead{Epoch: 1, Committed: engine.Committed{
				Initialized: true, Offset: 30, Metadata: engine.Stamp{Token: token, Start: 2}.String(), LogStart: 10, LogEnd: 40,
			}}))
			if got != "FindSnapshot " {
				t.Fatalf("it began with %q", got)
			}
			s := fits
			c.change(&s)
			if got := kinds(m.Step(engine.SnapshotFound{Epoch: 1, Snapshot: &s})); got != c.want {
				t.Errorf("it answered with %q, want %q", got, c.want)
			}
		})
	}
}
