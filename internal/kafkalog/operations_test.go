package kafkalog_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/kafkalog"
)

// The manifest remembers the newest operations and one base for each partition,
// and a rebase that is begun again once.
func TestOperationsAreRemembered(t *testing.T) {
	cfg := kafkalog.Config{Brokers: fakeBrokers(t), Prefix: "p", BootID: "b"}
	createManifestTopic(t, cfg)
	note := func(o kafkalog.ManifestOperation, base *kafkalog.ManifestBase) {
		t.Helper()
		if err := kafkalog.NoteOperation(withTimeout(t), cfg, o, base); err != nil {
			t.Fatal(err)
		}
	}
	rebase := kafkalog.ManifestOperation{Command: "rebase", Mode: "lossless", Partition: 2, From: 1, To: 9, Who: "ada@host", Reason: "why"}
	if err := kafkalog.NoteOperation(withTimeout(t), cfg, rebase, nil); err == nil {
		t.Error("an operation was noted where there is no manifest")
	}
	if _, err := kafkalog.UpdateManifest(withTimeout(t), cfg, func(*kafkalog.Manifest) (*kafkalog.Manifest, error) {
		return &kafkalog.Manifest{Partitions: 4, Initialized: []int32{3}}, nil
	}); err != nil {
		t.Fatal(err)
	}
	note(rebase, nil)
	again := rebase
	again.Reason = "again"
	note(again, nil)
	rebuild := kafkalog.ManifestOperation{Command: "rebuild", Partition: 1, From: 5, To: 5}
	for range 105 {
		note(rebuild, nil)
	}
	snapshot := engine.Snapshot{Token: "t", Start: 7, Offset: 7, Digest: 1<<63 + 1, Participants: 3, ID: "base/x/1/2"}
	for n := range int32(2) {
		for _, p := range []int32{3, 0} {
			s := snapshot
			s.ID = fmt.Sprint("base/", n)
			b := kafkalog.NewManifestBase(p, s, 10, 20)
			note(kafkalog.ManifestOperation{Command: "rebase", Mode: "accept-loss", Partition: p, To: 7}, &b)
		}
	}
	m, err := kafkalog.ReadManifest(withTimeout(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(m.Initialized, []int32{0, 1, 2, 3}) || len(m.Bases) != 2 || m.Base(1) != nil || m.Base(2) != nil {
		t.Errorf("%+v", m)
	}
	if n := len(m.Operations); n != 100 || m.Operations[n-1].Mode != "accept-loss" || m.Operations[0].Command != "rebuild" {
		t.Errorf("%d operations: %+v", n, m.Operations)
	}
	want := snapshot
	want.ID = "base/1"
	for _, p := range []int32{0, 3} {
		b := m.Base(p)
		if got, err := b.Snapshot(); err != nil || got != want || b.Notifications != 10 || b.Rejected != 20 {
			t.Errorf("the base of partition %d is %+v, %v", p, b, err)
		}
	}
}

func TestRebaseBegunAgainIsNotedOnce(t *testing.T) {
	cfg := kafkalog.Config{Brokers: fakeBrokers(t), Prefix: "p", BootID: "b"}
	createManifestTopic(t, cfg)
	if _, err := kafkalog.UpdateManifest(withTimeout(t), cfg, func(*kafkalog.Manifest) (*kafkalog.Manifest, error) {
		return &kafkalog.Manifest{Partitions: 4}, nil
	}); err != nil {
		t.Fatal(err)
	}
	o := kafkalog.ManifestOperation{Command: "rebase", Mode: "lossless", Partition: 2, From: 1, To: 9, Reason: "first"}
	for _, c := range []struct {
		change func(*kafkalog.ManifestOperation)
		want   int
	}{
		{func(*kafkalog.ManifestOperation) {}, 1},
		{func(o *kafkalog.ManifestOperation) { o.Reason = "again" }, 1},
		{func(o *kafkalog.ManifestOperation) { o.To = 10 }, 2},
		{func(o *kafkalog.ManifestOperation) { o.Command = "rebuild" }, 3},
		{func(*kafkalog.ManifestOperation) {}, 4},
	} {
		c.change(&o)
		if err := kafkalog.NoteOperation(withTimeout(t), cfg, o, nil); err != nil {
			t.Fatal(err)
		}
		m, err := kafkalog.ReadManifest(withTimeout(t), cfg)
		if err != nil || len(m.Operations) != c.want || m.Operations[0].Reason != "first" {
			t.Fatalf("after %+v: %+v, %v", o, m.Operations, err)
		}
	}
}
