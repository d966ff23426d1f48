package kafka

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ClusterDefault is the Strimzi cluster that manifests name where nothing else is
// said; Strimzi's own examples call it so.
const ClusterDefault = "my-cluster"

// strimziVersion is the API of Strimzi since 0.49; older ones have v1beta2, with
// the same fields.
const strimziVersion = "kafka.strimzi.io/v1"

// object is a Kubernetes object as Strimzi's operators read it.
type object struct {
	APIVersion string   `yaml:"apiVersion"`
	Kind       string   `yaml:"kind"`
	Metadata   metadata `yaml:"metadata"`
	Spec       any      `yaml:"spec"`
}

type metadata struct {
	Name   string            `yaml:"name"`
	Labels map[string]string `yaml:"labels"`
}

type topicObject struct {
	TopicName  string            `yaml:"topicName"`
	Partitions int32             `yaml:"partitions"`
	Replicas   int16             `yaml:"replicas"`
	Config     map[string]string `yaml:"config"`
}

func newObject(kind, name, cluster string, spec any) object {
	return object{strimziVersion, kind, metadata{objectName(name), map[string]string{"strimzi.io/cluster": cluster}}, spec}
}

// documents writes objects as one stream of YAML, each with a comment before it.
func documents(head string, objects []object, abouts []string) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(comment(head))
	for i, o := range objects {
		text, err := marshal(o)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "---\n%s%s", comment(abouts[i]), text)
	}
	return b.Bytes(), nil
}

func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode as YAML: %w", err)
	}
	return b.Bytes(), e.Close()
}

// comment puts # before each line.
func comment(text string) string {
	if text == "" {
		return ""
	}
	var b strings.Builder
	for line := range strings.Lines(strings.TrimSuffix(text, "\n")) {
		b.WriteString(strings.TrimRight("# "+strings.TrimSuffix(line, "\n"), " ") + "\n")
	}
	return b.String()
}

// applyStill says what an export cannot do.
func applyStill(prefix string) string {
	return "When every topic is there, run `veltrix topics apply --prefix " + prefix + "` once. It compares them with\n" +
		"the declaration and pins the deployment, which no topic can: it writes the cluster's ID, the ID of\n" +
		prefix + ".events and the partition count to " + prefix + ".manifest. No service starts before that. The partition\n" +
		"count is for ever then: never change it here."
}

// Strimzi renders topics as KafkaTopic objects for Strimzi's topic operator.
func Strimzi(topics []Topic, prefix, cluster string) ([]byte, error) {
	head := "The topics of the deployment " + prefix + ", written by veltrix topics export --format strimzi.\n" + applyStill(prefix) + "\n" +
		"Deleting such an object deletes the topic and all that is in it."
	var objects []object
	var abouts []string
	for _, t := range topics {
		name := prefix + "." + t.Name
		objects = append(objects, newObject("KafkaTopic", name, cluster, topicObject{name, t.Partitions, t.Replication, t.Settings}))
		abouts = append(abouts, t.Purpose)
	}
	return documents(head, objects, abouts)
}

// scriptHead begins a script that runs Kafka's own tools.
func scriptHead(about string) string {
	return "#!/bin/sh\n" + comment(about) + `#
# BOOTSTRAP names the brokers, COMMAND_CONFIG a file with how they are spoken to (may be empty), and KAFKA_BIN
# where Kafka's tools are, if they are not on PATH.
set -eu
: "${BOOTSTRAP:=127.0.0.1:9092}" "${COMMAND_CONFIG:=}" "${KAFKA_BIN:=}"
run() {
	tool="${KAFKA_BIN:+$KAFKA_BIN/}$1"
	shift
	"$tool" --bootstrap-server "$BOOTSTRAP" ${COMMAND_CONFIG:+--command-config "$COMMAND_CONFIG"} "$@"
}
`
}

// Script renders topics as a POSIX shell script of Kafka's own tools. Run again,
// it changes nothing; a topic that is there keeps its partitions, and gets the
// settings.
func Script(topics []Topic, prefix string) []byte {
	var b bytes.Buffer
	b.WriteString(scriptHead("The topics of the deployment " + prefix + ", written by veltrix topics export --format script.\n" + applyStill(prefix) + "\n" +
		"For topics that are there, prefer veltrix topics apply: this sets every setting as declared, also where that\n" +
		"shortens a retention and so deletes records."))
	for _, t := range topics {
		name := quote(prefix + "." + t.Name)
		fmt.Fprintf(&b, "\n# %s\nrun kafka-topics.sh --create --if-not-exists --topic %s --partitions %d --replication-factor %d\n", t.Purpose, name, t.Partitions, t.Replication)
		var settings []string
		for _, k := range slices.Sorted(maps.Keys(t.Settings)) {
			settings = append(settings, k+"="+t.Settings[k])
		}
		fmt.Fprintf(&b, "run kafka-configs.sh --alter --entity-type topics --entity-name %s --add-config %s\n", name, quote(strings.Join(settings, ",")))
	}
	return b.Bytes()
}

// quote makes one word of a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
