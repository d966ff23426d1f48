package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/fold"
	"github.com/veltrix/veltrix/internal/kafkalog"
)

// member is a processor's session and loop whose steps a test can hold, to let
// its group move between two of them. Everything else of it is production code.
type member struct {
	*kafkalog.Session
	release, end atomic.Pointer[gate]
	committed    atomic.Int64 // transactions

	mu      sync.Mutex
	revoked []int32 // of which it was told, in order
}

// gate holds the first step that comes to it.
type gate struct {
	reached, open chan struct{}
	opened        func()
}

func newGate(t *testing.T) *gate {
	g := &gate{reached: make(chan struct{}), open: make(chan struct{})}
	g.opened = sync.OnceFunc(func() { close(g.open) })
	t.Cleanup(g.opened) // a test that fails leaves nobody waiting
	return g
}

// pass waits at the gate that is set, if any.
func pass(at *atomic.Pointer[gate]) {
	if g := at.Swap(nil); g != nil {
		close(g.reached)
		<-g.open
	}
}

// wait returns when the member stands at the gate.
func (g *gate) wait(d *deployment) {
	d.t.Helper()
	d.until(func() (bool, string) {
		select {
		case <-g.reached:
			return true, ""
		default:
			return false, "the member never came to the step where it is to be held"
		}
	})
}

// Release implements engine.Session.
func (m *member) Release() {
	pass(&m.release)
	m.Session.Release()
}

// End implements engine.Session.
func (m *member) End(ctx context.Context, commit bool, offsets map[int32]engine.Commit) (bool, error) {
	if len(offsets) > 0 {
		pass(&m.end)
	}
	committed, err := m.Session.End(ctx, commit, offsets)
	if committed {
		m.committed.Add(1)
	}
	return committed, err
}

// revocations returns the partitions that it was told it lost.
func (m *member) revocations() []int32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.revoked)
}

// member joins the processors' group, on a slot that the others do not reach.
func (d *deployment) member() *member {
	d.t.Helper()
	const slot = 9
	cfg := d.rt.Config.Processor
	manifest, err := kafkalog.ReadManifest(d.t.Context(), d.kafka)
	d.must(err)
	reroute, err := kafkalog.NewRerouter(d.kafka, cfg.TransactionTimeout)
	d.must(err)
	d.t.Cleanup(reroute.Close)
	m, inbox := &member{}, engine.NewInbox()
	m.Session, err = kafkalog.NewSession(d.t.Context(), kafkalog.SessionConfig{
		Config: d.kafka, Slot: slot, SessionTimeout: cfg.SessionTimeout, TransactionTimeout: cfg.TransactionTimeout,
		RebalanceTimeout: cfg.RebalanceTimeout,
	}, d.positions, reroute, func(in engine.Input) {
		if in, ok := in.(engine.Revoked); ok {
			m.mu.Lock()
			m.revoked = append(m.revoked, in.Partitions...)
			m.mu.Unlock()
		}
		inbox.Put(in)
	})
	d.must(err)
	schema := d.program.Schema()
	loop := engine.NewLoop(
		engine.LoopConfig{
			CommitInterval: cfg.CommitInterval, CommitRecords: cfg.CommitRecords, EndTimeout: 2 * stall,
			Recheck: engine.DefaultLoop.Recheck, SettleTimeout: engine.DefaultLoop.SettleTimeout,
			Compare: time.Hour /* what a test shows is not found out by looking */, ScanTimeout: engine.DefaultLoop.ScanTimeout, Log: d.rt.Log,
		},
		engine.New(fold.New(d.program, manifest.Partitions), engine.Config{
			Token: engine.Token{
				ClusterID: manifest.ClusterID, TopicID: manifest.TopicID, Partitions: manifest.Partitions,
				RulesVersion: schema.Version, RulesDigest: schema.Digest, Buckets: cfg.Buckets,
			},
			CacheBytes: int(cfg.CacheBytes),
		}),
		m, engine.Stores{Positions: d.positions, Store: d.state}, inbox)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- loop.Run(ctx) }()
	d.t.Cleanup(func() {
		for _, at := range []*atomic.Pointer[gate]{&m.release, &m.end} {
			at.Store(nil)
		}
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			d.t.Errorf("the member's session ended: %v", err)
		}
		m.Close(context.Background(), true)
	})
	return m
}

