package franz

import (
	"context"
	"fmt"
	"maps"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/bench/peers/hand"
	"github.com/veltrix/veltrix/bench/peers/task"
)

// Fold folds a record into its participant's state and writes what it causes.
type Fold[S any] func(state *S, r *kgo.Record, write func(*kgo.Record)) error

// EOS is exactly once: outputs and offsets in one transaction of the library's session.
func EOS(ctx context.Context, t *task.Task, c *task.Course, partitions int) error {
	return EOSBy(ctx, t, c, hand.NewStore(partitions), func() Fold[hand.State] {
		return ByHand(t.Rules, scan)
	})
}

// EOSBy is EOS with another fold; each client has its own.
func EOSBy[S any](ctx context.Context, t *task.Task, c *task.Course, store *hand.Store[S], fold func() Fold[S]) error {
	return c.Run(ctx, func(ctx, working context.Context, number int) error {
		session, err := kgo.NewGroupTransactSession(append(options(t, c, number, func(int32) {}),
			kgo.TransactionalID(fmt.Sprintf("%s-%d", t.Group, number)))...)
		if err != nil {
			return fmt.Errorf("create a transactional client: %w", err)
		}
		defer session.Close()
		session.Client().PauseFetchTopics(t.Events)
		if !resume(working, t, c, session.Client()) {
			return ctx.Err()
		}
		e := eos[S]{task: t, course: c, session: session, batch: store.Batch(number), fold: fold()}
		for working.Err() == nil {
			if err := e.transact(ctx, working); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
}

// Scan reads of a record what the folds by hand need.
type Scan func(*hand.Event, *kgo.Record) error

func scan(e *hand.Event, r *kgo.Record) error { return e.Scan(r.Value) }

// ByHand is the fold by hand of what scan reads.
func ByHand(rules *hand.Rules, scan Scan) Fold[hand.State] {
	var event hand.Event
	return func(state *hand.State, r *kgo.Record, write func(*kgo.Record)) error {
		if err := scan(&event, r); err != nil {
			return err
		}
		if rules.Apply(state, &event) {
			write(&kgo.Record{Partition: r.Partition, Key: r.Key, Value: rules.Output(make([]byte, 0, 192), &event, state)})
		}
		return nil
	}
}

// eos is one client.
type eos[S any] struct {
	task    *task.Task
	course  *task.Course
	session *kgo.GroupTransactSession
	batch   *hand.Batch[S]
	fold    Fold[S]
}

// transact folds one batch in one transaction. One that the session could not commit,
// because partitions went to another client, is aborted, and read again.
func (e *eos[S]) transact(ctx, working context.Context) error {
	if err := e.session.Begin(); err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	produced := kgo.AbortingFirstErrPromise(e.session.Client())
	write := func(r *kgo.Record) { e.session.Produce(ctx, r, produced.Promise()) }
	err := poll(working, e.task, e.session.Client(), func(records []*kgo.Record) error {
		for _, r := range records {
			if err := e.fold(e.batch.State(r.Partition, r.Offset, r.Key), r, write); err != nil {
				return fmt.Errorf("%s/%d at %d: %w", r.Topic, r.Partition, r.Offset, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	committed, err := e.session.End(ctx, produced.Err() == nil)
	if err != nil {
		return fmt.Errorf("end a transaction: %w", err)
	}
	if err := produced.Err(); err != nil {
		return fmt.Errorf("write to %s: %w", e.task.Outputs, err)
	}
	if !committed {
		e.batch.Undo()
		return nil
	}
	next := maps.Clone(e.batch.Next)
	e.batch.Keep()
	e.course.Committed(next)
	return nil
}
