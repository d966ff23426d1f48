package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/fold"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/wire"
)

// PeerError says that what a peer left is not the fold in the order of arrival.
type PeerError struct {
	Name                  string
	Lost, Repeated, Wrong int64
	Findings              []string // some
}

func (e *PeerError) Error() string {
	return fmt.Sprintf("what %s left is not the fold in the order of arrival, so no figure is given: %d lost, %d more than once, %d wrong\n  %s",
		e.Name, e.Lost, e.Repeated, e.Wrong, strings.Join(e.Findings, "\n  "))
}

// peerFindings is how many are told; all are counted.
const peerFindings = 10

// check holds what a peer left against the fold. It takes from want what it has found.
type check struct {
	want   *arrival
	once   bool              // an output more than once is an error
	headed bool              // an output has its event's id where the processor writes it
	stored map[string][]byte // states as the processor encodes them; nil: they are JSON
	found  PeerError
}

func (c *check) finding(n *int64, format string, args ...any) {
	if *n++; len(c.found.Findings) < peerFindings {
		c.found.Findings = append(c.found.Findings, fmt.Sprintf(format, args...))
	}
}

// output takes one that was committed, in its partition's order.
func (c *check) output(partition int32, r *wire.Record) {
	key, value := r.Key, r.Value
	var got struct{ ID, Title, Body string }
	if err := json.Unmarshal(value, &got); err != nil {
		c.finding(&c.found.Wrong, "an output of %s cannot be read: %v: %.200q", key, err, value)
		return
	}
	if c.headed {
		got.ID = string(r.Header(wire.HeaderCauseID))
	}
	want, caused := c.want.outputs[got.ID]
	if !caused {
		c.finding(&c.found.Wrong, "the output %s of %s, which no event causes", got.ID, key)
		return
	}
	if len(want) == 0 {
		if c.found.Repeated++; c.once && len(c.found.Findings) < peerFindings {
			c.found.Findings = append(c.found.Findings, fmt.Sprintf("the output %s of %s once more", got.ID, key))
		}
		return
	}
	if is := (arrivalOutput{partition, string(key), got.Title, got.Body}); is != want[0] {
		c.finding(&c.found.Wrong, "the output %s is %+v and not %+v", got.ID, is, want[0])
	}
	c.want.outputs[got.ID] = want[1:]
}

// state takes one out of Redis.
func (c *check) state(who string, value []byte) error {
	s := c.want.states[who]
	if s == nil {
		c.finding(&c.found.Wrong, "the state of %s, whom no event mentions, or once more", who)
		return nil
	}
	delete(c.want.states, who)
	if c.stored != nil {
		if !bytes.Equal(value, c.stored[who]) {
			c.finding(&c.found.Wrong, "the state of %s is %.200x and not %x", who, value, c.stored[who])
		}
		return nil
	}
	want, err := c.want.json(s)
	if err != nil {
		return fmt.Errorf("write the state of %s: %w", who, err)
	}
	if !sameJSON(value, want) {
		c.finding(&c.found.Wrong, "the state of %s is %.400s and not %s", who, value, want)
	}
	return nil
}

// end returns how many outputs came more than once, or a PeerError. The states count
// where they were looked at.
func (c *check) end(states bool) (repeated int64, err error) {
	for id, want := range c.want.outputs {
		for _, w := range want {
			c.finding(&c.found.Lost, "the output %s of %s is not there", id, w.Participant)
		}
	}
	if states {
		for who := range c.want.states {
			c.finding(&c.found.Lost, "the state of %s is not there", who)
		}
	}
	if c.found.Lost > 0 || c.found.Wrong > 0 || c.once && c.found.Repeated > 0 {
		return 0, &c.found
	}
	return c.found.Repeated, nil
}

// sameJSON says that two documents have the same values, numbers as they are written.
func sameJSON(a, b []byte) bool {
	var docs [2]any
	for i, text := range [][]byte{a, b} {
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		if d.Decode(&docs[i]) != nil || d.More() {
			return false
		}
	}
	return reflect.DeepEqual(docs[0], docs[1])
}

