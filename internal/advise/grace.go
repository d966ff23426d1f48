// Package advise reads what has happened and says how a hunt should be set up
// for it.
//
// It belongs to the core: no I/O, no clock. What it says of the past is exact;
// that the future is like it is its reader's judgement.
package advise

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// Grace finds out how late events come, from the records of the events topic,
// partition by partition in the order of the log. It keeps about 100 bytes of
// each event, and belongs to one goroutine.
type Grace struct {
	schema     *participant.Schema
	partitions int32
	sources    map[string]*source
	players    map[string]*player
	known      map[participant.Identity]bool
	event      participant.Event

	// Events is how many were looked at; Skipped are records that are no events
	// of the rules, events that were seen before, and records on another
	// partition than their participant's.
	Events, Skipped int64
}

// player is what is kept of a participant.
type player struct {
	newest int64
	times  []int64 // of all events
}

// source is what is kept of one source. Times are in µs.
type source struct {
	events  int64
	late    []int64 // how far behind its participant's newest event one was
	transit []int64 // from the event's own time to its arrival
	future  int64   // events that are refused for their clock
}

// NewGrace returns an advisor on a topic of so many partitions.
func NewGrace(s *participant.Schema, partitions int32) *Grace {
	return &Grace{
		schema: s, partitions: partitions,
		sources: map[string]*source{}, players: map[string]*player{}, known: map[participant.Identity]bool{},
	}
}

// Add looks at the next record of a partition.
func (g *Grace) Add(r *wire.Record) {
	e := &g.event
	if rejection := wire.DecodeEvent(r, g.schema, e); rejection != nil || r.Partition != wire.PartitionFor(r.Key, g.partitions) || g.known[e.Identity] {
		g.Skipped++
		return
	}
	g.known[e.Identity] = true
	g.Events++
	s := g.sources[e.Source]
	if s == nil {
		s = &source{}
		g.sources[e.Source] = s
	}
	s.events++
	if e.TimeGiven {
		s.transit = append(s.transit, e.Arrival.Time-e.Time)
	}
	if e.Time > e.Arrival.Time+g.schema.Order.MaxAhead {
		s.future++
		return
	}
	p := g.players[e.Participant]
	if p == nil {
		p = &player{newest: e.Time}
		g.players[e.Participant] = p
	}
	if behind := p.newest - e.Time; behind > 0 {
		s.late = append(s.late, behind)
	}
	p.newest = max(p.newest, e.Time)
	p.times = append(p.times, e.Time)
}

// GraceReport is what was found. Durations are in seconds.
type GraceReport struct {
	Events       int64        `json:"events"`
	Skipped      int64        `json:"skipped"`
	Participants int          `json:"participants"`
	OutOfOrder   int64        `json:"out_of_order"` // behind their participant's newest event
	Sources      []SourceLate `json:"sources"`      // the latest first
	Now          Candidate    `json:"now"`          // the grace of the rules
	Candidates   []Candidate  `json:"candidates"`
	// Advised is the smallest candidate that meets the wish; nil: none does.
	Advised *Candidate `json:"advised"`
	MaxTail int        `json:"max_tail"` // of the rules
}

// SourceLate is how late one source's events come.
type SourceLate struct {
	Source     string  `json:"source"`
	Events     int64   `json:"events"`
	OutOfOrder int64   `json:"out_of_order"`
	LateP50    float64 `json:"late_p50_seconds"` // of those out of order
	LateP99    float64 `json:"late_p99_seconds"`
	LateMax    float64 `json:"late_max_seconds"`
	// TransitP50 is from the event's time to its arrival. A source whose events
	// arrive before they happen has a fast clock: TransitMin is below 0.
	TransitMin float64 `json:"transit_min_seconds"`
	TransitP50 float64 `json:"transit_p50_seconds"`
	TransitP99 float64 `json:"transit_p99_seconds"`
	Future     int64   `json:"future"` // refused, for a clock that is too fast
}

// Candidate is what one grace would have done.
type Candidate struct {
	Grace float64 `json:"grace_seconds"`
	Late  int64   `json:"late"`  // events that would have been refused
	Share float64 `json:"share"` // of all events
	// Tail is the most events that one participant has within it: more than
	// max_tail, and the oldest are settled before their time.
	Tail int `json:"tail"`
}

// ladder are lengths of time that people write into files.
var ladder = []time.Duration{
	0, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour,
}

// Report says what was found. wish is the share of events that may be late.
func (g *Grace) Report(wish float64) *GraceReport {
	r := &GraceReport{
		Events: g.Events, Skipped: g.Skipped, Participants: len(g.players), MaxTail: g.schema.Order.MaxTail,
		Sources: []SourceLate{}, Candidates: []Candidate{},
	}
	var late []int64
	for _, name := range slices.Sorted(maps.Keys(g.sources)) {
		s := g.sources[name]
		late = append(late, s.late...)
		r.Sources = append(r.Sources, s.report(name))
	}
	slices.SortStableFunc(r.Sources, func(a, b SourceLate) int { return cmp.Compare(b.LateMax, a.LateMax) })
	slices.Sort(late)
	r.OutOfOrder = int64(len(late))
	for _, p := range g.players {
		slices.Sort(p.times)
	}
	r.Now = g.candidate(g.schema.Order.Grace, late)
	for _, d := range ladder {
		c := g.candidate(d.Microseconds(), late)
		r.Candidates = append(r.Candidates, c)
		if r.Advised == nil && c.Share <= wish {
			r.Advised = &c
		}
		if c.Late == 0 {
			break
		}
	}
	return r
}

// candidate counts the events that are further behind than a grace (in µs):
// they are late. One that is exactly as far behind still counts.
func (g *Grace) candidate(grace int64, late []int64) Candidate {
	within, _ := slices.BinarySearch(late, grace+1)
	c := Candidate{Grace: seconds(grace), Late: int64(len(late) - within)}
	if g.Events > 0 {
		c.Share = float64(c.Late) / float64(g.Events)
	}
	for _, p := range g.players {
		first := 0
		for i, at := range p.times {
			for at-p.times[first] > grace {
				first++
			}
			c.Tail = max(c.Tail, i-first+1)
		}
	}
	return c
}

func (s *source) report(name string) SourceLate {
	slices.Sort(s.late)
	slices.Sort(s.transit)
	return SourceLate{
		Source: name, Events: s.events, OutOfOrder: int64(len(s.late)), Future: s.future,
		LateP50: quantile(s.late, 0.5), LateP99: quantile(s.late, 0.99), LateMax: quantile(s.late, 1),
		TransitMin: quantile(s.transit, 0), TransitP50: quantile(s.transit, 0.5), TransitP99: quantile(s.transit, 0.99),
	}
}

// quantile of sorted values in µs, in seconds; 0 where there are none.
func quantile(sorted []int64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return seconds(sorted[min(int(q*float64(len(sorted))), len(sorted)-1)])
}

func seconds(us int64) float64 { return float64(us) / 1e6 }
