package kafkalog_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/preflight"
	"github.com/veltrix/veltrix/test/broker"
)

var twoSlots = kafkalog.GroupOptions{Slots: 2, Stall: time.Minute}

func groupOf(t *testing.T, cfg kafkalog.Config, opts kafkalog.GroupOptions) map[string]preflight.Result {
	t.Helper()
	return checked(t, kafkalog.GroupChecks(cfg, opts))
}

// initialized tells the manifest that partitions have had commits.
func initialized(t *testing.T, cfg kafkalog.Config, partitions ...int32) {
	t.Helper()
	_, err := kafkalog.UpdateManifest(withTimeout(t), cfg, func(m *kafkalog.Manifest) (*kafkalog.Manifest, error) {
		m.Initialized = partitions
		return m, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// commit sets the group's offset of partitions that nobody has.
func commit(t *testing.T, cfg kafkalog.Config, at int64, partitions ...int32) {
	t.Helper()
	for _, p := range partitions {
		if err := kafkalog.CommitOffset(withTimeout(t), cfg, p, engine.Commit{Offset: at}); err != nil {
			t.Fatal(err)
		}
	}
}

// member joins the processors' group as a slot's session does, but for opts, polls
// as it would, and never commits. It returns when the group is stable with n members.
func member(t *testing.T, cfg kafkalog.Config, n int, opts ...kgo.Opt) (leave func()) {
	t.Helper()
	cl := newClient(t, cfg, append([]kgo.Opt{
		kgo.ConsumerGroup(cfg.ProcessorGroup()), kgo.ConsumeTopics(cfg.Topic("events")), kgo.DisableAutoCommit(),
		kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.HeartbeatInterval(100 * time.Millisecond), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	}, opts...)...)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			cl.PollFetches(ctx)
		}
	}()
	leave = func() { cancel(); <-ended; cl.Close() }
	t.Cleanup(leave)
	awaitGroup(t, cfg, n, "Stable")
	return leave
}

func awaitGroup(t *testing.T, cfg kafkalog.Config, n int, state string) {
	t.Helper()
	adm := kadm.NewClient(newClient(t, cfg))
	for ctx := withTimeout(t); ; time.Sleep(20 * time.Millisecond) {
		all, err := adm.DescribeGroups(ctx, cfg.ProcessorGroup())
		if err != nil && (ctx.Err() != nil || !kerr.IsRetriable(err)) { // a cluster's first group waits for its coordinator
			t.Fatal(err)
		}
		if g, ok := all[cfg.ProcessorGroup()]; ok && err == nil && len(g.Members) == n && (g.State == state || n == 0) {
			return
		}
	}
}

func slotMember(cfg kafkalog.Config, slot int) kgo.Opt {
	return kgo.InstanceID(fmt.Sprintf("%s.processor.%d", cfg.Prefix, slot))
}

func TestGroupChecksOfNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		all := groupOf(t, cfg, twoSlots)
		for _, id := range []string{"C04", "C05", "C07", "C08", "C10"} {
			expectState(t, "no topics", all, id, preflight.Skip, "see K10")
		}
		expectState(t, "no topics", all, "C11", preflight.Pass, "share groups in the cluster, none on events")
		apply(t, cfg, dev)
		all = groupOf(t, cfg, twoSlots)
		expectState(t, "new", all, "C04", preflight.Skip, "nothing is committed yet")
		expectState(t, "new", all, "C05", preflight.Pass, "offsets.retention.minutes=10080")
		expectState(t, "new", all, "C07", preflight.Pass, "0 members, processor.slots=2, 3 partitions")
		expectState(t, "new", all, "C08", preflight.Skip, "no members")
		expectState(t, "new", all, "C10", preflight.Pass, "no event waits")
	})
}

func TestC04CommitBelowTheLogsStart(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		apply(t, cfg, dev)
		sent(t, cfg, 300)
		commit(t, cfg, 10, 0, 1, 2)
		passes(t, "events wait", groupOf(t, cfg, twoSlots))
		deleteTo := func(offset int64) {
			remove := kadm.Offsets{}
			remove.AddOffset(cfg.Topic("events"), 1, offset, -1)
			answers, err := kadm.NewClient(newClient(t, cfg)).DeleteRecords(withTimeout(t), remove)
			if err != nil || answers.Error() != nil {
				t.Fatal(err, answers.Error())
			}
		}
		deleteTo(10)
		passes(t, "all that is gone has counted", groupOf(t, cfg, twoSlots))
		deleteTo(13)
		all := groupOf(t, cfg, twoSlots)
		expectState(t, "deleted", all, "C04", preflight.Fail, "partition 1: committed 10, and the log begins at 13: 3 events were deleted before they counted")
		passes(t, "deleted", all, "C04")
		if report := (preflight.Report{Results: []preflight.Result{all["C04"]}}); report.StartError() != nil || report.Exit() != preflight.ExitFail {
			t.Errorf("the other partitions are not served: %v, exit %d", report.StartError(), report.Exit())
		}
	})
}

