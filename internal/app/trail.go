package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/trail"
	"github.com/veltrix/veltrix/internal/wire"
)

// trailLog implements trail.Log. It keeps its connections.
type trailLog struct {
	kafka     kafkalog.Config
	positions *kafkalog.Positions
	reader    *kafkalog.Reader
}

// openTeller returns what tells events' fates; close it.
func openTeller(kafka kafkalog.Config, partitions int32) (_ *trail.Teller, closing func(), _ error) {
	positions, err := kafkalog.NewPositions(kafka)
	if err != nil {
		return nil, nil, err
	}
	log := &trailLog{kafka: kafka, positions: positions, reader: positions.Reader()}
	return &trail.Teller{Log: log, Partitions: partitions}, positions.Close, nil
}

// Bounds implements trail.Log.
func (l *trailLog) Bounds(ctx context.Context, topic string, partition int32) (trail.Bounds, error) {
	all, err := l.reader.Bounds(ctx, l.kafka.Topic(topic))
	if err != nil {
		return trail.Bounds{}, err
	}
	for _, b := range all {
		if b.Partition == partition {
			return trail.Bounds{Start: b.Start, Stable: b.Stable, End: b.End}, nil
		}
	}
	return trail.Bounds{}, fmt.Errorf("topic %s has no partition %d", l.kafka.Topic(topic), partition)
}

// Read implements trail.Log.
func (l *trailLog) Read(ctx context.Context, topic string, partition int32, from, to int64, fn func([]wire.Record) error) error {
	return l.reader.ReadDecided(ctx, l.kafka.Topic(topic), partition, from, to, fn)
}

// committedWait is how long a transaction that is about to end is waited for.
const committedWait = time.Second

// Committed implements trail.Log.
func (l *trailLog) Committed(ctx context.Context, partition int32) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, committedWait)
	defer cancel()
	c, err := l.positions.Committed(ctx, partition)
	if errors.Is(err, kerr.GroupIDNotFound) { // some brokers know no group before its first member
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("what the processors have committed of partition %d is not known now: %w", partition, err)
	}
	return max(c.Offset, 0), nil
}

// After implements trail.Log.
func (l *trailLog) After(ctx context.Context, topic string, partition int32, at time.Time) (int64, error) {
	return l.reader.After(ctx, l.kafka.Topic(topic), partition, at)
}

// Trail tells a participant's events and what became of them.
func Trail(ctx context.Context, rt Runtime, who string, w trail.Window, progress func(records int64)) (*trail.Trail, error) {
	kafka, err := rt.Kafka("player")
	if err != nil {
		return nil, err
	}
	manifest, err := rt.awaitManifest(ctx, kafka)
	if err != nil {
		return nil, err
	}
	teller, closing, err := openTeller(kafka, manifest.Partitions)
	if err != nil {
		return nil, err
	}
	defer closing()
	return teller.Trail(ctx, who, w, progress)
}
