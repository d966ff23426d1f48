package kafkalog

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/preflight"
)

// effective returns what the checks say of a client with these options.
func effective(t *testing.T, opts ...kgo.Opt) map[string]preflight.Result {
	t.Helper()
	byID := map[string]preflight.Result{}
	// Nobody is at the address: whatever asks it is seen by its time.
	cfg := Config{Brokers: []string{"127.0.0.1:1"}, Prefix: "p"}
	for _, r := range preflight.Run(t.Context(), effectiveChecks(cfg, opts), preflight.Options{}).Results {
		byID[r.ID] = r
	}
	return byID
}

// One deviation each is seen by its own check, and by no other.
func TestC01C02C03C06EffectiveOptions(t *testing.T) {
	t.Parallel()
	ours := append(committedOnly(), ownCommits()...)
	for name, c := range map[string]struct {
		opts []kgo.Opt
		id   string
	}{
		"ours":             {ours, ""},
		"C01 uncommitted":  {append(ours[:len(ours):len(ours)], kgo.FetchIsolationLevel(kgo.ReadUncommitted())), "C01"},
		"C02 from the end": {append(ours[:len(ours):len(ours)], kgo.ConsumeStartOffset(kgo.NewOffset().AtEnd())), "C02"},
		"C03 a jump":       {append(ours[:len(ours):len(ours)], kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())), "C03"},
		"C06 by itself":    {committedOnly(), "C06"},
	} {
		for id, r := range effective(t, c.opts...) {
			want := preflight.Pass
			if id == c.id {
				want = preflight.Fail
			}
			if r.State != want || r.Observed == "" {
				t.Errorf("%s: %s is %s: %s, want %s", name, id, r.State, r.Observed, want)
			}
		}
	}
	if n := len(effective(t, ours...)); n != 4 {
		t.Errorf("%d checks", n)
	}
}

type noHolder struct{}

func (noHolder) Assigned([]delivery.TopicPartition) {}
func (noHolder) Revoked([]delivery.TopicPartition)  {}
func (noHolder) Lost([]delivery.TopicPartition)     {}

// What the checks report is what the members of both groups have in force.
func TestEffectiveOptionsAreTheMembers(t *testing.T) {
	t.Parallel()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	cfg := Config{Brokers: c.ListenAddrs(), Prefix: "p", BootID: "b"}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := NewSession(ctx, SessionConfig{Config: cfg, SessionTimeout: 10 * time.Second, TransactionTimeout: 8 * time.Second, RebalanceTimeout: 30 * time.Second}, nil, nil, func(engine.Input) {})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(ctx, false)
	n, err := NewNotifications(NotificationsConfig{Config: cfg, SessionTimeout: 10 * time.Second, RebalanceTimeout: 30 * time.Second}, noHolder{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.cl.Close()
	probe, err := kgo.NewClient(cfg.Options(append(committedOnly(), kgo.ConsumerGroup("x"), kgo.DisableAutoCommit())...)...)
	if err != nil {
		t.Fatal(err)
	}
	defer probe.Close()
	for name, option := range map[string]any{
		"isolation": kgo.FetchIsolationLevel, "start": kgo.ConsumeStartOffset, "reset": kgo.ConsumeResetOffset, "commits": kgo.DisableAutoCommit,
	} {
		want := probe.OptValue(option)
		if got := s.txn.Client().OptValue(option); got != want {
			t.Errorf("%s: the processor has %v, the check says %v", name, got, want)
		}
		if got := n.cl.OptValue(option); got != want {
			t.Errorf("%s: the notifier has %v, the check says %v", name, got, want)
		}
	}
}

// A member of no topic joins no group: the check leaves no trace on the brokers.
func TestEffectiveChecksContactNobody(t *testing.T) {
	t.Parallel()
	start := time.Now()
	for id, r := range effective(t, append(committedOnly(), ownCommits()...)...) {
		if r.State != preflight.Pass || !strings.Contains(r.Observed, "no setting changes it") {
			t.Errorf("%s without brokers: %+v", id, r)
		}
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("without brokers it takes %v", took)
	}
}
