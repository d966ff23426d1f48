package repair_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/engine/enginetest"
	"github.com/veltrix/veltrix/internal/fold"
	hunt "github.com/veltrix/veltrix/internal/participant/participanttest"
	"github.com/veltrix/veltrix/internal/repair"
	"github.com/veltrix/veltrix/internal/wire"
)

const token = "1/cluster/topic/1/1-0123456789abcdef/4"

// world is one partition of a deployment in memory, with the processor that
// works on it. It implements what a Repairer needs; tests break it.
type world struct {
	*enginetest.Snapshots
	t       *testing.T
	fold    *fold.Fold
	topics  map[string][]wire.Record // an offset is a place, but for events that are gone
	start   int64                    // of events
	commit  *engine.Commit
	meta    engine.Meta
	values  map[string][]byte
	base    *repair.Base
	entries []repair.Entry
}

func newWorld(t *testing.T) *world {
	return &world{
		Snapshots: enginetest.NewSnapshots(), t: t, fold: fold.New(hunt.New(hunt.DefaultOrder()), 1),
		topics: map[string][]wire.Record{}, values: map[string][]byte{},
	}
}

func (w *world) end() int64 {
	if n := len(w.topics["events"]); n > 0 {
		return w.topics["events"][n-1].Offset + 1
	}
	return w.start
}

// events appends n of them, from three participants in turn. Each causes an
// output.
func (w *world) events(n int) {
	for range n {
		h := func(key, value string) wire.Header { return wire.Header{Key: key, Value: []byte(value)} }
		at, id := w.end(), fmt.Sprint("e", len(w.topics["events"]), w.end())
		who := fmt.Sprint("player", at%3)
		w.topics["events"] = append(w.topics["events"], wire.Record{
			Offset: at, Timestamp: 1_735_689_600_000_000 + at*1_000_000, Key: []byte(who), Value: []byte(`{"clue":"c` + id + `","points":9}`),
			Headers: []wire.Header{
				h("ce_specversion", "1.0"), h("ce_id", id), h("ce_source", "/test"), h("ce_type", "find"), h("ce_partitionkey", who),
				h("ce_time", time.UnixMicro(1_735_689_600_000_000+at*1_000_000).UTC().Format(time.RFC3339Nano)), h("content-type", "application/json"),
			},
		})
	}
}

// process does what a processor does: it restores the base where it has no view,
// folds to the end, writes the outputs beyond the commit, and commits.
func (w *world) process() {
	w.t.Helper()
	k := int64(0)
	if w.commit != nil {
		k = w.commit.Offset
	}
	if !w.meta.Exists {
		w.meta = engine.Meta{Exists: true, Intact: true, Token: token, Generation: fmt.Sprint("g", w.end())}
		w.values = map[string][]byte{}
		if s, ok, _ := w.Find(w.t.Context(), 0, token, k); ok {
			w.meta.Start, w.meta.Applied, w.meta.Chain, w.meta.Digest = s.Start, s.Offset, s.Chain, s.Digest
			w.must(w.takeValues(s))
		}
	}
	oracle := fold.NewOracleAt(w.fold, 0, w.meta.Applied)
	for who, value := range w.values {
		w.must(oracle.Seed(who, value))
	}
	for i := range w.topics["events"] {
		r := &w.topics["events"][i]
		if r.Offset < w.meta.Applied {
			continue
		}
		outputs, err := oracle.Feed(r)
		w.must(err)
		for _, o := range outputs {
			if r.Offset >= k {
				w.output(o.Topic, o.Key, o.Value, o.Headers)
			}
		}
		w.meta.Chain = engine.Chain(w.meta.Chain, r)
		w.meta.Applied = r.Offset + 1
	}
	w.meta.Digest = 0
	for who, value := range oracle.States() {
		w.values[who] = bytes.Clone(value)
		w.meta.Digest += engine.ValueDigest(who, value)
	}
	stamp := engine.Stamp{Token: token, Start: w.meta.Start, Chain: w.meta.Chain, Digest: w.meta.Digest}
	w.commit = &engine.Commit{Offset: w.meta.Applied, Metadata: stamp.String()}
}

