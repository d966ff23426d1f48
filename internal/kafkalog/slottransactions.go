package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// SlotTransaction is a transactional ID that begins as the processors' do.
type SlotTransaction struct {
	ID   string
	Slot int  // −1: no processor's
	Open bool // a transaction of it is under way

	state   string
	epoch   string // from transaction.version 2 on, another with each transaction
	started int64  // when the open one began
}

// WentOn reports whether its producer has ended or begun a transaction between two
// looks. One that a coordinator gave up for its producer does not count.
func (t *SlotTransaction) WentOn(later *SlotTransaction) bool {
	switch later.state {
	case "PrepareAbort", "CompleteAbort", "PrepareEpochFence", "Dead":
		return false
	}
	return t.epoch != later.epoch || t.Open && later.Open && t.started != later.started
}

// slotNumber returns the slot that a member's name or a transactional ID belongs
// to; −1 where it is none of the processors'.
func (c Config) slotNumber(name string) int {
	rest, ours := strings.CutPrefix(name, c.Prefix+".processor.")
	number, _, _ := strings.Cut(rest, ".") // the embedded broker's boot
	n, err := strconv.Atoi(number)
	if !ours || err != nil || n < 0 {
		return -1
	}
	return n
}

// SlotTransactions lists the transactional IDs that begin as the processors' do.
// Brokers leave out, without an error, what this user may not see; so one ID is
// asked for by its name too.
func SlotTransactions(ctx context.Context, cfg Config) ([]SlotTransaction, error) {
	cl, err := kgo.NewClient(cfg.Options()...)
	if err != nil {
		return nil, fmt.Errorf("create the client that lists transactions: %w", err)
	}
	defer cl.Close()
	adm, prefix := kadm.NewClient(cl), cfg.Prefix+".processor."
	listed, err := adm.ListTransactions(ctx, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("list the transactions: %w", err)
	}
	var all []SlotTransaction
	ask := []string{prefix + "0"}
	for _, t := range listed.Sorted() {
		if !strings.HasPrefix(t.TxnID, prefix) {
			continue
		}
		open := OpenTransaction{state: t.State}
		all = append(all, SlotTransaction{ID: t.TxnID, Slot: cfg.slotNumber(t.TxnID), Open: !open.ended()})
		if t.TxnID != ask[0] {
			ask = append(ask, t.TxnID)
		}
	}
	described, err := adm.DescribeTransactions(ctx, ask...)
	if err != nil {
		return nil, fmt.Errorf("describe the transactions of %s: %w", strings.Join(ask, ", "), err)
	}
	for id, d := range described {
		if d.Err != nil && !errors.Is(d.Err, kerr.TransactionalIDNotFound) {
			return nil, fmt.Errorf("describe the transactions of %s: %w", id, d.Err)
		}
		for i := range all {
			if all[i].ID == id {
				all[i].state, all[i].epoch, all[i].started = d.State, fmt.Sprint(d.ProducerID, "/", d.ProducerEpoch), d.StartTimestamp
			}
		}
	}
	return all, nil
}
