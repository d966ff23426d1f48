package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/wire"
)

// replayChunk bounds the records of one Replay.
const replayChunk = 10_000

// Positions implements engine.Positions. It is shared by all sessions of a
// process and safe for concurrent use.
type Positions struct {
	cfg   Config
	cl    *kgo.Client
	group string

	reads, marks *turns                  // at the manifest: whether partitions have had a commit, and that they have
	initialized  atomic.Pointer[[]int32] // as the manifest said when it was read last
}

// NewPositions returns a reader of positions of the processor group.
func NewPositions(cfg Config) (*Positions, error) {
	cl, err := kgo.NewClient(cfg.Options(byTopicName())...)
	if err != nil {
		return nil, fmt.Errorf("create the client that reads positions: %w", err)
	}
	return &Positions{cfg: cfg, cl: cl, group: cfg.ProcessorGroup(), reads: newTurns(), marks: newTurns()}, nil
}

// Reader reads on the same connections.
func (p *Positions) Reader() *Reader { return &Reader{p.cl} }

// Close ends the client.
func (p *Positions) Close() { p.cl.Close() }

// Committed implements engine.Positions. The request names the partition: one
// that asks for all leaves out, without an error, a partition whose first
// commit is still pending.
func (p *Positions) Committed(ctx context.Context, partition int32) (engine.Committed, error) {
	var c engine.Committed
	for {
		stable, err := p.fetchCommitted(ctx, partition, &c)
		if err != nil {
			return c, err
		}
		if stable {
			break
		}
		select { // a transaction on it is pending: usually tens of milliseconds
		case <-ctx.Done():
			return c, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	var err error
	if c.Initialized, err = p.isInitialized(ctx, partition, c.Absent); err != nil {
		return c, err
	}
	bounds, err := boundsOf(ctx, p.cl, p.cfg.Topic("events"), partition)
	if err != nil {
		return c, err
	}
	c.LogStart, c.LogEnd = bounds.Start, bounds.End
	err = p.epochEnd(ctx, partition, &c)
	return c, err
}

// epochEnd asks the leader where the epoch of the last committed record ends in
// its log: before the committed offset only where the records were replaced.
func (p *Positions) epochEnd(ctx context.Context, partition int32, c *engine.Committed) error {
	if c.Absent || c.Epoch < 0 {
		return nil // the commit does not say
	}
	topic := p.cfg.Topic("events")
	var req kadm.OffsetForLeaderEpochRequest
	req.Add(topic, partition, c.Epoch)
	all, err := kadm.NewClient(p.cl).OffsetForLeaderEpoch(ctx, req)
	if err != nil {
		return fmt.Errorf("ask where leader epoch %d of partition %d ends: %w", c.Epoch, partition, err)
	}
	got, ok := all[topic][partition]
	if !ok {
		return fmt.Errorf("ask where leader epoch %d of partition %d ends: the answer leaves it out", c.Epoch, partition)
	}
	if got.Err != nil {
		return fmt.Errorf("ask where leader epoch %d of partition %d ends: %w", c.Epoch, partition, got.Err)
	}
	c.EpochKnown, c.EpochEnd = got.LeaderEpoch >= 0, got.EndOffset
	return nil
}

func (p *Positions) fetchCommitted(ctx context.Context, partition int32, c *engine.Committed) (stable bool, err error) {
	topic := p.cfg.Topic("events")
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable = true
	group := kmsg.NewOffsetFetchRequestGroup()
	group.Group = p.group
	t := kmsg.NewOffsetFetchRequestGroupTopic()
	t.Topic, t.Partitions = topic, []int32{partition}
	group.Topics = append(group.Topics, t)
	req.Groups = append(req.Groups, group)
	resp, err := req.RequestWith(ctx, p.cl)
	if err != nil {
		return false, fmt.Errorf("fetch the committed offset of partition %d: %w", partition, err)
	}
	for _, g := range resp.Groups {
		if err := kerr.ErrorForCode(g.ErrorCode); err != nil {
			return false, fmt.Errorf("fetch the committed offset of partition %d: %w", partition, err)
		}
		for _, t := range g.Topics {
			for _, r := range t.Partitions {
				if r.Partition != partition {
					continue
				}
				err := kerr.ErrorForCode(r.ErrorCode)
				if errors.Is(err, kerr.UnstableOffsetCommit) {
					return false, nil
				}
				if err != nil {
					return false, fmt.Errorf("fetch the committed offset of partition %d: %w", partition, err)
				}
				c.Absent, c.Offset, c.Epoch = r.Offset < 0, r.Offset, r.LeaderEpoch
				if r.Metadata != nil {
					c.Metadata = *r.Metadata
				}
				return true, nil
			}
		}
	}
	return false, fmt.Errorf("fetch the committed offset of partition %d: the answer leaves it out", partition)
}

// Replay implements engine.Positions.
func (p *Positions) Replay(ctx context.Context, partition int32, from, to int64) ([]wire.Record, int64, error) {
	to = min(to, from+replayChunk)
	records := make([]wire.Record, 0, to-from)
	err := p.Reader().Read(ctx, p.cfg.Topic("events"), partition, from, to, true, func(chunk []wire.Record) error {
		records = append(records, chunk...)
		return nil
	})
	if errors.Is(err, ErrOutOfRange) {
		err = fmt.Errorf("%w: %w", engine.ErrLogStart, err)
	}
	return records, to, err
}

// isInitialized reports whether the manifest knows of a commit. Once it does, it
// always does, unless there is none any more: then it is read again. A process that
// begins with many new partitions asks for all of them at once.
func (p *Positions) isInitialized(ctx context.Context, partition int32, absent bool) (bool, error) {
	if known := p.initialized.Load(); !absent && known != nil && slices.Contains(*known, partition) {
		return true, nil
	}
	manifest, err := p.reads.Take(ctx, partition, func([]int32) (*Manifest, error) { return ReadManifest(ctx, p.cfg) })
	if err != nil || manifest == nil {
		return false, err
	}
	p.initialized.Store(&manifest.Initialized)
	return slices.Contains(manifest.Initialized, partition), nil
}

// MarkInitialized implements engine.Positions. A process that begins with many new
// partitions notes all of them at once.
func (p *Positions) MarkInitialized(ctx context.Context, partition int32) error {
	_, err := p.marks.Take(ctx, partition, func(partitions []int32) (*Manifest, error) { return p.initialize(ctx, partitions) })
	return err
}

// initialize notes in the manifest that partitions have had a commit.
func (p *Positions) initialize(ctx context.Context, partitions []int32) (*Manifest, error) {
	return UpdateManifest(ctx, p.cfg, func(old *Manifest) (*Manifest, error) {
		if old == nil {
			return nil, errors.New("the manifest is missing: run veltrix topics apply")
		}
		next := *old
		next.Initialized = slices.Concat(old.Initialized, partitions)
		slices.Sort(next.Initialized)
		next.Initialized = slices.Compact(next.Initialized)
		return &next, nil
	})
}
