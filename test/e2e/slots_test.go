package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// slots returns the names of the static members of the processors' group.
func (d *deployment) slots() (names []string) {
	d.t.Helper()
	groups, err := d.admin.DescribeGroups(d.t.Context(), d.kafka.ProcessorGroup())
	d.must(err)
	for _, m := range groups[d.kafka.ProcessorGroup()].Members {
		if m.InstanceID != nil {
			names = append(names, *m.InstanceID)
		}
	}
	return names
}

// TestRow33LeaseIsLost gives a running processor's number to another process.
// It has to stop using it and to say so, before the two fence each other in
// turns, and to go on under a number of its own.
func TestRow33LeaseIsLost(t *testing.T) {
	onEach(t, func(t *testing.T, at place) {
		d, sent := flights(t, at, 3, 600)
		d.rt.Config.Processor.Slots = 1
		cl := d.client()
		d.must(d.send(t.Context(), cl, sent[:300]))
		d.processor()
		d.processed()
		name := d.kafka.Prefix + ".processor."
		if got := d.slots(); len(got) != 1 || got[0] != name+"0" {
			t.Fatalf("the group has the members %v", got)
		}
		key := fmt.Sprintf("%s.slot.%d", d.kafka.Prefix, 0)
		d.must(d.redis.Set(t.Context(), key, "process:elsewhere:1:1:0", time.Minute).Err())
		d.until(func() (bool, string) {
			names := strings.Join(d.slots(), " ")
			return strings.Contains(names, name+"1"), "the group has the members " + names
		})
		if said := d.log.String(); !strings.Contains(said, "held by process:elsewhere:1:1:0") {
			t.Errorf("it does not say who has its number: %s", said)
		}
		if held := d.redis.Get(t.Context(), key).Val(); held != "process:elsewhere:1:1:0" {
			t.Errorf("the other's lease is now %q", held)
		}
		d.must(d.send(t.Context(), cl, sent[300:]))
		d.countedOnce(sent)
	})
}
