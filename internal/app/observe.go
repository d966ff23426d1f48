package app

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/telemetry"
	"github.com/veltrix/veltrix/internal/wire"
)

// How often a processor's gauges are brought up to date. Lag asks the brokers.
const (
	observeEvery = time.Second
	lagEvery     = 5 * time.Second
)

// hooks feed what is measured as it happens.
func (p *Processor) hooks() engine.Hooks {
	m := &p.rt.Metrics.Processor
	return engine.Hooks{
		Batch: func(b engine.BatchInfo) {
			m.Transactions.WithLabelValues(b.Outcome).Inc()
			if b.Outcome != "committed" {
				return
			}
			m.BatchRecords.Observe(float64(b.Records))
			m.CommitSeconds.Observe(b.Took.Seconds())
			p.seen(&b.Seen)
			for i := range b.Outputs {
				switch o := &b.Outputs[i]; o.Topic {
				case engine.Events:
					r := wire.Record{Headers: o.Headers}
					m.Rerouted.WithLabelValues(m.SourceLabel(string(r.Header("ce_source")))).Inc()
				case engine.Rejected:
					p.rejected(o)
				}
			}
		},
		Loaded:  func(took time.Duration) { m.LoadSeconds.Observe(took.Seconds()) },
		Flushed: func(outcome string) { m.CAS.WithLabelValues(outcome).Inc() },
	}
}

// seen counts what a batch's events say of their sources and of the rules.
func (p *Processor) seen(s *engine.Seen) {
	m := &p.rt.Metrics.Processor
	for _, us := range s.LateBy {
		m.LateBySeconds.Observe(float64(us) / 1e6)
	}
	for rule, n := range s.Held {
		if n > 0 {
			m.RulesApplied.WithLabelValues(p.program.Schema().Rules[rule]).Add(float64(n))
		}
	}
	for _, b := range s.Breaks {
		m.SequenceBreaks.WithLabelValues(m.SourceLabel(b.Source), b.Break.String()).Inc()
	}
}

// rejected tells who looks closely what was refused; everybody else reads the
// topic.
func (p *Processor) rejected(o *engine.Output) {
	if !p.rt.Log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	r := wire.Record{Headers: o.Headers}
	p.rt.Log.Debug("event rejected", "participant", string(o.Key), "partition", o.Partition,
		"offset", string(r.Header(wire.HeaderSourceOffset)), "reason", string(r.Header(wire.HeaderReason)))
}

// count adds what a machine counted since the last look.
func (p *Processor) count(last *engine.Counts, v *engine.View) {
	if v == nil {
		return
	}
	m, c := &p.rt.Metrics.Processor, v.Counts
	for fate, n := range c.Fates {
		if d := n - last.Fates[fate]; d > 0 {
			m.Records.WithLabelValues(participant.Fate(fate).String()).Add(float64(d))
		}
	}
	for op, n := range c.Ops {
		if d := n - last.Ops[op]; d > 0 {
			m.Notifications.WithLabelValues(participant.Op(op).String()).Add(float64(d))
		}
	}
	m.Replayed.Add(float64(c.Replayed - last.Replayed))
	m.Rebuilt.Add(float64(c.Rebuilt - last.Rebuilt))
	m.Scrubs.WithLabelValues("clean").Add(float64(c.Scrubbed - last.Scrubbed))
	m.Scrubs.WithLabelValues("damaged").Add(float64(c.Damaged - last.Damaged))
	m.Scrubs.WithLabelValues("strayed").Add(float64(c.Strayed - last.Strayed))
	m.Snapshots.WithLabelValues("saved").Add(float64(c.Saved - last.Saved))
	m.Snapshots.WithLabelValues("restored").Add(float64(c.Restored - last.Restored))
	m.Assigned.Add(float64(c.Assigned - last.Assigned))
	m.CacheLookups.WithLabelValues("hit").Add(float64(c.Hits - last.Hits))
	m.CacheLookups.WithLabelValues("miss").Add(float64(c.Misses - last.Misses))
	m.CacheEvictions.Add(float64(c.Evicted - last.Evicted))
	*last = c
}

// observe keeps the gauges until ctx ends.
func (p *Processor) observe(ctx context.Context) {
	tick := time.NewTicker(observeEvery)
	defer tick.Stop()
	var lagged time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.gauges()
			if time.Since(lagged) >= lagEvery {
				lagged = time.Now()
				p.lag(ctx)
			}
		}
	}
}

