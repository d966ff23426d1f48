package kafkalog_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/veltrix/veltrix/internal/kafkalog"
)

var dev = kafkalog.TopicPlanOptions{Profile: "dev", Partitions: 3}

func apply(t *testing.T, cfg kafkalog.Config, opts kafkalog.TopicPlanOptions) kafkalog.Plan {
	t.Helper()
	plan, err := kafkalog.ApplyTopics(withTimeout(t), cfg, opts)
	if err != nil {
		t.Fatalf("%v\n%s", err, plan)
	}
	return plan
}

// refused expects a plan that would lose data to say so, and to change nothing.
func refused(t *testing.T, cfg kafkalog.Config, opts kafkalog.TopicPlanOptions, want string) {
	t.Helper()
	plan, err := kafkalog.ApplyTopics(withTimeout(t), cfg, opts)
	if !errors.Is(err, kafkalog.ErrPlanRefused) || !strings.Contains(err.Error(), want) {
		t.Errorf("want a refusal that says %q, got %v\n%s", want, err, plan)
	}
}

func alter(t *testing.T, cfg kafkalog.Config, topic, name, value string) {
	t.Helper()
	rs, err := kadm.NewClient(newClient(t, cfg)).AlterTopicConfigs(withTimeout(t), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: name, Value: &value}}, topic)
	if err == nil {
		_, err = rs.On(topic, func(r *kadm.AlterConfigsResponse) error { return r.Err })
	}
	if err != nil {
		t.Fatal(err)
	}
	for ctx := withTimeout(t); setting(t, cfg, topic, name) != value; time.Sleep(20 * time.Millisecond) {
		if ctx.Err() != nil {
			t.Fatalf("%s of %s never became %s", name, topic, value)
		}
	}
}

func setting(t *testing.T, cfg kafkalog.Config, topic, name string) string {
	t.Helper()
	rs, err := kadm.NewClient(newClient(t, cfg)).DescribeTopicConfigs(withTimeout(t), topic)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range rs[0].Configs {
		if c.Key == name {
			return c.MaybeValue()
		}
	}
	return ""
}

func TestApplyIsIdempotentAndPins(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		plan := apply(t, cfg, dev)
		if len(plan.Changes) != 10 || plan.Empty() || plan.Partitions != 3 {
			t.Fatalf("the first plan:\n%s", plan)
		}
		adm := kadm.NewClient(newClient(t, cfg))
		meta, err := adm.Metadata(withTimeout(t), cfg.Topic("events"), cfg.Topic("rejected"), cfg.Topic("manifest"))
		if err != nil || meta.Topics.Error() != nil {
			t.Fatal(err, meta.Topics.Error())
		}
		for topic, n := range map[string]int{"events": 3, "rejected": 3, "manifest": 1} {
			if got := len(meta.Topics[cfg.Topic(topic)].Partitions); got != n {
				t.Errorf("%s has %d partitions, want %d", topic, got, n)
			}
		}
		m, err := kafkalog.ReadManifest(withTimeout(t), cfg)
		if err != nil || m.ClusterID != meta.Cluster || m.TopicID != meta.Topics[cfg.Topic("events")].ID.String() ||
			m.Topic != cfg.Topic("events") || m.Partitions != 3 || m.Generation != 1 {
			t.Fatalf("manifest %+v, %v", m, err)
		}
		if v := setting(t, cfg, cfg.Topic("events"), "message.timestamp.type"); v != "LogAppendTime" {
			t.Errorf("events has %q", v)
		}

		for _, again := range []kafkalog.TopicPlanOptions{dev, {Profile: "dev"}} { // the count comes from the manifest
			if plan := apply(t, cfg, again); !plan.Empty() || plan.Partitions != 3 {
				t.Errorf("a second plan:\n%s", plan)
			}
		}

		alter(t, cfg, cfg.Topic("events"), "message.timestamp.type", "CreateTime")
		alter(t, cfg, cfg.Topic("receipts"), "retention.ms", "5000")
		alter(t, cfg, cfg.Topic("rejected"), "retention.ms", "-1")
		text := apply(t, cfg, dev).String()
		for _, line := range []string{
			"~ set " + cfg.Topic("events") + " message.timestamp.type CreateTime → LogAppendTime\n",
			"~ set " + cfg.Topic("receipts") + " retention.ms 5000 → 2592000000\n",
			"= keep " + cfg.Topic("rejected") + " retention.ms -1 → 2592000000: shortening a retention deletes records\n",
		} {
			if !strings.Contains(text, line) {
				t.Errorf("the diff lacks %q:\n%s", line, text)
			}
		}
		if v := setting(t, cfg, cfg.Topic("rejected"), "retention.ms"); v != "-1" {
			t.Errorf("a longer retention became %s", v)
		}
		if v := setting(t, cfg, cfg.Topic("events"), "message.timestamp.type"); v != "LogAppendTime" {
			t.Errorf("events still has %q", v)
		}
	})
}

// TestApplyRefusesWhatLosesData holds rows 25, 27 and 28 of the failure matrix
// against the command that would otherwise repair over them.
func TestApplyRefusesWhatLosesData(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		apply(t, cfg, dev)
		refused(t, cfg, kafkalog.TopicPlanOptions{Profile: "dev", Partitions: 4}, "the manifest pins the partition count")
		refused(t, cfg, kafkalog.TopicPlanOptions{Profile: "dev", Partitions: 2}, "the manifest pins the partition count")

		adm := kadm.NewClient(newClient(t, cfg))
		alter(t, cfg, cfg.Topic("notifications"), "cleanup.policy", "compact")
		refused(t, cfg, dev, "the topic is compacted")
		alter(t, cfg, cfg.Topic("notifications"), "cleanup.policy", "delete")
		alter(t, cfg, cfg.Topic("snapshots"), "cleanup.policy", "delete")
		refused(t, cfg, dev, "compaction would remove")
		alter(t, cfg, cfg.Topic("snapshots"), "cleanup.policy", "compact")
		apply(t, cfg, dev)

		if _, err := adm.UpdatePartitions(withTimeout(t), 4, cfg.Topic("rejected")); err != nil {
			t.Fatal(err)
		}
		awaitPartitions(t, adm, cfg.Topic("rejected"), 4)
		refused(t, cfg, dev, "added ones tear participants")
		if v := setting(t, cfg, cfg.Topic("rejected"), "cleanup.policy"); v != "delete" {
			t.Fatalf("rejected has policy %q", v)
		}

		events := cfg.Topic("events")
		deleteTopic(t, cfg, cfg.Topic("rejected"))
		deleteTopic(t, cfg, events)
		refused(t, cfg, dev, "is gone")
		createTopic(t, cfg, events, 3, nil)
		refused(t, cfg, dev, "made anew")
	})
}

func TestManifestOfAnotherClusterIsRefused(t *testing.T) {
	cfg := kafkalog.Config{Brokers: fakeBrokers(t), Prefix: "p", BootID: "b"}
	apply(t, cfg, dev)
	if _, err := kafkalog.UpdateManifest(withTimeout(t), cfg, func(old *kafkalog.Manifest) (*kafkalog.Manifest, error) {
		old.ClusterID = "elsewhere"
		return old, nil
	}); err != nil {
		t.Fatal(err)
	}
	refused(t, cfg, dev, "another cluster")
}