// split parts lines in those of a partition and all others.
func (d *deployment) split(lines []string, partition int32) (of, others []string) {
	for _, line := range lines {
		if d.event(line).Partition == partition {
			of = append(of, line)
		} else {
			others = append(others, line)
		}
	}
	return of, others
}

// group waits until the processors' group is in a state, with as many members.
func (d *deployment) group(state string, members int) {
	d.t.Helper()
	name := d.kafka.ProcessorGroup()
	d.until(func() (bool, string) {
		groups, err := d.admin.DescribeGroups(d.t.Context(), name)
		d.must(err)
		g := groups[name]
		return g.State == state && len(g.Members) == members, fmt.Sprintf("the group is %s with %d members, want %s with %d", g.State, len(g.Members), state, members)
	})
}

// TestRow02MovedBeforeTheEnd lets a second processor join while the first has
// polled records. As long as it may fold them, no partition moves; and where
// one moves before the transaction has ended, its records are the other's.
func TestRow02MovedBeforeTheEnd(t *testing.T) {
	onEach(t, func(t *testing.T, at place) {
		d, sent := flights(t, at, 3, 900)
		d.rt.Config.Processor.Slots = 1
		cl := d.client()
		m := d.member()
		d.must(d.send(t.Context(), cl, sent[:300]))
		d.processed()

		holding, ending := newGate(t), newGate(t)
		m.release.Store(holding)
		m.end.Store(ending)
		d.must(d.send(t.Context(), cl, sent[300:600]))
		holding.wait(d)
		d.processor()
		d.group("PreparingRebalance", 2)
		time.Sleep(4 * sessionTimeout / 10) // heartbeats that would tell it
		d.group("PreparingRebalance", 2)
		if lost := m.revocations(); len(lost) > 0 {
			t.Errorf("it lost the partitions %v while it held their records", lost)
		}

		before := m.committed.Load()
		holding.opened()
		ending.wait(d)
		d.until(func() (bool, string) {
			return len(m.revocations()) > 0, "no partition was taken from it after it let the rebalance in"
		})
		d.group("Stable", 2)
		from := d.look(t.Context())
		d.await("the other to count what moved", func(p progress) bool { return p.committed > from.committed || p.committed > 300 })
		ending.opened()
		d.must(d.send(t.Context(), cl, sent[600:]))
		d.countedOnce(sent)
		if m.committed.Load() == before {
			t.Error("it counted nothing more, so it shows nothing")
		}
	})
}

// TestRow03SecondRevocationIsNotTold takes partitions twice from a processor
// that is about to end a transaction. The client tells it of the first ones
// only; when all come back, what it knew of the second must not be used.
func TestRow03SecondRevocationIsNotTold(t *testing.T) {
	onEach(t, func(t *testing.T, at place) {
		d, sent := flights(t, at, 3, 1_200)
		d.rt.Config.Processor.Slots = 1
		cl := d.client()
		m := d.member()
		d.must(d.send(t.Context(), cl, sent[:300]))
		d.processed()

		// The batch has records of the partition that it keeps: where the outcome
		// of others becomes uncertain, the session is replaced and forgets all.
		kept, others := d.split(sent[300:600], 0)
		ending := newGate(t)
		m.end.Store(ending)
		d.must(d.send(t.Context(), cl, kept))
		ending.wait(d)
		var stops []func()
		for n := range 2 {
			d.rt.Config.Processor.Instance = fmt.Sprint("other-", n) // in one process, a name each
			_, stop := d.processor()
			stops = append(stops, stop)
			d.until(func() (bool, string) {
				lost := m.revocations()
				return len(lost) == 1 && lost[0] != 0, fmt.Sprintf("it was told to have lost %v, want one partition but 0", lost)
			})
			d.group("Stable", n+2)
		}
		time.Sleep(4 * sessionTimeout / 10) // in which it would be told of a second
		if lost := m.revocations(); len(lost) != 1 {
			t.Fatalf("the client has told it of both, %v: this row cannot happen any more", lost)
		}
		d.must(d.send(t.Context(), cl, append(others, sent[600:900]...)))
		ending.opened()
		d.processed()
		for _, stop := range stops {
			stop()
		}
		d.group("Stable", 1)
		d.must(d.send(t.Context(), cl, sent[900:]))
		d.countedOnce(sent)
	})
}
