package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/wire"
)

// SessionConfig names one member of the processor group.
type SessionConfig struct {
	Config
	Slot               int // names the transactional ID and the static member
	SessionTimeout     time.Duration
	TransactionTimeout time.Duration // shorter than SessionTimeout
	RebalanceTimeout   time.Duration
	// OnLeftOpen is told of each transaction that was ended for its coordinator; may be nil.
	OnLeftOpen func(LeftOpen)
}

// ProcessorGroup returns the consumer group of the processors.
func (c Config) ProcessorGroup() string { return c.Prefix + ".processor" }

// transactionalID is stable per slot on a real broker: starting it again
// aborts what its predecessor left open.
func (c Config) transactionalID(name string) string {
	id := c.Prefix + "." + name
	if c.BootID != "" {
		id += "." + c.BootID
	}
	return id
}

// slotIDs is what the transactional IDs of all slots begin with, slotID this slot's.
func (c SessionConfig) slotIDs() string { return c.Prefix + ".processor." }

func (c SessionConfig) slotID() string { return c.transactionalID(fmt.Sprintf("processor.%d", c.Slot)) }

func (c SessionConfig) instanceID() string { return fmt.Sprintf("%s.processor.%d", c.Prefix, c.Slot) }

// Session implements engine.Session on a group transact session: one group
// member, one transactional ID.
type Session struct {
	cfg      SessionConfig
	txn      *kgo.GroupTransactSession
	reroute  *Rerouter
	open     leftOpen
	topics   [3]string // by engine.Topic
	held     bool      // records were polled since the last Release
	mu       sync.Mutex
	produced error // the first failed output of the transaction
}

// closeTimeout bounds the closing of a session that never began.
const closeTimeout = 5 * time.Second

// NewSession joins the group. notify is told of assignments and revocations, in
// their order, before records of newly assigned partitions can be polled; those
// start paused. reroute writes to the events topic.
//
// What the slot's predecessor left open is aborted before NewSession returns. The
// client would do so only before its first output, which waits for the committed
// offsets, which wait for that transaction.
func NewSession(ctx context.Context, cfg SessionConfig, positions *Positions, reroute *Rerouter, notify func(engine.Input)) (*Session, error) {
	s := &Session{cfg: cfg, reroute: reroute}
	s.topics[engine.Notifications] = cfg.Topic("notifications")
	s.topics[engine.Rejected] = cfg.Topic("rejected")
	s.topics[engine.Events] = cfg.Topic("events")
	revoked := func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
		if ids := parts[s.topics[engine.Events]]; len(ids) > 0 {
			notify(engine.Revoked{Partitions: ids})
		}
	}
	assigned := func(_ context.Context, cl *kgo.Client, parts map[string][]int32) {
		ids := parts[s.topics[engine.Events]]
		if len(ids) > 0 {
			cl.PauseFetchPartitions(parts) // before the first fetch: the engine resumes
		}
		notify(engine.Assigned{Partitions: ids}) // none is news too: it has joined
	}
	txn, err := kgo.NewGroupTransactSession(cfg.Options(append(committedOnly(),
		kgo.ConsumerGroup(cfg.ProcessorGroup()),
		kgo.ConsumeTopics(s.topics[engine.Events]),
		kgo.InstanceID(cfg.instanceID()),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(cfg.SessionTimeout),
		kgo.RebalanceTimeout(cfg.RebalanceTimeout),
		kgo.HeartbeatInterval(cfg.SessionTimeout/10),
		kgo.BlockRebalanceOnPoll(),
		kgo.RequireStableFetchOffsets(),
		kgo.OnPartitionsAssigned(assigned),
		kgo.OnPartitionsRevoked(revoked),
		kgo.OnPartitionsLost(revoked),
		kgo.TransactionalID(cfg.slotID()),
		kgo.TransactionTimeout(cfg.TransactionTimeout),
		kgo.RetryTimeout(cfg.RebalanceTimeout+cfg.SessionTimeout), // longer than a rebalance
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(outputLinger),
		kgo.FetchMaxWait(500*time.Millisecond),
		kgo.FetchMaxPartitionBytes(fetchPartitionBytes),
	)...)...)
	if err != nil {
		return nil, fmt.Errorf("join group %s: %w", cfg.ProcessorGroup(), err)
	}
	s.txn = txn
	s.open = newLeftOpen(cfg, txn.Client(), positions)
	if _, _, err := txn.Client().ProducerID(ctx); err != nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		s.Close(closing, false)
		return nil, fmt.Errorf("take the transactional ID of slot %d: %w", cfg.Slot, err)
	}
	return s, nil
}

