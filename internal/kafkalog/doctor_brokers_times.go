package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"github.com/veltrix/veltrix/internal/preflight"
)

// What the log of events has to reach back for, and how far clocks may differ.
const (
	// repairTime is how long a deployment may be broken before somebody has seen
	// to it: a weekend. What happened in it is in the log alone.
	repairTime = 72 * time.Hour
	// rateSpan is the least history that a rate of writing is judged by.
	rateSpan = time.Hour
	// clockSkewMax is what NTP keeps clocks far below.
	clockSkewMax = time.Second
)

// recorded are the times of a topic's records.
type recorded struct{ partitions []recordedPartition }

type recordedPartition struct {
	id            int32
	start         int64     // the first record's offset; −1: there is none
	first, newest time.Time // of the first record, and the latest of all
}

// lookAtTimes asks for the times of events. kadm would ask for the metadata each
// time anew.
func (d *brokerDoctor) lookAtTimes(ctx context.Context) (*recorded, error) {
	return d.recorded.look(ctx, func(ctx context.Context) (*recorded, error) {
		c, err := d.lookAtCluster(ctx)
		if err != nil {
			return nil, err
		}
		cl, err := d.client()
		if err != nil {
			return nil, err
		}
		defer cl.Close()
		topic := d.cfg.Topic("events")
		partitions := c.topics[topic].ids()
		var first, newest map[int32]kmsg.ListOffsetsResponseTopicPartition
		var g errgroup.Group
		g.Go(func() (err error) { first, err = listOffsets(ctx, cl, topic, partitions, 0, 0); return err })
		g.Go(func() (err error) { newest, err = listOffsets(ctx, cl, topic, partitions, maxTimestamp, 0); return err })
		if err := g.Wait(); err != nil {
			return nil, fmt.Errorf("read the times of %w", err)
		}
		r := &recorded{}
		for _, p := range partitions {
			r.partitions = append(r.partitions, recordedPartition{
				id: p, start: first[p].Offset, first: time.UnixMilli(first[p].Timestamp), newest: time.UnixMilli(newest[p].Timestamp),
			})
		}
		return r, nil
	})
}

// limit reads a retention of events: a number, of which a negative one is no limit.
func (c *cluster) limit(name string) (int64, error) {
	n, err := strconv.ParseInt(c.settings[name], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("events: %s is hidden: %w", name, errDenied)
	}
	if n < 0 {
		return math.MaxInt64, nil
	}
	return n, nil
}

