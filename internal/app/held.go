package app

import (
	"context"
	"strconv"
	"time"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/kafkalog"
)

// heldAfter is how long a partition's last stable offset stands still, with
// records behind it, until somebody is told.
const heldAfter = 5 * time.Second

// holding is a last stable offset that stands still before the log's end.
type holding struct {
	stable int64
	since  time.Time
	told   time.Time
}

// heldBack tells of records that nobody sees because a transaction before them
// does not end: the lag, which counts up to the last stable offset, is 0.
func (p *Processor) heldBack(ctx context.Context, topic string, st engine.Status, b kafkalog.PartitionBounds) {
	behind := max(b.End-b.Stable, 0)
	p.rt.Metrics.Processor.HeldBack.WithLabelValues(strconv.Itoa(int(st.Partition))).Set(float64(behind))
	at, known := p.holdings[st.Partition]
	if behind == 0 || !known || at.stable != b.Stable {
		if known && !at.told.IsZero() {
			p.rt.Log.Info("the records that a transaction held back are there", "partition", st.Partition, "stable", b.Stable, "end", b.End, "after", time.Since(at.since).Round(time.Second).String())
		}
		delete(p.holdings, st.Partition)
		if behind > 0 {
			p.holdings[st.Partition] = holding{stable: b.Stable, since: time.Now()}
		}
		return
	}
	if time.Since(at.since) < heldAfter || time.Since(at.told) < time.Minute {
		return
	}
	at.told = time.Now()
	p.holdings[st.Partition] = at
	log := p.rt.Log.With("partition", st.Partition, "stable", b.Stable, "end", b.End)
	open, err := p.positions.OpenTransactions(ctx, topic, st.Partition)
	switch {
	case len(open) > 0:
		log = log.With("transactional_id", open[0].ID, "producer_id", open[0].ProducerID, "start", open[0].Start)
	case err != nil:
		log = log.With("error", err) // whose it is remains unknown, and that it is there does not
	}
	log.Warn("records are held back by a transaction that does not end", "records", behind, "for", time.Since(at.since).Round(time.Second).String(),
		"fix", "end it where it was begun, or with kafka-transactions.sh abort; keep transactional producers away from the events topic")
}

// leftOpen tells of a transaction that a broker had forgotten to end.
func (p *Processor) leftOpen(t kafkalog.LeftOpen) {
	end := "abort"
	if t.Committed {
		end = "commit"
	}
	p.rt.Metrics.Processor.LeftOpen.WithLabelValues(end).Inc()
	p.rt.Log.Warn("a transaction was ended that its coordinator had left open in a partition of the outputs", "topic", t.Topic, "partition", t.Partition,
		"transactional_id", t.ID, "producer_id", t.ProducerID, "start", t.Start, "end", end)
}