// TestC04RetentionComesNear has events wait for most of a short retention, whose
// deletions are minutes apart.
func TestC04RetentionComesNear(t *testing.T) {
	cfg := kafkalog.Config{Brokers: broker.Shared(t).Addrs, Prefix: fmt.Sprintf("near.%d", runs.Add(1))}
	apply(t, cfg, dev)
	sent(t, cfg, 300)
	commit(t, cfg, 10, 0, 1, 2)
	alter(t, cfg, cfg.Topic("events"), "retention.ms", "60000")
	expectState(t, "young", groupOf(t, cfg, twoSlots), "C04", preflight.Pass, "younger than half of it")
	alter(t, cfg, cfg.Topic("events"), "retention.ms", "1000")
	time.Sleep(600 * time.Millisecond) // what is awaited is the age itself
	all := groupOf(t, cfg, twoSlots)
	expectState(t, "nobody works", all, "C04", preflight.Warn, "nothing is committed meanwhile", "partition 0: its next event is deleted in")
	alter(t, cfg, cfg.Topic("events"), "retention.ms", "-1")
	expectState(t, "kept for ever", groupOf(t, cfg, twoSlots), "C04", preflight.Pass, "without an end")
}

func TestC05OffsetsThatExpire(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		apply(t, cfg, dev)
		sent(t, cfg, 30)
		commit(t, cfg, 1, 0, 1)
		initialized(t, cfg, 0, 1)
		passes(t, "committed", groupOf(t, cfg, twoSlots))
		if err := kafkalog.ForgetGroup(withTimeout(t), cfg, cfg.ProcessorGroup()); err != nil {
			t.Fatal(err)
		}
		expectState(t, "forgotten", groupOf(t, cfg, twoSlots), "C05", preflight.Fail, "partitions 0, 1 had commits")
	})
	for minutes, state := range map[string]preflight.State{"60": preflight.Fail, "1439": preflight.Fail, "1440": preflight.Warn, "10079": preflight.Warn, "10080": preflight.Pass} {
		cfg := kafkalog.Config{Brokers: fakeBrokers(t, kfake.BrokerConfigs(map[string]string{"offsets.retention.minutes": minutes})), Prefix: "p", BootID: "b"}
		apply(t, cfg, dev)
		expectState(t, minutes, groupOf(t, cfg, twoSlots), "C05", state, "offsets.retention.minutes="+minutes)
	}
}

// TestC05OneBrokerForgets: the brokers of a cluster are configured one by one, and
// any of them may come to keep the group.
//
// The cluster is new, and no group was ever in it: a look must not make it one.
func TestC05OneBrokerForgets(t *testing.T) {
	c := broker.Start(t, broker.Options{Config: map[string]string{"offsets.retention.minutes": "90"}})
	cfg := kafkalog.Config{Brokers: c.Addrs, Prefix: "p"}
	apply(t, cfg, dev)
	expectState(t, "90", groupOf(t, cfg, twoSlots), "C05", preflight.Fail, "offsets.retention.minutes=90 (broker 1)", "1h30m")
	passes(t, "new", groupOf(t, cfg, twoSlots), "C05")
	if meta, err := kadm.NewClient(newClient(t, cfg)).Metadata(withTimeout(t), "__consumer_offsets"); err != nil || meta.Topics.Error() == nil {
		t.Errorf("the look made the brokers' topic of offsets: %v", err)
	}
}