// takeValues puts a snapshot's values into the view.
func (w *world) takeValues(s engine.Snapshot) error {
	return w.Snapshots.Read(w.t.Context(), 0, s, func(values []engine.KeyValue) error {
		for _, v := range values {
			w.values[v.Key] = v.Value
		}
		return nil
	})
}

func (w *world) output(topic engine.Topic, key, value []byte, headers []wire.Header) {
	name := map[engine.Topic]string{engine.Notifications: "notifications", engine.Rejected: "rejected"}[topic]
	r := wire.Record{Offset: int64(len(w.topics[name])), Key: bytes.Clone(key), Value: bytes.Clone(value)}
	for _, h := range headers {
		r.Headers = append(r.Headers, wire.Header{Key: h.Key, Value: bytes.Clone(h.Value)})
	}
	w.topics[name] = append(w.topics[name], r)
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// truncate lets the log forget its newest records.
func (w *world) truncate(end int64) { w.topics["events"] = w.topics["events"][:end-w.start] }

// lost lets Redis forget everything, and the group too.
func (w *world) lost() { w.meta, w.commit = engine.Meta{}, nil }

func (w *world) repairer(before func(string) error) *repair.Repairer {
	log := &worldLog{w}
	return &repair.Repairer{
		Log: log, View: log, Snapshots: w, Journal: w, Fold: w.fold, Token: token, Who: "ada@host", Reason: "a test",
		Audit: slog.New(slog.DiscardHandler), Now: time.Now, Before: before,
	}
}

// WriteBase implements repair.Snapshots.
func (w *world) WriteBase(ctx context.Context, partition int32) (engine.SnapshotWriter, error) {
	return w.Write(ctx, partition)
}

// Base and Note implement repair.Journal.
func (w *world) Base(context.Context, int32) (*repair.Base, error) {
	if w.base == nil {
		return nil, nil
	}
	b := *w.base
	return &b, nil
}

func (w *world) Note(_ context.Context, e repair.Entry, base *repair.Base) error {
	w.entries = append(w.entries, e)
	if base != nil {
		b := *base
		w.base = &b
	}
	return nil
}

// worldLog implements repair.Log and repair.View.
type worldLog struct{ w *world }

func (l *worldLog) Bounds(_ context.Context, topic string, _ int32) (start, stable int64, err error) {
	if topic == "events" {
		return l.w.start, l.w.end(), nil
	}
	return 0, int64(len(l.w.topics[topic])), nil
}

func (l *worldLog) Read(_ context.Context, topic string, _ int32, from, to int64, fn func([]wire.Record) error) error {
	for _, r := range l.w.topics[topic] {
		if r.Offset < from || r.Offset >= to {
			continue
		}
		if err := fn([]wire.Record{r}); err != nil {
			return err
		}
	}
	return nil
}

func (l *worldLog) Committed(context.Context, int32) (engine.Committed, error) {
	c := engine.Committed{Absent: true, Offset: -1, Initialized: true, LogStart: l.w.start, LogEnd: l.w.end()}
	if l.w.commit != nil {
		c.Absent, c.Offset, c.Metadata = false, l.w.commit.Offset, l.w.commit.Metadata
	}
	return c, nil
}

func (l *worldLog) Members(context.Context) ([]string, error) { return nil, nil }

func (l *worldLog) Commit(_ context.Context, _ int32, c engine.Commit) error {
	l.w.commit = &c
	return nil
}

func (l *worldLog) Meta(context.Context, int32) (engine.Meta, error) { return l.w.meta, nil }

func (l *worldLog) Scan(_ context.Context, _ int32, _ string, fn func([]engine.KeyValue) error) error {
	for who, value := range l.w.values {
		for range 2 { // a scan may return a participant twice
			if err := fn([]engine.KeyValue{{Key: who, Value: value}}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *worldLog) Forget(_ context.Context, _ int32, old engine.Meta) (engine.Meta, error) {
	if l.w.meta.Same(old) {
		l.w.meta, l.w.values = engine.Meta{}, map[string][]byte{}
	}
	return l.w.meta, nil
}
