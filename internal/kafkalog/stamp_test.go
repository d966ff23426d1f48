package kafkalog

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/veltrix/veltrix/internal/engine"
)

// The client commits what was polled. Where the engine folded something else,
// nothing is committed, unless it says that it stopped before a gap.
func TestOnlyWhatWasFoldedIsCommitted(t *testing.T) {
	for name, c := range map[string]struct {
		offsets map[int32]engine.Commit
		want    int64 // committed; -1: nothing
		epoch   int32
	}{
		"what was polled":        {map[int32]engine.Commit{3: {Offset: 20, Metadata: "s"}}, 20, 5},
		"less":                   {map[int32]engine.Commit{3: {Offset: 12, Metadata: "s"}}, -1, 5},
		"less, before a gap":     {map[int32]engine.Commit{3: {Offset: 12, Metadata: "s", Short: true}}, 12, -1},
		"more, before a gap":     {map[int32]engine.Commit{3: {Offset: 21, Metadata: "s", Short: true}}, -1, 5},
		"nothing of it":          {map[int32]engine.Commit{}, -1, 5},
		"another partition, too": {map[int32]engine.Commit{3: {Offset: 20, Metadata: "s"}, 4: {Offset: 1, Metadata: "s"}}, -1, 5},
	} {
		t.Run(name, func(t *testing.T) {
			req := kmsg.NewTxnOffsetCommitRequest()
			topic := kmsg.NewTxnOffsetCommitRequestTopic()
			p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
			p.Partition, p.Offset, p.LeaderEpoch = 3, 20, 5
			topic.Partitions = append(topic.Partitions, p)
			req.Topics = append(req.Topics, topic)
			err := new(Session).stamp(&req, c.offsets)
			got := req.Topics[0].Partitions[0]
			switch {
			case c.want < 0 && err == nil:
				t.Error("it would be committed")
			case c.want >= 0 && (err != nil || got.Offset != c.want || got.LeaderEpoch != c.epoch || got.Metadata == nil || *got.Metadata != "s"):
				t.Errorf("committed would be %d of epoch %d, %v", got.Offset, got.LeaderEpoch, err)
			}
		})
	}
}