// compare holds all that the peer wrote against the fold, and removes its states.
func (b *beside) compare(ctx context.Context, p *place) (repeated int64, err error) {
	want, err := newArrival(b.workload, p.partitions)
	if err != nil {
		return 0, err
	}
	c := &check{want: want, once: !b.AtLeastOnce, headed: b.InOrder, found: PeerError{Name: b.Peer.Name}}
	if err := b.checkOutputs(ctx, p, c); err != nil {
		return 0, fmt.Errorf("compare the outputs with the fold: %w", err)
	}
	if b.Redis {
		if b.InOrder {
			if c.stored, err = b.stored(ctx, p); err != nil {
				return 0, fmt.Errorf("fold the events as the processor does: %w", err)
			}
		}
		if err := b.checkStates(ctx, p, c); err != nil {
			return 0, fmt.Errorf("compare the states with the fold: %w", err)
		}
	}
	return c.end(b.Redis)
}

// stored folds what is in the log by the product's fold, record by record.
func (b *beside) stored(ctx context.Context, p *place) (map[string][]byte, error) {
	program, err := b.workload.Program()
	if err != nil {
		return nil, err
	}
	oracles, all := map[int32]*fold.Oracle{}, map[string][]byte{}
	f := fold.New(program, p.partitions)
	err = eachOf(ctx, p, p.kafka.Topic("events"), func(partition int32, r *wire.Record) error {
		if oracles[partition] == nil {
			oracles[partition] = fold.NewOracle(f, partition)
		}
		_, err := oracles[partition].Feed(r)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, o := range oracles {
		for who, state := range o.States() {
			all[who] = bytes.Clone(state)
		}
	}
	return all, nil
}

func (b *beside) checkOutputs(ctx context.Context, p *place, c *check) error {
	return eachOf(ctx, p, b.outputs(p), func(partition int32, r *wire.Record) error {
		c.output(partition, r)
		return nil
	})
}

// eachOf reads what is committed of a topic, partition by partition.
func eachOf(ctx context.Context, p *place, topic string, fn func(partition int32, r *wire.Record) error) error {
	reader, err := kafkalog.NewReader(p.kafka)
	if err != nil {
		return err
	}
	defer reader.Close()
	bounds, err := reader.Bounds(ctx, topic)
	if err != nil {
		return err
	}
	for _, at := range bounds {
		err := reader.Read(ctx, topic, at.Partition, at.Start, at.End, true, func(records []wire.Record) error {
			for i := range records {
				if err := fn(at.Partition, &records[i]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// checkStates reads all keys under the peer's prefix, and deletes them.
func (b *beside) checkStates(ctx context.Context, p *place, c *check) error {
	cfg, err := p.rt.Redis()
	if err != nil {
		return err
	}
	client := redisstore.Open(cfg)
	defer func() { _ = client.Close() }()
	const at = 1000
	prefix, seen := b.group(p)+":", map[string]bool{}
	for cursor := uint64(0); ; {
		scanned, next, err := client.Scan(ctx, cursor, prefix+"*", at).Result()
		if err != nil {
			return err
		}
		var keys []string
		for _, key := range scanned { // one may be told twice
			if !seen[key] {
				seen[key] = true
				keys = append(keys, key)
			}
		}
		if err := checkKeys(ctx, client, prefix+"s:", keys, c); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

func checkKeys(ctx context.Context, client redis.UniversalClient, prefix string, keys []string, c *check) error {
	if len(keys) == 0 {
		return nil
	}
	values, err := client.MGet(ctx, keys...).Result()
	if err != nil {
		return err
	}
	for i, key := range keys {
		who, is := strings.CutPrefix(key, prefix)
		text, isText := values[i].(string)
		if !is || !isText {
			c.finding(&c.found.Wrong, "the key %s, which holds no participant's state", key)
			continue
		}
		if err := c.state(who, []byte(text)); err != nil {
			return err
		}
	}
	return client.Unlink(ctx, keys...).Err()
}
