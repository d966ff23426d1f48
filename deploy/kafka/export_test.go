package kafka

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the generated page and the golden files")

// current compares a file with what it should hold.
func current(t *testing.T, path, want string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want {
		t.Errorf("%s is not current: run make generate, or the tests of this package with -rewrite, and read the difference", path)
	}
}

func TestPageIsCurrent(t *testing.T) {
	current(t, filepath.Join("..", "..", "docs", "acls.md"), Page())
}

func exported(t *testing.T) (topics []Topic, rights []Rights) {
	t.Helper()
	topics, err := Declared().Resolve(Wish{Profile: "prod", Partitions: 24})
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range Commands(true) {
		of, _ := RightsOf("hunt", command)
		rights = append(rights, of)
	}
	return topics, rights
}

// What is exported is what tools read, and what an operator reads before.
func TestExportsAreCurrent(t *testing.T) {
	topics, rights := exported(t)
	objects, err := Strimzi(topics, "hunt", "my-kafka")
	if err != nil {
		t.Fatal(err)
	}
	users, err := StrimziUsers(rights, "hunt", "my-kafka")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"topics.strimzi.yaml": objects, "topics.sh": Script(topics, "hunt"), "acls.strimzi.yaml": users, "acls.sh": ACLScript(rights, "hunt"), "acls.txt": ACLText(rights),
	} {
		current(t, filepath.Join("testdata", name), string(text))
	}
}

// parsed reads every document of a stream.
func parsed(t *testing.T, text []byte) (all []map[string]any) {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var doc map[string]any
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, doc)
	}
}

// A topic object says all that the declaration does, and settings stay texts:
// "false" and "-1" would become other types.
func TestStrimziTopicsSayWhatIsDeclared(t *testing.T) {
	topics, _ := exported(t)
	text, err := Strimzi(topics, "Hunt_1", "k")
	if err != nil {
		t.Fatal(err)
	}
	docs := parsed(t, text)
	if len(docs) != len(topics) {
		t.Fatalf("%d objects of %d topics", len(docs), len(topics))
	}
	for i, topic := range topics {
		config := map[string]any{}
		for k, v := range topic.Settings {
			config[k] = v
		}
		want := map[string]any{"topicName": "Hunt_1." + topic.Name, "partitions": int(topic.Partitions), "replicas": int(topic.Replication), "config": config}
		if !reflect.DeepEqual(docs[i]["spec"], want) || docs[i]["kind"] != "KafkaTopic" || docs[i]["apiVersion"] != "kafka.strimzi.io/v1" {
			t.Errorf("%s: %v, want %v", topic.Name, docs[i], want)
		}
		meta := docs[i]["metadata"].(map[string]any)
		if name := meta["name"].(string); !validName.MatchString(name) || !strings.HasPrefix(name, "hunt-1-") {
			t.Errorf("%s is called %s", topic.Name, name)
		}
		if labels := meta["labels"].(map[string]any); labels["strimzi.io/cluster"] != "k" {
			t.Errorf("%s has the labels %v", topic.Name, labels)
		}
	}
}

func TestStrimziUsersSayWhatTheTableDoes(t *testing.T) {
	_, rights := exported(t)
	text, err := StrimziUsers(rights, "hunt", "k")
	if err != nil {
		t.Fatal(err)
	}
	for i, doc := range parsed(t, text) {
		spec := doc["spec"].(map[string]any)
		got := map[string]bool{}
		for _, a := range spec["authorization"].(map[string]any)["acls"].([]any) {
			res := a.(map[string]any)["resource"].(map[string]any)
			for _, o := range a.(map[string]any)["operations"].([]any) {
				name, _ := res["name"].(string)
				if res["patternType"] == "prefix" {
					name += "*"
				}
				got[res["type"].(string)+" "+name+" "+o.(string)] = true
			}
		}
		want := map[string]bool{}
		for _, r := range rights[i].Rights {
			kind, name := string(r.Kind), r.Name
			if r.Kind == TransactionalKind {
				kind = "transactionalId"
			}
			if r.Kind == ClusterKind {
				name = ""
			}
			if r.Prefixed {
				name += "*"
			}
			want[kind+" "+name+" "+r.Operation.camel()] = true
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s has %v, want %v", rights[i].Command, got, want)
		}
	}
	if _, err := StrimziUsers([]Rights{{User: "CN=hunt"}}, "hunt", "k"); err == nil || !strings.Contains(err.Error(), "Kubernetes") {
		t.Errorf("a name that Kubernetes does not take: %v", err)
	}
}

