package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/lag"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/wire"
)

// Bounds of a look at the lag.
const (
	countedAtOnce = 4 // partitions that are read side by side
	freezeLooks   = 3 // at a partition whose leader does not say what holds it back
)

// LagOptions say what is looked at, and how closely.
type LagOptions struct {
	Groups  []string      // processor, notifier; none: both
	Count   int64         // records that are counted from each place; what is beyond is said to be at most
	Timeout time.Duration // of one look
	LagBounds
}

// Lag looks at how far the groups are behind their logs. It keeps its connections.
//
// Invariant: a number is shown only if it is true. What could not be asked is not
// known and never 0, and is listed. So positions are read before the log's bounds,
// or a reader that goes on meanwhile would look ahead of the log; and Redis' before
// the group's, which it follows.
type Lag struct {
	rt     Runtime
	opts   LagOptions
	kafka  kafkalog.Config
	reader *kafkalog.Reader
	redis  redis.UniversalClient

	manifest *kafkalog.Manifest // once it is read
}

// NewLag connects to nothing yet; close it.
func NewLag(rt Runtime, opts LagOptions) (*Lag, error) {
	kafka, err := rt.Kafka("lag")
	if err != nil {
		return nil, err
	}
	where, err := rt.Redis()
	if err != nil {
		return nil, err
	}
	l := &Lag{rt: rt, opts: opts, kafka: unlogged(kafka)} // what is away is in the report, once
	if l.reader, err = kafkalog.NewReader(l.kafka); err != nil {
		return nil, err
	}
	l.redis = redisstore.Open(where)
	return l, nil
}

// Close ends the connections.
func (l *Lag) Close() {
	l.reader.Close()
	_ = l.redis.Close()
}

// Look is one look. An error means that nothing was seen.
func (l *Lag) Look(ctx context.Context) (*LagReport, error) {
	ctx, cancel := context.WithTimeout(ctx, l.opts.Timeout)
	defer cancel()
	if err := l.reach(ctx); err != nil {
		return nil, err
	}
	r := &LagReport{Version: lagVersion, At: time.Now().UTC(), Prefix: l.kafka.Prefix}
	for _, g := range []struct{ reader, group, topic string }{
		{"processor", l.kafka.ProcessorGroup(), "events"},
		{"notifier", l.kafka.NotifierGroup(), "notifications"},
	} {
		if wanted(l.opts.Groups, g.reader) {
			look := &groupLook{Lag: l, report: r, topic: l.kafka.Topic(g.topic), group: LagGroup{Reader: g.reader, Group: g.group, Topic: l.kafka.Topic(g.topic)}}
			look.run(ctx)
		}
	}
	r.judge(l.opts.LagBounds)
	return r, nil
}

func wanted(groups []string, reader string) bool {
	for _, g := range groups {
		if g == reader {
			return true
		}
	}
	return len(groups) == 0
}

// reach asks for what every look needs.
func (l *Lag) reach(ctx context.Context) error {
	asking, cancel := context.WithTimeout(ctx, l.opts.Timeout/2)
	defer cancel()
	err := kafkalog.Ping(asking, l.kafka)
	if err == nil && l.manifest == nil {
		l.manifest, err = kafkalog.ReadManifest(ctx, l.kafka)
		if errors.Is(err, kafkalog.ErrNoTopic) || err == nil && l.manifest == nil {
			return fmt.Errorf("prefix %q: %w", l.kafka.Prefix, errNoManifest)
		}
	}
	refusal := l.kafka.Denied(ctx, err)
	if err == nil {
		refusal = permitted(asking, l.kafka)
	}
	if denied := (*kafkalog.DeniedError)(nil); errors.As(refusal, &denied) {
		return denied // any other trouble with asking is in the report
	}
	if err != nil {
		return fmt.Errorf("kafka at %s cannot be reached: %w: start the brokers, or name the right ones (kafka.brokers) and how they are spoken to (kafka.tls, kafka.sasl)",
			strings.Join(l.kafka.Brokers, ","), err)
	}
	return nil
}

// groupLook is one look at one group.
type groupLook struct {
	*Lag
	report *LagReport
	group  LagGroup
	topic  string

	committed     map[int32]int64
	committedSeen bool
	applied       map[int32]int64
	appliedSeen   bool // never of a group that has no view
	frozen        map[int32]bool
	unheld        map[int32]bool // what holds it back could not be asked
}

func (g *groupLook) run(ctx context.Context) {
	g.frozen, g.unheld = map[int32]bool{}, map[int32]bool{}
	if g.group.hasView() {
		g.view(ctx)
	}
	var err error
	if g.committed, err = g.reader.GroupOffsets(ctx, g.group.Group, g.topic, g.manifest.Partitions); err != nil {
		g.unknown(-1, "what the group has committed is not known: %v", err)
	}
	g.committedSeen = err == nil
	parts := g.bounds(ctx)
	for i := range parts {
		g.heldBack(ctx, &parts[i])
	}
	terms := lag.Terms{Now: time.Now()}
	if terms.Retention, err = g.reader.Retention(ctx, g.topic); err != nil {
		g.group.RetentionUnknown = err.Error()
	}
	g.count(ctx, parts)
	terms.Now = time.Now()
	for i := range parts {
		g.group.add(&parts[i], lag.Judge(&parts[i], terms), seen{
			committed: g.committedSeen, applied: g.appliedSeen, frozen: g.frozen[parts[i].Partition], unheld: g.unheld[parts[i].Partition],
		})
	}
	g.group.total(len(parts) == int(g.manifest.Partitions))
	g.report.Groups = append(g.report.Groups, g.group)
}

