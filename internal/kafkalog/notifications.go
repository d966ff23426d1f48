package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/delivery"
)

// NotificationsConfig names one member of the notifier group.
type NotificationsConfig struct {
	Config
	SessionTimeout time.Duration
	// RebalanceTimeout is longer than the notifier needs to drain.
	RebalanceTimeout time.Duration
	Retries          []delivery.RetryTopic
}

// NotifierGroup returns the consumer group of the notifiers.
func (c Config) NotifierGroup() string { return c.Prefix + ".notifier" }

// Notifications implements delivery.Source on one group member that reads the
// notifications topic and the retry topics, committed transactions only.
type Notifications struct {
	cfg   NotificationsConfig
	cl    *kgo.Client
	names map[string]string // full topic name → the short one
	log   *slog.Logger
}

var _ delivery.Source = (*Notifications)(nil)

// NewNotifications joins the group. The holder is told of partitions before
// records of them can be polled, and no rebalance comes between Poll and
// Release: whoever commits still owns.
func NewNotifications(cfg NotificationsConfig, holder delivery.Holder) (*Notifications, error) {
	n := &Notifications{cfg: cfg, names: map[string]string{}, log: cfg.Logger}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	topics := []string{cfg.Topic(delivery.NotificationsTopic)}
	n.names[topics[0]] = delivery.NotificationsTopic
	for _, r := range cfg.Retries {
		topics = append(topics, cfg.Topic(r.Name))
		n.names[cfg.Topic(r.Name)] = r.Name
	}
	tell := func(do func([]delivery.TopicPartition)) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			if tps := n.parts(parts); len(tps) > 0 {
				do(tps)
			}
		}
	}
	cl, err := kgo.NewClient(cfg.Options(slices.Concat(committedOnly(), ownCommits(), []kgo.Opt{
		kgo.ConsumerGroup(cfg.NotifierGroup()),
		kgo.ConsumeTopics(topics...),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(cfg.SessionTimeout),
		kgo.HeartbeatInterval(cfg.SessionTimeout / 5),
		kgo.RebalanceTimeout(cfg.RebalanceTimeout),
		kgo.BlockRebalanceOnPoll(),
		kgo.KeepControlRecords(), // a position behind a marker is a position, too
		kgo.FetchMaxWait(500 * time.Millisecond),
		kgo.OnPartitionsAssigned(tell(holder.Assigned)),
		kgo.OnPartitionsRevoked(tell(holder.Revoked)),
		kgo.OnPartitionsLost(tell(holder.Lost)),
	})...)...)
	if err != nil {
		return nil, fmt.Errorf("join group %s: %w", cfg.NotifierGroup(), err)
	}
	n.cl = cl
	return n, nil
}

func (n *Notifications) parts(in map[string][]int32) []delivery.TopicPartition {
	var out []delivery.TopicPartition
	for topic, ids := range in {
		for _, id := range ids {
			out = append(out, delivery.TopicPartition{Topic: n.names[topic], Partition: id})
		}
	}
	return out
}

// Poll implements delivery.Source.
func (n *Notifications) Poll(ctx context.Context, recordsMax int) ([]delivery.Fetch, error) {
	fetches := n.cl.PollRecords(ctx, max(recordsMax, 1))
	var out []delivery.Fetch
	var fatal error
	fetches.EachPartition(func(t kgo.FetchTopicPartition) {
		switch err := t.Err; {
		case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		case errors.Is(err, kgo.ErrClientClosed):
		case passing(err), rejoins(err):
			// The brokers are away, or the group went on without us. The client
			// joins and fetches again by itself; what was held is reported as lost,
			// and assigned anew.
			n.log.Warn("not in the group for the moment; nothing is delivered meanwhile", "error", err)
		case errors.Is(err, kerr.OffsetOutOfRange):
			fatal = errors.Join(fatal, n.outOfRange(ctx, t.Topic, t.Partition))
		default:
			fatal = errors.Join(fatal, fmt.Errorf("fetch %s/%d: %w", t.Topic, t.Partition, err))
		}
		if len(t.Records) == 0 {
			return
		}
		data := make([]*kgo.Record, 0, len(t.Records))
		for _, r := range t.Records {
			if !r.Attrs.IsControl() {
				data = append(data, r)
			}
		}
		out = append(out, delivery.Fetch{
			TopicPartition: delivery.TopicPartition{Topic: n.names[t.Topic], Partition: t.Partition},
			Records:        Records(data), Next: t.Records[len(t.Records)-1].Offset + 1, End: t.LastStableOffset,
		})
	})
	return out, fatal
}

