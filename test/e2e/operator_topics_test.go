package e2e

import (
	"strings"
	"testing"
)

// TestTopicsAreNotChangedUnasked applies topics as a script does: what is missing
// is created, and what is there is changed only where that was said.
func TestTopicsAreNotChangedUnasked(t *testing.T) {
	source, _ := lines(t, "flights", 1)
	d := deploy(t, real(t), 2, source)
	fresh := []string{"topics", "apply", "--profile", "dev", "--partitions", "2", "--prefix", d.kafka.Prefix + "-2"}
	if out, _ := d.operate(fresh...); !strings.Contains(out, "+ create") {
		t.Errorf("it printed %s", out)
	}
	if out, _ := d.operate(fresh...); !strings.Contains(out, "as declared") {
		t.Errorf("a second time it printed %s", out)
	}

	const shorter = "3600000"
	d.configure("events", "retention.ms", shorter)
	retention := func() string {
		t.Helper()
		all, err := d.admin.DescribeTopicConfigs(t.Context(), d.kafka.Topic("events"))
		d.must(err)
		for _, c := range all[0].Configs {
			if c.Key == "retention.ms" {
				return c.MaybeValue()
			}
		}
		return ""
	}
	apply := []string{"topics", "apply", "--profile", "dev"}
	if out, said, code := d.veltrix(apply...); code != 2 || !strings.Contains(said, "--yes") || !strings.Contains(out, "retention.ms 3600000 → 1209600000") || retention() != shorter {
		t.Errorf("a topic that is there: %d, %s%s, retention.ms=%s", code, out, said, retention())
	}
	d.operate(append(apply, "--yes")...)
	if got := retention(); got != "1209600000" {
		t.Errorf("retention.ms is %s", got)
	}
}
