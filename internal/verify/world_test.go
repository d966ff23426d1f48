package verify_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/fold"
	"github.com/veltrix/veltrix/internal/participant"
	hunt "github.com/veltrix/veltrix/internal/participant/participanttest"
	"github.com/veltrix/veltrix/internal/verify"
	"github.com/veltrix/veltrix/internal/wire"
)

const (
	partitions = 2
	token      = "1/cluster/topic/2/1-0123456789abcdef/4"
	other      = "1/cluster/topic/2/1-0123456789abcdef/8"
	second     = int64(1_000_000)
	epoch      = 1_735_689_600 * second // 2025-01-01T00:00:00Z
	perPlayer  = 3                      // events of each participant
	players    = 3                      // participants of each partition
	events     = perPlayer*players + 1  // of each partition: the last is refused
)

// world is a deployment in memory that has come to rest. It implements both
// ports; tests break it.
// schema is that of the world's rules.
var schema = hunt.New(hunt.DefaultOrder()).Schema()

type world struct {
	fold      *fold.Fold
	topics    map[string][][]wire.Record // by partition; an offset is a place
	starts    map[string][]int64
	committed []engine.Committed
	metas     []engine.Meta
	metaErr   []error
	rank      func(p int32, leaderboard int, all map[string]int64) // may change what is on it
	states    []map[string][]byte
	onMeta    func() // called after each reading of a meta
	onBounds  func(topic string)
}

var (
	_ verify.Log   = (*world)(nil)
	_ verify.Store = (*world)(nil)
)

// newWorld fills the topics as a processor does that has processed everything.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{fold: fold.New(hunt.New(hunt.DefaultOrder()), partitions), topics: map[string][][]wire.Record{}, starts: map[string][]int64{}}
	for _, topic := range []string{"events", "notifications", "rejected"} {
		w.topics[topic], w.starts[topic] = make([][]wire.Record, partitions), make([]int64, partitions)
	}
	w.committed, w.metas = make([]engine.Committed, partitions), make([]engine.Meta, partitions)
	w.metaErr, w.states = make([]error, partitions), make([]map[string][]byte, partitions)
	for p := range int32(partitions) {
		names := namesOf(p)
		for i := range perPlayer * players {
			w.event(p, names[i%players], fmt.Sprint("e", i), int64(i)*second, fmt.Sprintf(`{"clue":"c%d","points":9}`, i))
		}
		w.event(p, names[0], "bad", 60*second, `{"clue":`)
		w.process(t, p, 0, events)
	}
	return w
}

// namesOf returns participants whose events belong to the partition.
func namesOf(p int32) (names []string) {
	for i := 0; len(names) < players; i++ {
		if name := fmt.Sprint("player", i); wire.PartitionFor([]byte(name), partitions) == p {
			names = append(names, name)
		}
	}
	return names
}

func (w *world) event(p int32, who, id string, at int64, data string) {
	h := func(key, value string) wire.Header { return wire.Header{Key: key, Value: []byte(value)} }
	log := &w.topics["events"][p]
	*log = append(*log, wire.Record{
		Partition: p, Offset: int64(len(*log)), Timestamp: epoch + at, Key: []byte(who), Value: []byte(data),
		Headers: []wire.Header{
			h("ce_specversion", "1.0"), h("ce_id", id), h("ce_source", "/test"), h("ce_type", "find"), h("ce_partitionkey", who),
			h("ce_time", time.UnixMicro(epoch+at).UTC().Format(time.RFC3339Nano)), h("content-type", "application/json"),
		},
	})
}

// process writes the outputs of [from, to), and puts R and K at to.
func (w *world) process(t *testing.T, p int32, from, to int64) {
	t.Helper()
	oracle := w.view(t, p, to, func(offset int64, o *engine.Output) {
		if offset < from {
			return
		}
		topic := map[engine.Topic]string{engine.Notifications: "notifications", engine.Rejected: "rejected"}[o.Topic]
		w.output(topic, p, o.Key, o.Value, o.Headers)
	})
	w.states[p] = oracle
	chain := 0xabc0 + uint64(to)
	w.metas[p] = engine.Meta{Exists: true, Intact: true, Token: token, Generation: "g", Applied: to, Chain: chain, Digest: chain + 1}
	w.committed[p] = engine.Committed{Offset: to, Metadata: engine.Stamp{Token: token, Chain: chain, Digest: chain + 1}.String()}
}

