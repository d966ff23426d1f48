package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/veltrix/veltrix/internal/lag"
	"github.com/veltrix/veltrix/internal/wire"
)

// OpenTransaction is one that has written to a partition and has not ended there.
// The earliest of them holds the partition's last stable offset back.
type OpenTransaction struct {
	ID         string // the transactional ID; empty where the brokers do not say
	ProducerID int64
	Start      int64 // the first offset it wrote

	state            string // its coordinator's; empty where none knows it
	epoch            int16
	coordinatorEpoch int32
}

// ended reports whether its coordinator is done with it.
func (t *OpenTransaction) ended() bool {
	switch t.state {
	case "Ongoing", "PrepareCommit", "PrepareAbort", "PrepareEpochFence":
		return false
	}
	return true
}

// OpenTransactions asks the partition's leader which transactions are open on it,
// the earliest first, and their coordinators for their names.
func (p *Positions) OpenTransactions(ctx context.Context, topic string, partition int32) ([]OpenTransaction, error) {
	return openTransactions(ctx, p.cl, topic, partition)
}

// openProducers asks the partition's leader alone, which knows no names.
//
// Any replica answers such a question, from what it has; one that has just come
// back may not have what was written, and a client may take it for the leader. Only
// who leads in the epoch of now is asked, therefore, and until there is one.
func openProducers(ctx context.Context, cl *kgo.Client, topic string, partition int32) ([]OpenTransaction, error) {
	for until := time.Now().Add(leaderWait); ; {
		leader, err := leaderOf(ctx, cl, topic, partition)
		if err == nil {
			var open []OpenTransaction
			if open, err = describeProducers(ctx, cl.Broker(int(leader)), topic, partition); err == nil {
				return open, nil
			}
		}
		if !kerr.IsRetriable(err) && !kgo.IsRetryableBrokerErr(err) || time.Now().After(until) {
			return nil, fmt.Errorf("describe the producers of %s/%d: %w", topic, partition, err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("describe the producers of %s/%d: %w", topic, partition, errors.Join(ctx.Err(), err))
		case <-time.After(endPoll):
		}
	}
}

// leaderWait bounds the wait for a leader that says that it is: an election's time.
const leaderWait = 10 * time.Second

// leaderOf returns the node that says itself that it leads the partition, in the
// epoch that another has told.
func leaderOf(ctx context.Context, cl *kgo.Client, topic string, partition int32) (int32, error) {
	ask := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = &topic
	ask.Topics = append(ask.Topics, t)
	told, err := ask.RequestWith(ctx, cl)
	if err != nil {
		return 0, err
	}
	for _, t := range told.Topics {
		for _, p := range t.Partitions {
			if p.Partition != partition {
				continue
			}
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return 0, err
			}
			return p.Leader, leads(ctx, cl.Broker(int(p.Leader)), topic, partition, p.LeaderEpoch)
		}
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return 0, err
		}
	}
	return 0, kerr.UnknownTopicOrPartition
}

// leads asks for an offset, which only the leader of the epoch answers.
func leads(ctx context.Context, node *kgo.Broker, topic string, partition, epoch int32) error {
	ask := kmsg.NewPtrListOffsetsRequest()
	ask.ReplicaID = -1
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.CurrentLeaderEpoch, p.Timestamp = partition, epoch, -1
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic, t.Partitions = topic, append(t.Partitions, p)
	ask.Topics = append(ask.Topics, t)
	told, err := ask.RequestWith(ctx, node)
	if err != nil {
		return err
	}
	for _, t := range told.Topics {
		for _, p := range t.Partitions {
			return kerr.ErrorForCode(p.ErrorCode)
		}
	}
	return kerr.UnknownTopicOrPartition
}

func describeProducers(ctx context.Context, node *kgo.Broker, topic string, partition int32) ([]OpenTransaction, error) {
	ask := kmsg.NewPtrDescribeProducersRequest()
	t := kmsg.NewDescribeProducersRequestTopic()
	t.Topic, t.Partitions = topic, append(t.Partitions, partition)
	ask.Topics = append(ask.Topics, t)
	told, err := ask.RequestWith(ctx, node)
	if err != nil {
		return nil, err
	}
	var open []OpenTransaction
	for _, t := range told.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, err
			}
			for _, d := range p.ActiveProducers {
				if d.CurrentTxnStartOffset >= 0 {
					open = append(open, OpenTransaction{
						ProducerID: d.ProducerID, Start: d.CurrentTxnStartOffset, epoch: int16(d.ProducerEpoch), coordinatorEpoch: max(d.CoordinatorEpoch, 0),
					})
				}
			}
		}
	}
	slices.SortFunc(open, func(a, b OpenTransaction) int { return int(a.Start - b.Start) })
	return open, nil
}

