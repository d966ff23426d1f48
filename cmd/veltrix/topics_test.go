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
