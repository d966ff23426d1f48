package franz

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/bench/peers/hand"
	"github.com/veltrix/veltrix/bench/peers/task"
)

// Kept is what a participant's state is in this process and in Redis, and how events
// are folded into it: each client has a fold of its own.
type Kept[S any] struct {
	Fresh  func() S
	Load   func(text []byte) (S, error)
	Append func(text []byte, state *S) []byte
	Fold   func() Fold[S]
}

// KeptByHand is the state of the folds by hand, of what scan reads.
func KeptByHand(rules *hand.Rules, scan func() Scan) Kept[hand.State] {
	return Kept[hand.State]{
		Fresh: func() hand.State { return hand.State{} }, Load: hand.Load, Append: rules.State,
		Fold: func() Fold[hand.State] { return ByHand(rules, scan()) },
	}
}

// ALO is at least once: states to Redis and outputs to Kafka first, then the offsets.
// What died in between is done again, and counted twice.
func ALO(ctx context.Context, t *task.Task, c *task.Course, _ int) error {
	return ALOBy(ctx, t, c, KeptByHand(t.Rules, func() Scan { return scan }))
}

// ALOBy is ALO with other states and another fold.
func ALOBy[S any](ctx context.Context, t *task.Task, c *task.Course, kept Kept[S]) error {
	store, err := t.OpenRedis()
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	return c.Run(ctx, func(ctx, working context.Context, number int) error {
		a := alo[S]{task: t, course: c, redis: store, kept: kept, fold: kept.Fold(), states: map[int32]map[string]*cached[S]{}}
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
type alo[S any] struct {
	task   *task.Task
	course *task.Course
	redis  *redis.Client
	client *kgo.Client
	kept   Kept[S]
	fold   Fold[S]
	states map[int32]map[string]*cached[S]
}

type cached[S any] struct {
	state   S
	touched bool // in this batch
}

// do takes one batch from its records to its commit.
func (a *alo[S]) do(ctx, working context.Context) error {
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
	touched, err := a.foldAll(ctx, records, produced)
	if err != nil {
		return err
	}
	writes := a.redis.Pipeline()
	for key, state := range touched {
		state.touched = false
		writes.Set(ctx, key, a.kept.Append(make([]byte, 0, 384), &state.state), 0)
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

// foldAll folds the records and returns, by key, the states to be written.
func (a *alo[S]) foldAll(ctx context.Context, records []*kgo.Record, produced *kgo.FirstErrPromise) (map[string]*cached[S], error) {
	touched := map[string]*cached[S]{}
	write := func(r *kgo.Record) { a.client.Produce(ctx, r, produced.Promise()) }
	for _, r := range records {
		of := a.states[r.Partition][string(r.Key)]
		if !of.touched {
			of.touched = true
			touched[a.task.Key(r.Key)] = of
		}
		if err := a.fold(&of.state, r, write); err != nil {
			return nil, fmt.Errorf("%s/%d at %d: %w", r.Topic, r.Partition, r.Offset, err)
		}
	}
	return touched, nil
}

// load reads the states that are not here yet, all at once.
func (a *alo[S]) load(ctx context.Context, records []*kgo.Record) error {
	var keys []string
	var missing []*cached[S]
	for _, r := range records {
		of := a.states[r.Partition]
		if of == nil {
			of = map[string]*cached[S]{}
			a.states[r.Partition] = of
		}
		if of[string(r.Key)] == nil {
			state := &cached[S]{state: a.kept.Fresh()}
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
		if missing[i].state, err = a.kept.Load([]byte(text)); err != nil {
			return fmt.Errorf("%s: %w", keys[i], err)
		}
	}
	return nil
}
