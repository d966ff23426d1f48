// Package verify is the oracle as a tool: it folds the source topic from its
// start in a plain loop and compares what it finds with what was committed and
// with what Redis holds. It shares the fold with the engine and nothing else.
//
// The invariant: it counts as right only what it has compared byte for byte.
package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/zeebo/xxh3"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/fold"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// Log reads topics by their short names. Implementations read committed
// records only, and stop by position.
type Log interface {
	// Bounds returns the first offset and the one after the last decided record.
	Bounds(ctx context.Context, topic string, partition int32) (start, stable int64, err error)
	Read(ctx context.Context, topic string, partition int32, from, to int64, fn func([]wire.Record) error) error
	// Committed returns the processors' offset; ok is false where there is none.
	Committed(ctx context.Context, partition int32) (offset int64, ok bool, err error)
}

// Store reads the view.
type Store interface {
	Meta(ctx context.Context, partition int32) (engine.Meta, error)
	All(ctx context.Context, partition int32, generation string, fn func(participant string, value []byte) error) error
}

// Finding is one difference, for a person.
type Finding struct {
	Kind     string `json:"kind"` // lost, duplicated or wrong
	Where    string `json:"where"`
	Sentence string `json:"sentence"`
}

// Partition is what was compared of one partition.
type Partition struct {
	Partition  int32                        `json:"partition"`
	Start      int64                        `json:"start"`
	Applied    int64                        `json:"applied"`   // R
	Committed  int64                        `json:"committed"` // K
	End        int64                        `json:"end"`
	Records    int64                        `json:"records"`
	Outputs    int64                        `json:"outputs"` // expected notifications and rejects
	States     int64                        `json:"states"`  // expected participants in Redis
	Lost       int64                        `json:"lost"`
	Duplicated int64                        `json:"duplicated"`
	Wrong      int64                        `json:"wrong"`
	Fates      [participant.FateCount]int64 `json:"-"`
	Ops        map[string]int64             `json:"ops"` // notifications by operation
}

// Report is the whole comparison.
type Report struct {
	Partitions []Partition      `json:"partitions"`
	Records    int64            `json:"records"`
	Outputs    int64            `json:"outputs"`
	States     int64            `json:"states"`
	Lost       int64            `json:"lost"`
	Duplicated int64            `json:"duplicated"`
	Wrong      int64            `json:"wrong"`
	Behind     int64            `json:"behind"` // records not yet decided, or not yet in Redis
	Fates      map[string]int64 `json:"fates"`
	Ops        map[string]int64 `json:"ops"`
	Findings   []Finding        `json:"findings,omitempty"` // the first of them
}

// Clean reports that nothing is lost, duplicated or wrong.
func (r *Report) Clean() bool { return r.Lost == 0 && r.Duplicated == 0 && r.Wrong == 0 }

// findingsMax bounds the findings kept; the counts are of all.
const findingsMax = 20

// ErrMoving says that the view moved while it was compared.
var ErrMoving = errors.New("the pipeline is moving: stop the producers, or try again")

// Verifier compares one pipeline.
type Verifier struct {
	Log        Log
	Store      Store
	Fold       *fold.Fold
	Partitions int32
	Progress   func(partition int32, records int64) // may be nil
}

// Run compares all partitions, one after the other.
func (v *Verifier) Run(ctx context.Context) (*Report, error) {
	report := &Report{Fates: map[string]int64{}, Ops: map[string]int64{}}
	for p := range v.Partitions {
		c := &comparison{v: v, report: report, part: Partition{Partition: p, Ops: map[string]int64{}}}
		if err := c.run(ctx); err != nil {
			return report, fmt.Errorf("partition %d: %w", p, err)
		}
		report.add(&c.part)
	}
	return report, nil
}