// outputLinger lets a batch's outputs be handed over before the first of them is sent:
// each request that brings a partition into the transaction is one more entry of the
// coordinator's log. Nothing waits for it, since Produce flushes; a batch that takes
// longer to hand over is sent as it comes.
const outputLinger = 5 * time.Millisecond

// fetchPartitionBytes is what a fetch brings of each partition at most: as much as a
// large batch takes.
const fetchPartitionBytes = 4 << 20

// Poll implements engine.Session.
func (s *Session) Poll(ctx context.Context, recordsMax int) (runs []engine.Run, behind bool, err error) {
	runs, behind, err = s.runs(s.txn.PollRecords(ctx, max(recordsMax, 1)))
	switch {
	case len(runs) > 0:
		s.held = true
	case !s.held:
		s.txn.AllowRebalance() // even an empty poll may hold them back
	}
	return runs, behind, err
}

func (s *Session) runs(fetches kgo.Fetches) (runs []engine.Run, behind bool, fatal error) {
	fetches.EachPartition(func(t kgo.FetchTopicPartition) {
		switch err := t.Err; {
		case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		case errors.Is(err, kerr.FencedInstanceID):
			fatal = fmt.Errorf("member %s: %w", s.cfg.instanceID(), engine.ErrFenced)
		case t.Topic == s.topics[engine.Events] && t.Partition >= 0:
			runs = append(runs, engine.Run{Partition: t.Partition, Err: err})
		default:
			fatal = fmt.Errorf("poll: %w", err)
		}
		if n := len(t.Records); n > 0 {
			runs = append(runs, engine.Run{Partition: t.Partition, Records: Records(t.Records)})
			behind = behind || t.Records[n-1].Offset+1 < t.LastStableOffset // the log had more when it was asked
		}
	})
	return runs, behind, fatal
}

// Records translates fetched records; keys, values and header values are
// shared with the fetch.
func Records(in []*kgo.Record) []wire.Record {
	n := 0
	for _, r := range in {
		n += len(r.Headers)
	}
	out, headers := make([]wire.Record, len(in)), make([]wire.Header, 0, n)
	for i, r := range in {
		first := len(headers)
		for _, h := range r.Headers {
			headers = append(headers, wire.HeaderOf(h.Key, h.Value))
		}
		out[i] = wire.Record{
			Partition: r.Partition, LeaderEpoch: r.LeaderEpoch, Offset: r.Offset, Timestamp: r.Timestamp.UnixMicro(),
			Key: r.Key, Value: r.Value, Headers: headers[first:len(headers):len(headers)],
		}
	}
	return out
}

// Pause implements engine.Session.
func (s *Session) Pause(partition int32) {
	s.txn.Client().PauseFetchPartitions(map[string][]int32{s.topics[engine.Events]: {partition}})
}

// Resume implements engine.Session.
func (s *Session) Resume(partition int32) {
	s.txn.Client().ResumeFetchPartitions(map[string][]int32{s.topics[engine.Events]: {partition}})
}

// Begin implements engine.Session.
func (s *Session) Begin() error {
	s.produced = nil
	if err := s.txn.Begin(); err != nil {
		return fmt.Errorf("begin the transaction: %w", err)
	}
	return nil
}

