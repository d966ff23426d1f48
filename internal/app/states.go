package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/ingest"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/wire"
)

// states implements ingest.StateReader and ingest.BoardReader on the view in
// Redis.
type states struct {
	store      *redisstore.State
	partitions int32
	schema     *participant.Schema
	token      string // of the states that schema reads
	kafka      kafkalog.Config
	timeout    time.Duration
}

func stateToken(m *kafkalog.Manifest, schema *participant.Schema, buckets int) string {
	return engine.Token{
		ClusterID: m.ClusterID, TopicID: m.TopicID, Partitions: m.Partitions,
		RulesVersion: schema.Version, RulesDigest: schema.Digest, Buckets: buckets,
	}.String()
}

// absent tells a partition that has no view yet from one whose view is gone: of
// the latter, nobody can say that a participant has no events.
func (s *states) absent(ctx context.Context, partition int32) error {
	manifest, err := kafkalog.ReadManifest(ctx, s.kafka)
	if err == nil && manifest != nil && slices.Contains(manifest.Initialized, partition) {
		return fmt.Errorf("the view of partition %d is gone from Redis; a processor brings it back", partition)
	}
	return err
}

// Participant implements ingest.StateReader.
func (s *states) Participant(ctx context.Context, id string) (*ingest.Participant, error) {
	now, h, asOf, err := s.read(ctx, id)
	if err != nil || h == nil {
		return nil, err
	}
	return &ingest.Participant{
		State: wire.StateJSON(h.Head, s.schema), Floor: wire.FloorJSON(h),
		Partition: wire.PartitionFor([]byte(id), s.partitions), Applied: now.Applied, AsOf: asOf,
	}, nil
}

// read returns a participant's history, or nil, with the offset after the last
// event that entered it and the position that it belongs to.
func (s *states) read(ctx context.Context, id string) (now engine.Meta, _ *participant.History, asOf int64, _ error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	partition := wire.PartitionFor([]byte(id), s.partitions)
	for {
		meta, err := s.store.Meta(ctx, partition)
		if err != nil {
			return meta, nil, 0, err
		}
		if !meta.Exists {
			return meta, nil, 0, s.absent(ctx, partition)
		}
		if err := s.readable(meta); err != nil {
			return meta, nil, 0, err
		}
		now, values, err := s.store.Load(ctx, partition, meta.Generation, []string{id})
		if err != nil {
			return now, nil, 0, err
		}
		if now.Generation != meta.Generation {
			continue // rebuilt between the two reads
		}
		if values[0] == nil {
			return now, nil, 0, nil
		}
		asOf, h, err := wire.DecodeStored(values[0], s.schema)
		if err != nil {
			return now, nil, 0, fmt.Errorf("partition %d: %w", partition, err)
		}
		return now, h, asOf, nil
	}
}

// readable refuses states that were written under other rules or in another
// layout: read by ours, they would be wrong and look right.
func (s *states) readable(meta engine.Meta) error {
	if meta.Token != s.token {
		return fmt.Errorf("the states are of %q, and this gateway reads %q: start it with the rules file and processor.buckets of the processors", meta.Token, s.token)
	}
	return nil
}

// Part implements ingest.BoardReader.
func (s *states) Part(ctx context.Context, leaderboard int, at *ingest.Place, near int) ([]ingest.BoardPart, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	for {
		metas, err := s.store.Metas(ctx, s.partitions)
		if err != nil {
			return nil, err
		}
		for p := range metas {
			if !metas[p].Exists {
				err = s.absent(ctx, int32(p))
			} else {
				err = s.readable(metas[p])
			}
			if err != nil {
				return nil, err
			}
		}
		parts, whole, err := s.store.BoardParts(ctx, metas, leaderboard, at, near)
		if err != nil || whole {
			return parts, err
		}
		select { // rebuilt between the two reads, or about to be
		case <-ctx.Done():
			return nil, fmt.Errorf("leaderboard %s: a partition's is gone from Redis; a processor brings it back: %w", s.schema.Leaderboards[leaderboard].Name, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Number implements ingest.BoardReader.
func (s *states) Number(ctx context.Context, leaderboard int, id string) (*ingest.Place, error) {
	_, h, _, err := s.read(ctx, id)
	if err != nil || h == nil {
		return nil, err
	}
	v := h.Head[s.schema.Leaderboards[leaderboard].Slot]
	if v.Kind == participant.KindNone {
		return nil, nil
	}
	return &ingest.Place{Participant: id, Number: v.Int}, nil
}
