// Package kafka holds the declaration of a deployment's topics.
//
// Invariant: topics.yaml is the only place that says what topics exist and how
// they are set. Production, the doctor and the embedded broker read the same
// bytes, which are part of the binary.
package kafka

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
)

//go:embed topics.yaml
var declared []byte

// PartitionsMax bounds a topic's partitions: each costs the processor a hash
// slot, a snapshot and a place in every rebalance.
const PartitionsMax = 4096

// EmbeddedRack is the rack (broker.rack) of the broker that is embedded for trying
// out, by which the doctor tells it from brokers that somebody runs.
const EmbeddedRack = "veltrix-embedded"

// Topic is one topic as it should be.
type Topic struct {
	Name        string // without the deployment's prefix
	Purpose     string
	Pipeline    bool // shares the partition count that the manifest pins
	Partitions  int32
	Replication int16
	Settings    map[string]string // Kafka's names and values
}

// Wish narrows a profile. Zero values take the profile's own numbers.
type Wish struct {
	Profile     string // prod or dev
	Partitions  int32  // of the pipeline's topics
	Replication int16
}

// Spec is a parsed declaration.
type Spec struct {
	Version  int                    `yaml:"version"`
	Profiles map[string]profileSpec `yaml:"profiles"`
	Topics   map[string]topicSpec   `yaml:"topics"`
}

type profileSpec struct {
	Partitions  int32             `yaml:"partitions"`
	Replication int16             `yaml:"replication"`
	Settings    map[string]string `yaml:"settings"`
}

type topicSpec struct {
	Purpose    string            `yaml:"purpose"`
	Partitions string            `yaml:"partitions"` // "pipeline" or a number
	Settings   map[string]string `yaml:"settings"`
}

// Pipeline is what a topic declares for its partitions when it shares the count
// that the manifest pins.
const Pipeline = "pipeline"

// Declared returns the declaration that is part of this binary.
func Declared() Spec {
	spec, err := Parse(declared)
	if err != nil {
		panic(fmt.Sprintf("the embedded topics.yaml is wrong: %v", err)) // a test parses it before it is shipped
	}
	return spec
}

// Parse reads a declaration strictly: an unknown key, a number out of bounds
// or a second document is an error.
func Parse(text []byte) (Spec, error) {
	var spec Spec
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&spec); err != nil {
		return Spec{}, fmt.Errorf("read the topics' declaration: %w", err)
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return Spec{}, errors.New("read the topics' declaration: more than one document")
	}
	return spec, spec.validate()
}

func (s Spec) validate() error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if s.Version != 1 {
		bad("version is %d, this binary reads 1", s.Version)
	}
	if len(s.Profiles) == 0 || len(s.Topics) == 0 {
		bad("profiles and topics must not be empty")
	}
	for name, p := range s.Profiles {
		if p.Partitions < 1 || p.Partitions > PartitionsMax {
			bad("profiles.%s.partitions is %d, must be 1 to %d", name, p.Partitions, PartitionsMax)
		}
		if p.Replication < 1 {
			bad("profiles.%s.replication is %d, must be at least 1", name, p.Replication)
		}
	}
	for name, t := range s.Topics {
		if n, err := strconv.Atoi(t.Partitions); t.Partitions != Pipeline && (err != nil || n < 1 || n > PartitionsMax) {
			bad("topics.%s.partitions is %q, must be %q or 1 to %d", name, t.Partitions, Pipeline, PartitionsMax)
		}
		for key, value := range t.Settings {
			if value == "" {
				bad("topics.%s.settings.%s is empty", name, key)
			}
		}
		if policy := t.Settings["cleanup.policy"]; policy != "delete" && policy != "compact" {
			bad("topics.%s.settings.cleanup.policy is %q, must be delete or compact", name, policy)
		}
	}
	return errors.Join(problems...)
}

// Resolve returns the topics as the wish wants them, sorted by name.
func (s Spec) Resolve(w Wish) ([]Topic, error) {
	p, ok := s.Profiles[w.Profile]
	if !ok {
		return nil, fmt.Errorf("unknown profile %q: one of %q", w.Profile, slices.Sorted(maps.Keys(s.Profiles)))
	}
	if w.Partitions == 0 {
		w.Partitions = p.Partitions
	}
	if w.Replication == 0 {
		w.Replication = p.Replication
	}
	if w.Partitions < 1 || w.Partitions > PartitionsMax {
		return nil, fmt.Errorf("%d partitions: must be 1 to %d", w.Partitions, PartitionsMax)
	}
	if w.Replication < 1 {
		return nil, fmt.Errorf("replication factor %d: must be at least 1", w.Replication)
	}
	var topics []Topic
	for _, name := range slices.Sorted(maps.Keys(s.Topics)) {
		t := s.Topics[name]
		topic := Topic{Name: name, Purpose: t.Purpose, Pipeline: t.Partitions == Pipeline, Partitions: w.Partitions, Replication: w.Replication}
		if !topic.Pipeline {
			n, err := strconv.ParseInt(t.Partitions, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("read the partitions of %s: %w", name, err)
			}
			topic.Partitions = int32(n)
		}
		topic.Settings = maps.Clone(p.Settings)
		maps.Copy(topic.Settings, t.Settings)
		// A min.insync.replicas above the replication factor refuses every write.
		if n, err := strconv.Atoi(topic.Settings["min.insync.replicas"]); err == nil && n > int(w.Replication) {
			topic.Settings["min.insync.replicas"] = strconv.Itoa(int(w.Replication))
		}
		topics = append(topics, topic)
	}
	return topics, nil
}
