package kafkalog_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/preflight"
)

// TestK02EachDurableTopic takes from one topic after the other what production asks for.
func TestK02EachDurableTopic(t *testing.T) {
	t.Parallel()
	cfg := kafkalog.Config{Brokers: fakeBrokers(t, kfake.NumBrokers(3)), Prefix: "p"}
	apply(t, cfg, kafkalog.TopicPlanOptions{Profile: "prod", Partitions: 3})
	for id, r := range gates(t, cfg, "prod") {
		expect(t, r, preflight.Pass, "")
		if r.Before != "" {
			t.Errorf("%s: before production it says %q", id, r.Before)
		}
	}
	adm := kadm.NewClient(newClient(t, cfg))
	for _, name := range []string{"events", "notifications", "rejected", "manifest", "snapshots"} {
		topic := cfg.Topic(name)
		alter(t, cfg, topic, "unclean.leader.election.enable", "true")
		found(t, cfg, "prod", "K02", preflight.Fail, topic+": unclean.leader.election.enable=true")
		alter(t, cfg, topic, "unclean.leader.election.enable", "false")
		alter(t, cfg, topic, "min.insync.replicas", "1")
		found(t, cfg, "prod", "K02", preflight.Fail, "only min.insync.replicas=1 ("+topic+": 1)")
		dev := gates(t, cfg, "dev")["K02"]
		expect(t, dev, preflight.Pass, "profile dev asks for no replication")
		if !strings.Contains(dev.Before, "here 3 and 1") {
			t.Errorf("before production it says %q", dev.Before)
		}
		alter(t, cfg, topic, "min.insync.replicas", "2")
	}
	rejected := cfg.Topic("rejected")
	deleteTopic(t, cfg, rejected)
	two := "2"
	if _, err := adm.CreateTopic(withTimeout(t), 3, 2, map[string]*string{"min.insync.replicas": &two}, rejected); err != nil {
		t.Fatal(err)
	}
	awaitTopic(t, adm, rejected, true)
	found(t, cfg, "prod", "K02", preflight.Fail, "only 2 replicas ("+rejected+": 2)")
	if r := gates(t, cfg, "dev")["K02"]; !strings.Contains(r.Before, "here 2 and 2") {
		t.Errorf("before production it says %q", r.Before)
	}
}

// TestK02K05K09HiddenIsUnknown: brokers that show topics and none of their settings.
func TestK02K05K09HiddenIsUnknown(t *testing.T) {
	t.Parallel()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	cfg := kafkalog.Config{Brokers: c.ListenAddrs(), Prefix: "p"}
	apply(t, cfg, dev)
	c.ControlKey(int16(kmsg.DescribeConfigs), func(k kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := k.ResponseKind().(*kmsg.DescribeConfigsResponse)
		for _, asked := range k.(*kmsg.DescribeConfigsRequest).Resources {
			r := kmsg.NewDescribeConfigsResponseResource()
			r.ResourceType, r.ResourceName = asked.ResourceType, asked.ResourceName
			resp.Resources = append(resp.Resources, r)
		}
		return resp, nil, true
	})
	r := gates(t, cfg, "dev")
	for _, id := range []string{"K02", "K05", "K09"} {
		expect(t, r[id], preflight.Unknown, "is hidden")
	}
	_, r = lookAtBrokers(t, cfg, ours())
	for _, id := range []string{"K06", "K07"} {
		expect(t, r[id], preflight.Unknown, "is hidden")
	}
}

// TestK10Counts has topics of other counts than their own: more, fewer, and where
// the manifest does not say.
func TestK10Counts(t *testing.T) {
	t.Parallel()
	cfg := kafkalog.Config{Brokers: fakeBrokers(t), Prefix: "p"}
	apply(t, cfg, dev)
	adm := kadm.NewClient(newClient(t, cfg))
	receipts, snapshots, manifest := cfg.Topic("receipts"), cfg.Topic("snapshots"), cfg.Topic("manifest")
	remake := func(topic string, partitions int32) {
		t.Helper()
		deleteTopic(t, cfg, topic)
		createTopic(t, cfg, topic, partitions, nil)
	}
	remake(receipts, 2)
	found(t, cfg, "dev", "K10", preflight.Fail, receipts+" has 2 instead of 3")
	deleteTopic(t, cfg, snapshots)
	found(t, cfg, "dev", "K10", preflight.Fail, receipts+" has 2 instead of 3") // what is missing does not hide it
	deleteTopic(t, cfg, receipts)
	found(t, cfg, "dev", "K10", preflight.Fail, "missing: "+receipts+", "+snapshots)
	apply(t, cfg, dev)
	found(t, cfg, "dev", "none", preflight.Pass, "")

	deleteTopic(t, cfg, manifest)
	createManifestTopic(t, cfg)
	r := gates(t, cfg, "dev")
	expect(t, r["K10"], preflight.Fail, "no manifest")
	expect(t, r["K11"], preflight.Skip, "no manifest yet")
	if _, err := adm.UpdatePartitions(withTimeout(t), 2, manifest); err != nil {
		t.Fatal(err)
	}
	awaitPartitions(t, adm, manifest, 2)
	expect(t, gates(t, cfg, "dev")["K10"], preflight.Unknown, manifest+" has 2 partitions, it must have 1")
}

