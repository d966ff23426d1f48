package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/veltrix/veltrix/deploy/kafka"
)

// TopicPlanOptions says how the topics should be.
type TopicPlanOptions struct {
	Profile     string // prod or dev
	Partitions  int32  // of the pipeline's topics; 0: the manifest's, the existing topic's, or the profile's
	Replication int16  // 0: the profile's
}

// Action is what the plan does about a topic or one of its settings.
type Action string

// The actions. Only ActionCreate and ActionSet change anything; ActionRefuse
// stops the whole plan.
const (
	ActionCreate Action = "create"
	ActionSet    Action = "set"
	ActionKeep   Action = "keep"   // differs, and is left on purpose: Reason says why
	ActionRefuse Action = "refuse" // would lose data: Reason says what and what to do instead
)

// Change is one line of the plan.
type Change struct {
	Action  Action `json:"action"`
	Topic   string `json:"topic"` // full name
	Setting string `json:"setting,omitempty"`
	From    string `json:"from,omitempty"`
	To      string `json:"to,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

// Plan is the difference between the declared topics and the cluster's.
type Plan struct {
	Changes    []Change `json:"changes"`
	Partitions int32    `json:"partitions"` // of the pipeline's topics

	topics map[string]kafka.Topic // to create, by full name
}

// Empty says that applying the plan would change nothing.
func (p Plan) Empty() bool {
	return !slices.ContainsFunc(p.Changes, func(c Change) bool { return c.Action == ActionCreate || c.Action == ActionSet })
}

// Refused says that applying the plan would lose data.
func (p Plan) Refused() bool {
	return slices.ContainsFunc(p.Changes, func(c Change) bool { return c.Action == ActionRefuse })
}

// OnlyCreates says that applying the plan changes no topic that is there.
func (p Plan) OnlyCreates() bool {
	return !slices.ContainsFunc(p.Changes, func(c Change) bool { return c.Action == ActionSet })
}

// String renders the plan as a diff, one change a line.
func (p Plan) String() string {
	signs := map[Action]string{ActionCreate: "+", ActionSet: "~", ActionKeep: "=", ActionRefuse: "!"}
	var b strings.Builder
	for _, c := range p.Changes {
		fmt.Fprintf(&b, "%s %s %s", signs[c.Action], c.Action, c.Topic)
		if c.Setting != "" {
			fmt.Fprintf(&b, " %s", c.Setting)
		}
		if c.From != "" || c.To != "" {
			fmt.Fprintf(&b, " %s → %s", orNone(c.From), orNone(c.To))
		}
		if c.Reason != "" {
			fmt.Fprintf(&b, ": %s", c.Reason)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

// ErrPlanRefused is wrapped by the error of a plan that would lose data.
var ErrPlanRefused = errors.New("applying the topics would lose data")

func (p Plan) refusal() error {
	var reasons []error
	for _, c := range p.Changes {
		if c.Action == ActionRefuse {
			reasons = append(reasons, fmt.Errorf("%s %s: %s", c.Topic, c.Setting, c.Reason))
		}
	}
	if len(reasons) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrPlanRefused, errors.Join(reasons...))
}

// PlanTopics compares the declared topics with the cluster's and changes
// nothing. A plan that would lose data comes with an error that wraps
// ErrPlanRefused.
func PlanTopics(ctx context.Context, cfg Config, opts TopicPlanOptions) (Plan, error) {
	cl, err := kgo.NewClient(cfg.Options()...)
	if err != nil {
		return Plan{}, fmt.Errorf("create the client that plans topics: %w", err)
	}
	defer cl.Close()
	return planTopics(ctx, cl, cfg, opts)
}

// ApplyTopics creates the topics that are missing, sets the settings that
// differ, and pins the cluster, the events topic and the partition count in
// the manifest. It returns the plan it followed. Repeated, it changes nothing;
// interrupted, it is repeated. It returns once every broker knows every topic.
func ApplyTopics(ctx context.Context, cfg Config, opts TopicPlanOptions) (Plan, error) {
	cl, err := kgo.NewClient(cfg.Options()...)
	if err != nil {
		return Plan{}, fmt.Errorf("create the client that applies topics: %w", err)
	}
	defer cl.Close()
	plan, err := planTopics(ctx, cl, cfg, opts)
	if err != nil {
		return plan, err
	}
	if err := plan.apply(ctx, kadm.NewClient(cl)); err != nil {
		return plan, err
	}
	topics, err := kafka.Declared().Resolve(kafka.Wish{Profile: opts.Profile})
	if err != nil {
		return plan, err
	}
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = cfg.Topic(t.Name)
	}
	if err := awaitTopics(ctx, cl, names); err != nil {
		return plan, err
	}
	return plan, pin(ctx, cl, cfg, plan.Partitions)
}

func (p Plan) apply(ctx context.Context, adm *kadm.Client) error {
	alter := map[string][]kadm.AlterConfig{}
	for _, c := range p.Changes {
		switch c.Action {
		case ActionCreate:
			t := p.topics[c.Topic]
			settings := map[string]*string{}
			for k, v := range t.Settings {
				settings[k] = &v
			}
			_, err := adm.CreateTopic(ctx, t.Partitions, t.Replication, settings, c.Topic)
			if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) { // another apply was first: the next plan compares
				return fmt.Errorf("create %s: %w", c.Topic, err)
			}
		case ActionSet:
			alter[c.Topic] = append(alter[c.Topic], kadm.AlterConfig{Op: kadm.SetConfig, Name: c.Setting, Value: &c.To})
		case ActionKeep, ActionRefuse:
		}
	}
	for _, topic := range slices.Sorted(maps.Keys(alter)) {
		responses, err := adm.AlterTopicConfigs(ctx, alter[topic], topic)
		if err == nil {
			_, err = responses.On(topic, func(r *kadm.AlterConfigsResponse) error { return r.Err })
		}
		if err != nil {
			return fmt.Errorf("alter %s: %w", topic, err)
		}
	}
	return nil
}

// awaitTopics waits until each broker, asked directly, has a leader for every
// partition of the topics: right after their creation one broker knows them
// and another still answers UNKNOWN_TOPIC_OR_PARTITION.
func awaitTopics(ctx context.Context, cl *kgo.Client, topics []string) error {
	for {
		missing, err := brokersMissing(ctx, cl, topics)
		if err == nil && missing == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until every broker knows the topics: %w (last: %s)", ctx.Err(), readiness(missing, err))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func readiness(missing string, err error) string {
	if err != nil {
		return err.Error()
	}
	return missing
}

// brokersMissing names the first broker and topic that are not ready.
func brokersMissing(ctx context.Context, cl *kgo.Client, topics []string) (string, error) {
	brokers, err := kadm.NewClient(cl).ListBrokers(ctx)
	if err != nil {
		return "", fmt.Errorf("list the brokers: %w", err)
	}
	for _, b := range brokers {
		req := kmsg.NewPtrMetadataRequest()
		for _, topic := range topics {
			t := kmsg.NewMetadataRequestTopic()
			t.Topic = &topic
			req.Topics = append(req.Topics, t)
		}
		resp, err := cl.Broker(int(b.NodeID)).RetriableRequest(ctx, req)
		if err != nil {
			return "", fmt.Errorf("ask broker %d for the topics: %w", b.NodeID, err)
		}
		for _, t := range resp.(*kmsg.MetadataResponse).Topics {
			if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
				return fmt.Sprintf("broker %d: %s: %v", b.NodeID, *t.Topic, err), nil
			}
			for _, p := range t.Partitions {
				if p.ErrorCode != 0 || p.Leader < 0 {
					return fmt.Sprintf("broker %d: %s/%d has no leader", b.NodeID, *t.Topic, p.Partition), nil
				}
			}
		}
	}
	return "", nil
}

// pin writes the manifest of a deployment that has none.
func pin(ctx context.Context, cl *kgo.Client, cfg Config, partitions int32) error {
	events := cfg.Topic("events")
	meta, err := kadm.NewClient(cl).Metadata(ctx, events)
	if err != nil {
		return fmt.Errorf("read the identity of %s: %w", events, err)
	}
	_, err = UpdateManifest(ctx, cfg, func(old *Manifest) (*Manifest, error) {
		if old != nil {
			return old, nil
		}
		return &Manifest{
			ClusterID: meta.Cluster, Topic: events, TopicID: meta.Topics[events].ID.String(),
			Generation: 1, Partitions: partitions,
		}, nil
	})
	return err
}

// longer compares retentions in ms or bytes, of which −1 is for ever.
func longer(have, want string) bool {
	h, err1 := strconv.ParseInt(have, 10, 64)
	w, err2 := strconv.ParseInt(want, 10, 64)
	return err1 == nil && err2 == nil && w >= 0 && (h < 0 || h > w)
}
