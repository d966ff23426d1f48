package engine_test

import (
	"fmt"
	"testing"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/engine/enginetest"
)

// machine returns a machine that owns partition 0, ready at offset 0.
func machine(t *testing.T) (*engine.Machine, engine.Meta) {
	t.Helper()
	token := engine.Token{ClusterID: "c", Buckets: 1}
	m := engine.New(enginetest.Fold{}, engine.Config{Token: token})
	meta := engine.Meta{Exists: true, Intact: true, Token: token.String(), Generation: "g"}
	m.Step(engine.Assigned{Partitions: []int32{0}})
	m.Step(engine.MetaRead{Epoch: 1, Meta: meta})
	m.Step(engine.CommittedRead{Epoch: 1, Committed: engine.Committed{Absent: true, LogEnd: 10}})
	if s := m.Status()[0]; s.Phase != "ready" {
		t.Fatalf("the partition is %+v", s)
	}
	return m, meta
}

// batch polls and seals one record and returns the effects of the seal.
func batch(m *engine.Machine, offset int64, key string) []engine.Effect {
	r := engine.Record{Offset: offset, Key: []byte(key), Value: []byte("v")}
	m.Step(engine.Polled{Runs: []engine.Run{{Records: []engine.Record{r}}}})
	return m.Step(engine.Seal{})
}

func at(meta engine.Meta, applied int64) engine.Meta {
	meta.Applied = applied
	return meta
}

// Redis is asked while a move is under way, and answers from before it; the
// move's acknowledgement is seen first. That is an ordinary race between two
// connections and no reason to give up the session.
func TestLoadMayBeOlderThanAnAcknowledgement(t *testing.T) {
	for _, read := range []int64{0, 1} {
		t.Run(fmt.Sprint("read at ", read), func(t *testing.T) {
			m, meta := machine(t)
			batch(m, 0, "ada")
			m.Step(engine.Loaded{Results: []engine.LoadResult{{Meta: meta, Values: [][]byte{nil}}}})
			m.Step(engine.Produced{})
			m.Step(engine.Ended{Committed: true}) // the move to 1 is under way
			batch(m, 1, "bob")
			m.Step(engine.Flushed{Epoch: 1, Meta: at(meta, 1)})
			effects := m.Step(engine.Loaded{Results: []engine.LoadResult{{Meta: at(meta, read), Values: [][]byte{nil}}}})
			if _, begins := effects[0].(engine.Begin); !begins {
				t.Errorf("it went on with %T %+v, want Begin", effects[0], effects[0])
			}
		})
	}
}

// A position that nobody here put there is another matter: Redis was rolled
// back, or another owner moved it.
func TestLoadAtAForeignPositionEndsTheSession(t *testing.T) {
	for _, read := range []int64{0, 2, 7} {
		m, meta := machine(t)
		batch(m, 0, "ada")
		m.Step(engine.Loaded{Results: []engine.LoadResult{{Meta: meta, Values: [][]byte{nil}}}})
		m.Step(engine.Produced{})
		m.Step(engine.Ended{Committed: true})
		m.Step(engine.Flushed{Epoch: 1, Meta: at(meta, 1)}) // acknowledged before the next is asked for
		batch(m, 1, "bob")
		effects := m.Step(engine.Loaded{Results: []engine.LoadResult{{Meta: at(meta, read), Values: [][]byte{nil}}}})
		if _, restarts := effects[0].(engine.Restart); !restarts {
			t.Errorf("read at %d: it went on with %T, want Restart", read, effects[0])
		}
	}
}