func (r *Report) add(p *Partition) {
	r.Partitions = append(r.Partitions, *p)
	r.Records += p.Records
	r.Outputs += p.Outputs
	r.States += p.States
	r.Lost += p.Lost
	r.Duplicated += p.Duplicated
	r.Wrong += p.Wrong
	r.Behind += p.End - min(p.Applied, p.Committed)
	for fate, n := range p.Fates {
		if n > 0 {
			r.Fates[participant.Fate(fate).String()] += n
		}
	}
	for op, n := range p.Ops {
		r.Ops[op] += n
	}
}

// comparison is the work on one partition.
type comparison struct {
	v        *Verifier
	report   *Report
	part     Partition
	meta     engine.Meta
	expected map[outputKey]*outputCount
}

// outputKey names an output by its cause and its own identity.
type outputKey struct {
	topic  engine.Topic
	offset int64
	id     string
}

type outputCount struct {
	content uint64
	found   int
}

func (c *comparison) run(ctx context.Context) error {
	p := &c.part
	var err error
	if p.Start, p.End, err = c.v.Log.Bounds(ctx, "events", p.Partition); err != nil {
		return err
	}
	committed, ok, err := c.v.Log.Committed(ctx, p.Partition)
	if err != nil {
		return err
	}
	p.Committed = p.Start
	if ok {
		p.Committed = committed
	}
	if c.meta, err = c.v.Store.Meta(ctx, p.Partition); err != nil {
		return err
	}
	p.Applied = p.Start
	if c.meta.Exists {
		p.Applied = c.meta.Applied
		if c.meta.Start < p.Start {
			return fmt.Errorf("the log starts at %d and the state at %d: the fold cannot be repeated from the log alone", p.Start, c.meta.Start)
		}
	}
	if p.Applied > p.Committed {
		c.find(&p.Wrong, "wrong", "Redis", "the view at %d is ahead of the committed offset %d", p.Applied, p.Committed)
	}
	c.expected = make(map[outputKey]*outputCount)
	if err := c.foldLog(ctx); err != nil {
		return err
	}
	for topic, name := range map[engine.Topic]string{engine.Notifications: "notifications", engine.Rejected: "rejected"} {
		if err := c.compareOutputs(ctx, topic, name); err != nil {
			return err
		}
	}
	for key, n := range c.expected {
		if n.found == 0 {
			c.find(&p.Lost, "lost", "events", "the output %s of offset %d was never committed", key.id, key.offset)
		}
	}
	return nil
}

// foldLog folds up to K. The states are compared on the way, at R.
func (c *comparison) foldLog(ctx context.Context) error {
	p := &c.part
	oracle := fold.NewOracle(c.v.Fold, p.Partition)
	step := func(records []wire.Record) error {
		for i := range records {
			outputs, err := oracle.Feed(&records[i])
			if err != nil {
				return err
			}
			for j := range outputs {
				c.expect(&outputs[j], records[i].Offset)
			}
		}
		p.Records += int64(len(records))
		if c.v.Progress != nil {
			c.v.Progress(p.Partition, p.Records)
		}
		return nil
	}
	middle := min(max(p.Applied, p.Start), p.Committed)
	if err := c.v.Log.Read(ctx, "events", p.Partition, p.Start, middle, step); err != nil {
		return err
	}
	if err := c.compareStates(ctx, oracle); err != nil {
		return err
	}
	if err := c.v.Log.Read(ctx, "events", p.Partition, middle, p.Committed, step); err != nil {
		return err
	}
	p.Fates = oracle.Fates()
	return nil
}

func (c *comparison) expect(o *engine.Output, offset int64) {
	if o.Topic == engine.Events {
		return // a reroute: what it causes is counted where it arrives
	}
	key := outputKey{o.Topic, offset, string(header(o.Headers, "ce_id"))}
	c.expected[key] = &outputCount{content: content(o.Key, o.Value, o.Headers)}
	c.part.Outputs++
	if o.Topic == engine.Notifications {
		c.part.Ops[string(header(o.Headers, "veltrix-op"))]++
	}
}

