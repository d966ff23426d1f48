package kafkalog_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/preflight"
)

// TestK06K07K08EachPartition has one partition of three that is not as the others.
func TestK06K07K08EachPartition(t *testing.T) {
	t.Parallel()
	cfg := kafkalog.Config{Brokers: fakeBrokers(t), Prefix: "p"}
	events := cfg.Topic("events")
	remake := func(settings map[string]string, times ...time.Time) {
		t.Helper()
		given := map[string]*string{"message.timestamp.type": kadm.StringPtr("CreateTime"), "cleanup.policy": kadm.StringPtr("delete"), "retention.bytes": kadm.StringPtr("-1")}
		for name, value := range settings {
			given[name] = &value
		}
		createTopic(t, cfg, events, 3, given)
		cl := newClient(t, cfg, kgo.RecordPartitioner(kgo.ManualPartitioner()))
		for p, when := range times {
			for range 20 {
				r := &kgo.Record{Topic: events, Partition: int32(p), Value: make([]byte, 1<<10), Timestamp: when}
				if err := cl.ProduceSync(withTimeout(t), r).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	now := time.Now()
	fortnight := "1209600000"
	remake(map[string]string{"retention.ms": fortnight, "segment.ms": "86400000"}, now, now, now.Add(-365*24*time.Hour))
	none := ours()
	none.SnapshotInterval = 0
	_, r := lookAtBrokers(t, cfg, ours())
	expect(t, r["K07"], preflight.Fail, "partition 2 begins with a record of 20")
	_, r = lookAtBrokers(t, cfg, none)
	expect(t, r["K06"], preflight.Warn, "retention.ms="+fortnight) // all is there yet, and will not stay
	upTo := make(kadm.Offsets)
	upTo.AddOffset(events, 2, 5, -1)
	if _, err := kadm.NewClient(newClient(t, cfg)).DeleteRecords(withTimeout(t), upTo); err != nil {
		t.Fatal(err)
	}
	_, r = lookAtBrokers(t, cfg, none)
	expect(t, r["K06"], preflight.Fail, "partition 2 has lost its first 5 records")

	deleteTopic(t, cfg, events)
	remake(map[string]string{"retention.ms": "-1", "retention.bytes": fmt.Sprint(8 << 10)}, now, now, now.Add(-2*time.Hour))
	_, r = lookAtBrokers(t, cfg, ours())
	expect(t, r["K06"], preflight.Fail, "partition 2 wrote ")

	deleteTopic(t, cfg, events)
	remake(map[string]string{"retention.ms": "-1"}, now, now, now.Add(24*time.Hour))
	alter(t, cfg, events, "message.timestamp.type", "LogAppendTime")
	_, r = lookAtBrokers(t, cfg, ours())
	expect(t, r["K08"], preflight.Fail, events+"/2, whose leader is broker 0, has a record of")
}

// answering is a broker that answers requests of a kind otherwise.
func answering(t *testing.T, key kmsg.Key, answer func(kmsg.Request) kmsg.Response) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	c.ControlKey(int16(key), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		return answer(req), nil, true
	})
	return c
}

// looksAt returns what one check finds, without the looks of others.
func looksAt(t *testing.T, id string, c *kfake.Cluster) preflight.Result {
	t.Helper()
	checks, err := preflight.Choose(kafkalog.BrokerChecks(kafkalog.Config{Brokers: c.ListenAddrs(), Prefix: "p"}, ours()), []string{id}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return preflight.Run(t.Context(), checks, preflight.Options{Deadline: 30 * time.Second}).Results[0]
}

// TestK14HeldBack: a broker that holds back one answer holds back this look.
func TestK14HeldBack(t *testing.T) {
	t.Parallel()
	for _, key := range []kmsg.Key{kmsg.DescribeClientQuotas, kmsg.DescribeConfigs} {
		c := answering(t, key, func(req kmsg.Request) kmsg.Response {
			switch resp := req.ResponseKind().(type) {
			case *kmsg.DescribeClientQuotasResponse:
				resp.ThrottleMillis = 10
				return resp
			case *kmsg.DescribeConfigsResponse:
				resp.ThrottleMillis = 10
				return resp
			}
			return nil
		})
		expect(t, looksAt(t, "K14", c), preflight.Fail, "a broker held this look back for 10ms; quotas: ")
	}
}

// TestK08Controller has a broker of kfake tell a quorum, which it has not: of two
// voters the second is the active controller, and its clock is a minute ahead.
func TestK08Controller(t *testing.T) {
	t.Parallel()
	c := answering(t, kmsg.DescribeQuorum, func(req kmsg.Request) kmsg.Response {
		resp := req.ResponseKind().(*kmsg.DescribeQuorumResponse)
		topic, p := kmsg.NewDescribeQuorumResponseTopic(), kmsg.NewDescribeQuorumResponseTopicPartition()
		p.LeaderID = 2
		for i, ahead := range []time.Duration{0, time.Minute} {
			v := kmsg.NewDescribeQuorumResponseTopicPartitionReplicaState()
			v.ReplicaID, v.LastCaughtUpTimestamp = int32(i+1), time.Now().Add(ahead).UnixMilli()
			p.CurrentVoters = append(p.CurrentVoters, v)
		}
		topic.Partitions = append(topic.Partitions, p)
		resp.Topics = append(resp.Topics, topic)
		return resp
	})
	c.ControlKey(int16(kmsg.ApiVersions), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
		versions := kversion.V3_9_0()
		versions.SetMaxKeyVersion(int16(kmsg.DescribeQuorum), 1)
		versions.EachMaxKeyVersion(func(key, version int16) {
			k := kmsg.NewApiVersionsResponseApiKey()
			k.ApiKey, k.MaxVersion = key, version
			resp.ApiKeys = append(resp.ApiKeys, k)
		})
		return resp, nil, true
	})
	expect(t, looksAt(t, "K08", c), preflight.Fail, "kafka controller 2 +")
}

// TestK03DeniedSettings: topics that are not there yet, and brokers that deny how
// they would make them.
func TestK03DeniedSettings(t *testing.T) {
	t.Parallel()
	describe := func(topic string) kfake.ACL {
		return allow(kmsg.ACLResourceTypeTopic, topic, kmsg.ACLOperationDescribe)
	}
	_, r := lookAtBrokers(t, hidden(t, 3, describe("__consumer_offsets"), describe("__transaction_state")), inProd())
	expect(t, r["K03"], preflight.Unknown, "CLUSTER_AUTHORIZATION_FAILED")
}

// TestK12NoTopics: K10 says what is missing.
func TestK12NoTopics(t *testing.T) {
	t.Parallel()
	cfg := kafkalog.Config{Brokers: fakeBrokers(t), Prefix: "p"}
	expect(t, heldBack(t, cfg), preflight.Skip, "the topics do not exist: see K10")
	createTopic(t, cfg, cfg.Topic("events"), 1, nil)
	expect(t, heldBack(t, cfg), preflight.Pass, "1 partitions, and nothing is held back")
}
