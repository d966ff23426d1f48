package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/service"
)

// A plan that is refused is shown, and never called as declared.
func TestRefusedPlanIsShown(t *testing.T) {
	for name, c := range map[string]struct {
		changes []kafkalog.Change
		want    string
	}{
		"nothing to do": {nil, "the topics are as declared"},
		"kept":          {[]kafkalog.Change{{Action: kafkalog.ActionKeep, Topic: "x.events"}}, "the topics are as declared"},
		"refused":       {[]kafkalog.Change{{Action: kafkalog.ActionRefuse, Topic: "x.events", Setting: "partitions", From: "4", To: "8"}}, "! refuse x.events partitions 4 → 8"},
	} {
		var out bytes.Buffer
		cmd := &cobra.Command{}
		cmd.SetOut(&out)
		if err := printPlan(cmd, kafkalog.Plan{Partitions: 8, Changes: c.changes}, false); err != nil || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: %q, %v", name, out.String(), err)
		}
		if c.want[0] == '!' && strings.Contains(out.String(), "as declared") {
			t.Errorf("%s: says both: %q", name, out.String())
		}
	}
}

// A number of partitions that cannot be meant is refused before anything is
// contacted: they are for ever.
func TestNumbersThatCannotBeMeant(t *testing.T) {
	for _, args := range []string{"plan --partitions 0", "apply --partitions 0", "apply --partitions -3", "apply --replication 0"} {
		cmd := command()
		cmd.SetArgs(append([]string{"topics"}, strings.Fields(args+" --kafka-brokers 127.0.0.1:1 --start-timeout 0s")...))
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		err := cmd.ExecuteContext(t.Context())
		if service.ExitCode(err) != exitUsage || !strings.Contains(err.Error(), "1 or more") {
			t.Errorf("topics %s: %v", args, err)
		}
	}
}

// What is exported is what the flags ask for; what cannot be meant is refused.
func TestTopicsExport(t *testing.T) {
	for args, want := range map[string]string{
		"--prefix hunt --profile prod --partitions 24": "name: hunt.events\n  labels:\n    strimzi.io/cluster: my-cluster\nspec:\n  topicName: hunt.events\n  partitions: 24\n  replicas: 3\n",
		"--prefix hunt --cluster k --replication 2":    "strimzi.io/cluster: k\nspec:\n  topicName: hunt.manifest\n  partitions: 1\n  replicas: 2\n",
		"--prefix hunt --format script --profile dev":  "run kafka-topics.sh --create --if-not-exists --topic 'hunt.events' --partitions 4 --replication-factor 1\n",
	} {
		out, err := run(t, strings.Fields("topics export "+args)...)
		if err != nil || !strings.Contains(out, want) || !strings.Contains(out, "veltrix topics apply --prefix hunt") {
			t.Errorf("%s: %v\n%s", args, err, out)
		}
	}
	for args, want := range map[string]string{
		"--partitions 0": "1 or more", "--partitions 9999": "must be 1 to 4096", "--format json": "strimzi or script",
	} {
		if _, err := run(t, strings.Fields("topics export "+args)...); service.ExitCode(err) != exitUsage || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}

func TestTopicsACLs(t *testing.T) {
	for args, want := range map[string]string{
		"--prefix hunt": "\nprocessor (processor), as user hunt-processor\n  READ topic hunt.manifest ",
		"--command doctor --user ops --prefix h --format json": `"user": "ops"`,
		"--command doctor --format script --prefix h":          "--allow-principal 'User:h-doctor' --operation Describe --operation DescribeConfigs --topic 'h.' --resource-pattern-type prefixed",
		"--command doctor,verify --format strimzi --prefix h":  "kind: KafkaUser\nmetadata:\n  name: h-verify\n",
		"--command left-open --user p":                         "CLUSTER_ACTION cluster kafka-cluster",
	} {
		if out, err := run(t, strings.Fields("topics acls "+args)...); err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v\n%s", args, err, out)
		}
	}
	if out, _ := run(t, "topics", "acls"); strings.Contains(out, "CLUSTER_ACTION") {
		t.Errorf("what nothing needs is among the rest:\n%s", out)
	}
	for args, want := range map[string]string{
		"--command up": "producer, loader, processor", "--user u": "name it with --command", "--user u --command doctor,verify": "name it with --command",
		"--format yaml": "text, json, script or strimzi", "--format strimzi --command doctor --user CN=x": "Kubernetes",
	} {
		if _, err := run(t, strings.Fields("topics acls "+args)...); service.ExitCode(err) != exitUsage || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}
