package e2e

import (
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/testredis"
	"github.com/veltrix/veltrix/test/broker"
)

// TestBrokerLoss kills brokers of three while everything runs, each with
// transactions open, some of whose outcomes nobody knows then. Leaders and
// coordinators move; nothing may count twice or not at all.
//
// One broker would not do: when it comes back from a crash, its partitions have
// no leader for a moment, Kafka 4.3 takes them for deleted, leaves out the
// markers of the transactions that were open, and so commits what was aborted
// with whatever its producer commits next.
func TestBrokerLoss(t *testing.T) {
	const kills = 3
	source, sorted := lines(t, "flights", 6_000)
	sent, repeats := disorderly(t, sorted)
	cluster := broker.Start(t, broker.Options{Nodes: 3, HeapMiB: 320})
	d := deploy(t, place{brokers: cluster.Addrs, redis: testredis.Start(t, nil).Addr, copies: 3}, 4, source)
	p, _ := d.processor()
	d.notifier()
	portion := len(sent) / kills
	for kill := range kills {
		feeder := d.feed(sent[kill*portion:(kill+1)*portion], 10, 10*time.Millisecond)
		d.await("records in Redis", func(p progress) bool { return p.applied > int64(kill*portion+portion/8) })
		if feeder.left.Load() == 0 {
			t.Error("nothing was left to be sent when the broker was killed")
		}
		cluster.Kill(1 + kill)
		feeder.wait()
		d.delivered() // with the brokers that are left
		d.must(cluster.Restart(1 + kill))
		d.ready(p)
	}
	d.must(d.send(t.Context(), d.client(), sent[kills*portion:]))
	d.delivered()
	d.verified(map[string]int64{"applied": int64(len(sorted)), "duplicate": repeats})
	d.sameStates(sent)
	d.inboxes()
}
