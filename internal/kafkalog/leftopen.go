package kafkalog

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/wire"
)

// LeftOpen is a transaction that its coordinator has ended, and a partition has not.
type LeftOpen struct {
	OpenTransaction
	Topic     string
	Partition int32
	Committed bool // how it was ended there now
}

// Looks at the partitions that outputs go to.
const (
	// lookAgain is the wait where another slot's transaction is open for now.
	lookAgain = time.Second
	// endPoll is the wait for a coordinator that is about to write its markers.
	endPoll = 50 * time.Millisecond
)

// leftOpen ends, in the partitions that outputs go to, what coordinators have
// ended without saying so there.
//
// A coordinator that ends a transaction while a partition has no leader takes the
// partition for deleted and leaves its marker out (Kafka 4.3.1,
// TransactionMarkerChannelManager). The transaction stays open in that partition,
// and the producer's next one there takes its records along: what was aborted is
// committed with the next commit, and what was committed is lost with the next
// abort. If the producer does not come back, readers wait for ever.
//
// Invariant: no output is written to a partition where a processor's transaction
// is open that no coordinator has open.
//
// Nothing on the way needs the brokers unless a marker may be missing: a look is
// due before a session's first output to a partition, after a transaction that
// did not commit, and when the partition has another leader than at the last look.
// A crash between any two steps leaves the transaction open for the next look.
type leftOpen struct {
	cfg       SessionConfig
	cl        *kgo.Client
	positions *Positions
	looked    map[outputPartition]look
}

type outputPartition struct {
	topic string
	id    int32
}

// look is what the next one waits for: another leader, or a time if there is one.
type look struct {
	epoch int32 // of the leader
	again time.Time
}

// forget makes the next output to each partition look again.
func (l *leftOpen) forget() { clear(l.looked) }

// settle looks at the partitions that these outputs go to, and ends what is left
// open there. topics are by engine.Topic.
func (l *leftOpen) settle(ctx context.Context, topics *[3]string, outputs []engine.Output) error {
	var last outputPartition
	epochs := map[outputPartition]int32{}
	for i := range outputs {
		p := outputPartition{topics[outputs[i].Topic], outputs[i].Partition}
		if p == last || outputs[i].Topic == engine.Events { // which is written to without a transaction
			continue
		}
		last = p
		_, epoch, _ := l.cl.PartitionLeader(p.topic, p.id) // -1 while the client does not know it
		if seen, ok := l.looked[p]; !ok || seen.epoch != epoch || !seen.again.IsZero() && time.Now().After(seen.again) {
			epochs[p] = epoch
		}
	}
	if len(epochs) == 0 {
		return nil
	}
	// Whoever has the ID has aborted what was open under it, for its coordinator.
	if _, _, err := l.cl.ProducerID(ctx); err != nil {
		return fmt.Errorf("take the transactional ID: %w", err)
	}
	for p, epoch := range epochs {
		settled, err := l.settlePartition(ctx, p)
		if err != nil {
			return err
		}
		next := look{epoch: epoch}
		if !settled {
			next.again = time.Now().Add(lookAgain)
		}
		l.looked[p] = next
	}
	return nil
}

// settlePartition reports whether no transaction is open in the partition any more.
// For this slot's own last one it waits: its end is decided, and its markers are on
// their way, or left out.
func (l *leftOpen) settlePartition(ctx context.Context, p outputPartition) (settled bool, err error) {
	for {
		open, err := openTransactions(ctx, l.cl, p.topic, p.id)
		if err != nil { // a coordinator that did not answer may have one open
			return false, err
		}
		settled, own := true, false
		for _, t := range open {
			switch {
			case t.ID != "" && !strings.HasPrefix(t.ID, l.cfg.slotIDs()): // not a processor's: the brokers' rights keep others away
			case t.ended():
				if err := l.endAnyway(ctx, p, t); err != nil {
					return false, err
				}
			case t.ID == l.cfg.slotID():
				own = true
			default:
				settled = false // another slot's, whose coordinator still has it open
			}
		}
		if !own {
			return settled, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(endPoll):
		}
	}
}

