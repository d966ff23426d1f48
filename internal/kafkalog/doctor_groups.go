package kafkalog

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/preflight"
)

// GroupOptions say what the processors' group is held against.
type GroupOptions struct {
	Slots int // of one process
	// Stall is how long an event may wait at a member that is there before the
	// member counts as stuck: more than a transaction and a takeover may last.
	Stall time.Duration
}

// What the group is held against.
const (
	offsetsKeptMin  = 24 * time.Hour     // a stop over night
	offsetsKeptWish = 7 * 24 * time.Hour // Kafka's own default
	drainMargin     = 2                  // by which the log must outlast the time to work a lag off
	cooperative     = "cooperative-sticky"
)

// GroupChecks returns the checks of the processors' group, and of others that
// read events. Together they look at the group once, and only read. They need
// Describe on the cluster and the group, and Read on the manifest and events;
// what is denied is unknown.
func GroupChecks(cfg Config, opts GroupOptions) []preflight.Check {
	g := &groupChecks{cfg: cfg, opts: opts}
	check := func(id string, run func(context.Context, *groupSeen) preflight.Finding) preflight.Check {
		return preflight.New(id, func(ctx context.Context) preflight.Finding {
			s, err := g.seen.look(ctx, func(ctx context.Context) (*groupSeen, error) { return lookAtGroup(ctx, cfg) })
			switch {
			case err != nil:
				return preflight.NotSeen(err, "see that the brokers can be reached from here, and that this user may describe "+cfg.ProcessorGroup()+" and the cluster")
			case len(s.bounds) == 0:
				return preflight.Skipped(cfg.Topic("events") + " does not exist: see K10")
			}
			return run(ctx, s)
		})
	}
	return []preflight.Check{
		check("C04", g.headroom),
		check("C05", g.expiry),
		check("C07", g.size),
		check("C08", g.protocol),
		check("C10", g.progress),
		preflight.New("C11", g.shareGroups),
	}
}

// lookMax bounds one look: a start must not wait for brokers that are still looking
// for a group's coordinator.
const lookMax = 3 * time.Second

// once shares one look among the checks of one run, also where it failed.
type once[T any] struct {
	mu   sync.Mutex
	done bool
	seen *T
	err  error
}

func (o *once[T]) look(ctx context.Context, look func(context.Context) (*T, error)) (*T, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.done {
		ctx, cancel := context.WithTimeout(ctx, lookMax)
		defer cancel()
		o.seen, o.err = look(ctx)
		o.done = true
	}
	return o.seen, o.err
}

type groupChecks struct {
	cfg  Config
	opts GroupOptions
	seen once[groupSeen]
	then once[groupLater]
}

const lengthen = "lengthen retention.ms of events at once, then add processors"

// headroom is C04. Records below the committed offset have been counted, so that
// only a log that starts above it has lost some. Where events wait, the log must
// outlast them: the oldest is deleted when it has retention.ms behind it, and what
// is behind it takes as long as the group's present pace says.
func (g *groupChecks) headroom(ctx context.Context, s *groupSeen) preflight.Finding {
	var lost []string
	committed := 0
	for _, b := range s.bounds {
		k := s.commits[b.Partition]
		if k < 0 {
			continue
		}
		committed++
		if k < b.Start {
			lost = append(lost, fmt.Sprintf("partition %d: committed %d, and the log begins at %d: %d events were deleted before they counted", b.Partition, k, b.Start, b.Start-k))
		}
	}
	waiting := s.waiting()
	switch {
	case len(lost) > 0:
		return preflight.Failed(strings.Join(lost, "; "), "committed offsets at or above the log's start",
			"lengthen retention.ms of events, so that no more go; then veltrix rebase --accept-loss for the partition (the runbook's page lost-log)")
	case committed == 0:
		return preflight.Skipped("nothing is committed yet")
	case len(waiting) == 0:
		return preflight.Passed(fmt.Sprintf("%d partitions committed, no event waits", committed))
	}
	return g.outlasts(ctx, s, waiting)
}

