package app

import (
	"context"
	"fmt"
	"time"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/fold"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/verify"
	"github.com/veltrix/veltrix/internal/wire"
)

// Verify compares a deployment with the sequential fold of its source topic.
func Verify(ctx context.Context, rt Runtime, program participant.Program, progress func(partition int32, records int64)) (*verify.Report, error) {
	kafka, err := rt.Kafka("verify")
	if err != nil {
		return nil, err
	}
	manifest, err := rt.awaitManifest(ctx, kafka)
	if err != nil {
		return nil, err
	}
	if digest := program.Schema().Digest; manifest.RulesDigest != "" && manifest.RulesDigest != digest {
		return nil, fmt.Errorf("this deployment runs rules version %d (%.12s) and the rules file is %.12s: verify with the rules that it runs", manifest.RulesVersion, manifest.RulesDigest, digest)
	}
	client, err := rt.awaitRedis(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = client.Close() }()
	positions, err := kafkalog.NewPositions(kafka)
	if err != nil {
		return nil, err
	}
	defer positions.Close()
	snapshots, err := kafkalog.NewSnapshots(kafka)
	if err != nil {
		return nil, err
	}
	defer snapshots.Close()
	bases, err := basesOf(manifest)
	if err != nil {
		return nil, err
	}
	v := verify.Verifier{
		Log:   &verifyLog{kafka: kafka, positions: positions},
		Store: rt.view(client, manifest, program.Schema()), Fold: fold.New(program, manifest.Partitions), Schema: program.Schema(),
		Partitions: manifest.Partitions, Token: tokenOf(rt, manifest).String(), Progress: progress,
		Bases: bases, Copies: snapshots,
	}
	return v.Run(ctx)
}

// basesOf returns the beginnings that operators have declared.
func basesOf(manifest *kafkalog.Manifest) (map[int32]verify.Base, error) {
	bases := map[int32]verify.Base{}
	for _, b := range manifest.Bases {
		s, err := b.Snapshot()
		if err != nil {
			return nil, err
		}
		bases[b.Partition] = verify.Base{Snapshot: s, Notifications: b.Notifications, Rejected: b.Rejected}
	}
	return bases, nil
}

// tokenOf names the life that a processor of this deployment would serve: it is
// the processor's own token, so that the two never differ.
func tokenOf(rt Runtime, manifest *kafkalog.Manifest) engine.Token {
	return (&Processor{rt: rt, manifest: manifest}).token()
}

// verifyLog implements verify.Log.
type verifyLog struct {
	kafka     kafkalog.Config
	positions engine.Positions
}

// Bounds waits until all that is in the partition now is decided: a committed
// offset can be seen some milliseconds before the outputs committed with it.
func (l *verifyLog) Bounds(ctx context.Context, topic string, partition int32) (start, stable int64, err error) {
	for end := int64(-1); ; {
		listed, err := kafkalog.Bounds(ctx, l.kafka, l.kafka.Topic(topic))
		if err != nil {
			return 0, 0, err
		}
		if int(partition) >= len(listed) {
			return 0, 0, fmt.Errorf("topic %s has no partition %d", l.kafka.Topic(topic), partition)
		}
		b := listed[partition]
		if end < 0 {
			end = b.End
		}
		if b.Stable >= end {
			return b.Start, b.Stable, nil
		}
		select {
		case <-ctx.Done():
			return 0, 0, fmt.Errorf("partition %d of %s is held back at %d by an open transaction: %w", partition, l.kafka.Topic(topic), b.Stable, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (l *verifyLog) Read(ctx context.Context, topic string, partition int32, from, to int64, fn func([]wire.Record) error) error {
	if from >= to {
		return nil
	}
	return kafkalog.ReadPartition(ctx, l.kafka, l.kafka.Topic(topic), partition, from, to, true, fn)
}

func (l *verifyLog) Committed(ctx context.Context, partition int32) (engine.Committed, error) {
	return l.positions.Committed(ctx, partition)
}