// endAnyway ends what is still open although its coordinator is done with it. The
// leader was asked before the coordinator: in between, the coordinator may have
// ended it as it should. It is done only once every leader that it knows has its
// marker, so that what a leader has open after that word was left out.
func (l *leftOpen) endAnyway(ctx context.Context, p outputPartition, t OpenTransaction) error {
	now, err := openTransactions(ctx, l.cl, p.topic, p.id)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(now, func(n OpenTransaction) bool { return n.ProducerID == t.ProducerID && n.Start == t.Start }) {
		return nil
	}
	return l.end(ctx, p, t)
}

// end writes the marker that was left out.
func (l *leftOpen) end(ctx context.Context, p outputPartition, t OpenTransaction) error {
	committed, err := l.committed(ctx, p, t)
	if err == nil {
		markers := kadm.TxnMarkers{
			ProducerID: t.ProducerID, ProducerEpoch: t.epoch, CoordinatorEpoch: t.coordinatorEpoch, Commit: committed, Topics: kadm.TopicsSet{},
		}
		markers.Topics.Add(p.topic, p.id)
		var written kadm.TxnMarkersResponses
		written, err = kadm.NewClient(l.cl).WriteTxnMarkers(ctx, markers)
		written.EachPartition(func(r kadm.TxnMarkersPartitionResponse) {
			if err == nil {
				err = r.Err
			}
		})
	}
	if err != nil {
		return fmt.Errorf("end the transaction of %q that its coordinator left open in %s/%d at offset %d (allow the processor ClusterAction on the cluster, as veltrix topics acls --command left-open writes it, or use kafka-transactions.sh abort; see the runbook, left-open): %w",
			t.ID, p.topic, p.id, t.Start, err)
	}
	if l.cfg.OnLeftOpen != nil {
		l.cfg.OnLeftOpen(LeftOpen{OpenTransaction: t, Topic: p.topic, Partition: p.id, Committed: committed})
	}
	return nil
}

// committed finds out how a transaction was ended. What it wrote was caused by
// records of the events partition of the same number, and it committed their
// offset too: it was aborted if that offset is not committed, or if somebody had
// to write the same again.
func (l *leftOpen) committed(ctx context.Context, p outputPartition, t OpenTransaction) (bool, error) {
	k, err := l.positions.Committed(ctx, p.id)
	if err != nil {
		return false, err
	}
	cause, again := int64(-1), false
	err = readAll(ctx, l.cfg.Config, p.topic, p.id, t.Start, func(r *kgo.Record) {
		at, err := strconv.ParseInt(string(Records([]*kgo.Record{r})[0].Header(wire.HeaderSourceOffset)), 10, 64)
		own := r.ProducerID == t.ProducerID && r.ProducerEpoch == t.epoch
		switch {
		case err != nil: // a marker
		case own && cause < 0:
			cause = at
		case !own && at == cause:
			again = true
		}
	})
	if err != nil {
		return false, err
	}
	if cause < 0 {
		return false, fmt.Errorf("its first record names no cause")
	}
	return !k.Absent && cause < k.Offset && !again, nil
}

// readAll hands on what a partition holds from an offset up to its present end,
// markers and undecided records too.
func readAll(ctx context.Context, cfg Config, topic string, partition int32, from int64, fn func(*kgo.Record)) error {
	cl, err := kgo.NewClient(cfg.Options(kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(from)}}))...)
	if err != nil {
		return fmt.Errorf("create the client that reads %s/%d: %w", topic, partition, err)
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("list the end of %s: %w", topic, err)
	}
	end, _ := ends.Lookup(topic, partition)
	for next := from; next < end.Offset; {
		bounded, cancel := context.WithTimeout(ctx, readStall)
		fetches := cl.PollFetches(bounded)
		cancel()
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read %s/%d from %d to %d: %w", topic, partition, next, end.Offset, err)
		}
		fetches.EachRecord(func(r *kgo.Record) { next = r.Offset + 1; fn(r) })
	}
	return nil
}