// Produce implements engine.Session.
func (s *Session) Produce(ctx context.Context, outputs []engine.Output) error {
	if err := s.open.settle(ctx, &s.topics, outputs); err != nil {
		return err
	}
	var rerouted []*kgo.Record
	first := map[outputPartition]*kgo.Record{}
	var last outputPartition
	for i := range outputs {
		r := s.record(&outputs[i])
		if outputs[i].Topic == engine.Events {
			rerouted = append(rerouted, r)
			continue
		}
		if p := (outputPartition{r.Topic, r.Partition}); p != last {
			if last = p; first[p] == nil {
				first[p] = r
			}
		}
		s.txn.Produce(ctx, r, func(_ *kgo.Record, err error) {
			if err != nil {
				s.fail(err)
			}
		})
	}
	if len(rerouted) > 0 {
		// Acknowledged before End: a crash in between appends them twice, and
		// the identity makes them count once.
		if err := s.reroute.Append(ctx, rerouted); err != nil {
			s.fail(fmt.Errorf("reroute: %w", err))
		}
	}
	if err := s.txn.Client().Flush(ctx); err != nil {
		return fmt.Errorf("flush outputs: %w", err)
	}
	if err := s.failed(); err != nil {
		return err
	}
	return s.open.confirm(ctx, first)
}

func (s *Session) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.produced
}

func (s *Session) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.produced == nil {
		s.produced = fmt.Errorf("produce: %w", err)
	}
}

func (s *Session) record(o *engine.Output) *kgo.Record {
	headers := make([]kgo.RecordHeader, len(o.Headers))
	for i, h := range o.Headers {
		headers[i] = kgo.RecordHeader{Key: h.Key, Value: h.Value}
	}
	return &kgo.Record{Topic: s.topics[o.Topic], Partition: o.Partition, Key: o.Key, Value: o.Value, Headers: headers}
}

// Release implements engine.Session.
func (s *Session) Release() {
	s.held = false
	s.txn.AllowRebalance()
}

// End implements engine.Session. What is committed is checked against offsets
// in the commit request itself: the client commits what was polled, and only
// the engine knows what was folded.
func (s *Session) End(ctx context.Context, commit bool, offsets map[int32]engine.Commit) (bool, error) {
	ctx = kgo.PreTxnCommitFnContext(ctx, func(req *kmsg.TxnOffsetCommitRequest) error {
		return s.stamp(req, offsets)
	})
	committed, err := s.txn.End(ctx, kgo.TransactionEndTry(commit))
	if !committed {
		s.open.forget()
	}
	if errors.Is(err, kerr.FencedInstanceID) {
		return committed, fmt.Errorf("end the transaction: %w: %w", engine.ErrFenced, err)
	}
	if err != nil {
		return committed, fmt.Errorf("end the transaction: %w", err)
	}
	return committed, nil
}

func (s *Session) stamp(req *kmsg.TxnOffsetCommitRequest, offsets map[int32]engine.Commit) error {
	n := 0
	for i := range req.Topics {
		for j := range req.Topics[i].Partitions {
			p := &req.Topics[i].Partitions[j]
			want, ok := offsets[p.Partition]
			switch {
			case ok && want.Offset == p.Offset:
			case ok && want.Short && want.Offset < p.Offset:
				// The epoch is that of what was polled last, and not of the record before.
				p.Offset, p.LeaderEpoch = want.Offset, -1
			default:
				return fmt.Errorf("partition %d would be committed at %d, but %d was folded", p.Partition, p.Offset, want.Offset)
			}
			p.Metadata = kmsg.StringPtr(want.Metadata)
			n++
		}
	}
	if n != len(offsets) {
		return fmt.Errorf("%d partitions would be committed, but %d were folded", n, len(offsets))
	}
	return nil
}

// Close ends the client; it returns when ctx ends at the latest. A static
// member stays in the group until its session times out, so that whoever takes
// the slot next has its partitions back at once; with leave it is removed, and
// the others have them.
func (s *Session) Close(ctx context.Context, leave bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if leave {
			s.leave(ctx)
		}
		s.txn.CloseAllowingRebalance()
	}()
	select {
	case <-done:
	case <-ctx.Done(): // Close has been seen to hang; the process goes on
	}
}

func (s *Session) leave(ctx context.Context) {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = s.cfg.ProcessorGroup()
	member := kmsg.NewLeaveGroupRequestMember()
	id, instance := "", s.cfg.instanceID()
	id, _ = s.txn.Client().GroupMetadata()
	member.MemberID, member.InstanceID = id, &instance
	req.Members = append(req.Members, member)
	// If it cannot leave now, the session timeout removes it.
	_, _ = req.RequestWith(ctx, s.txn.Client())
}
