package franz

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/bench/peers/hand"
	"github.com/veltrix/veltrix/bench/peers/task"
)

// ALO is at least once: states to Redis and outputs to Kafka first, then the offsets.
// What died in between is done again, and counted twice.
func ALO(ctx context.Context, t *task.Task, c *task.Course, _ int) error {
	store, err := t.OpenRedis()
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	return c.Run(ctx, func(ctx, working context.Context, number int) error {
		a := alo{task: t, course: c, redis: store, states: map[int32]map[string]*cached{}}
		// A rebalance waits for the batch that runs, so that nobody forgets what is in use.
		forget := func(partition int32) { delete(a.states, partition) }
		cl, err := kgo.NewClient(append(options(t, c, number, forget), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll())...)
		if err != nil {
			return fmt.Errorf("create a client: %w", err)
		}
		defer cl.CloseAllowingRebalance()
		cl.PauseFetchTopics(t.Events)
		if !resume(working, t, c, cl) {
			return ctx.Err()
		}
		a.client = cl
		for working.Err() == nil {
			if err := a.do(ctx, working); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
}

// alo is one client with the states of its partitions, as they are in Redis.
type alo struct {
	task   *task.Task
	course *task.Course
	redis  *redis.Client
	client *kgo.Client
	states map[int32]map[string]*cached
	event  hand.Event
}

type cached struct {
	hand.State
	touched bool // in this batch
}

// do takes one batch from its records to its commit.
func (a *alo) do(ctx, working context.Context) error {
	defer a.client.AllowRebalance()
	var records []*kgo.Record
	err := poll(working, a.task, a.client, func(some []*kgo.Record) error {
		records = append(records, some...)
		return nil
	})
	if err != nil || len(records) == 0 {
		return err
	}
	if err := a.load(ctx, records); err != nil {
		return err
	}
	produced := kgo.AbortingFirstErrPromise(a.client)
	touched, err := a.fold(ctx, records, produced)
	if err != nil {
		return err
	}
	writes := a.redis.Pipeline()
	for key, state := range touched {
		state.touched = false
		writes.Set(ctx, key, a.task.Rules.State(make([]byte, 0, 384), &state.State), 0)
	}
	if _, err := writes.Exec(ctx); err != nil {
		return fmt.Errorf("write states to Redis: %w", err)
	}
	if err := a.client.Flush(ctx); err != nil {
		return err
	}
	if err := produced.Err(); err != nil {
		return fmt.Errorf("write to %s: %w", a.task.Outputs, err)
	}
	if err := a.client.CommitUncommittedOffsets(ctx); err != nil {
		return fmt.Errorf("commit offsets: %w", err)
	}
	next := map[int32]int64{}
	for _, r := range records {
		next[r.Partition] = r.Offset + 1
	}
	a.course.Committed(next)
	return nil
}

// fold folds the records and returns, by key, the states to be written.
func (a *alo) fold(ctx context.Context, records []*kgo.Record, produced *kgo.FirstErrPromise) (map[string]*cached, error) {
	touched := map[string]*cached{}
	for _, r := range records {
		if err := a.event.Scan(r.Value); err != nil {
			return nil, fmt.Errorf("%s/%d at %d: %w", r.Topic, r.Partition, r.Offset, err)
		}
		state := a.states[r.Partition][string(r.Key)]
		if !state.touched {
			state.touched = true
			touched[a.task.Key(r.Key)] = state
		}
		if a.task.Rules.Apply(&state.State, &a.event) {
			a.client.Produce(ctx, &kgo.Record{
				Partition: r.Partition, Key: r.Key, Value: a.task.Rules.Output(make([]byte, 0, 192), &a.event, &state.State),
			}, produced.Promise())
		}
	}
	return touched, nil
}

// load reads the states that are not here yet, all at once.
func (a *alo) load(ctx context.Context, records []*kgo.Record) error {
	var keys []string
	var missing []*cached
	for _, r := range records {
		of := a.states[r.Partition]
		if of == nil {
			of = map[string]*cached{}
			a.states[r.Partition] = of
		}
		if of[string(r.Key)] == nil {
			state := &cached{}
			of[string(r.Key)] = state
			keys, missing = append(keys, a.task.Key(r.Key)), append(missing, state)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	values, err := a.redis.MGet(ctx, keys...).Result()
	if err != nil {
		return fmt.Errorf("read states from Redis: %w", err)
	}
	for i, value := range values {
		text, ok := value.(string)
		if !ok {
			continue // a participant's first event
		}
		if missing[i].State, err = hand.Load([]byte(text)); err != nil {
			return fmt.Errorf("%s: %w", keys[i], err)
		}
	}
	return nil
}
