package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/wire"
)

// Limits of a direct reader.
const (
	readChunk      = 5_000    // records handed on at once, at most
	readFetchBytes = 16 << 20 // bytes fetched ahead
	readStall      = 30 * time.Second
)

// Errors of a direct reader.
var (
	// ErrOutOfRange: the log no longer holds, or does not yet hold, an offset
	// that was asked for.
	ErrOutOfRange = errors.New("offset out of the log's range")
	// ErrUndecided: an open transaction hides committed records below an
	// offset that was asked for. It may be asked for again later.
	ErrUndecided = errors.New("an open transaction holds back the last stable offset")
	// ErrNoTopic: the brokers do not know the topic.
	ErrNoTopic = errors.New("unknown topic")
)

// PartitionBounds are the offsets a partition can be read between.
type PartitionBounds struct {
	Partition int32
	Start     int64 // the oldest record's
	End       int64 // the high watermark: one past the newest record
	Stable    int64 // the last stable offset: everything below it is decided; at most End
}

// Bounds returns the bounds of every partition of a topic (its full name), in
// the order of the partitions, or ErrNoTopic.
func Bounds(ctx context.Context, cfg Config, topic string) ([]PartitionBounds, error) {
	cl, err := kgo.NewClient(cfg.Options()...)
	if err != nil {
		return nil, fmt.Errorf("create the client that reads the bounds of %s: %w", topic, err)
	}
	defer cl.Close()
	return bounds(ctx, cl, topic)
}

// bounds lists the end last, so that a log that grows meanwhile never shows an
// end below the stable offset.
func bounds(ctx context.Context, cl *kgo.Client, topic string) ([]PartitionBounds, error) {
	adm := kadm.NewClient(cl)
	byPartition := map[int32]*PartitionBounds{}
	for _, list := range []struct {
		what string
		ask  func(context.Context, ...string) (kadm.ListedOffsets, error)
		set  func(*PartitionBounds, int64)
	}{
		{"log start", adm.ListStartOffsets, func(b *PartitionBounds, o int64) { b.Start = o }},
		{"last stable", adm.ListCommittedOffsets, func(b *PartitionBounds, o int64) { b.Stable = o }},
		{"end", adm.ListEndOffsets, func(b *PartitionBounds, o int64) { b.End = o }},
	} {
		listed, err := list.ask(ctx, topic)
		if err == nil {
			err = listed.Error()
		}
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			return nil, fmt.Errorf("%w %s", ErrNoTopic, topic)
		}
		if err != nil {
			return nil, fmt.Errorf("list the %s offsets of %s: %w", list.what, topic, err)
		}
		for p, o := range listed[topic] {
			if byPartition[p] == nil {
				byPartition[p] = &PartitionBounds{Partition: p}
			}
			list.set(byPartition[p], o.Offset)
		}
	}
	if len(byPartition) == 0 {
		return nil, fmt.Errorf("%w %s", ErrNoTopic, topic)
	}
	all := make([]PartitionBounds, 0, len(byPartition))
	for _, b := range byPartition {
		all = append(all, *b)
	}
	slices.SortFunc(all, func(a, b PartitionBounds) int { return int(a.Partition) - int(b.Partition) })
	return all, nil
}

// ReadPartition hands the records at offsets from ≤ o < to of one partition of
// a topic (its full name) to fn, in order, in chunks, which fn may keep.
// With committed, records of aborted transactions are left out.
//
// It ends by position: the record at to−1 may be a transaction's marker, an
// aborted record or compacted away, so that waiting for it would never end.
// It fails with ErrOutOfRange where the log does not hold [from, to), and with
// ErrUndecided where committed is asked for and to is above the last stable
// offset; it never waits for records that are yet to be written.
func ReadPartition(ctx context.Context, cfg Config, topic string, partition int32, from, to int64, committed bool, fn func([]wire.Record) error) error {
	isolation := kgo.ReadUncommitted()
	if committed {
		isolation = kgo.ReadCommitted()
	}
	cl, err := kgo.NewClient(cfg.Options(
		kgo.FetchIsolationLevel(isolation),
		kgo.KeepControlRecords(), // a marker is how an aborted tail shows its end
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxBytes(readFetchBytes), kgo.FetchMaxPartitionBytes(readFetchBytes),
		kgo.FetchMaxWait(500*time.Millisecond),
	)...)
	if err != nil {
		return fmt.Errorf("create the client that reads %s/%d: %w", topic, partition, err)
	}
	defer cl.Close()
	if err := checkRange(ctx, cl, topic, partition, from, to, committed); err != nil {
		return err
	}
	if from >= to {
		return nil
	}
	cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(from)}})
	if err := readTo(ctx, cl, to, fn); err != nil {
		return fmt.Errorf("read %s/%d from %d to %d: %w", topic, partition, from, to, err)
	}
	return nil
}

func checkRange(ctx context.Context, cl *kgo.Client, topic string, partition int32, from, to int64, committed bool) error {
	all, err := bounds(ctx, cl, topic)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(b PartitionBounds) bool { return b.Partition == partition })
	if i < 0 {
		return fmt.Errorf("%w: %s has no partition %d", ErrNoTopic, topic, partition)
	}
	switch b := all[i]; {
	case from < b.Start || to > b.End:
		return fmt.Errorf("%w: %s/%d holds %d to %d, not %d to %d", ErrOutOfRange, topic, partition, b.Start, b.End, from, to)
	case committed && to > b.Stable:
		return fmt.Errorf("%w: %s/%d is decided up to %d, below %d", ErrUndecided, topic, partition, b.Stable, to)
	default:
		return nil
	}
}

// readTo polls until a record at or past to−1 was seen.
func readTo(ctx context.Context, cl *kgo.Client, to int64, fn func([]wire.Record) error) error {
	var chunk []*kgo.Record
	next, moved := int64(-1), time.Now()
	for next < to {
		poll, cancel := context.WithTimeout(ctx, time.Second)
		fetches := cl.PollRecords(poll, readChunk)
		cancel()
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fetchError(fetches); err != nil {
			return err
		}
		chunk = chunk[:0]
		for iter := fetches.RecordIter(); !iter.Done(); {
			r := iter.Next()
			next, moved = r.Offset+1, time.Now()
			if r.Offset < to && !r.Attrs.IsControl() {
				chunk = append(chunk, r)
			}
		}
		if len(chunk) > 0 {
			if err := fn(Records(chunk)); err != nil {
				return err
			}
			moved = time.Now() // a slow fn is not a stalled log
		}
		if time.Since(moved) > readStall {
			return fmt.Errorf("nothing came for %v after offset %d: look at the brokers' logs", readStall, next-1)
		}
	}
	return nil
}

// fetchError returns what made a poll fail, but for the poll's own deadline.
func fetchError(fetches kgo.Fetches) error {
	for _, e := range fetches.Errors() {
		switch {
		case errors.Is(e.Err, context.DeadlineExceeded):
		case errors.Is(e.Err, kerr.OffsetOutOfRange):
			return fmt.Errorf("%w: retention or a delete passed the reader: %w", ErrOutOfRange, e.Err)
		default:
			return e.Err
		}
	}
	return nil
}
