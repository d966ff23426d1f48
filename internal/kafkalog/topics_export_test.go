package kafkalog_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"go.yaml.in/yaml/v3"

	"github.com/veltrix/veltrix/deploy/kafka"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/preflight"
)

// TestExportedTopicsAreADeployment creates topics as Strimzi's operator does from
// what is exported. Nothing differs from the declaration then; only the pin is
// missing, which services ask for, and applying adds that and nothing else.
func TestExportedTopicsAreADeployment(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		topics, err := kafka.Declared().Resolve(kafka.Wish{Profile: dev.Profile, Partitions: dev.Partitions})
		if err != nil {
			t.Fatal(err)
		}
		text, err := kafka.Strimzi(topics, cfg.Prefix, "k")
		if err != nil {
			t.Fatal(err)
		}
		adm := kadm.NewClient(newClient(t, cfg))
		for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
			var object struct {
				Spec struct {
					TopicName            string `yaml:"topicName"`
					Partitions, Replicas int32
					Config               map[string]string
				}
			}
			if err := d.Decode(&object); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			settings := map[string]*string{}
			for k, v := range object.Spec.Config {
				settings[k] = &v
			}
			if _, err := adm.CreateTopic(withTimeout(t), object.Spec.Partitions, int16(object.Spec.Replicas), settings, object.Spec.TopicName); err != nil {
				t.Fatal(err)
			}
		}
		for ctx := withTimeout(t); ; time.Sleep(50 * time.Millisecond) { // brokers learn of topics one after the other
			if all, err := adm.ListTopics(ctx); err == nil && !slices.ContainsFunc(topics, func(k kafka.Topic) bool { return !all.Has(cfg.Topic(k.Name)) }) {
				break
			} else if ctx.Err() != nil {
				t.Fatal("not every topic comes")
			}
		}
		if r := gates(t, cfg, "dev")["K10"]; r.State != preflight.Fail || !strings.Contains(r.Observed, "no manifest") || !strings.Contains(r.Fix, "topics apply") {
			t.Errorf("before it is pinned: %+v", r)
		}
		plan := apply(t, cfg, kafkalog.TopicPlanOptions{Profile: dev.Profile})
		if !plan.Empty() || slices.ContainsFunc(plan.Changes, func(c kafkalog.Change) bool { return c.Action == kafkalog.ActionRefuse }) || plan.Partitions != dev.Partitions {
			t.Errorf("of what was exported it would change\n%s", plan)
		}
		for id, r := range gates(t, cfg, "dev") {
			if r.State != preflight.Pass {
				t.Errorf("%s is %s: %s", id, r.State, r.Observed)
			}
		}
	})
}
