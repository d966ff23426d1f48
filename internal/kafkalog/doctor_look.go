package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/wire"
)

// How long a group is watched that has events to work on.
const (
	watchMax   = 2 * time.Second
	watchEvery = 100 * time.Millisecond
)

// groupSeen is the processors' group and what it reads, at one moment.
type groupSeen struct {
	manifest *Manifest         // nil: none yet
	bounds   []PartitionBounds // of events; none: there is no such topic
	commits  map[int32]int64   // by partition; −1: none
	members  []groupMember
	owners   map[int32]groupMember
	kind     string // of the group: classic, or consumer
	protocol string // empty while it is agreed on
}

type groupMember struct {
	name string // the static name, or the member's ID, with its host
	id   string
	slot int // −1: no processor's
}

// groupLater is the same group a moment later.
type groupLater struct {
	after   time.Duration
	commits map[int32]int64
	owners  map[int32]groupMember
}

// behind is how many decided events wait on a partition with a commit.
func (s *groupSeen) behind(partition int32) int64 {
	k := s.commits[partition]
	i := slices.IndexFunc(s.bounds, func(b PartitionBounds) bool { return b.Partition == partition })
	if i < 0 || k < s.bounds[i].Start {
		return 0
	}
	return max(s.bounds[i].Stable-k, 0)
}

// waiting are the partitions with a commit and events after it.
func (s *groupSeen) waiting() (ids []int32) {
	for _, b := range s.bounds {
		if s.commits[b.Partition] >= 0 && s.behind(b.Partition) > 0 {
			ids = append(ids, b.Partition)
		}
	}
	return ids
}

// owned are those of them that a processor has.
func (s *groupSeen) owned() []int32 {
	return slices.DeleteFunc(s.waiting(), func(p int32) bool { m, ok := s.owners[p]; return !ok || m.slot < 0 })
}

// drain is how long a partition's lag takes at the pace from s to l.
func (l *groupLater) drain(s *groupSeen, partition int32) (d time.Duration, moves bool) {
	moved := l.commits[partition] - s.commits[partition]
	if moved <= 0 {
		return 0, false
	}
	return time.Duration(float64(l.after) * float64(s.behind(partition)) / float64(moved)), true
}

func groupClient(cfg Config) (*kgo.Client, error) {
	cl, err := kgo.NewClient(cfg.Options(byTopicName())...)
	if err != nil {
		return nil, fmt.Errorf("create the client that looks at the group: %w", err)
	}
	return cl, nil
}

func numbers(partitions []PartitionBounds) []int32 {
	all := make([]int32, 0, len(partitions))
	for _, p := range partitions {
		all = append(all, p.Partition)
	}
	return all
}

// lookAtGroup reads the log's starts before the commits, and its ends after them: a
// group that is at work is then neither below the one nor above the other.
func lookAtGroup(ctx context.Context, cfg Config) (*groupSeen, error) {
	cl, err := groupClient(cfg)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	s := &groupSeen{commits: map[int32]int64{}}
	topic := cfg.Topic("events")
	if s.bounds, err = bounds(ctx, cl, topic); errors.Is(err, ErrNoTopic) {
		return s, nil
	} else if err != nil {
		return nil, err
	}
	if s.manifest, err = ReadManifest(ctx, cfg); err != nil {
		return nil, err
	}
	if noGroupYet(ctx, cl, cfg.ProcessorGroup()) {
		s.kind = "classic"
		for _, b := range s.bounds {
			s.commits[b.Partition] = -1
		}
		return s, nil
	}
	if s.commits, err = fetchCommits(ctx, cl, cfg.ProcessorGroup(), topic, numbers(s.bounds)); err != nil {
		return nil, err
	}
	if err := s.describe(ctx, cl, cfg); err != nil {
		return nil, err
	}
	ends, err := bounds(ctx, cl, topic)
	for i := range min(len(ends), len(s.bounds)) {
		s.bounds[i].Stable, s.bounds[i].End = ends[i].Stable, ends[i].End
	}
	return s, err
}

// noGroupYet reports that the cluster has never had a group, as far as this user is
// shown them all. Whoever asks for one then has the brokers make their topic of
// offsets, and waits for it; a look must do neither.
func noGroupYet(ctx context.Context, cl *kgo.Client, group string) bool {
	adm := kadm.NewClient(cl)
	meta, err := adm.Metadata(ctx, offsetsTopic)
	if err != nil || !errors.Is(meta.Topics[offsetsTopic].Err, kerr.UnknownTopicOrPartition) || seesAllGroups(ctx, cl) != nil {
		return false
	}
	listed, err := adm.ListGroups(ctx) // the embedded broker has groups without such a topic
	_, has := listed[group]
	return err == nil && !has
}