// outlasts compares the time that is left to the oldest waiting events with the
// time that it takes to get to the newest. Only where half of the retention is
// over the group's pace is looked at.
func (g *groupChecks) outlasts(ctx context.Context, s *groupSeen, waiting []int32) preflight.Finding {
	retention, err := retentionOf(ctx, g.cfg, "events")
	if err != nil {
		return preflight.NotSeen(err, "grant DescribeConfigs on "+g.cfg.Topic("events"))
	}
	seen := fmt.Sprintf("events wait on %d partitions; retention %s", len(waiting), spanOf(retention))
	if retention == Forever {
		return preflight.Passed(seen)
	}
	ages, err := nextAges(ctx, g.cfg, s, waiting, retention/2)
	if err != nil {
		return preflight.NotSeen(err, "grant Read on "+g.cfg.Topic("events"))
	}
	if len(ages) == 0 {
		return preflight.Passed(seen + ", and each is younger than half of it")
	}
	later, err := g.later(ctx, s)
	if err != nil {
		return preflight.NotSeen(err, "look again")
	}
	var short []string
	for p, age := range ages {
		left := max(retention-age, 0)
		text := fmt.Sprintf("partition %d: its next event is deleted in %s", p, left.Round(time.Second))
		drain, moves := later.drain(s, p)
		if !moves {
			short = append(short, text+", and nothing is committed meanwhile")
		} else if left < drainMargin*drain {
			short = append(short, fmt.Sprintf("%s, and the %d that wait take %s", text, s.behind(p), drain.Round(time.Second)))
		}
	}
	if len(short) > 0 {
		slices.Sort(short)
		return preflight.Finding{
			State: preflight.Warn, Observed: seen + "; " + strings.Join(short, "; "), Expected: "a log that outlasts twice the time that its lag takes", Fix: lengthen,
			Players: "nothing yet; soon events are deleted before they count",
		}
	}
	return preflight.Passed(seen + ", and the group is fast enough")
}

// expiry is C05.
func (g *groupChecks) expiry(ctx context.Context, s *groupSeen) preflight.Finding {
	const expected, fix = "committed offsets that outlive any stop", "offsets.retention.minutes=10080 or more on every broker"
	if s.manifest != nil {
		var gone []string
		for _, p := range s.manifest.Initialized {
			if k, ok := s.commits[p]; ok && k < 0 {
				gone = append(gone, strconv.Itoa(int(p)))
			}
		}
		if len(gone) > 0 {
			return preflight.Failed("the manifest says that partitions "+strings.Join(gone, ", ")+" had commits, and "+g.cfg.ProcessorGroup()+" has none for them", expected,
				"veltrix rebase for these partitions (the runbook's page no-commit); then "+fix)
		}
	}
	kept, broker, err := brokersLeast(ctx, g.cfg, "offsets.retention.minutes")
	if err != nil {
		return preflight.NotSeen(err, "grant DescribeConfigs on the cluster")
	}
	span := time.Duration(kept) * time.Minute
	f := preflight.Passed(fmt.Sprintf("offsets.retention.minutes=%d (broker %d): an empty group keeps its offsets for %s", kept, broker, spanOf(span)))
	if span < offsetsKeptWish {
		f.State, f.Expected, f.Fix = preflight.Warn, expected+": 7 days, as Kafka has it by default", fix
		f.Players = "nothing, unless the processors are stopped for longer"
	}
	if span < offsetsKeptMin {
		f.State, f.Players = preflight.Fail, ""
	}
	return f
}

// size is C07. While processes are exchanged, those that come and those that go
// are members together: it warns, and refuses nobody.
func (g *groupChecks) size(_ context.Context, s *groupSeen) preflight.Finding {
	members, partitions := len(s.members), len(s.bounds)
	observed := fmt.Sprintf("%d members, processor.slots=%d, %d partitions", members, g.opts.Slots, partitions)
	if max(members, g.opts.Slots) > partitions {
		return preflight.Finding{
			State: preflight.Warn, Observed: observed, Expected: "no more members than partitions", Fix: "fewer processes, or processor.slots: what exceeds the partitions idles",
		}
	}
	return preflight.Passed(observed)
}

