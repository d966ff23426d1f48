package e2e

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/veltrix/veltrix/internal/testredis"
	"github.com/veltrix/veltrix/test/broker"
)

// replicated moves the events' replicas to these brokers, the first of which
// leads, and waits until all of them are in sync.
func (d *deployment) replicated(on ...int32) {
	d.t.Helper()
	for n := range on { // the first alone first: nobody else can lead then
		var to kadm.AlterPartitionAssignmentsReq
		for p := range d.partitions {
			to.Assign(d.kafka.Topic("events"), p, on[:n+1])
		}
		answers, err := d.admin.AlterPartitionAssignments(d.t.Context(), to)
		d.must(err)
		d.must(answers.Error())
		d.leads(on[0], on[:n+1]...)
	}
}

// leads waits until every partition of the events has this leader, and these
// replicas are in sync.
func (d *deployment) leads(leader int32, inSync ...int32) {
	d.t.Helper()
	d.until(func() (bool, string) { return d.led(leader, inSync) })
}

func (d *deployment) led(leader int32, inSync []int32) (bool, string) {
	topic := d.kafka.Topic("events")
	meta, err := d.admin.Metadata(d.t.Context(), topic)
	if err != nil {
		return false, err.Error()
	}
	for _, p := range meta.Topics[topic].Partitions {
		slices.Sort(p.ISR)
		if p.Leader != leader || !slices.Equal(p.ISR, inSync) {
			return false, fmt.Sprintf("partition %d has leader %d and %v in sync, want %d and %v", p.Partition, p.Leader, p.ISR, leader, inSync)
		}
	}
	return true, ""
}

// configure sets a setting of a topic.
func (d *deployment) configure(topic, name, value string) {
	d.t.Helper()
	answers, err := d.admin.AlterTopicConfigs(d.t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: name, Value: &value}}, d.kafka.Topic(topic))
	d.must(err)
	for _, a := range answers {
		d.must(a.Err)
	}
}

// TestRow26UncleanElection lets a replica that has missed a part of the events
// become their leader, for lack of another, while a processor runs. One partition
// then ends before what was counted; the other has other events at the same
// offsets. Both have to be refused: by the processor that was there, and by one
// that starts.
func TestRow26UncleanElection(t *testing.T) {
	t.Parallel()
	const short, other = 0, 1
	cluster := broker.Start(t, broker.Options{Nodes: 3, HeapMiB: 320})
	d, sent := flights(t, place{brokers: cluster.Addrs, redis: testredis.Start(t, nil).Addr, copies: 3}, 2, 900)
	d.replicated(1, 2) // the third only keeps the quorum, the commits and what was produced
	d.configure("events", "min.insync.replicas", "1")
	p, stop := d.processor()
	cl := d.client()
	d.must(d.send(t.Context(), cl, sent[:300]))
	d.processed()
	d.configure("events", "unclean.leader.election.enable", "true") // no processor would have started

	cluster.Kill(2)
	d.leads(1, 1)
	d.must(d.send(t.Context(), cl, sent[300:600]))
	d.processed()
	before := map[int32]untouched{short: d.untouched(short), other: d.untouched(other)}

	cluster.Kill(1)
	d.must(cluster.Restart(2))
	d.leads(2, 2)
	_, others := d.split(sent[600:], short)
	d.must(d.send(t.Context(), d.client(), others))
	d.must(d.send(t.Context(), d.client(), others)) // enough to pass what was counted
	end := d.logEnd(other)
	if k := before[other].committed.Offset; end <= k {
		t.Fatalf("the log of partition %d ends at %d, which does not pass what was counted, %d", other, end, k)
	}

	want := map[int32]string{short: "truncated", other: "diverged"}
	for partition, reason := range want {
		d.until(func() (bool, string) { // at first, both logs ended before what was counted
			r := refusal(t, p, partition)
			return r.Reason == reason, fmt.Sprintf("partition %d is refused as %+v, want %s", partition, r, reason)
		})
	}
	stop()
	d.configure("events", "unclean.leader.election.enable", "false")
	d.refusals(want)
	for partition, was := range before {
		if now := d.untouched(partition); now != was {
			t.Errorf("partition %d was refused and has changed:\n%+v, was\n%+v", partition, now, was)
		}
	}
}
