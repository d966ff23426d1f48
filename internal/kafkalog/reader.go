package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/veltrix/veltrix/internal/wire"
)

// Limits of a direct reader.
const (
	readChunk         = 5_000    // records handed on at once, at most
	readFetchBytes    = 16 << 20 // bytes fetched ahead
	readFetchBytesMin = 64 << 10
	readStall         = 30 * time.Second
	readWait          = 500 * time.Millisecond // that a broker may hold a fetch with nothing to give
	readRetry         = 100 * time.Millisecond
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

// Reader reads partitions directly, without a group. It is safe for concurrent
// use, and keeps its connections: whoever reads often keeps one.
type Reader struct{ cl *kgo.Client }

// NewReader returns a reader; close it.
func NewReader(cfg Config) (*Reader, error) {
	cl, err := kgo.NewClient(cfg.Options(byTopicName())...)
	if err != nil {
		return nil, fmt.Errorf("create the client that reads: %w", err)
	}
	return &Reader{cl}, nil
}

// Close ends the reader's connections.
func (r *Reader) Close() { r.cl.Close() }

// Bounds is Bounds on this reader's connections.
func (r *Reader) Bounds(ctx context.Context, topic string) ([]PartitionBounds, error) {
	return bounds(ctx, r.cl, topic)
}

// Bounds returns the bounds of every partition of a topic (its full name), in
// the order of the partitions, or ErrNoTopic.
func Bounds(ctx context.Context, cfg Config, topic string) ([]PartitionBounds, error) {
	r, err := NewReader(cfg)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return r.Bounds(ctx, topic)
}

// bounds wants every partition's.
func bounds(ctx context.Context, cl *kgo.Client, topic string) ([]PartitionBounds, error) {
	all, untold, err := eachBounds(ctx, cl, topic)
	if err != nil {
		return nil, err
	}
	for _, p := range slices.Sorted(maps.Keys(untold)) {
		return nil, untold[p]
	}
	return all, nil
}

// EachBounds returns the bounds of the partitions that can be told, and why those
// of the others cannot.
func (r *Reader) EachBounds(ctx context.Context, topic string) ([]PartitionBounds, map[int32]error, error) {
	return eachBounds(ctx, r.cl, topic)
}

// eachBounds lists the end last, so that a log that grows meanwhile never shows an
// end below the stable offset.
func eachBounds(ctx context.Context, cl *kgo.Client, topic string) (all []PartitionBounds, untold map[int32]error, _ error) {
	adm := kadm.NewClient(cl)
	byPartition, untold := map[int32]*PartitionBounds{}, map[int32]error{}
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
		why := func(err error) error { return fmt.Errorf("list the %s offsets of %s: %w", list.what, topic, err) }
		var shards *kadm.ShardErrors
		switch {
		case errors.Is(listed[topic][-1].Err, kerr.UnknownTopicOrPartition), err == nil && len(listed[topic]) == 0:
			return nil, nil, fmt.Errorf("%w %s", ErrNoTopic, topic)
		case listed[topic][-1].Err != nil:
			return nil, nil, why(listed[topic][-1].Err)
		case errors.As(err, &shards):
			for _, s := range shards.Errs { // some brokers did not answer for theirs
				for _, p := range partitionsOf(s.Req, topic) {
					untold[p] = why(s.Err)
				}
			}
		case err != nil:
			return nil, nil, why(err)
		}
		for p, o := range listed[topic] {
			if o.Err != nil {
				untold[p] = why(o.Err)
				continue
			}
			if byPartition[p] == nil {
				byPartition[p] = &PartitionBounds{Partition: p}
			}
			list.set(byPartition[p], o.Offset)
		}
	}
	for p, b := range byPartition {
		if untold[p] == nil {
			all = append(all, *b)
		}
	}
	slices.SortFunc(all, func(a, b PartitionBounds) int { return int(a.Partition) - int(b.Partition) })
	return all, untold, nil
}

// partitionsOf returns the partitions of a topic that a request asked for.
func partitionsOf(req kmsg.Request, topic string) (all []int32) {
	if r, ok := req.(*kmsg.ListOffsetsRequest); ok {
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				if t.Topic == topic {
					all = append(all, p.Partition)
				}
			}
		}
	}
	return all
}

// ReadPartition hands the records at offsets from ≤ o < to of one partition of
// a topic (its full name) to fn, in order, in chunks, which fn may keep.
// With committed, records of aborted transactions are left out.
//
// It ends by position: the record at to−1 may be a transaction's marker, an
// aborted record or compacted away, so that waiting for it would never end.
// Not even a marker need follow: the embedded broker writes none when it
// aborts, at its start, what its predecessor's crash left open. So the fetches
// are made here, where a consumer would hide the position it has reached.
//
// It fails with ErrOutOfRange where the log does not hold [from, to), and with
// ErrUndecided where committed is asked for and to is above the last stable
// offset; it never waits for records that are yet to be written.
func ReadPartition(ctx context.Context, cfg Config, topic string, partition int32, from, to int64, committed bool, fn func([]wire.Record) error) error {
	r, err := NewReader(cfg)
	if err != nil {
		return err
	}
	defer r.Close()
	return r.Read(ctx, topic, partition, from, to, committed, fn)
}

// Read is ReadPartition on this reader's connections.
func (r *Reader) Read(ctx context.Context, topic string, partition int32, from, to int64, committed bool, fn func([]wire.Record) error) error {
	if err := checkRange(ctx, r.cl, topic, partition, from, to, committed); err != nil {
		return err
	}
	return r.readRange(ctx, topic, partition, from, to, committed, fn)
}

