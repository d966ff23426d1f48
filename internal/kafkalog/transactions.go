package kafkalog

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
)

// OpenTransaction is one that has written to a partition and has not ended. The
// earliest of them holds the partition's last stable offset back.
type OpenTransaction struct {
	ID         string // the transactional ID; empty where the brokers do not say
	ProducerID int64
	Start      int64 // the first offset it wrote
}

// OpenTransactions asks the partition's leader which transactions are open on it,
// the earliest first, and their coordinators for their names.
func (p *Positions) OpenTransactions(ctx context.Context, topic string, partition int32) ([]OpenTransaction, error) {
	admin := kadm.NewClient(p.cl)
	asked := make(kadm.TopicsSet)
	asked.Add(topic, partition)
	producers, err := admin.DescribeProducers(ctx, asked)
	if err != nil {
		return nil, fmt.Errorf("describe the producers of %s/%d: %w", topic, partition, err)
	}
	var open []OpenTransaction
	var ids []int64
	for _, d := range producers[topic].Partitions[partition].ActiveProducers {
		if d.CurrentTxnStartOffset >= 0 {
			open, ids = append(open, OpenTransaction{ProducerID: d.ProducerID, Start: d.CurrentTxnStartOffset}), append(ids, d.ProducerID)
		}
	}
	if err := producers[topic].Partitions[partition].Err; err != nil {
		return nil, fmt.Errorf("describe the producers of %s/%d: %w", topic, partition, err)
	}
	slices.SortFunc(open, func(a, b OpenTransaction) int { return int(a.Start - b.Start) })
	if len(open) == 0 {
		return nil, nil
	}
	listed, err := admin.ListTransactions(ctx, ids, nil)
	for i := range open {
		for _, t := range listed {
			if t.ProducerID == open[i].ProducerID {
				open[i].ID = t.TxnID
			}
		}
	}
	if err != nil {
		return open, fmt.Errorf("list the transactions of the producers %v: %w", ids, err)
	}
	return open, nil
}