// The scripts run in any POSIX shell, and call each tool with whole arguments,
// whatever they are called.
func TestScriptsRun(t *testing.T) {
	topics, rights := exported(t)
	rights[0].User = "CN=it's, O=ours"
	resources := 0
	for _, r := range rights {
		resources += len(r.entries())
	}
	tools := t.TempDir()
	const said = "#!/bin/sh\nprintf '%s' \"${0##*/}\"\nprintf ' [%s]' \"$@\"\necho\n"
	for _, tool := range []string{"kafka-topics.sh", "kafka-configs.sh", "kafka-acls.sh"} {
		if err := os.WriteFile(filepath.Join(tools, tool), []byte(said), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		script []byte
		calls  int
		want   []string
	}{
		"topics": {Script(topics, "hunt"), 2 * len(topics), []string{
			"kafka-topics.sh [--bootstrap-server] [b:1] [--command-config] [/a b] [--create] [--if-not-exists] [--topic] [hunt.events] [--partitions] [24] [--replication-factor] [3]",
			"[--entity-name] [hunt.manifest] [--add-config] [cleanup.policy=compact,min.insync.replicas=2,segment.ms=86400000,unclean.leader.election.enable=false]",
		}},
		"acls": {ACLScript(rights, "hunt"), resources, []string{
			"[--add] [--allow-principal] [User:CN=it's, O=ours] [--operation] [Write] [--operation] [Read] [--topic] [hunt.events] [--resource-pattern-type] [literal]",
			"[--operation] [Write] [--transactional-id] [hunt.processor.] [--resource-pattern-type] [prefixed]",
			"[--operation] [ClusterAction] [--cluster]",
		}},
	} {
		file := filepath.Join(t.TempDir(), "script.sh")
		if err := os.WriteFile(file, c.script, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), "sh", "-n", file).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
		cmd := exec.CommandContext(t.Context(), "sh", file)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "KAFKA_BIN=" + tools, "BOOTSTRAP=b:1", "COMMAND_CONFIG=/a b"}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
		if n := bytes.Count(out, []byte("\n")); n != c.calls {
			t.Errorf("%s makes %d calls, want %d", name, n, c.calls)
		}
		for _, want := range c.want {
			if !strings.Contains(string(out), want) {
				t.Errorf("%s does not call %s:\n%s", name, want, out)
			}
		}
	}
}

// Two prefixes that differ only in what Kubernetes does not take must not share
// their users.
func TestNamesStayApart(t *testing.T) {
	seen := map[string]string{}
	for _, prefix := range []string{"hunt", "Hunt", "hunt_a", "hunt-a", "hunt.a", "hunt.-a", "hunt..a", "HUNT", "a.", "a-"} {
		of, _ := RightsOf(prefix, "processor")
		if !validName.MatchString(of.User) || seen[of.User] != "" {
			t.Errorf("%s and %s are both %s", prefix, seen[of.User], of.User)
		}
		seen[of.User] = prefix
	}
}

// Whoever reads the table must not be able to change it for the next.
func TestRightsAreCopies(t *testing.T) {
	first, _ := RightsOf("one", "processor")
	second, _ := RightsOf("two", "processor")
	if first.Rights[0].Name != "one.manifest" || second.Rights[0].Name != "two.manifest" {
		t.Errorf("%s and %s", first.Rights[0], second.Rights[0])
	}
	if _, ok := RightsOf("one", "up"); ok {
		t.Error("up has rights of its own")
	}
}