// TestC05OneOfTheBrokersForgets: whichever it is, and one that does not tell.
func TestC05OneOfTheBrokersForgets(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(3))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	var forgets, hides atomic.Int32
	hides.Store(-1)
	c.ControlKey(int16(kmsg.DescribeConfigs), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		r := req.(*kmsg.DescribeConfigsRequest)
		if r.Resources[0].ResourceType != kmsg.ConfigResourceTypeBroker {
			return nil, nil, false
		}
		minutes := "10080"
		if c.CurrentNode() == forgets.Load() {
			minutes = "90"
		}
		resource := kmsg.DescribeConfigsResponseResource{ResourceType: kmsg.ConfigResourceTypeBroker, ResourceName: r.Resources[0].ResourceName}
		if c.CurrentNode() != hides.Load() {
			resource.Configs = []kmsg.DescribeConfigsResponseResourceConfig{{Name: "offsets.retention.minutes", Value: &minutes}}
		}
		resp := r.ResponseKind().(*kmsg.DescribeConfigsResponse)
		resp.Resources = append(resp.Resources, resource)
		return resp, nil, true
	})
	cfg := kafkalog.Config{Brokers: c.ListenAddrs(), Prefix: "p", BootID: "b"}
	apply(t, cfg, dev)
	for broker := range int32(3) {
		forgets.Store(broker)
		expectState(t, "one", groupOf(t, cfg, twoSlots), "C05", preflight.Fail, fmt.Sprintf("offsets.retention.minutes=90 (broker %d)", broker))
	}
	forgets.Store(-1)
	hides.Store(1)
	expectState(t, "hidden", groupOf(t, cfg, twoSlots), "C05", preflight.Unknown, "hidden by 1 of 3 brokers")
}

func TestC07MoreMembersThanPartitions(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		apply(t, cfg, dev)
		for slot := range 3 {
			member(t, cfg, slot+1, slotMember(cfg, slot))
		}
		passes(t, "as many", groupOf(t, cfg, twoSlots))
		expectState(t, "slots", groupOf(t, cfg, kafkalog.GroupOptions{Slots: 4, Stall: time.Minute}), "C07", preflight.Warn, "processor.slots=4")
		member(t, cfg, 4, slotMember(cfg, 3))
		all := groupOf(t, cfg, twoSlots)
		expectState(t, "more", all, "C07", preflight.Warn, "4 members, processor.slots=2, 3 partitions")
		passes(t, "more", all, "C07")
	})
}

func TestC08StrangersInTheGroup(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		apply(t, cfg, dev)
		leave := member(t, cfg, 1, kgo.Balancers(kgo.RangeBalancer()))
		all := groupOf(t, cfg, twoSlots)
		expectState(t, "eager", all, "C08", preflight.Fail, "assign by range", " (127.0.0.1")
		passes(t, "eager", all, "C08")
		leave()
		awaitGroup(t, cfg, 0, "Empty")
		member(t, cfg, 1, slotMember(cfg, 0))
		expectState(t, "ours", groupOf(t, cfg, twoSlots), "C08", preflight.Pass, "1 processors' slots, cooperative-sticky")
		leave = member(t, cfg, 2, kgo.InstanceID(cfg.Prefix+".processor.console"))
		expectState(t, "beside ours", groupOf(t, cfg, twoSlots), "C08", preflight.Fail, "members that are no processors", ".processor.console (")
		leave()
	})
}

// TestC08RebalanceUnderWay joins as a processor's slot does, and has not been given
// anything yet: what is agreed on is not known.
func TestC08RebalanceUnderWay(t *testing.T) {
	cfg := kafkalog.Config{Brokers: fakeBrokers(t), Prefix: "p", BootID: "b"}
	apply(t, cfg, dev)
	req, instance, subscribed := kmsg.NewPtrJoinGroupRequest(), "p.processor.0", kmsg.NewConsumerMemberMetadata()
	req.Group, req.InstanceID, req.ProtocolType, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = cfg.ProcessorGroup(), &instance, "consumer", 30_000, 30_000
	req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "cooperative-sticky", Metadata: subscribed.AppendTo(nil)}}
	if resp, err := req.RequestWith(withTimeout(t), newClient(t, cfg)); err != nil || resp.ErrorCode != 0 {
		t.Fatal(err, resp)
	}
	expectState(t, "joining", groupOf(t, cfg, twoSlots), "C08", preflight.Pass, "1 processors' slots, a rebalance is under way")
}

// TestC08NewerProtocol joins as a client with group.protocol=consumer does.
func TestC08NewerProtocol(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		apply(t, cfg, dev)
		req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		req.Group, req.MemberID, req.RebalanceTimeoutMillis = cfg.ProcessorGroup(), "stranger", 5000
		req.SubscribedTopicNames, req.Topics = []string{cfg.Topic("events")}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		resp, err := req.RequestWith(withTimeout(t), newClient(t, cfg))
		if err != nil || resp.ErrorCode != 0 {
			t.Fatal(err, resp)
		}
		expectState(t, "newer", groupOf(t, cfg, twoSlots), "C08", preflight.Fail, "protocol of consumer groups", "stranger (")
	})
}

