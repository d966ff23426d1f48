package kafkalog

import (
	"context"
	"fmt"
	"math"
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
// Invariants: no output is written to a partition where a processor's transaction
// is seen open that no coordinator has open; and no transaction is committed that
// has taken along what was aborted.
//
// The second does not rest on the first. What was seen before the outputs may be
// what a broker knew that led the partition no more, or the leader may be another
// when they arrive. Once they are acknowledged, whoever has them has all that was
// before them: a transaction that began there before its own first output has taken
// another one along.
//
// Nothing on the way needs the brokers unless a marker may be missing: both looks
// are due at a session's first output to a partition, after a transaction that did
// not commit, and when the partition has another leader than at the last look.
// A crash between any two steps leaves the transaction open for the next look. What
// was committed and taken along is committed with the outputs; if that fails, it is
// lost: the one window that is left, and it takes three faults in a row.
type leftOpen struct {
	cfg       SessionConfig
	cl        *kgo.Client
	positions *Positions
	looked    map[outputPartition]look
	begun     map[outputPartition]int32 // the leader's epoch in which one was seen to begin as it should
}

func newLeftOpen(cfg SessionConfig, cl *kgo.Client, positions *Positions) leftOpen {
	return leftOpen{cfg: cfg, cl: cl, positions: positions, looked: map[outputPartition]look{}, begun: map[outputPartition]int32{}}
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
func (l *leftOpen) forget() {
	clear(l.looked)
	clear(l.begun)
}

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

// confirm looks, where it is due, at the transaction under way: whether it began
// with its own first output, by partition. An error says that it must not be committed.
func (l *leftOpen) confirm(ctx context.Context, first map[outputPartition]*kgo.Record) error {
	for p, r := range first {
		_, epoch, _ := l.cl.PartitionLeader(p.topic, p.id)
		if seen, ok := l.begun[p]; ok && seen == epoch {
			continue
		}
		if err := l.beganWith(ctx, p, r.Offset); err != nil {
			return err
		}
		l.begun[p] = epoch
	}
	return nil
}

// beganWith asks until the answer comes from a broker that has the first output: it
// knows the transaction under this producer's present epoch.
func (l *leftOpen) beganWith(ctx context.Context, p outputPartition, first int64) error {
	bounded, cancel := context.WithTimeout(ctx, l.cfg.TransactionTimeout)
	defer cancel()
	id, producerEpoch, err := l.cl.ProducerID(bounded)
	if err != nil {
		return fmt.Errorf("take the transactional ID: %w", err)
	}
	for {
		open, err := openProducers(bounded, l.cl, p.topic, p.id)
		if err != nil {
			return err
		}
		for _, t := range open {
			switch {
			case t.ProducerID != id || t.epoch != producerEpoch:
			case t.Start == first:
				return nil
			default:
				return l.tookAlong(ctx, p, t, first)
			}
		}
		select {
		case <-bounded.Done():
			return fmt.Errorf("%s/%d does not show the transaction that wrote to it at offset %d: %w", p.topic, p.id, first, bounded.Err())
		case <-time.After(endPoll):
		}
	}
}

// tookAlong decides about a transaction that began with another's records: both have
// one end here. One that was committed is committed with it.
func (l *leftOpen) tookAlong(ctx context.Context, p outputPartition, t OpenTransaction, first int64) error {
	t.ID = l.cfg.slotID()
	committed, err := l.committed(ctx, p, t.Start, first)
	if err != nil {
		return fmt.Errorf("find out how the transaction of %q ended that was left open in %s/%d at offset %d: %w", t.ID, p.topic, p.id, t.Start, err)
	}
	if l.cfg.OnLeftOpen != nil {
		l.cfg.OnLeftOpen(LeftOpen{OpenTransaction: t, Topic: p.topic, Partition: p.id, Committed: committed})
	}
	if !committed {
		return fmt.Errorf("the transaction took along what was left open in %s/%d from offset %d to %d, and was aborted", p.topic, p.id, t.Start, first)
	}
	return nil
}

// end writes the marker that was left out.
func (l *leftOpen) end(ctx context.Context, p outputPartition, t OpenTransaction) error {
	committed, err := l.committed(ctx, p, t.Start, math.MaxInt64)
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

// committed finds out how the transaction was ended whose first record is at start,
// and whose others are before an offset. What it wrote was caused by records of the
// events partition of the same number, and it committed their offset too: it was
// aborted if that offset is not committed, or if somebody had to write the same again.
func (l *leftOpen) committed(ctx context.Context, p outputPartition, start, before int64) (bool, error) {
	k, err := l.positions.Committed(ctx, p.id)
	if err != nil {
		return false, err
	}
	var first *kgo.Record
	cause, again := int64(-1), false
	err = readAll(ctx, l.cfg.Config, p.topic, p.id, start, func(r *kgo.Record) {
		at, err := strconv.ParseInt(string(Records([]*kgo.Record{r})[0].Header(wire.HeaderSourceOffset)), 10, 64)
		if err != nil { // a marker
			return
		}
		if first == nil {
			first, cause = r, at
		}
		own := r.ProducerID == first.ProducerID && r.ProducerEpoch == first.ProducerEpoch && r.Offset < before
		again = again || !own && at == cause
	})
	if err != nil {
		return false, err
	}
	if first == nil || first.Offset != start {
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
