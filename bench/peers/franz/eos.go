package franz

import (
	"context"
	"fmt"
	"maps"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/bench/peers/hand"
	"github.com/veltrix/veltrix/bench/peers/task"
)

// EOS is exactly once: outputs and offsets in one transaction of the library's session.
func EOS(ctx context.Context, t *task.Task, c *task.Course, partitions int) error {
	store := hand.NewStore(partitions)
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
		e := eos{task: t, course: c, session: session, batch: store.Batch(number)}
		for working.Err() == nil {
			if err := e.transact(ctx, working); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
}

// eos is one client.
type eos struct {
	task    *task.Task
	course  *task.Course
	session *kgo.GroupTransactSession
	batch   *hand.Batch
	event   hand.Event
}

// transact folds one batch in one transaction. One that the session could not commit,
// because partitions went to another client, is aborted, and read again.
func (e *eos) transact(ctx, working context.Context) error {
	if err := e.session.Begin(); err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	produced := kgo.AbortingFirstErrPromise(e.session.Client())
	err := poll(working, e.task, e.session.Client(), func(records []*kgo.Record) error {
		for _, r := range records {
			if err := e.fold(ctx, r, produced); err != nil {
				return err
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

func (e *eos) fold(ctx context.Context, r *kgo.Record, produced *kgo.FirstErrPromise) error {
	if err := e.event.Scan(r.Value); err != nil {
		return fmt.Errorf("%s/%d at %d: %w", r.Topic, r.Partition, r.Offset, err)
	}
	state := e.batch.State(r.Partition, r.Offset, r.Key)
	if e.task.Rules.Apply(state, &e.event) {
		e.session.Produce(ctx, &kgo.Record{
			Partition: r.Partition, Key: r.Key, Value: e.task.Rules.Output(make([]byte, 0, 192), &e.event, state),
		}, produced.Promise())
	}
	return nil
}