func (p *Processor) gauges() {
	m := &p.rt.Metrics.Processor
	m.Partitions.Reset()
	m.Refused.Reset()
	m.Committed.Reset()
	m.Applied.Reset()
	m.ReplayLeft.Reset()
	m.SnapshotLag.Reset()
	cached := 0
	for _, s := range *p.slots.Load() {
		v := s.view()
		s.mu.Lock()
		p.count(&s.counted, v)
		s.mu.Unlock()
		if v == nil {
			continue
		}
		cached += v.CacheBytes
		for _, st := range v.Status {
			id := strconv.Itoa(int(st.Partition))
			m.Partitions.WithLabelValues(st.Phase).Inc()
			m.Committed.WithLabelValues(id).Set(float64(st.Position))
			m.Applied.WithLabelValues(id).Set(float64(st.Applied))
			left := int64(0)
			if st.Phase == "replaying" {
				left = st.Target - st.Position
			}
			m.ReplayLeft.WithLabelValues(id).Set(float64(left))
			m.SnapshotLag.WithLabelValues(id).Set(float64(max(st.Applied-base(st), 0)))
			if st.Refusal.Reason != "" {
				m.Refused.WithLabelValues(id, st.Refusal.Reason).Set(1)
			}
		}
	}
	m.CacheBytes.Set(float64(cached))
	p.health.look(time.Now(), p.Views())
}

// lag compares the owned partitions with the log's last stable offset. Its
// seconds are the age of the next record itself, read from the log.
func (p *Processor) lag(ctx context.Context) {
	m := &p.rt.Metrics.Processor
	ctx, cancel := context.WithTimeout(ctx, lagEvery)
	defer cancel()
	topic := p.kafka.Topic("events")
	bounds, err := p.positions.Reader().Bounds(ctx, topic)
	if err != nil {
		p.rt.Log.Debug("lag is not known", "error", err)
		return
	}
	p.health.brokers(time.Now())
	m.LagRecords.Reset()
	m.ViewLag.Reset()
	m.LagSeconds.Reset()
	m.Headroom.Reset()
	m.HeldBack.Reset()
	for _, v := range p.Views() {
		if v == nil {
			continue
		}
		for _, st := range v.Status {
			id := strconv.Itoa(int(st.Partition))
			behind := max(bounds[st.Partition].Stable-st.Position, 0)
			m.LagRecords.WithLabelValues(id).Set(float64(behind))
			p.health.behind(st.Partition, behind)
			p.headroom(st, bounds[st.Partition])
			p.heldBack(ctx, topic, st, bounds[st.Partition])
			m.ViewLag.WithLabelValues(id).Set(float64(max(bounds[st.Partition].Stable-st.Applied, 0)))
			if behind == 0 {
				m.LagSeconds.WithLabelValues(id).Set(0)
			} else if age, known := p.age(ctx, topic, st, bounds[st.Partition].Stable); known {
				m.LagSeconds.WithLabelValues(id).Set(age)
			}
		}
	}
}

// base is the offset from which a rebuild of the partition would fold the log.
func base(st engine.Status) int64 { return max(st.Saved, st.Start) }

// headroomShort is the part of the log's records below which the way back to
// the last snapshot is called short.
const headroomShort = 0.1

// headroom tells how far the log's start is from what a rebuild needs, and
// warns while there is time to lengthen the retention.
func (p *Processor) headroom(st engine.Status, b kafkalog.PartitionBounds) {
	if st.Phase != "ready" {
		return
	}
	id := strconv.Itoa(int(st.Partition))
	room := base(st) - b.Start
	p.rt.Metrics.Processor.Headroom.WithLabelValues(id).Set(float64(room))
	short := b.Start > 0 && float64(room) < headroomShort*float64(b.End-b.Start)
	if short && time.Since(p.warned[st.Partition]) > time.Minute {
		p.warned[st.Partition] = time.Now()
		p.rt.Log.Warn("the log's start comes near the newest snapshot: should Redis lose the partition, it could soon not be built anew",
			"partition", st.Partition, "log_start", b.Start, "snapshot", st.Saved, "applied", st.Applied,
			"fix", "lengthen retention.ms of the events topic, or shorten processor.snapshot_interval")
	}
}

// ageWithin bounds the offsets among which the next record is looked for: one fetch
// of the least size. What another producer's transaction left is no record.
const ageWithin = 64

func (p *Processor) age(ctx context.Context, topic string, st engine.Status, stable int64) (seconds float64, known bool) {
	to := min(st.Position+ageWithin, stable)
	err := p.positions.Reader().ReadDecided(ctx, topic, st.Partition, st.Position, to, func(records []wire.Record) error {
		seconds, known = max(time.Since(time.UnixMicro(records[0].Timestamp)).Seconds(), 0), true
		return errEnough
	})
	if !known {
		p.rt.Log.Debug("the next record's age is not known", "partition", st.Partition, "error", err)
	}
	return seconds, known
}

// Checks are the processor's reasons not to be ready.
func (p *Processor) Checks() []telemetry.Check {
	return []telemetry.Check{{Name: "processor", Run: func(context.Context) error { return p.Ready() }}}
}