// openTransactions returns what it has found also where coordinators did not answer.
func openTransactions(ctx context.Context, cl *kgo.Client, topic string, partition int32) ([]OpenTransaction, error) {
	open, err := openProducers(ctx, cl, topic, partition)
	if len(open) == 0 {
		return nil, err
	}
	var ids []int64
	for _, t := range open {
		ids = append(ids, t.ProducerID)
	}
	listed, err := kadm.NewClient(cl).ListTransactions(ctx, ids, nil)
	for i := range open {
		for _, t := range listed {
			if t.ProducerID == open[i].ProducerID {
				open[i].ID, open[i].state = t.TxnID, t.State
			}
		}
	}
	if err != nil {
		return open, fmt.Errorf("list the transactions of the producers %v: %w", ids, err)
	}
	return open, nil
}

// HeldBack returns the transactions that are open in a partition, the earliest
// first, with what is known of their age. It may return some and an error: what is
// known of them is true then, and it is not all.
//
// Nothing is made up of what was not said. A transaction that no coordinator lists
// is not ended for that: one may not have answered, and brokers list to each user
// only what it may describe. One is ended if its coordinator says so and the
// partition, asked again afterwards, still has it open.
func (r *Reader) HeldBack(ctx context.Context, topic string, partition int32) ([]lag.Transaction, error) {
	open, listing := openTransactions(ctx, r.cl, topic, partition)
	if len(open) == 0 {
		return nil, listing
	}
	told, describing := describe(ctx, r.cl, open)
	again, err := openProducers(ctx, r.cl, topic, partition)
	if err != nil {
		return nil, err
	}
	var all []lag.Transaction
	for _, t := range open {
		if !slices.ContainsFunc(again, func(a OpenTransaction) bool { return a.ProducerID == t.ProducerID && a.Start == t.Start }) {
			continue // it ended meanwhile
		}
		found := lag.Transaction{ID: t.ID, ProducerID: t.ProducerID, State: t.state, From: t.Start, Ended: t.state != "" && t.ended()}
		if d := told[t.ID]; t.ID != "" && d.ProducerID == t.ProducerID && d.Err == nil {
			found.Timeout = time.Duration(d.TimeoutMillis) * time.Millisecond
			if d.StartTimestamp > 0 {
				found.Since = time.UnixMilli(d.StartTimestamp)
			}
		}
		// Its coordinator may mean a later one of the same producer, which took along
		// what was left open here.
		if first := r.writtenAt(ctx, topic, partition, t.Start); !first.IsZero() && (found.Since.IsZero() || first.Before(found.Since)) {
			found.Since = first
		}
		all = append(all, found)
	}
	return all, errors.Join(listing, describing)
}

// describe asks the coordinators of those that were listed.
func describe(ctx context.Context, cl *kgo.Client, open []OpenTransaction) (kadm.DescribedTransactions, error) {
	var ids []string
	for _, t := range open {
		if t.ID != "" {
			ids = append(ids, t.ID)
		}
	}
	if len(ids) == 0 {
		return nil, nil // without a name, all of the cluster's would be described
	}
	told, err := kadm.NewClient(cl).DescribeTransactions(ctx, ids...)
	if err != nil {
		return told, fmt.Errorf("describe the transactions %q: %w", ids, err)
	}
	return told, nil
}

// writtenAt returns the timestamp of the record at an offset, decided or not; zero
// where it cannot be read.
func (r *Reader) writtenAt(ctx context.Context, topic string, partition int32, offset int64) (at time.Time) {
	_ = r.readRange(ctx, topic, partition, offset, offset+1, false, func(records []wire.Record) error {
		if len(records) > 0 && records[0].Offset == offset {
			at = time.UnixMicro(records[0].Timestamp)
		}
		return nil
	})
	return at
}
