package kafkalog_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/kafkalog"
)

// pending commits an offset inside a transaction, and returns what ends it.
func pending(t *testing.T, cfg kafkalog.Config, id string, partition int32, offset int64) (end func(commit bool)) {
	t.Helper()
	ctx := withTimeout(t)
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(kmsg.TxnOffsetCommit.Int16(), 4) // from 6 on, topics go only by ID
	cl := newClient(t, cfg, kgo.TransactionalID(cfg.Prefix+"."+id), kgo.MaxVersions(versions))
	producer, epoch, err := cl.ProducerID(ctx)
	if err != nil {
		t.Fatal(err)
	}
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = cfg.Prefix+"."+id, producer, epoch, cfg.ProcessorGroup()
	added, err := add.RequestWith(ctx, cl)
	if err == nil {
		err = kerr.ErrorForCode(added.ErrorCode)
	}
	if err != nil {
		t.Fatal(err)
	}
	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.TransactionalID, commit.ProducerID, commit.ProducerEpoch, commit.Group = cfg.Prefix+"."+id, producer, epoch, cfg.ProcessorGroup()
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic = cfg.Topic("events")
	p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset, p.Metadata = partition, offset, kmsg.StringPtr("stamp "+id)
	topic.Partitions = append(topic.Partitions, p)
	commit.Topics = append(commit.Topics, topic)
	committed, err := commit.RequestWith(ctx, cl)
	if err == nil {
		err = kerr.ErrorForCode(committed.Topics[0].Partitions[0].ErrorCode)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func(commit bool) {
		t.Helper()
		req := kmsg.NewPtrEndTxnRequest()
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = cfg.Prefix+"."+id, producer, epoch, commit
		ended, err := req.RequestWith(ctx, cl)
		if err == nil {
			err = kerr.ErrorForCode(ended.ErrorCode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// begun commits for another partition, so that there is a group and somebody
// who coordinates it.
func begun(t *testing.T, cfg kafkalog.Config) {
	t.Helper()
	adm := kadm.NewClient(newClient(t, cfg))
	offsets := kadm.OffsetsFromRecords(kgo.Record{Topic: cfg.Topic("events"), Partition: 2})
	for ctx := withTimeout(t); ; time.Sleep(20 * time.Millisecond) {
		err := adm.CommitAllOffsets(ctx, cfg.ProcessorGroup(), offsets)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

// TestCommittedWaitsForWhatIsPending asks for a partition's offset while a
// transaction on it is open: the answer has to wait for its end. That of a
// partition's very first commit is rows 6 and 41b of the failure matrix: asked
// for all partitions, a broker leaves it out.
func TestCommittedWaitsForWhatIsPending(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		apply(t, cfg, dev)
		positions, err := kafkalog.NewPositions(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(positions.Close)
		begun(t, cfg)
		if c, err := positions.Committed(withTimeout(t), 1); err != nil || !c.Absent || c.Initialized {
			t.Fatalf("before any commit: %+v, %v", c, err)
		}
		for _, c := range []struct {
			id     string
			offset int64
			commit bool
			want   int64
			stamp  string
		}{
			{"first", 5, true, 5, "stamp first"},
			{"aborted", 7, false, 5, "stamp first"},
			{"second", 9, true, 9, "stamp second"},
		} {
			end := pending(t, cfg, c.id, 1, c.offset)
			short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			got, err := positions.Committed(short, 1)
			cancel()
			if err == nil || short.Err() == nil {
				t.Errorf("%s: while it is pending the answer is %+v, %v", c.id, got, err)
			}
			answer := make(chan engine.Committed, 1)
			go func() {
				got, err := positions.Committed(withTimeout(t), 1)
				if err != nil {
					t.Errorf("%s: %v", c.id, err)
				}
				answer <- got
			}()
			end(c.commit)
			if got := <-answer; got.Absent || got.Offset != c.want || got.Metadata != c.stamp {
				t.Errorf("%s: after its end the answer is %+v, want %d with %q", c.id, got, c.want, c.stamp)
			}
		}
	})
}
