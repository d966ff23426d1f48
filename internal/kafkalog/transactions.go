package kafkalog

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
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

// openTransactions returns what it has found also where coordinators did not answer.
func openTransactions(ctx context.Context, cl *kgo.Client, topic string, partition int32) ([]OpenTransaction, error) {
	admin := kadm.NewClient(cl)
	asked := make(kadm.TopicsSet)
	asked.Add(topic, partition)
	described, err := admin.DescribeProducers(ctx, asked)
	producers := described[topic].Partitions[partition]
	if err == nil {
		err = producers.Err
	}
	if err != nil {
		return nil, fmt.Errorf("describe the producers of %s/%d: %w", topic, partition, err)
	}
	var open []OpenTransaction
	var ids []int64
	for _, d := range producers.ActiveProducers {
		if d.CurrentTxnStartOffset >= 0 {
			ids = append(ids, d.ProducerID)
			open = append(open, OpenTransaction{
				ProducerID: d.ProducerID, Start: d.CurrentTxnStartOffset, epoch: d.ProducerEpoch, coordinatorEpoch: max(d.CoordinatorEpoch, 0),
			})
		}
	}
	if len(open) == 0 {
		return nil, nil
	}
	slices.SortFunc(open, func(a, b OpenTransaction) int { return int(a.Start - b.Start) })
	listed, err := admin.ListTransactions(ctx, ids, nil)
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
