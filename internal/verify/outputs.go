package verify

import (
	"context"
	"fmt"
	"maps"
	"strconv"

	"github.com/zeebo/xxh3"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/wire"
)

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

// laterOutput is an output of a record beyond what was decided when the
// positions were read.
type laterOutput struct {
	topic      string
	at, source int64
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

// compareTopics compares the outputs. A topic that cannot be read is a finding
// of its own, and the other one is compared all the same.
func (c *comparison) compareTopics(ctx context.Context) error {
	p := &c.part
	for _, t := range []struct {
		topic engine.Topic
		name  string
	}{{engine.Notifications, "notifications"}, {engine.Rejected, "rejected"}} {
		if err := c.compareOutputs(ctx, t.topic, t.name); err != nil {
			if ctx.Err() != nil {
				return err
			}
			c.find(&p.Unverifiable, "unverifiable", t.name, "%v", err)
			maps.DeleteFunc(c.expected, func(key outputKey, _ *outputCount) bool { return key.topic == t.topic })
		}
	}
	for key, n := range c.expected {
		if n.found == 0 {
			c.find(&p.Lost, "lost", "events", "the output %s of offset %d was never committed", key.id, key.offset)
		}
	}
	return c.compareLater(ctx)
}

func (c *comparison) compareOutputs(ctx context.Context, topic engine.Topic, name string) error {
	p := &c.part
	start, stable, err := c.v.Log.Bounds(ctx, name, p.Partition)
	if err != nil {
		return err
	}
	born := c.born(topic)
	if start > born {
		return fmt.Errorf("%s starts at %d: retention has removed what would have to be compared", name, start)
	}
	return c.v.Log.Read(ctx, name, p.Partition, born, stable, func(records []wire.Record) error {
		for i := range records {
			c.compareOutput(topic, name, &records[i])
		}
		return nil
	})
}

// born is where the outputs of the present life begin: before it are those of
// records that may have been lost since.
func (c *comparison) born(topic engine.Topic) int64 {
	switch {
	case c.base == nil:
		return 0
	case topic == engine.Notifications:
		return c.base.Notifications
	}
	return c.base.Rejected
}

func (c *comparison) compareOutput(topic engine.Topic, name string, r *wire.Record) {
	p := &c.part
	offset, err := strconv.ParseInt(string(r.Header("veltrix-source-offset")), 10, 64)
	if err != nil {
		c.find(&p.Wrong, "wrong", name, "the record at %d names no cause", r.Offset)
		return
	}
	if offset >= c.decided {
		if offset >= p.End {
			c.later = append(c.later, laterOutput{name, r.Offset, offset})
		}
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

// compareLater tells outputs committed while we looked from those whose cause
// does not exist: the log's end is read after them.
func (c *comparison) compareLater(ctx context.Context) error {
	if len(c.later) == 0 {
		return nil
	}
	p := &c.part
	_, end, err := c.v.Log.Bounds(ctx, "events", p.Partition)
	if err != nil {
		return err
	}
	for _, o := range c.later {
		if o.source >= end {
			c.find(&p.Wrong, "wrong", o.topic, "the record at %d claims to be caused by %d, and the log ends at %d", o.at, o.source, end)
		}
	}
	return nil
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
