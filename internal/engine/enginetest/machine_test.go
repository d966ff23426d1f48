package enginetest_test

import (
	"testing"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/engine/enginetest"
)

// own brings a machine to where it polls partition 0 from offset 0.
func own(t *testing.T) *engine.Machine {
	t.Helper()
	return ownWith(t, false)
}

func ownWith(t *testing.T, snapshots bool) *engine.Machine {
	t.Helper()
	token := engine.Token{ClusterID: "c"}
	m := engine.New(enginetest.Fold{}, engine.Config{Token: token, CacheBytes: 1 << 20, Snapshots: snapshots})
	m.Step(engine.Assigned{Partitions: []int32{0}})
	m.Step(engine.MetaRead{Epoch: 1, Meta: engine.Meta{Exists: true, Intact: true, Token: token.String(), Generation: "g"}})
	m.Step(engine.CommittedRead{Epoch: 1, Committed: engine.Committed{Absent: true}})
	if !m.WantPoll() {
		t.Fatal("it does not want to poll")
	}
	return m
}

// batch folds one record and commits it.
func batch(m *engine.Machine, offset int64) {
	m.Step(engine.Polled{Runs: []engine.Run{{Records: []engine.Record{{Offset: offset, Key: []byte("p0"), Value: []byte("v")}}}}})
	m.Step(engine.Seal{})
	m.Step(engine.Loaded{Results: []engine.LoadResult{{
		Meta: engine.Meta{Exists: true, Intact: true, Token: engine.Token{ClusterID: "c"}.String(), Generation: "g"}, Values: [][]byte{nil},
	}}})
	m.Step(engine.Produced{})
	m.Step(engine.Ended{Committed: true})
}

// Redis that is away must not let committed but unflushed states pile up in
// memory: after two batches nothing more is polled.
func TestTwoUnflushedBatchesStopPolling(t *testing.T) {
	m := own(t)
	batch(m, 0)
	if !m.WantPoll() {
		t.Fatal("one unflushed batch stops polling")
	}
	batch(m, 1)
	if m.Counts().Committed != 2 {
		t.Fatalf("%d batches are committed", m.Counts().Committed)
	}
	if m.WantPoll() {
		t.Error("two unflushed batches do not stop polling")
	}
	m.Step(engine.Flushed{Epoch: 1, Meta: engine.Meta{Exists: true, Intact: true, Token: engine.Token{ClusterID: "c"}.String(), Generation: "g", Applied: 1}})
	if !m.WantPoll() {
		t.Error("it does not go on once Redis answered")
	}
}