// span reads a setting in milliseconds, with Forever for no limit.
func (c *cluster) span(name string) (time.Duration, error) {
	ms, err := c.limit(name)
	if err != nil || ms > int64(Forever/time.Millisecond) {
		return Forever, err
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// leader is the broker that leads a partition; −1: none.
func (c *cluster) leader(topic string, partition int32) int32 {
	for _, p := range c.topics[topic].partitions {
		if p.Partition == partition {
			return p.Leader
		}
	}
	return strange
}

// noEvents is the finding of a check of a topic that is not there.
func (d *brokerDoctor) noEvents() preflight.Finding {
	return preflight.Skipped(d.cfg.Topic("events") + " does not exist: see K10")
}

// retention is K06. A replay begins at the newest snapshot, and goes on to what
// came in until somebody repaired what was broken; without snapshots it begins
// where the log does.
func (d *brokerDoctor) retention(ctx context.Context) (preflight.Finding, error) {
	c, err := d.lookAtCluster(ctx)
	if err != nil {
		return preflight.Finding{}, err
	}
	events := d.cfg.Topic("events")
	if exists, err := d.events(c); err != nil || !exists {
		return d.noEvents(), err
	}
	age, err := c.span("retention.ms")
	if err != nil {
		return preflight.Finding{}, err
	}
	bytes, err := c.limit("retention.bytes")
	if err != nil {
		return preflight.Finding{}, err
	}
	seen := fmt.Sprintf("retention.ms=%s (%v), retention.bytes=%s", c.settings["retention.ms"], spanText(age), c.settings["retention.bytes"])
	if d.opts.SnapshotInterval == 0 {
		return d.unbounded(ctx, age, bytes, seen)
	}
	need := d.opts.SnapshotInterval + repairTime
	expected := fmt.Sprintf("at least %v: processor.snapshot_interval (%v), and %v in which something is broken until somebody has repaired it", need, d.opts.SnapshotInterval, repairTime)
	fix := fmt.Sprintf("kafka-configs --alter --entity-type topics --entity-name %s --add-config retention.ms=1209600000,retention.bytes=-1", events)
	if age < need {
		return preflight.Failed(seen, expected, fix), nil
	}
	if bytes == math.MaxInt64 {
		return preflight.Passed(seen + "; needed: " + need.String()), nil
	}
	short, thin, err := d.byBytes(ctx, c, bytes, need)
	if err != nil {
		return preflight.Finding{}, err
	}
	switch {
	case len(short) > 0:
		return preflight.Failed(seen+"; "+strings.Join(short, "; "), expected, fix), nil
	case len(thin) > 0:
		return preflight.Finding{
			State: preflight.Warn, Observed: seen + "; how long that lasts cannot be told yet: " + strings.Join(thin, "; "),
			Expected: "retention.bytes=-1, so that time alone decides", Fix: fix,
		}, nil
	}
	return preflight.Passed(seen + ", which at the present rate lasts for longer than " + need.String()), nil
}

// unbounded is K06 where no snapshots are taken.
func (d *brokerDoctor) unbounded(ctx context.Context, age time.Duration, bytes int64, seen string) (preflight.Finding, error) {
	if age == Forever && bytes == math.MaxInt64 {
		return preflight.Passed(seen), nil
	}
	r, err := d.lookAtTimes(ctx)
	if err != nil {
		return preflight.Finding{}, err
	}
	f := preflight.Failed(seen+", processor.snapshot_interval=0s", "everything is kept (retention.ms=-1, retention.bytes=-1) where a replay begins at the start of the log",
		"set processor.snapshot_interval (10m), or keep everything")
	f.State = preflight.Warn
	for _, p := range r.partitions {
		if p.start > 0 {
			f.State = preflight.Fail
			f.Observed += fmt.Sprintf("; partition %d has lost its first %d records", p.id, p.start)
			break
		}
	}
	return f, nil
}

// byBytes says in which partitions so many bytes last for less than is needed, and
// in which too little was written to tell.
func (d *brokerDoctor) byBytes(ctx context.Context, c *cluster, bytes int64, need time.Duration) (short, thin []string, err error) {
	r, err := d.lookAtTimes(ctx)
	if err != nil {
		return nil, nil, err
	}
	sizes, err := d.sizes(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	for _, p := range r.partitions {
		size, span := sizes[p.id], now.Sub(p.first)
		if p.start < 0 || size <= 0 || span < rateSpan {
			thin = append(thin, fmt.Sprintf("partition %d has less than %v of records", p.id, rateSpan))
			continue
		}
		lasts := time.Duration(min(float64(bytes)/float64(size)*float64(span), float64(Forever/2)))
		if lasts < need {
			short = append(short, fmt.Sprintf("partition %d wrote %d bytes in %v, so that retention.bytes lasts for %v", p.id, size, span.Round(time.Minute), lasts.Round(time.Minute)))
		}
	}
	if len(thin) > 1 {
		thin = []string{fmt.Sprintf("%s, and %d others", thin[0], len(thin)-1)}
	}
	return short, thin, nil
}

// sizes returns the bytes that each partition of events has at its leader.
func (d *brokerDoctor) sizes(ctx context.Context, c *cluster) (map[int32]int64, error) {
	cl, err := d.client()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	events := d.cfg.Topic("events")
	wanted := kadm.TopicsSet{}
	wanted.Add(events, c.topics[events].ids()...)
	all, err := kadm.NewClient(cl).DescribeAllLogDirs(ctx, wanted)
	if err != nil {
		return nil, fmt.Errorf("read the sizes of %s: %w", events, err)
	}
	sizes := map[int32]int64{}
	for _, p := range c.topics[events].partitions {
		found, ok := all[p.Leader].LookupPartition(events, p.Partition)
		if !ok {
			return nil, fmt.Errorf("broker %d hides the size of %s/%d: %w", p.Leader, events, p.Partition, errDenied)
		}
		sizes[p.Partition] = found.Size
	}
	return sizes, nil
}

// oldTimes is K07. Retention goes by the records' own times: with the brokers' they
// are as old as they are, and with the senders' a file of last year is over when it
// is loaded. A log ages by itself as far as retention and a segment go together.
func (d *brokerDoctor) oldTimes(ctx context.Context) (preflight.Finding, error) {
	c, err := d.lookAtCluster(ctx)
	if err != nil {
		return preflight.Finding{}, err
	}
	const name = "message.timestamp.type"
	if exists, err := d.events(c); err != nil || !exists {
		return d.noEvents(), err
	}
	age, err := c.span("retention.ms")
	if err != nil {
		return preflight.Finding{}, err
	}
	segment, err := c.span("segment.ms")
	if err != nil {
		return preflight.Finding{}, err
	}
	kind := c.settings[name]
	seen := fmt.Sprintf("%s=%s, retention.ms=%s (%v)", name, kind, c.settings["retention.ms"], spanText(age))
	switch {
	case kind == "":
		return preflight.Finding{}, fmt.Errorf("events: %s is hidden: %w", name, errDenied)
	case kind == "LogAppendTime", age == Forever:
		return preflight.Passed(seen), nil
	}
	r, err := d.lookAtTimes(ctx)
	if err != nil {
		return preflight.Finding{}, err
	}
	const expected = name + "=LogAppendTime, so that a record is as old as its stay in the log"
	now := time.Now()
	for _, p := range r.partitions {
		old := now.Sub(p.first)
		if p.start < 0 || segment == Forever || age > Forever-segment || old <= age+segment {
			continue
		}
		return preflight.Failed(fmt.Sprintf("%s; partition %d begins with a record of %s, which is %v ago", seen, p.id, p.first.UTC().Format(time.RFC3339), old.Round(time.Hour)),
			expected, "lift retention.ms of events to -1 at once, before the next look of the brokers (log.retention.check.interval.ms), then "+applyFix+", and set retention.ms back when what is old has been counted"), nil
	}
	return preflight.Finding{
		State: preflight.Warn, Observed: seen + "; no record is older than that by more than its segment", Expected: expected, Fix: applyFix,
		Players: "nothing yet: a file of old events that is loaded would be deleted before it counts",
	}, nil
}

// spanText writes a duration in hours, or says that it has no end.
func spanText(d time.Duration) string {
	if d == Forever {
		return "for ever"
	}
	return d.String()
}

// Clock is a server's clock, as it was read from here.
type Clock struct {
	Of    string        // as "redis at 127.0.0.1:6379"
	Ahead time.Duration // of this machine's; negative: behind
	Error time.Duration // how far the reading may be off: half of the time it took
}

// NewClock makes a Clock of a server's time, asked for at a moment and answered at
// another.
func NewClock(of string, shown, asked, answered time.Time) Clock {
	half := answered.Sub(asked) / 2
	return Clock{Of: of, Ahead: shown.Sub(asked.Add(half)), Error: half}
}

func (c Clock) String() string {
	return fmt.Sprintf("%s %+d ms (±%d)", c.Of, c.Ahead.Milliseconds(), c.Error.Milliseconds()+1)
}

// wrong says that the clock differs for sure.
func (c Clock) wrong() bool { return c.Ahead.Abs()-c.Error > clockSkewMax }

// clocks is K08.
func (d *brokerDoctor) clocks(ctx context.Context) (preflight.Finding, error) {
	var all []Clock
	var unseen []string
	note := func(clocks []Clock, err error) {
		all = append(all, clocks...)
		if err != nil {
			unseen = append(unseen, err.Error())
		}
	}
	if d.opts.Clocks != nil {
		note(d.opts.Clocks(ctx))
	}
	var seen, wrong []string
	if !d.embedded(ctx) { // the embedded broker has this process's clock
		note(d.controllerClock(ctx))
		text, late, err := d.appendTimes(ctx)
		note(nil, err)
		if late {
			wrong = append(wrong, text)
		} else if text != "" {
			seen = append(seen, text)
		}
	}
	for _, c := range all {
		if c.wrong() {
			wrong = append(wrong, c.String())
			continue
		}
		seen = append(seen, c.String())
	}
	slices.Sort(seen)
	switch {
	case len(wrong) > 0:
		return preflight.Failed("against this machine's clock: "+strings.Join(wrong, "; "), fmt.Sprintf("clocks within %v of each other", clockSkewMax),
			"run NTP or chrony on every machine, this one too"), nil
	case len(unseen) > 0:
		return preflight.NotSeen(errors.New(strings.Join(unseen, "; ")),
			"grant this user Describe on the cluster (DescribeQuorum) at the brokers, and TIME at Redis (ACL SETUSER … +time)"), nil
	case len(seen) == 0:
		return preflight.Skipped("there is one clock alone"), nil
	}
	return preflight.Passed("against this machine's clock: " + strings.Join(seen, "; ")), nil
}

// controllerClock reads the clock of the active controller: it says when it was
// last caught up with itself, which is now. No other request tells a broker's time.
func (d *brokerDoctor) controllerClock(ctx context.Context) ([]Clock, error) {
	cl, err := d.client()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	if err := cl.Ping(ctx); err != nil { // so that the connection is no part of the reading
		return nil, fmt.Errorf("read the controller's clock: %w", err)
	}
	req := kmsg.NewPtrDescribeQuorumRequest()
	t := kmsg.NewDescribeQuorumRequestTopic()
	t.Topic, t.Partitions = "__cluster_metadata", append(t.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	req.Topics = append(req.Topics, t)
	asked := time.Now()
	resp, err := req.RequestWith(ctx, cl)
	answered := time.Now()
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		return nil, fmt.Errorf("read the controller's clock: %w", err)
	}
	for i := range resp.Topics {
		for _, p := range resp.Topics[i].Partitions {
			for _, v := range p.CurrentVoters {
				if v.ReplicaID == p.LeaderID && v.LastCaughtUpTimestamp > 0 {
					of := fmt.Sprintf("kafka controller %d", p.LeaderID)
					return []Clock{NewClock(of, time.UnixMilli(v.LastCaughtUpTimestamp), asked, answered)}, nil
				}
			}
		}
	}
	return nil, errors.New("read the controller's clock: no broker tells it (Kafka 3.3 or newer does)")
}

// appendTimes looks for a record that a broker appended in the future.
func (d *brokerDoctor) appendTimes(ctx context.Context) (text string, late bool, err error) {
	c, err := d.lookAtCluster(ctx)
	if err != nil {
		return "", false, err
	}
	if exists, err := d.events(c); err != nil || !exists || c.settings["message.timestamp.type"] != "LogAppendTime" {
		return "", false, err // senders' clocks: see K09
	}
	events := d.cfg.Topic("events")
	r, err := d.lookAtTimes(ctx)
	if err != nil {
		return "", false, err
	}
	now, at := time.Now(), 0
	for i, p := range r.partitions {
		if p.newest.After(r.partitions[at].newest) {
			at = i
		}
	}
	if len(r.partitions) == 0 || r.partitions[at].start < 0 {
		return "", false, nil
	}
	p := r.partitions[at]
	text = fmt.Sprintf("%s/%d, whose leader is broker %d, has a record of %s", events, p.id, c.leader(events, p.id), p.newest.UTC().Format(time.RFC3339))
	if ahead := p.newest.Sub(now); ahead > clockSkewMax {
		return text + fmt.Sprintf(", %v ahead", ahead.Round(time.Second)), true, nil
	}
	return text, false, nil
}