// TestC10MemberThatDoesNotMove: one that is there and commits nothing, while its
// events grow old; and nothing is said while they are young, or while a transaction
// of its slot is open.
func TestC10MemberThatDoesNotMove(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		apply(t, cfg, dev)
		sent(t, cfg, 100)
		commit(t, cfg, 5, 0, 1, 2)
		member(t, cfg, 1, slotMember(cfg, 0))
		young := groupOf(t, cfg, twoSlots)
		expectState(t, "young", young, "C10", preflight.Pass, "a transaction is under way, or they came just now")
		passes(t, "young", young)
		old := kafkalog.GroupOptions{Slots: 2, Stall: time.Millisecond}
		began := time.Now()
		all := groupOf(t, cfg, old)
		expectState(t, "old", all, "C10", preflight.Fail, "partition 0 at "+cfg.Prefix+".processor.0 (", "and 5 stays committed")
		if took := time.Since(began); took < 2*time.Second {
			t.Errorf("it was judged after %v", took)
		}
		passes(t, "old", all, "C10")
		id := cfg.Prefix + ".processor.0"
		if cfg.BootID != "" {
			id += "." + cfg.BootID
		}
		cl := newClient(t, cfg, kgo.TransactionalID(id))
		open(t, cl, cfg.Topic("notifications"), "x")
		expectState(t, "in flight", groupOf(t, cfg, old), "C10", preflight.Pass, "a transaction is under way")
		if err := cl.EndTransaction(withTimeout(t), kgo.TryAbort); err != nil {
			t.Fatal(err)
		}
		expectState(t, "ended", groupOf(t, cfg, old), "C10", preflight.Fail)
	})
}

// TestC11ShareGroupOnEvents shares events, another topic, and stops.
func TestC11ShareGroupOnEvents(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		apply(t, cfg, dev)
		share := func(topic string) (leave func()) {
			cl := newClient(t, cfg, kgo.ShareGroup(cfg.Prefix+".sharing"), kgo.ConsumeTopics(topic))
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for ctx.Err() == nil {
					cl.PollFetches(ctx)
				}
			}()
			leave = func() { cancel(); <-ended; cl.Close() }
			t.Cleanup(leave)
			adm := kadm.NewClient(newClient(t, cfg))
			for ctx := withTimeout(t); ; time.Sleep(20 * time.Millisecond) {
				all, err := adm.DescribeShareGroups(ctx, cfg.Prefix+".sharing")
				if ctx.Err() != nil {
					t.Fatalf("nobody shares %s: %v", topic, err)
				}
				if g := all[cfg.Prefix+".sharing"]; err == nil && strings.Contains(fmt.Sprint(g.SubscribedTopics()), topic) {
					return leave
				}
			}
		}
		leave := share(cfg.Topic("receipts"))
		expectState(t, "another topic", groupOf(t, cfg, twoSlots), "C11", preflight.Pass, "none on events")
		leave()
		leave = share(cfg.Topic("events"))
		all := groupOf(t, cfg, twoSlots)
		expectState(t, "events", all, "C11", preflight.Fail, "share groups read events: "+cfg.Prefix+".sharing (")
		passes(t, "events", all, "C11")
		adm := kadm.NewClient(newClient(t, cfg))
		for ctx, has := withTimeout(t), false; !has; time.Sleep(20 * time.Millisecond) { // until it has positions to be known by
			offsets, err := adm.DescribeShareGroupOffsets(ctx, cfg.Prefix+".sharing")
			if ctx.Err() != nil {
				t.Fatal("it has no positions: ", err)
			}
			_, has = offsets[cfg.Prefix+".sharing"].Offsets[cfg.Topic("events")]
		}
		leave()
		expectState(t, "after it left", groupOf(t, cfg, twoSlots), "C11", preflight.Warn, "without a member now have read events: "+cfg.Prefix+".sharing")
	})
}

// TestC11OlderBrokers: those before 4.0 list their groups of any kind.
func TestC11OlderBrokers(t *testing.T) {
	cfg := kafkalog.Config{Brokers: fakeBrokers(t, kfake.MaxVersions(kversion.V3_7_0())), Prefix: "p", BootID: "b"}
	apply(t, cfg, dev)
	commit(t, cfg, 0, 0)
	expectState(t, "older", groupOf(t, cfg, twoSlots), "C11", preflight.Pass, "0 share groups")
}

