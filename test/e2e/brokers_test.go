package e2e

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/veltrix/veltrix/internal/testredis"
	"github.com/veltrix/veltrix/test/broker"
	"github.com/veltrix/veltrix/test/proxy"
)

// onEach runs a test on the in-process broker and on a real one, each behind a
// proxy that can misbehave, with a real Redis of its own.
func onEach(t *testing.T, test func(t *testing.T, at place)) {
	t.Helper()
	t.Run("kfake", func(t *testing.T) {
		t.Parallel()
		test(t, fake(t))
	})
	t.Run("kafka", func(t *testing.T) {
		t.Parallel()
		p := proxy.Start(t, broker.Shared(t).Addrs[0])
		test(t, place{brokers: []string{p.Addr()}, redis: testredis.Start(t, nil).Addr, proxy: p})
	})
}

// real is a place with a real broker, and nothing before it.
func real(t *testing.T) place {
	t.Helper()
	return place{brokers: broker.Shared(t).Addrs, redis: testredis.Start(t, nil).Addr}
}

// fake is a place with the in-process broker.
func fake(t *testing.T) place {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(sessionTimeout))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	p := proxy.Start(t, c.ListenAddrs()[0])
	return place{brokers: []string{p.Addr()}, redis: testredis.Start(t, nil).Addr, bootID: "boot", proxy: p}
}

// flights deploys the flights and returns the first of their events, sorted:
// each counts once and has no other fate.
func flights(t *testing.T, at place, partitions int32, events int) (*deployment, []string) {
	t.Helper()
	source, sent := lines(t, "flights", events)
	return deploy(t, at, partitions, source), sent
}

// countedOnce is the end of most tests: everything was counted once, as it was
// sent, and no notification was produced twice.
func (d *deployment) countedOnce(sent []string) {
	d.t.Helper()
	d.processed()
	d.verified(map[string]int64{"applied": int64(len(sent))})
	d.sameStates(sent)
}

// isProcessor says that a transactional ID is a processor's.
func isProcessor(id string) bool { return strings.Contains(id, ".processor.") }
