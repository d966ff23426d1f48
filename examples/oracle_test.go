package examples

import (
	"testing"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/fold"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// The same hunts by way of the wire: each line is a record of a topic with four
// partitions, in structured mode, and the sequential oracle folds them.
func TestOracle(t *testing.T) {
	const partitions = 4
	wanted := map[string]struct {
		applied, duplicate int64
		notifications      int
		participants       int
	}{
		"flights": {applied: 53_317, duplicate: 1_066, notifications: 15_222, participants: 3_148},
		"harbour": {applied: 38_192, duplicate: 2_542, notifications: 6_932, participants: 1_000},
		"quiz":    {applied: 6_127, duplicate: 295, notifications: 839, participants: 180},
	}
	for _, name := range Names() {
		want := wanted[name]
		f := fold.New(compile(t, name), partitions)
		var oracles [partitions]*fold.Oracle
		var next [partitions]int64
		for p := range oracles {
			oracles[p] = fold.NewOracle(f, int32(p))
		}
		notifications, rejected := 0, int64(0)
		lines, events := sentOf(t, name)
		for i, line := range lines {
			key := []byte(events[i].PartitionKey)
			p := wire.PartitionFor(key, partitions)
			r := wire.Record{
				Partition: p, Offset: next[p], Timestamp: arrival, Key: key, Value: []byte(line),
				Headers: []wire.Header{{Key: "content-type", Value: []byte("application/cloudevents+json; charset=UTF-8")}},
			}
			next[p]++
			out, err := oracles[p].Feed(&r)
			if err != nil {
				t.Fatal(err)
			}
			for n := range out {
				switch out[n].Topic {
				case engine.Notifications:
					notifications++
				case engine.Rejected:
					rejected++
				case engine.Events:
					t.Fatalf("%s is on the wrong partition", line)
				}
			}
		}
		var fates [participant.FateCount]int64
		participants := 0
		for _, o := range oracles {
			for fate, n := range o.Fates() {
				fates[fate] += n
			}
			for range o.States() {
				participants++
			}
		}
		var others int64
		for fate, n := range fates {
			if fate != int(participant.Applied) && fate != int(participant.Duplicate) {
				others += n
			}
		}
		if fates[participant.Applied] != want.applied || fates[participant.Duplicate] != want.duplicate || others != 0 {
			t.Errorf("%s: fates are %v", name, fates)
		}
		if notifications != want.notifications || rejected != want.duplicate || participants != want.participants {
			t.Errorf("%s: %d notifications, %d rejected, %d participants", name, notifications, rejected, participants)
		}
	}
}