// TestK11EachIdentity has a manifest of another cluster, of another topic, and of one
// that is gone.
func TestK11EachIdentity(t *testing.T) {
	t.Parallel()
	cfg := kafkalog.Config{Brokers: fakeBrokers(t), Prefix: "p"}
	apply(t, cfg, dev)
	pin := func(change func(*kafkalog.Manifest)) {
		t.Helper()
		_, err := kafkalog.UpdateManifest(withTimeout(t), cfg, func(m *kafkalog.Manifest) (*kafkalog.Manifest, error) {
			change(m)
			return m, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	m, err := kafkalog.ReadManifest(withTimeout(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	pin(func(m *kafkalog.Manifest) { m.ClusterID = "another" })
	found(t, cfg, "dev", "K11", preflight.Fail, "cluster "+m.ClusterID)
	pin(func(n *kafkalog.Manifest) { n.ClusterID, n.Topic = m.ClusterID, "other.events" })
	found(t, cfg, "dev", "K11", preflight.Fail, "name p.events")
	pin(func(n *kafkalog.Manifest) { n.Topic = m.Topic })
	found(t, cfg, "dev", "none", preflight.Pass, "")
	deleteTopic(t, cfg, cfg.Topic("events"))
	r := gates(t, cfg, "dev")
	expect(t, r["K11"], preflight.Fail, "existence")
	for _, id := range []string{"K05", "K09"} {
		expect(t, r[id], preflight.Skip, "p.events does not exist")
	}
}

// TestK15EachBroker has one broker of three with the older level, with none, and
// silent.
func TestK15EachBroker(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer   func(*kmsg.ApiVersionsResponse) error
		state    preflight.State
		observed string
	}{
		"finalised":   {func(r *kmsg.ApiVersionsResponse) error { finalise(r, 2); return nil }, preflight.Pass, "broker 1: transaction.version=2"},
		"older":       {func(r *kmsg.ApiVersionsResponse) error { finalise(r, 1); return nil }, preflight.Fail, "broker 1: transaction.version=1 (finalized)"},
		"no level":    {func(*kmsg.ApiVersionsResponse) error { return nil }, preflight.Fail, "broker 1: transaction.version=0 (finalized)"},
		"not allowed": {func(r *kmsg.ApiVersionsResponse) error { r.ErrorCode = 31; return nil }, preflight.Unknown, "CLUSTER_AUTHORIZATION_FAILED"},
		"hangs up":    {func(*kmsg.ApiVersionsResponse) error { return errors.New("hang up") }, preflight.Unknown, "kafka broker 1 at "},
	} {
		fake, err := kfake.NewCluster(kfake.NumBrokers(3))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(fake.Close)
		fake.ControlKey(int16(kmsg.ApiVersions), func(k kmsg.Request) (kmsg.Response, error, bool) {
			req := k.(*kmsg.ApiVersionsRequest)
			if req.ClientSoftwareName != "veltrix" || fake.CurrentNode() != 1 {
				return nil, nil, false // what the client library itself asks for
			}
			fake.KeepControl()
			resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
			err := c.answer(resp)
			return resp, err, true
		})
		t.Run(name, func(t *testing.T) {
			expect(t, gates(t, kafkalog.Config{Brokers: fake.ListenAddrs(), Prefix: "p"}, "dev")["K15"], c.state, c.observed)
		})
	}
}

func finalise(r *kmsg.ApiVersionsResponse, level int16) {
	f := kmsg.NewApiVersionsResponseFinalizedFeature()
	f.Name, f.MaxVersionLevel = "transaction.version", level
	r.FinalizedFeatures = append(r.FinalizedFeatures, f)
}
