package app

import (
	"context"
	"fmt"

	"github.com/veltrix/veltrix/internal/advise"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// AdviseGrace reads the newest records of the events topic, at most recordsMax
// of them (0: all), the same share of each partition, and tells how late they came.
func AdviseGrace(ctx context.Context, rt Runtime, program participant.Program, recordsMax int64, progress func(partition int32, records int64)) (*advise.Grace, error) {
	kafka, err := rt.Kafka("advise")
	if err != nil {
		return nil, err
	}
	if err := permitted(ctx, kafka); err != nil {
		return nil, err
	}
	topic := kafka.Topic("events")
	bounds, err := kafkalog.Bounds(ctx, kafka, topic)
	if err != nil {
		return nil, err
	}
	g := advise.NewGrace(program.Schema(), int32(len(bounds)))
	total := int64(0)
	for _, b := range bounds {
		total += b.Stable - b.Start
	}
	for _, b := range bounds {
		from := b.Start
		if recordsMax > 0 && total > recordsMax {
			share := float64(b.Stable-b.Start) / float64(total)
			from = b.Stable - int64(share*float64(recordsMax))
		}
		if from >= b.Stable {
			continue
		}
		read := int64(0)
		err := kafkalog.ReadPartition(ctx, kafka, topic, b.Partition, from, b.Stable, true, func(records []wire.Record) error {
			for i := range records {
				g.Add(&records[i])
			}
			read += int64(len(records))
			progress(b.Partition, read)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read partition %d: %w", b.Partition, err)
		}
	}
	return g, nil
}