// ReadDecided is Read of committed records for whoever has just asked for the
// bounds: that [from, to) is in the log and decided is not asked for again.
func (r *Reader) ReadDecided(ctx context.Context, topic string, partition int32, from, to int64, fn func([]wire.Record) error) error {
	return r.readRange(ctx, topic, partition, from, to, true, fn)
}

func (r *Reader) readRange(ctx context.Context, topic string, partition int32, from, to int64, committed bool, fn func([]wire.Record) error) error {
	f := &reader{cl: r.cl, topic: topic, partition: partition, next: from, isolation: kgo.ReadUncommitted(), decompressor: kgo.DefaultDecompressor()}
	if committed {
		f.isolation = kgo.ReadCommitted()
	}
	// A few records need no large fetch; the broker answers with whole batches.
	f.bytesMax = int32(min(max((to-from)<<10, readFetchBytesMin), readFetchBytes))
	if err := f.readTo(ctx, to, fn); err != nil {
		return fmt.Errorf("read %s/%d from %d to %d: %w", topic, partition, from, to, err)
	}
	return nil
}

func checkRange(ctx context.Context, cl *kgo.Client, topic string, partition int32, from, to int64, committed bool) error {
	switch b, err := boundsOf(ctx, cl, topic, partition); {
	case err != nil:
		return err
	case from < b.Start || to > b.End:
		return fmt.Errorf("%w: %s/%d holds %d to %d, not %d to %d", ErrOutOfRange, topic, partition, b.Start, b.End, from, to)
	case committed && to > b.Stable:
		return fmt.Errorf("%w: %s/%d is decided up to %d, below %d", ErrUndecided, topic, partition, b.Stable, to)
	default:
		return nil
	}
}

// reader is one partition's fetches, one after the other.
type reader struct {
	cl           *kgo.Client
	topic        string
	partition    int32
	isolation    kgo.IsolationLevel
	decompressor kgo.Decompressor

	bytesMax int32 // of one fetch
	control  bool  // hand on the ends of transactions too

	next    int64 // the position: the offset to fetch from
	leader  int32
	topicID [16]byte
	located bool // leader and topicID are known
}

// readTo fetches until the position reaches to. What a broker may answer
// while leaders move is asked again, until nothing has moved for too long.
func (r *reader) readTo(ctx context.Context, to int64, fn func([]wire.Record) error) error {
	for moved := time.Now(); r.next < to; {
		before := r.next
		records, err := r.fetch(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, kerr.OffsetOutOfRange):
			return fmt.Errorf("%w: retention or a delete passed offset %d: %w", ErrOutOfRange, before, err)
		case err != nil && (!passing(err) || time.Since(moved) > readStall):
			return err
		case err == nil && r.next == before && time.Since(moved) > readStall:
			return fmt.Errorf("nothing came for %v after offset %d: look at the brokers' logs", readStall, before-1)
		case err != nil:
			r.located = false
			time.Sleep(readRetry)
			continue
		}
		wanted := slices.DeleteFunc(records, func(k *kgo.Record) bool { return k.Offset >= to })
		for chunk := range slices.Chunk(wanted, readChunk) {
			if err := fn(Records(chunk)); err != nil {
				return err
			}
		}
		if r.next > before {
			moved = time.Now()
		}
	}
	return nil
}

// passing says that an error may go away by asking again. A broker that dies
// while it takes a connection looks like one that wants TLS.
func passing(err error) bool {
	var net net.Error
	var closed *kgo.ErrFirstReadEOF
	return kerr.IsRetriable(err) || errors.As(err, &closed) || kgo.IsRetryableBrokerErr(err) || errors.As(err, &net) ||
		errors.Is(err, kerr.FencedLeaderEpoch) || errors.Is(err, kerr.UnknownTopicID)
}

// fetch makes one request and moves the position past what came, be it data
// or not.
func (r *reader) fetch(ctx context.Context) ([]*kgo.Record, error) {
	if err := r.locate(ctx); err != nil {
		return nil, err
	}
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = int32(readWait.Milliseconds()), 1, r.bytesMax, -1
	if r.isolation == kgo.ReadCommitted() {
		req.IsolationLevel = 1
	}
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = r.topic, r.topicID
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = r.partition, r.next, r.bytesMax
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	answer, err := r.cl.Broker(int(r.leader)).RetriableRequest(ctx, req)
	if err != nil {
		return nil, err
	}
	resp := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return nil, fmt.Errorf("broker %d answered for %d topics, asked for one", r.leader, len(resp.Topics))
	}
	fetched, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: r.next, IsolationLevel: r.isolation, Topic: r.topic, Partition: r.partition, KeepControlRecords: r.control,
	}, &resp.Topics[0].Partitions[0], r.decompressor, nil)
	if fetched.Err != nil {
		return nil, fetched.Err
	}
	r.next = next
	return fetched.Records, nil
}

func (r *reader) locate(ctx context.Context) error {
	if r.located {
		return nil
	}
	meta, err := kadm.NewClient(r.cl).Metadata(ctx, r.topic)
	if err != nil {
		return err
	}
	t := meta.Topics[r.topic]
	if t.Err != nil {
		return t.Err
	}
	p, ok := t.Partitions[r.partition]
	if !ok {
		return kerr.UnknownTopicOrPartition
	}
	if p.Err != nil {
		return p.Err
	}
	r.leader, r.topicID, r.located = p.Leader, t.ID, true
	return nil
}
