package bench

import (
	_ "embed" // the rules
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The rules of the workloads: a rule or two for an event, and ten.
var (
	//go:embed rules.yaml
	coreRules []byte
	//go:embed rules_ten.yaml
	tenRules []byte
)

// shape is what tells workloads apart.
type shape struct {
	words        string
	participants int     // where none are asked for
	notify       int     // one notification in so many events
	skew         float64 // exponent of a Zipf distribution over the participants; 0: uniform
	copies       float64 // the part of the records that repeats one of the last recent
	disorder     float64 // the part of the other events that comes after its participant's next
	// once: each notification is told once, to an inbox that has room for it, so
	// that a notifier can be measured behind the processor.
	once  bool
	rules []byte
}

// recent is how far back a copy's original is at most, in records. Most copies come
// while their participant still knows the event, others after.
const recent = 100_000

// The seeds that every workload draws its participants from.
const seed1, seed2 = 283, 20_000

var shapes = map[string]shape{
	"core":     {participants: 20_000, notify: 10, once: true, rules: coreRules},
	"wide":     {participants: 500_000, notify: 10, once: true, rules: coreRules},
	"hot":      {words: "participants by Zipf 1.1", participants: 20_000, notify: 10, skew: 1.1, rules: coreRules},
	"fan-out":  {participants: 20_000, notify: 1, rules: coreRules},
	"disorder": {words: "10 % copies, 10 % out of order", participants: 20_000, notify: 10, copies: 0.1, disorder: 0.1, rules: coreRules},
	"rules":    {words: "10 rules an event", participants: 20_000, notify: 10, once: true, rules: tenRules},
}

// Workloads are the names of all, sorted.
func Workloads() []string { return slices.Sorted(maps.Keys(shapes)) }

// Each hands the events to fn in the order in which they are sent, with the
// partition they belong to. The records are fn's.
func (w *Workload) Each(partitions int32, fn func(*kgo.Record) error) error {
	s := stream{Workload: w, partitions: partitions, random: rand.New(rand.NewPCG(seed1, seed2)), counts: make([]int64, w.Participants)}
	if w.skew > 0 {
		s.zipf = rand.NewZipf(s.random, w.skew, 1, uint64(w.Participants-1))
	}
	for s.sent < w.Events {
		if err := s.next(fn); err != nil {
			return err
		}
	}
	return nil
}

// stream is a workload's events as they come.
type stream struct {
	*Workload
	partitions int32
	random     *rand.Rand
	zipf       *rand.Zipf
	counts     []int64 // events of each participant so far
	sent, made int64
	held       map[int]*kgo.Record // by participant: to come after its next
	last       []kgo.Record        // a ring of what may be repeated; only where there are copies
}

// next sends one record, or two where one was held back; never more than there are.
func (s *stream) next(fn func(*kgo.Record) error) error {
	if n := len(s.last); n > 0 && s.random.Float64() < s.copies {
		return s.send(repeated(&s.last[s.random.IntN(n)]), fn)
	}
	who := s.who()
	r := s.record(s.made, who, s.counts[who], s.partitions)
	s.made++
	s.counts[who]++
	before := s.held[who]
	if s.disorder > 0 && before == nil && s.random.Float64() < s.disorder {
		if s.held == nil {
			s.held = map[int]*kgo.Record{}
		}
		s.held[who] = r
		return nil
	}
	delete(s.held, who)
	err := s.send(r, fn)
	if err == nil && before != nil && s.sent < s.Events {
		err = s.send(before, fn)
	}
	return err
}

func (s *stream) who() int {
	if s.zipf != nil {
		return int(s.zipf.Uint64())
	}
	return s.random.IntN(s.Participants)
}

func (s *stream) send(r *kgo.Record, fn func(*kgo.Record) error) error {
	if s.copies > 0 && len(s.last) < recent {
		s.last = append(s.last, *repeated(r))
	} else if s.copies > 0 {
		s.last[s.sent%recent] = *repeated(r)
	}
	s.sent++
	return fn(r)
}

// repeated returns the same record once more: whoever sends the first one writes
// into it.
func repeated(r *kgo.Record) *kgo.Record {
	return &kgo.Record{Key: r.Key, Value: r.Value, Headers: r.Headers, Partition: r.Partition}
}
