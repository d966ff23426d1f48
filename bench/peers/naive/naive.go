// Package naive is the peer that is written first: event by event, with the standard
// library's JSON, a read and a write of Redis for each, a notification that is waited
// for, and a commit after each poll. It is at least once.
package naive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/bench/peers/hand"
	"github.com/veltrix/veltrix/bench/peers/task"
)

// event is a CloudEvent with the data of both types.
type event struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	Time string `json:"time"`
	Data struct {
		Metres int64  `json:"metres"`
		Points int64  `json:"points"`
		Clue   string `json:"clue"`
		Zone   string `json:"zone"`
		Device string `json:"device"`
	} `json:"data"`
}

// output is a notification.
type output struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	Body  string `json:"body"`
}

// Run is the peer.
func Run(ctx context.Context, t *task.Task, c *task.Course, _ int) error {
	store, err := t.OpenRedis()
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	return c.Run(ctx, func(ctx, working context.Context, number int) error {
		gone := func(_ context.Context, _ *kgo.Client, lost map[string][]int32) { c.Owns(number, -len(lost[t.Events])) }
		cl, err := kgo.NewClient(
			kgo.SeedBrokers(t.Brokers...), kgo.ConsumerGroup(t.Group), kgo.ConsumeTopics(t.Events),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
			kgo.DefaultProduceTopic(t.Outputs), kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.MetadataMinAge(task.MetadataMinAge),
			kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, got map[string][]int32) { c.Owns(number, len(got[t.Events])) }),
			kgo.OnPartitionsRevoked(gone), kgo.OnPartitionsLost(gone),
		)
		if err != nil {
			return fmt.Errorf("create a client: %w", err)
		}
		defer cl.CloseAllowingRebalance()
		cl.PauseFetchTopics(t.Events)
		select {
		case <-c.Ready():
			cl.ResumeFetchTopics(t.Events)
		case <-working.Done():
			return ctx.Err()
		}
		n := client{t, c, store, cl}
		for working.Err() == nil {
			if err := n.poll(ctx, working); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
}

type client struct {
	task   *task.Task
	course *task.Course
	redis  *redis.Client
	kafka  *kgo.Client
}

func (n *client) poll(ctx, working context.Context) error {
	defer n.kafka.AllowRebalance()
	fetches := n.kafka.PollRecords(working, n.task.CommitRecords)
	if working.Err() != nil {
		return nil
	}
	if err := fetches.Err(); err != nil {
		return fmt.Errorf("poll: %w", err)
	}
	next := map[int32]int64{}
	for _, r := range fetches.Records() {
		if err := n.handle(ctx, r); err != nil {
			return fmt.Errorf("%s/%d at %d: %w", r.Topic, r.Partition, r.Offset, err)
		}
		next[r.Partition] = r.Offset + 1
	}
	if err := n.kafka.CommitUncommittedOffsets(ctx); err != nil {
		return fmt.Errorf("commit offsets: %w", err)
	}
	n.course.Committed(next)
	return nil
}

// handle takes one event from Kafka to Redis, and to the notifications.
func (n *client) handle(ctx context.Context, r *kgo.Record) error {
	var e event
	if err := json.Unmarshal(r.Value, &e); err != nil {
		return fmt.Errorf("read an event: %w", err)
	}
	key := n.task.Key(r.Key)
	var of document
	stored, err := n.redis.Get(ctx, key).Bytes()
	if err == nil {
		err = json.Unmarshal(stored, &of)
	}
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("read %s: %w", key, err)
	}
	state := of.state()
	notifies := n.task.Rules.Apply(&state, &hand.Event{
		ID: []byte(e.ID), Type: []byte(e.Type), Time: []byte(e.Time), Participant: r.Key,
		Clue: []byte(e.Data.Clue), Zone: []byte(e.Data.Zone), Device: []byte(e.Data.Device), Metres: e.Data.Metres, Points: e.Data.Points,
	})
	value, err := json.Marshal(documentOf(&state, n.task.Rules.Ten))
	if err != nil {
		return fmt.Errorf("write %s: %w", key, err)
	}
	if err := n.redis.Set(ctx, key, value, 0).Err(); err != nil {
		return fmt.Errorf("write %s: %w", key, err)
	}
	if !notifies {
		return nil
	}
	value, err = json.Marshal(output{ID: e.ID, Title: "Clue " + e.Data.Clue + " found", Body: string(n.task.Rules.Body(nil, &state))})
	if err != nil {
		return fmt.Errorf("write a notification: %w", err)
	}
	return n.kafka.ProduceSync(ctx, &kgo.Record{Partition: r.Partition, Key: r.Key, Value: value}).FirstErr()
}
