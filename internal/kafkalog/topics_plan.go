package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/deploy/kafka"
)

// observed is what a cluster has of the declared topics.
type observed struct {
	cluster  string
	topics   kadm.TopicDetails
	settings map[string]map[string]string // by topic; a setting the brokers do not know is absent
	manifest *Manifest
}

func observe(ctx context.Context, cl *kgo.Client, cfg Config, names []string) (*observed, error) {
	adm := kadm.NewClient(cl)
	meta, err := adm.Metadata(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("read the topics: %w", err)
	}
	o := &observed{cluster: meta.Cluster, topics: kadm.TopicDetails{}, settings: map[string]map[string]string{}}
	for name, t := range meta.Topics {
		switch {
		case errors.Is(t.Err, kerr.UnknownTopicOrPartition):
		case t.Err != nil:
			return nil, fmt.Errorf("read topic %s: %w", name, t.Err)
		default:
			o.topics[name] = t
		}
	}
	if len(o.topics) > 0 {
		described, err := adm.DescribeTopicConfigs(ctx, o.topics.Names()...)
		if err != nil {
			return nil, fmt.Errorf("read the topics' settings: %w", err)
		}
		for _, r := range described {
			if r.Err != nil {
				return nil, fmt.Errorf("read the settings of %s: %w", r.Name, r.Err)
			}
			o.settings[r.Name] = map[string]string{}
			for _, c := range r.Configs {
				o.settings[r.Name][c.Key] = c.MaybeValue()
			}
		}
	}
	o.manifest, err = ReadManifest(ctx, cfg)
	return o, err
}

func planTopics(ctx context.Context, cl *kgo.Client, cfg Config, opts TopicPlanOptions) (Plan, error) {
	declared := kafka.Declared()
	var names []string
	for _, name := range slices.Sorted(maps.Keys(declared.Topics)) {
		names = append(names, cfg.Topic(name))
	}
	o, err := observe(ctx, cl, cfg, names)
	if err != nil {
		return Plan{}, err
	}
	events := cfg.Topic("events")
	wish := kafka.Wish{Profile: opts.Profile, Partitions: opts.Partitions, Replication: opts.Replication}
	if wish.Partitions == 0 {
		switch existing, ok := o.topics[events]; {
		case o.manifest != nil:
			wish.Partitions = o.manifest.Partitions
		case ok:
			wish.Partitions = int32(len(existing.Partitions))
		}
	}
	topics, err := declared.Resolve(wish)
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{topics: map[string]kafka.Topic{}}
	for _, t := range topics {
		if t.Name == "events" {
			plan.Partitions = t.Partitions
		}
	}
	plan.Changes = append(plan.Changes, o.againstManifest(events, plan.Partitions)...)
	for _, t := range topics {
		name := cfg.Topic(t.Name)
		plan.topics[name] = t
		plan.Changes = append(plan.Changes, o.compare(name, t)...)
	}
	return plan, plan.refusal()
}

// againstManifest refuses what would separate state from the log it came from.
func (o *observed) againstManifest(events string, partitions int32) []Change {
	m := o.manifest
	if m == nil {
		return nil
	}
	refuse := func(setting, from, to, reason string) []Change {
		return []Change{{Action: ActionRefuse, Topic: events, Setting: setting, From: from, To: to, Reason: reason}}
	}
	existing, ok := o.topics[events]
	switch {
	case m.ClusterID != o.cluster:
		return refuse("cluster", m.ClusterID, o.cluster, "the manifest belongs to another cluster; take another prefix, or restore the cluster it names")
	case m.Topic != events:
		return refuse("name", m.Topic, events, "the manifest belongs to another topic; use the prefix it was made with")
	case !ok:
		return refuse("existence", m.TopicID, "", "the topic that the manifest pins is gone, and one made anew would count from 0 under the old state; restore it, or start under another prefix")
	case existing.ID.String() != m.TopicID:
		return refuse("topic ID", m.TopicID, existing.ID.String(), "the topic was made anew: its offsets name other records; start under another prefix")
	case partitions != m.Partitions:
		return refuse("partitions", fmt.Sprint(m.Partitions), fmt.Sprint(partitions), "the manifest pins the partition count: another would put participants on other partitions than their state; leave out --partitions")
	}
	return nil
}

// compare returns what separates a topic from its declaration.
func (o *observed) compare(name string, want kafka.Topic) []Change {
	have, ok := o.topics[name]
	if !ok {
		if want.Name == "events" && o.manifest != nil {
			return nil // refused against the manifest
		}
		to := fmt.Sprintf("%d partitions, replication %d, %s", want.Partitions, want.Replication, settingsText(want.Settings))
		return []Change{{Action: ActionCreate, Topic: name, To: to}}
	}
	var changes []Change
	if n := int32(len(have.Partitions)); n != want.Partitions {
		changes = append(changes, Change{
			Action: ActionRefuse, Topic: name, Setting: "partitions", From: fmt.Sprint(n), To: fmt.Sprint(want.Partitions),
			Reason: "a topic's partitions cannot be removed, and added ones tear participants from their state; start under another prefix",
		})
	}
	if n := have.Partitions.NumReplicas(); n > 0 && n != int(want.Replication) {
		changes = append(changes, Change{
			Action: ActionKeep, Topic: name, Setting: "replication", From: fmt.Sprint(n), To: fmt.Sprint(want.Replication),
			Reason: "changed by kafka-reassign-partitions, not by this command",
		})
	}
	for _, setting := range slices.Sorted(maps.Keys(want.Settings)) {
		if c := compareSetting(name, setting, o.settings[name], want.Settings[setting]); c != nil {
			changes = append(changes, *c)
		}
	}
	return changes
}

func compareSetting(topic, setting string, settings map[string]string, want string) *Change {
	have, known := settings[setting]
	c := &Change{Topic: topic, Setting: setting, From: have, To: want}
	switch {
	case !known:
		c.Action, c.Reason = ActionKeep, "these brokers have no such setting"
	case have == want:
		return nil
	case setting == "cleanup.policy" && want == "delete" && !strings.Contains(have, "delete"):
		c.Action, c.Reason = ActionRefuse, "the topic is compacted: deleting by age would remove its newest values too; check who set it, then alter it by hand"
	case setting == "cleanup.policy" && want == "compact":
		c.Action, c.Reason = ActionRefuse, "compaction would remove all but the newest record of each key; check who set it, then alter it by hand"
	case strings.HasPrefix(setting, "retention.") && longer(have, want):
		c.Action, c.Reason = ActionKeep, "shortening a retention deletes records"
	default:
		c.Action = ActionSet
	}
	return c
}

func settingsText(settings map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(settings)) {
		parts = append(parts, k+"="+settings[k])
	}
	return strings.Join(parts, " ")
}