func (c *comparison) compareOutputs(ctx context.Context, topic engine.Topic, name string) error {
	p := &c.part
	start, stable, err := c.v.Log.Bounds(ctx, name, p.Partition)
	if err != nil {
		return err
	}
	if start > 0 {
		return fmt.Errorf("%s starts at %d: retention has removed what would have to be compared", name, start)
	}
	return c.v.Log.Read(ctx, name, p.Partition, start, stable, func(records []wire.Record) error {
		for i := range records {
			c.compareOutput(topic, name, &records[i])
		}
		return nil
	})
}

func (c *comparison) compareOutput(topic engine.Topic, name string, r *wire.Record) {
	p := &c.part
	var offset int64
	if _, err := fmt.Sscan(string(r.Header("veltrix-source-offset")), &offset); err != nil {
		c.find(&p.Wrong, "wrong", name, "the record at %d names no cause", r.Offset)
		return
	}
	if offset >= p.Committed {
		return // committed after we looked
	}
	id := string(r.Header("ce_id"))
	want := c.expected[outputKey{topic, offset, id}]
	switch {
	case want == nil:
		c.find(&p.Wrong, "wrong", name, "the record %s at %d, caused by %d, should not be there", id, r.Offset, offset)
	case want.found > 0:
		want.found++
		c.find(&p.Duplicated, "duplicated", name, "the record %s at %d, caused by %d, was there before", id, r.Offset, offset)
	case want.content != content(r.Key, r.Value, r.Headers):
		want.found++
		c.find(&p.Wrong, "wrong", name, "the record %s at %d, caused by %d, says something else than the fold: %.200s", id, r.Offset, offset, r.Value)
	default:
		want.found++
	}
}

// compareStates holds every participant in Redis against the oracle at R.
func (c *comparison) compareStates(ctx context.Context, oracle *fold.Oracle) error {
	p := &c.part
	if !c.meta.Exists {
		return nil
	}
	want := make(map[string][]byte)
	for who, state := range oracle.States() {
		want[who] = bytes.Clone(state)
	}
	p.States = int64(len(want))
	seen := make(map[string]bool, len(want))
	err := c.v.Store.All(ctx, p.Partition, c.meta.Generation, func(who string, value []byte) error {
		if seen[who] {
			return nil // a scan may return a field twice
		}
		seen[who] = true
		switch state, ok := want[who]; {
		case !ok:
			c.find(&p.Wrong, "wrong", "Redis", "participant %q has a state and no accepted event", who)
		case !bytes.Equal(state, value):
			c.find(&p.Wrong, "wrong", "Redis", "the state of participant %q is not the fold of its events", who)
		}
		return nil
	})
	if err != nil {
		return err
	}
	after, err := c.v.Store.Meta(ctx, p.Partition)
	if err != nil {
		return err
	}
	if !after.Same(c.meta) {
		return ErrMoving
	}
	for who := range want {
		if !seen[who] {
			c.find(&p.Lost, "lost", "Redis", "participant %q has accepted events and no state", who)
		}
	}
	return nil
}

func (c *comparison) find(count *int64, kind, where, format string, args ...any) {
	*count++
	if len(c.report.Findings) < findingsMax {
		where = fmt.Sprintf("%s, partition %d", where, c.part.Partition)
		c.report.Findings = append(c.report.Findings, Finding{kind, where, fmt.Sprintf(format, args...)})
	}
}

func header(headers []wire.Header, key string) []byte {
	return (&wire.Record{Headers: headers}).Header(key)
}

// content hashes everything that a reader of the record sees.
func content(key, value []byte, headers []wire.Header) uint64 {
	h := xxh3.New()
	for _, part := range [][]byte{key, value} {
		_, _ = fmt.Fprintf(h, "%d:", len(part))
		_, _ = h.Write(part)
	}
	for _, hd := range headers {
		_, _ = fmt.Fprintf(h, "%d:%s%d:%s", len(hd.Key), hd.Key, len(hd.Value), hd.Value)
	}
	return h.Sum64()
}