// describe reads the group's members. A group of the newer protocol is not found
// by the question for classic ones.
func (s *groupSeen) describe(ctx context.Context, cl *kgo.Client, cfg Config) error {
	adm, name := kadm.NewClient(cl), cfg.ProcessorGroup()
	s.kind, s.members, s.owners = "classic", nil, map[int32]groupMember{}
	described, err := adm.DescribeGroups(ctx, name)
	if err != nil {
		return fmt.Errorf("describe group %s: %w", name, err)
	}
	g := described[name]
	if g.Err != nil && !errors.Is(g.Err, kerr.GroupIDNotFound) {
		return fmt.Errorf("describe group %s: %w", name, g.Err)
	}
	s.protocol = g.Protocol
	for _, m := range g.Members {
		member := newGroupMember(cfg, m.MemberID, m.InstanceID, m.ClientHost)
		s.members = append(s.members, member)
		if assigned, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range assigned.Topics {
				for _, p := range t.Partitions {
					if t.Topic == cfg.Topic("events") {
						s.owners[p] = member
					}
				}
			}
		}
	}
	if len(g.Members) > 0 {
		return nil
	}
	newer, err := adm.DescribeConsumerGroups(ctx, name)
	if n := newer[name]; err == nil && n.Err == nil && len(n.Members) > 0 { // else there is none, or the brokers know none
		s.kind, s.protocol = "consumer", n.AssignorName
		for _, m := range n.Members {
			s.members = append(s.members, newGroupMember(cfg, m.MemberID, m.InstanceID, m.ClientHost))
		}
	}
	return nil
}

func newGroupMember(cfg Config, id string, instance *string, host string) groupMember {
	m := groupMember{name: id, id: id, slot: -1}
	if instance != nil {
		m.name = *instance
		m.slot = cfg.slotNumber(*instance)
	}
	m.name += " (" + strings.TrimPrefix(host, "/") + ")"
	return m
}

// later watches the group until all partitions that have an owner and events have
// moved, for watchMax at most.
func (g *groupChecks) later(ctx context.Context, s *groupSeen) (*groupLater, error) {
	return g.then.look(ctx, func(ctx context.Context) (*groupLater, error) {
		cl, err := groupClient(g.cfg)
		if err != nil {
			return nil, err
		}
		defer cl.Close()
		l, owned, began := &groupLater{}, s.owned(), time.Now()
		for {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(watchEvery):
			}
			if l.commits, err = fetchCommits(ctx, cl, g.cfg.ProcessorGroup(), g.cfg.Topic("events"), numbers(s.bounds)); err != nil {
				return nil, err
			}
			l.after = time.Since(began)
			still := slices.ContainsFunc(owned, func(p int32) bool { return l.commits[p] == s.commits[p] })
			if !still || l.after >= watchMax {
				break
			}
		}
		now := &groupSeen{}
		if err := now.describe(ctx, cl, g.cfg); err != nil {
			return nil, err
		}
		l.owners = now.owners
		return l, nil
	})
}

// nextAges returns the age of the event that comes after the commit, for those
// partitions where it is older than a limit.
func nextAges(ctx context.Context, cfg Config, s *groupSeen, partitions []int32, older time.Duration) (map[int32]time.Duration, error) {
	if len(partitions) == 0 {
		return nil, nil
	}
	r, err := NewReader(cfg)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	topic, now := cfg.Topic("events"), time.Now()
	young, err := kadm.NewClient(r.cl).ListOffsetsAfterMilli(ctx, now.Add(-older).UnixMilli(), topic)
	if err == nil {
		err = young.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s for its records by time: %w", topic, err)
	}
	ages := map[int32]time.Duration{}
	for _, p := range partitions {
		next := s.commits[p]
		if from, ok := young.Lookup(topic, p); !ok || next >= from.Offset {
			continue
		}
		err := r.Read(ctx, topic, p, next, next+1, false, func(records []wire.Record) error {
			ages[p] = now.Sub(time.UnixMicro(records[0].Timestamp))
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return ages, nil
}

// brokersLeast returns the least value of a setting among all brokers, and whose it is.
func brokersLeast(ctx context.Context, cfg Config, setting string) (least int64, broker int32, _ error) {
	cl, err := kgo.NewClient(cfg.Options()...)
	if err != nil {
		return 0, 0, fmt.Errorf("create the client that asks the brokers: %w", err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	brokers, err := adm.ListBrokers(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("list the brokers: %w", err)
	}
	described, err := adm.DescribeBrokerConfigs(ctx, brokers.NodeIDs()...)
	if err != nil {
		return 0, 0, fmt.Errorf("read the brokers' settings: %w", err)
	}
	found := 0
	for _, r := range described {
		if r.Err != nil {
			return 0, 0, fmt.Errorf("read the settings of broker %s: %w", r.Name, r.Err)
		}
		for _, c := range r.Configs {
			if c.Key != setting {
				continue
			}
			n, err := strconv.ParseInt(c.MaybeValue(), 10, 64)
			if err != nil {
				return 0, 0, fmt.Errorf("%s of broker %s is hidden", setting, r.Name)
			}
			id, _ := strconv.Atoi(r.Name)
			if found == 0 || n < least {
				least, broker = n, int32(id)
			}
			found++
		}
	}
	if found == 0 || found < len(brokers) {
		return 0, 0, fmt.Errorf("%s is hidden by %d of %d brokers", setting, len(brokers)-found, len(brokers))
	}
	return least, broker, nil
}
