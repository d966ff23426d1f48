package kafkalog

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/preflight"
)

// watchedGroup is a group that has 100 events of 40 minutes ago before it, and what
// a second look at it finds.
type watchedGroup struct {
	t     *testing.T
	cfg   Config
	seen  groupSeen
	later groupLater
}

func newWatchedGroup(t *testing.T) *watchedGroup {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	g := &watchedGroup{t: t, cfg: Config{Brokers: c.ListenAddrs(), Prefix: "p", BootID: "b"}}
	if _, err := ApplyTopics(t.Context(), g.cfg, TopicPlanOptions{Profile: "dev", Partitions: 1, Replication: 1}); err != nil {
		t.Fatal(err)
	}
	g.set("message.timestamp.type", "CreateTime")
	then := time.Now().Add(-40 * time.Minute)
	for i := range 100 {
		r := &kgo.Record{Topic: g.cfg.Topic("events"), Value: fmt.Append(nil, i), Timestamp: then}
		if err := g.client().ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	member := groupMember{name: "ours", id: "ours", slot: 0}
	g.seen = groupSeen{bounds: []PartitionBounds{{End: 100, Stable: 100}}, commits: map[int32]int64{0: 0}, owners: map[int32]groupMember{0: member}}
	g.later = groupLater{after: 6 * time.Second, commits: map[int32]int64{0: 0}, owners: map[int32]groupMember{0: member}}
	return g
}

func (g *watchedGroup) client(opts ...kgo.Opt) *kgo.Client {
	g.t.Helper()
	cl, err := kgo.NewClient(g.cfg.Options(opts...)...)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(cl.Close)
	return cl
}

func (g *watchedGroup) set(name, value string) {
	g.t.Helper()
	all, err := kadm.NewClient(g.client()).AlterTopicConfigs(g.t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: name, Value: &value}}, g.cfg.Topic("events"))
	if err != nil || all[0].Err != nil {
		g.t.Fatal(err, all)
	}
}

func (g *watchedGroup) expect(what string, check func(*groupChecks, context.Context, *groupSeen) preflight.Finding, state preflight.State, observed string) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), 20*time.Second)
	defer cancel()
	checks := &groupChecks{cfg: g.cfg, opts: GroupOptions{Slots: 1, Stall: time.Minute}, then: once[groupLater]{done: true, seen: &g.later}}
	if f := check(checks, ctx, &g.seen); f.State != state || !strings.Contains(f.Observed, observed) {
		g.t.Errorf("%s: %s: %s; want %s with %q", what, f.State, f.Observed, state, observed)
	}
}

// TestC04PaceOfTheGroup: at one event in six seconds the lag takes ten minutes, and
// the log must outlast twice that.
func TestC04PaceOfTheGroup(t *testing.T) {
	t.Parallel()
	g := newWatchedGroup(t)
	g.later.commits[0] = 1
	g.set("retention.ms", fmt.Sprint((55 * time.Minute).Milliseconds()))
	g.expect("15 minutes are left", (*groupChecks).headroom, preflight.Warn, "and the 100 that wait take 10m0s")
	g.set("retention.ms", fmt.Sprint((65 * time.Minute).Milliseconds()))
	g.expect("25 minutes are left", (*groupChecks).headroom, preflight.Pass, "the group is fast enough")
}

// TestC10WhatCountsAsStuck: a processor's partition with decided events before it,
// which nobody took over and whose own slot has no transaction open.
func TestC10WhatCountsAsStuck(t *testing.T) {
	t.Parallel()
	g := newWatchedGroup(t)
	other := g.client(kgo.TransactionalID("p.processor.1.b"))
	if err := other.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := other.ProduceSync(t.Context(), &kgo.Record{Topic: g.cfg.Topic("receipts")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	g.expect("another slot's transaction is open", (*groupChecks).progress, preflight.Fail, "partition 0 at ours: 100 events wait")
	g.later.commits[0] = 1
	g.expect("it moves", (*groupChecks).progress, preflight.Pass, "all of them move")
	g.later.commits[0], g.later.owners[0] = 0, groupMember{id: "another", slot: 0}
	g.expect("another has it now", (*groupChecks).progress, preflight.Pass, "all of them move")
	delete(g.later.owners, 0)
	g.expect("nobody has it now", (*groupChecks).progress, preflight.Pass, "all of them move")
	g.later.owners[0] = g.seen.owners[0]
	g.seen.bounds[0].Stable = 0
	g.expect("its events are not decided", (*groupChecks).progress, preflight.Pass, "no event waits at a member")
	g.seen.bounds[0].Stable = 100
	g.cfg.Brokers = []string{"127.0.0.1:1"}
	g.expect("transactions cannot be seen", (*groupChecks).progress, preflight.Unknown, "transactions")
	g.seen.owners[0] = groupMember{id: "ours", slot: -1}
	g.expect("it is a stranger's", (*groupChecks).progress, preflight.Pass, "no event waits at a member")
}

// TestC13WentOn: a producer shows that it is alive by its next transaction, and not
// by one that its coordinator ended for it.
func TestC13WentOn(t *testing.T) {
	t.Parallel()
	open := SlotTransaction{state: "Ongoing", epoch: "7/1", started: 1, Open: true}
	for name, c := range map[string]struct {
		later SlotTransaction
		want  bool
	}{
		"the same":               {open, false},
		"ended by it":            {SlotTransaction{state: "CompleteCommit", epoch: "7/2"}, true},
		"the next":               {SlotTransaction{state: "Ongoing", epoch: "7/2", started: 2, Open: true}, true},
		"the next, one epoch":    {SlotTransaction{state: "Ongoing", epoch: "7/1", started: 2, Open: true}, true},
		"ended, one epoch":       {SlotTransaction{state: "CompleteCommit", epoch: "7/1", started: 2}, false},
		"given up":               {SlotTransaction{state: "CompleteAbort", epoch: "7/2"}, false},
		"about to be given up":   {SlotTransaction{state: "PrepareAbort", epoch: "7/2", Open: true}, false},
		"fenced for its timeout": {SlotTransaction{state: "PrepareEpochFence", epoch: "7/2", Open: true}, false},
		"forgotten":              {SlotTransaction{state: "Dead", epoch: "7/2"}, false},
	} {
		if got := open.WentOn(&c.later); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