// TestC11HiddenShareGroup: one that reads what this user may not see may read events
// too; and one that is seen to is told, whatever else is hidden.
func TestC11HiddenShareGroup(t *testing.T) {
	owner, user := denying(t, "p", append(may(kmsg.ACLResourceTypeTopic, "p.", kmsg.ACLOperationDescribe), append(
		may(kmsg.ACLResourceTypeCluster, "kafka-cluster", kmsg.ACLOperationDescribe), may(kmsg.ACLResourceTypeGroup, "p.", kmsg.ACLOperationDescribe)...)...)...)
	apply(t, owner, dev)
	cl := newClient(t, owner)
	if _, err := kadm.NewClient(cl).CreateTopic(withTimeout(t), 1, 1, nil, "hidden"); err != nil {
		t.Fatal(err)
	}
	share := func(group, topic string) {
		t.Helper()
		req := kmsg.NewPtrShareGroupHeartbeatRequest()
		req.GroupID, req.MemberID, req.SubscribedTopicNames = group, "somebody", []string{topic}
		if resp, err := req.RequestWith(withTimeout(t), cl); err != nil || resp.ErrorCode != 0 {
			t.Fatal(err, resp)
		}
	}
	share("p.one", "hidden")
	expectState(t, "hidden", groupOf(t, user, twoSlots), "C11", preflight.Unknown, "TOPIC_AUTHORIZATION_FAILED")
	share("p.two", owner.Topic("events"))
	expectState(t, "one is seen", groupOf(t, user, twoSlots), "C11", preflight.Fail, "p.two (1 members)")
}

// TestGroupChecksDenied: without Describe on the group nothing is seen of it, and
// without Describe on the cluster a share group may be hidden.
func TestGroupChecksDenied(t *testing.T) {
	topics := append(may(kmsg.ACLResourceTypeTopic, "p.", kmsg.ACLOperationDescribe, kmsg.ACLOperationRead, kmsg.ACLOperationDescribeConfigs), may(kmsg.ACLResourceTypeGroup, "p.", kmsg.ACLOperationDescribe)...)
	for name, c := range map[string]struct {
		acls   []kfake.ACL
		hidden string
		said   string
	}{
		"the group":         {may(kmsg.ACLResourceTypeTopic, "p.", kmsg.ACLOperationDescribe, kmsg.ACLOperationRead), "C04 C05 C07 C08 C10", "GROUP_AUTHORIZATION_FAILED"},
		"the topic":         {append(may(kmsg.ACLResourceTypeTopic, "p.", kmsg.ACLOperationDescribe, kmsg.ACLOperationRead), may(kmsg.ACLResourceTypeGroup, "p.", kmsg.ACLOperationDescribe)...), "C04", "read the topics' settings"},
		"the brokers":       {topics, "C05", "CLUSTER_AUTHORIZATION_FAILED"},
		"the cluster":       {append(topics[:len(topics):len(topics)], may(kmsg.ACLResourceTypeCluster, "kafka-cluster", kmsg.ACLOperationCreate)...), "C11", "may not describe the cluster"},
		"the log's records": {may(kmsg.ACLResourceTypeGroup, "p.", kmsg.ACLOperationDescribe), "C04 C05 C07 C08 C10", "AUTHORIZATION_FAILED"},
	} {
		t.Run(name, func(t *testing.T) {
			owner, user := denying(t, "p", c.acls...)
			apply(t, owner, dev)
			sent(t, owner, 30)
			commit(t, owner, 1, 0)
			all := groupOf(t, user, twoSlots)
			for id := range strings.FieldsSeq(c.hidden) {
				expectState(t, name, all, id, preflight.Unknown, c.said)
			}
		})
	}
}

// TestSlotTransactionsDenied: brokers list what a user may see, and no error.
func TestSlotTransactionsDenied(t *testing.T) {
	owner, user := denying(t, "p", may(kmsg.ACLResourceTypeTopic, "p.", kmsg.ACLOperationDescribe)...)
	apply(t, owner, dev)
	open(t, newClient(t, owner, kgo.TransactionalID("p.processor.7")), owner.Topic("receipts"), "x")
	all, err := kafkalog.SlotTransactions(withTimeout(t), owner)
	if err != nil || len(all) != 1 || all[0].Slot != 7 || !all[0].Open {
		t.Errorf("%+v, %v", all, err)
	}
	if all, err := kafkalog.SlotTransactions(withTimeout(t), user); err == nil || !strings.Contains(err.Error(), "TRANSACTIONAL_ID_AUTHORIZATION_FAILED") {
		t.Errorf("denied: %+v, %v", all, err)
	}
}