// protocol is C08. Of a group's members the brokers show the one protocol that was
// agreed on, so that another one than the processors' is everybody's.
func (g *groupChecks) protocol(_ context.Context, s *groupSeen) preflight.Finding {
	var strangers []string
	for _, m := range s.members {
		if m.slot < 0 {
			strangers = append(strangers, m.name)
		}
	}
	const fix = "give that reader a group of its own; one version of Veltrix in the whole group"
	switch {
	case len(s.members) == 0:
		return preflight.Skipped(g.cfg.ProcessorGroup() + " has no members now")
	case s.kind != "classic":
		return preflight.Failed("the members speak the protocol of "+s.kind+" groups: "+strings.Join(strangers, ", "), "classic members, "+cooperative, fix)
	case s.protocol != "" && s.protocol != cooperative:
		return preflight.Failed("the members assign by "+s.protocol+", which no processor offers: "+strings.Join(strangers, ", "), cooperative, fix)
	case len(strangers) > 0:
		return preflight.Failed("members that are no processors take partitions: "+strings.Join(strangers, ", "), "processors alone in "+g.cfg.ProcessorGroup(), fix)
	case s.protocol == "":
		return preflight.Passed(fmt.Sprintf("%d processors' slots, a rebalance is under way", len(s.members)))
	}
	return preflight.Passed(fmt.Sprintf("%d processors' slots, %s", len(s.members), s.protocol))
}

// progress is C10. A partition is stuck where, from one look to the next, a member
// has it, events wait, the committed offset is the same and no transaction of the
// member's is open; and where that event has waited longer than any takeover.
func (g *groupChecks) progress(ctx context.Context, s *groupSeen) preflight.Finding {
	owned := s.owned()
	if len(owned) == 0 {
		return preflight.Passed("no event waits at a member")
	}
	later, err := g.later(ctx, s)
	if err != nil {
		return preflight.NotSeen(err, "look again")
	}
	var frozen []int32
	for _, p := range owned {
		if m, ok := later.owners[p]; ok && m.id == s.owners[p].id && later.commits[p] == s.commits[p] {
			frozen = append(frozen, p)
		}
	}
	if len(frozen) == 0 {
		return preflight.Passed(fmt.Sprintf("events wait on %d partitions, and all of them move", len(owned)))
	}
	open, err := SlotTransactions(ctx, g.cfg)
	if err != nil {
		return preflight.NotSeen(err, "grant Describe on the transactional IDs that begin with "+g.cfg.Prefix+".processor.")
	}
	frozen = slices.DeleteFunc(frozen, func(p int32) bool {
		return slices.ContainsFunc(open, func(t SlotTransaction) bool { return t.Open && t.Slot == s.owners[p].slot })
	})
	ages, err := nextAges(ctx, g.cfg, s, frozen, g.opts.Stall)
	if err != nil {
		return preflight.NotSeen(err, "grant Read on "+g.cfg.Topic("events"))
	}
	var stuck []string
	for p, age := range ages {
		stuck = append(stuck, fmt.Sprintf("partition %d at %s: %d events wait, the first for %s, and %d stays committed", p, s.owners[p].name, s.behind(p), age.Round(time.Second), s.commits[p]))
	}
	if len(stuck) > 0 {
		slices.Sort(stuck)
		return preflight.Failed(strings.Join(stuck, "; "), "committed offsets that move where events wait",
			"see that process's log and veltrix_processor_partitions{phase}: it may build a state anew, or refuse the partition; else restart it")
	}
	return preflight.Passed(fmt.Sprintf("events wait on %d partitions; a transaction is under way, or they came just now", len(owned)))
}

// retentionOf returns the retention of one of the pipeline's topics.
func retentionOf(ctx context.Context, cfg Config, name string) (time.Duration, error) {
	cl, err := kgo.NewClient(cfg.Options()...)
	if err != nil {
		return 0, fmt.Errorf("create the client that looks at %s: %w", name, err)
	}
	defer cl.Close()
	topic := cfg.Topic(name)
	o, err := observe(ctx, cl, cfg, []string{topic})
	if err != nil {
		return 0, err
	}
	ms, err := strconv.ParseInt(o.settings[topic]["retention.ms"], 10, 64)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%s: retention.ms is hidden", topic)
	case ms < 0, ms >= int64(Forever/time.Millisecond):
		return Forever, nil
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// spanOf writes a duration for people.
func spanOf(d time.Duration) string {
	if d == Forever {
		return "without an end"
	}
	return d.String()
}