// outOfRange decides what to do about a committed offset that the log does not
// hold. Retention may have passed the group while no notifier ran: then what is
// gone is said aloud, and reading goes on with the oldest record. An offset
// behind the end means that the topic is not the one that was committed to.
func (n *Notifications) outOfRange(ctx context.Context, topic string, partition int32) error {
	at := int64(-1)
	if c, ok := n.cl.CommittedOffsets()[topic][partition]; ok {
		at = c.Offset
	}
	all, err := bounds(ctx, n.cl, topic)
	if err != nil {
		return fmt.Errorf("read the bounds of %s: %w", topic, err)
	}
	for _, b := range all {
		if b.Partition != partition {
			continue
		}
		if at > b.End {
			return fmt.Errorf("group %s committed offset %d of %s/%d, which ends at %d: the topic was made anew or "+
				"cut; find out who did, then reset the group's offsets", n.cfg.NotifierGroup(), at, topic, partition, b.End)
		}
		n.log.Error("retention removed records before they were delivered; going on with the oldest",
			"topic", topic, "partition", partition, "committed", at, "oldest", b.Start)
		n.cl.SetOffsets(map[string]map[int32]kgo.EpochOffset{topic: {partition: {Epoch: -1, Offset: b.Start}}})
		return nil
	}
	return fmt.Errorf("partition %d of %s is gone", partition, topic)
}

// Release implements delivery.Source.
func (n *Notifications) Release() { n.cl.AllowRebalance() }

// Pause implements delivery.Source.
func (n *Notifications) Pause(part delivery.TopicPartition) {
	n.cl.PauseFetchPartitions(map[string][]int32{n.cfg.Topic(part.Topic): {part.Partition}})
}

// Resume implements delivery.Source.
func (n *Notifications) Resume(part delivery.TopicPartition) {
	n.cl.ResumeFetchPartitions(map[string][]int32{n.cfg.Topic(part.Topic): {part.Partition}})
}

// Commit implements delivery.Source.
func (n *Notifications) Commit(ctx context.Context, offsets map[delivery.TopicPartition]int64) error {
	commit := map[string]map[int32]kgo.EpochOffset{}
	for tp, at := range offsets {
		topic := n.cfg.Topic(tp.Topic)
		if commit[topic] == nil {
			commit[topic] = map[int32]kgo.EpochOffset{}
		}
		commit[topic][tp.Partition] = kgo.EpochOffset{Epoch: -1, Offset: at}
	}
	var failed error
	n.cl.CommitOffsetsSync(ctx, commit, func(_ *kgo.Client, _ *commitRequest, resp *commitResponse, err error) {
		failed = err
		if err != nil {
			return
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					failed = errors.Join(failed, fmt.Errorf("%s/%d: %w", t.Topic, p.Partition, err))
				}
			}
		}
	})
	if failed != nil {
		return fmt.Errorf("commit offsets of %s: %w", n.cfg.NotifierGroup(), failed)
	}
	return nil
}

// Close implements delivery.Source.
func (n *Notifications) Close() { n.cl.CloseAllowingRebalance() }

// rejoins says that a member was put out of its group, by a stall or an outage,
// and comes back by itself. What its configuration forbids does not.
func rejoins(err error) bool {
	var session *kgo.ErrGroupSession
	if !errors.As(err, &session) {
		return false
	}
	for _, lasting := range []error{
		kerr.FencedInstanceID, kerr.GroupAuthorizationFailed, kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed,
		kerr.InvalidSessionTimeout, kerr.InconsistentGroupProtocol, kerr.InvalidGroupID, kerr.SaslAuthenticationFailed,
	} {
		if errors.Is(err, lasting) {
			return false
		}
	}
	return true
}
