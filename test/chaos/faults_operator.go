package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/kafkalog"
)

func operatorFaults() []Fault {
	return []Fault{
		{
			Name: "offsets-reset", Ends: endsRefused, Does: "All processors are stopped, a partition's committed offset is moved, and they are started again.",
			Params: []Param{
				partition(),
				{Name: "by", Default: -200, Min: -eventsMax, Max: eventsMax, Does: "how far it is moved, back or forward"},
				{Name: "stamp", Default: "dropped", Words: []string{"dropped", "kept"}, Does: "whether the commit keeps its stamp, as from a backup, or has none, as from Kafka's tools"},
			},
			row: func(p Params) string {
				if p.number("by") < 0 {
					return "offsets-reset, back"
				}
				return "offsets-reset, forward"
			},
			do: stopped(resetOffsets),
		},
		{
			Name: "group-delete", Ends: endsRefused, Does: "All processors are stopped, their group is deleted with all its offsets, and they are started again.",
			do: stopped(func(ctx context.Context, r *run, _ Params) error {
				answers, err := r.env.admin.DeleteGroups(ctx, r.kafka.ProcessorGroup())
				return errors.Join(err, answers.Error())
			}),
		},
		{
			Name: "records-delete", Ends: endsRefused, Does: "All processors are stopped, the log's start is moved past K, as retention does, and they are started again.",
			Params: []Param{partition(), {Name: "past", Default: 20, Min: 1, Max: 10_000, Does: "how many unprocessed records are deleted"}},
			do:     stopped(deleteRecords),
		},
		{
			Name: "partitions-add", Ends: endsClean, Does: "Partitions are added to events, and senders follow the new count.",
			Params: []Param{{Name: "count", Default: 2, Min: 1, Max: partitionsMax, Does: "how many are added"}},
			do: func(ctx context.Context, r *run, f *Fault, p Params) error {
				answers, err := r.env.admin.CreatePartitions(ctx, p.number("count"), r.kafka.Topic("events"))
				if err := errors.Join(err, answers.Error()); err != nil {
					return err
				}
				// Senders follow once their client knows the new partitions.
				last := r.s.Topology.Partitions + int32(p.number("count")) - 1
				for {
					if leader, _, err := r.env.client.PartitionLeader(r.kafka.Topic("events"), last); err == nil && leader >= 0 {
						break
					}
					r.env.client.ForceMetadataRefresh()
					if err := sleep(ctx, 100*time.Millisecond); err != nil {
						return err
					}
				}
				r.feeder.partitions.Add(int32(p.number("count")))
				r.inject(f, p).over()
				return nil
			},
		},
		{
			Name: "topic-recreate", Ends: endsStopped, Does: "The events topic is deleted and made again under the running processors, which are then restarted. The load ends with it.",
			Params: []Param{lasting("after", time.Second, "between the two")},
			do:     recreateTopic,
		},
	}
}

// stopped is what an operator does while no processor runs. The brokers take it
// only from then on.
func stopped(act func(ctx context.Context, r *run, p Params) error) func(context.Context, *run, *Fault, Params) error {
	return func(ctx context.Context, r *run, f *Fault, p Params) error {
		defer r.alone()()
		r.stopProcessors()
		if err := r.emptied(ctx); err != nil {
			return err
		}
		if err := act(ctx, r, p); err != nil {
			return err
		}
		r.inject(f, p).over()
		return r.startProcessors()
	}
}

// emptied waits until the processors' group has no members and no transaction
// is being decided.
func (r *run) emptied(ctx context.Context) error {
	var last error
	for began := time.Now(); time.Since(began) < 10*r.s.Processes.Session; {
		members, err := kafkalog.GroupMembers(ctx, r.kafka, r.kafka.ProcessorGroup())
		if err == nil && len(members) == 0 {
			return nil
		}
		last = fmt.Errorf("the group has the members %v: %w", members, err)
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return last
}

func resetOffsets(ctx context.Context, r *run, p Params) error {
	at := int32(p.number("partition"))
	good, err := r.positions.Committed(ctx, at)
	if err != nil {
		return err
	}
	to := good.Offset + int64(p.number("by"))
	if good.Absent || to < 0 {
		return fmt.Errorf("partition %d is at %d, and cannot be moved by %d", at, good.Offset, p.number("by"))
	}
	r.save(at, good)
	metadata := ""
	if p.word("stamp") == "kept" {
		metadata = good.Metadata
	}
	return r.commit(ctx, kadm.Offset{Partition: at, At: to, Metadata: metadata})
}

// commit overwrites a partition's committed offset, as Kafka's own tools do.
func (r *run) commit(ctx context.Context, o kadm.Offset) error {
	o.Topic, o.LeaderEpoch = r.kafka.Topic("events"), -1
	offsets := make(kadm.Offsets)
	offsets.Add(o)
	return r.env.admin.CommitAllOffsets(ctx, r.kafka.ProcessorGroup(), offsets)
}

// save keeps a commit for the repair that restores it.
func (r *run) save(partition int32, c engine.Committed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.saved[partition] = c
}

// deleteRecords waits until there are enough records to delete: the load goes
// on while nothing is processed.
func deleteRecords(ctx context.Context, r *run, p Params) error {
	at, past := int32(p.number("partition")), int64(p.number("past"))
	for {
		c, err := r.positions.Committed(ctx, at)
		if err != nil {
			return err
		}
		if c.LogEnd >= c.Offset+past {
			ids, err := r.idsBelow(ctx, at, c.Offset)
			if err != nil {
				return err
			}
			r.mu.Lock()
			r.processed[at] = ids
			r.mu.Unlock()
			remove := kadm.Offsets{}
			remove.AddOffset(r.kafka.Topic("events"), at, c.Offset+past, -1)
			answers, err := r.env.admin.DeleteRecords(ctx, remove)
			return errors.Join(err, answers.Error())
		}
		if r.feeder.done() {
			return fmt.Errorf("partition %d has only %d records after K, and no more are sent", at, c.LogEnd-c.Offset)
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

func recreateTopic(ctx context.Context, r *run, f *Fault, p Params) error {
	defer r.alone()()
	r.feeder.halt()
	r.recreated.Store(true)
	topic := r.kafka.Topic("events")
	answers, err := r.env.admin.DeleteTopics(ctx, topic)
	if err := errors.Join(err, answers.Error()); err != nil {
		return err
	}
	i := r.inject(f, p)
	if err := sleep(ctx, p.duration("after")); err != nil {
		return err
	}
	for n := 0; ; n++ { // a deletion takes effect some time after its answer
		_, err := r.env.admin.CreateTopic(ctx, r.s.Topology.Partitions, brokers, nil, topic)
		if err == nil {
			break
		}
		if n == 50 {
			return err
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	i.over()
	r.stopProcessors()
	return r.startProcessors()
}