// view returns the states at an offset.
func (w *world) view(t *testing.T, p int32, to int64, each func(offset int64, o *engine.Output)) map[string][]byte {
	t.Helper()
	oracle, states := fold.NewOracle(w.fold, p), map[string][]byte{}
	for i := range w.topics["events"][p][:to] {
		outputs, err := oracle.Feed(&w.topics["events"][p][i])
		if err != nil {
			t.Fatal(err)
		}
		for j := range outputs {
			each(int64(i), &outputs[j])
		}
	}
	for who, b := range oracle.States() {
		states[who] = bytes.Clone(b)
	}
	return states
}

func (w *world) output(topic string, p int32, key, value []byte, headers []wire.Header) {
	log := &w.topics[topic][p]
	r := wire.Record{Partition: p, Offset: int64(len(*log)), Key: bytes.Clone(key), Value: bytes.Clone(value)}
	for _, h := range headers {
		r.Headers = append(r.Headers, wire.Header{Key: h.Key, Value: bytes.Clone(h.Value)})
	}
	*log = append(*log, r)
}

// again writes a topic's first output once more, as if caused by that offset.
func (w *world) again(topic string, p int32, source string) {
	r := w.topics[topic][p][0]
	var changed []wire.Header
	for _, h := range r.Headers {
		if h.Key == "veltrix-source-offset" {
			h.Value = []byte(source)
		}
		changed = append(changed, h)
	}
	w.output(topic, p, r.Key, r.Value, changed)
}

func (w *world) verify(ctx context.Context) (*verify.Report, error) {
	v := verify.Verifier{Log: w, Store: w, Fold: w.fold, Schema: schema, Partitions: partitions, Token: token}
	return v.Run(ctx)
}

func (w *world) Bounds(ctx context.Context, topic string, p int32) (start, stable int64, err error) {
	if w.onBounds != nil {
		w.onBounds(topic)
	}
	return w.starts[topic][p], int64(len(w.topics[topic][p])), ctx.Err()
}

func (w *world) Read(ctx context.Context, topic string, p int32, from, to int64, fn func([]wire.Record) error) error {
	if from >= to {
		return nil
	}
	if log := w.topics[topic][p]; from < w.starts[topic][p] || to > int64(len(log)) {
		return fmt.Errorf("%s/%d holds %d to %d, not %d to %d", topic, p, w.starts[topic][p], len(log), from, to)
	}
	if err := fn(w.topics[topic][p][from:to]); err != nil {
		return err
	}
	return ctx.Err()
}

func (w *world) Committed(ctx context.Context, p int32) (engine.Committed, error) {
	return w.committed[p], ctx.Err()
}

func (w *world) Meta(ctx context.Context, p int32) (engine.Meta, error) {
	m, err := w.metas[p], w.metaErr[p]
	if w.onMeta != nil {
		w.onMeta()
	}
	if err == nil {
		err = ctx.Err()
	}
	return m, err
}

func (w *world) Ranking(ctx context.Context, p int32, _ string, leaderboard int) (map[string]int64, error) {
	all := map[string]int64{}
	for who, b := range w.states[p] {
		_, h, err := wire.DecodeStored(b, schema)
		if err != nil {
			continue // damaged: that it is ranked all the same is the store's affair
		}
		if v := h.Head[schema.Leaderboards[leaderboard].Slot]; v.Kind != participant.KindNone {
			all[who] = v.Int
		}
	}
	if w.rank != nil {
		w.rank(p, leaderboard, all)
	}
	return all, ctx.Err()
}

func (w *world) All(ctx context.Context, p int32, generation string, fn func(string, []byte) error) error {
	if generation != "g" {
		return ctx.Err() // no such keys
	}
	for who, b := range w.states[p] {
		if err := fn(who, b); err != nil {
			return err
		}
	}
	return ctx.Err()
}