// unknown notes what could not be seen; of the group as a whole if partition is −1.
func (g *groupLook) unknown(partition int32, format string, args ...any) {
	u := LagUnknown{Reader: g.group.Reader, Text: fmt.Sprintf(format, args...)}
	if partition >= 0 {
		u.Partition = &partition
	}
	g.report.Unknown = append(g.report.Unknown, u)
}

// view reads the positions that Redis has applied. One of another log, which had
// the same name, is none.
func (g *groupLook) view(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, g.opts.Timeout/4)
	defer cancel()
	metas, err := g.rt.view(g.redis, g.manifest, nil).Metas(ctx, g.manifest.Partitions)
	if err != nil {
		g.unknown(-1, "redis at %s: %v: start Redis, or name the right one (redis.addrs); the lag of the view is not known", strings.Join(g.rt.Config.Redis.Addrs, ","), err)
		return
	}
	g.appliedSeen, g.applied = true, map[int32]int64{}
	for p, m := range metas {
		if !m.Exists {
			continue
		}
		if t, err := engine.ParseToken(m.Token); err != nil || t.ClusterID != g.manifest.ClusterID || t.TopicID != g.manifest.TopicID {
			g.group.Foreign = append(g.group.Foreign, int32(p))
			continue
		}
		g.applied[int32(p)] = m.Applied
	}
}

// bounds lists the log after the positions in it.
func (g *groupLook) bounds(ctx context.Context) (parts []lag.Partition) {
	all, untold, err := g.reader.EachBounds(ctx, g.topic)
	if err != nil {
		g.unknown(-1, "the log is not known: %v", err)
		return nil
	}
	told := map[int32]bool{}
	for _, b := range all {
		told[b.Partition] = true
		p := lag.Partition{Partition: b.Partition, Start: b.Start, Stable: b.Stable, End: b.End, Committed: lag.Unknown, Applied: lag.Unknown}
		if at, ok := g.committed[b.Partition]; ok {
			p.Committed = at
		}
		if at, ok := g.applied[b.Partition]; ok {
			p.Applied = at
		}
		parts = append(parts, p)
	}
	for p := range g.manifest.Partitions {
		if err := untold[p]; !told[p] {
			if err == nil {
				err = errors.New("the brokers leave it out")
			}
			g.unknown(p, "its log is not known: %v", err)
		}
	}
	return parts
}

// heldBack says what holds a partition back. A leader that names nothing is asked
// again: where transactions come and go, the one that was open has ended.
func (g *groupLook) heldBack(ctx context.Context, p *lag.Partition) {
	was := p.Stable
	for look := range freezeLooks {
		if p.Stable >= p.End {
			return
		}
		var err error
		if p.Open, err = g.reader.HeldBack(ctx, g.topic, p.Partition); err != nil {
			g.unheld[p.Partition] = true
			g.unknown(p.Partition, "what holds it back is not known, or not all of it: %v", err)
			return
		}
		if len(p.Open) > 0 {
			return
		}
		all, err := g.reader.Bounds(ctx, g.topic)
		if err != nil {
			g.unheld[p.Partition] = true
			g.unknown(p.Partition, "what holds it back is not known: %v", err)
			return
		}
		for _, b := range all {
			if b.Partition == p.Partition {
				p.Start, p.Stable, p.End = b.Start, b.Stable, b.End
			}
		}
		g.frozen[p.Partition] = look == freezeLooks-1 && p.Stable == was && p.Stable < p.End
	}
}

// count reads what is left, for as long as half of a look may take: what is not
// read then is said to be at most.
func (g *groupLook) count(ctx context.Context, parts []lag.Partition) {
	reading, cancel := context.WithTimeout(ctx, g.opts.Timeout/2)
	defer cancel()
	var some errgroup.Group
	some.SetLimit(countedAtOnce)
	failed := make([]error, len(parts))
	for i := range parts {
		some.Go(func() error {
			p := &parts[i]
			var other error
			if g.committedSeen {
				p.AfterCommitted, failed[i] = g.read(reading, p, p.Committed)
			}
			if p.AfterApplied = p.AfterCommitted; g.appliedSeen && (!g.committedSeen || p.Applied != p.Committed) {
				p.AfterApplied, other = g.read(reading, p, p.Applied)
			}
			failed[i] = errors.Join(failed[i], other)
			return nil
		})
	}
	_ = some.Wait()
	for i, err := range failed {
		if err != nil && reading.Err() == nil {
			g.unknown(parts[i].Partition, "what is left could not be counted: %v", err)
		}
	}
}

// read counts the records from a place on. Of a read that fails, what it has met
// stays true.
func (g *groupLook) read(ctx context.Context, p *lag.Partition, at int64) (lag.Read, error) {
	most := max(g.opts.Count, g.opts.enough())
	from := max(at, p.Start)
	r := lag.Read{Through: from}
	if from >= p.Stable {
		return r, nil
	}
	err := g.reader.ReadDecided(ctx, g.topic, p.Partition, from, p.Stable, func(records []wire.Record) error {
		for i := range records {
			if r.Records == most {
				return errEnough
			}
			if r.Records == 0 {
				r.Next = time.UnixMicro(records[i].Timestamp)
			}
			r.Records, r.Through = r.Records+1, records[i].Offset+1
		}
		return nil
	})
	switch {
	case err == nil:
		r.Through = p.Stable
	case errors.Is(err, errEnough):
		err = nil
	}
	return r, err
}
