package bench

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// GrowthReport is what a run of Growth measured, and everything it depends on.
type GrowthReport struct {
	Events     int64    `json:"events"`
	Rounds     int      `json:"rounds"`
	Warmups    int      `json:"warmups"`
	Processor  Settings `json:"processor"`
	Machine    Machine  `json:"machine"`
	Broker     Process  `json:"broker"`
	Redis      Process  `json:"redis"`
	Verified   Verified `json:"verified"` // of all rounds together
	Dimensions []*Grown `json:"dimensions"`
}

// Grown are a dimension's points, the smallest first.
type Grown struct {
	Name   string
	Unit   string
	Points []*GrowthPoint
}

// GrowthPoint are the rounds of one point, and what it was made of.
type GrowthPoint struct {
	Result
	At            int
	Along         float64 // where the point lies for the slope: At, or the mean tail
	Participants  int     // to draw from
	Partitions    int32
	CommitRecords int
	States        int64     // participants that had an event
	RedisBytes    []float64 // for a participant; empty: Redis did not say
	CacheBytes    []float64 // for a participant; empty: not all were in the cache
}

func newPoint(dimension string, at int, c *course) *GrowthPoint {
	return &GrowthPoint{
		Result: Result{Name: dimension + " " + thousands(float64(at))}, At: at, Along: c.along,
		Participants: c.workload.Participants, Partitions: c.partitions, CommitRecords: c.rt.Config.Processor.CommitRecords,
	}
}

// again is how many events behind the start a participant has on average, so that 19
// of 20 have one: a partition that changes hands at the start leaves the cache, and its
// participants come back with their next event.
const again = 3

// take adds a round that was compared.
func (p *GrowthPoint) take(w Window, states, size int64, held cached) {
	p.Rounds, p.States = append(p.Rounds, w), states
	if size >= 0 {
		p.RedisBytes = append(p.RedisBytes, float64(size)/float64(states))
	}
	if held.evicted == 0 && !w.WithStart && w.Events >= again*states {
		p.CacheBytes = append(p.CacheBytes, float64(held.bytes)/float64(states))
	}
}

// GrowthFigures are a point's medians, for machines. The ratio is to the dimension's
// first point.
type GrowthFigures struct {
	At            int     `json:"at"`
	Along         float64 `json:"along"`
	Participants  int     `json:"participants"`
	Partitions    int32   `json:"partitions"`
	CommitRecords int     `json:"commit_records"`
	EventsEach    float64 `json:"events_per_participant"`
	Figures
	Together   float64  `json:"cpu_ns_per_event"`                // of all that is measured
	RedisBytes *float64 `json:"redis_bytes_per_participant"`     // null: Redis did not say
	CacheBytes *float64 `json:"processor_bytes_per_participant"` // null: not all were in the cache
}

// Figures returns the dimension's medians, and how the cost grows; nil where there is
// one point.
func (r *GrowthReport) Figures(g *Grown) ([]GrowthFigures, *Slope) {
	of := r.rounds(g.Points...)
	of.Reference = g.Points[0].Name
	var all []GrowthFigures
	var lined rounds
	for i, f := range of.Figures() {
		p := g.Points[i]
		all = append(all, GrowthFigures{
			At: p.At, Along: p.Along, Participants: p.Participants, Partitions: p.Partitions, CommitRecords: p.CommitRecords,
			EventsEach: float64(r.Events) / float64(p.States), Figures: f,
			Together:   p.perEvent(func(w Window) time.Duration { return w.Own + w.Broker + w.Redis }).Median,
			RedisBytes: orAbsent(p.RedisBytes), CacheBytes: orAbsent(p.CacheBytes),
		})
		counted, _ := p.Counted()
		for _, w := range counted {
			lined.along, lined.windows = append(lined.along, p.Along), append(lined.windows, w)
		}
	}
	return all, lined.slope(r.Broker.measured(), r.Redis.measured())
}

// rounds are those of some points as a report has them.
func (r *GrowthReport) rounds(points ...*GrowthPoint) *Report {
	of := &Report{Broker: r.Broker, Redis: r.Redis}
	for _, p := range points {
		of.Variants = append(of.Variants, p.Result)
	}
	return of
}

func orAbsent(values []float64) *float64 {
	if len(values) == 0 {
		return nil
	}
	return new(spread(values).Median)
}

// WriteJSON writes the report for machines.
func (r *GrowthReport) WriteJSON(w io.Writer) error {
	type grown struct {
		Name   string          `json:"name"`
		Unit   string          `json:"unit"`
		Points []GrowthFigures `json:"points"`
		Slope  *Slope          `json:"slope"` // null: of one point
	}
	var all []grown
	for _, g := range r.Dimensions {
		points, slope := r.Figures(g)
		all = append(all, grown{g.Name, g.Unit, points, slope})
	}
	type plain GrowthReport
	return writeJSON(w, struct {
		*plain
		Dimensions []grown `json:"dimensions"`
	}{(*plain)(r), all})
}

// WritePage puts the report, with the command that made it, between the page's marks.
func (r *GrowthReport) WritePage(path, command string) error {
	return writePage(path, "bench growth", command, r.WriteText)
}

// WriteText writes the report for people.
func (r *GrowthReport) WriteText(w io.Writer) error {
	var b strings.Builder
	r.writeHead(&b)
	for _, g := range r.Dimensions {
		b.WriteByte('\n')
		t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
		for _, row := range r.table(g) {
			fmt.Fprintln(t, strings.Join(row, "\t")+"\t")
		}
		if err := t.Flush(); err != nil {
			return err
		}
		_, slope := r.Figures(g)
		for _, line := range slope.words(g) {
			fmt.Fprintln(&b, line)
		}
	}
	for _, note := range r.notes() {
		fmt.Fprintf(&b, "\n%s", note)
	}
	if len(r.notes()) > 0 {
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeHead writes what the figures depend on, and what was compared.
func (r *GrowthReport) writeHead(b *strings.Builder) {
	m, v := r.Machine, r.Verified
	fmt.Fprintf(b, "workload   core: %s events a round, one thing more of in each table and the rest as in core; %d rounds, interleaved\n", thousands(float64(r.Events)), r.Rounds)
	fmt.Fprintf(b, "processor  %d slots, commit every %s or %s records\n", r.Processor.Slots, r.Processor.CommitInterval, thousands(float64(r.Processor.CommitRecords)))
	fmt.Fprintf(b, "machine    %d CPUs (%s), %d MiB, %s, Go %s\n", m.CPUs, orUnknown(m.Model), m.MemoryMiB, m.System, m.Go)
	fmt.Fprintf(b, "servers    Kafka %s; Redis %s\n", orUnknown(m.Kafka), orUnknown(m.Redis))
	fmt.Fprintf(b, "compared   %d rounds, in all %s events, %s outputs, %s states, with their fold: nothing lost, duplicated or wrong\n",
		v.Rounds, thousands(float64(v.Events)), thousands(float64(v.Outputs)), thousands(float64(v.States)))
}

// table is a dimension's figures in rows of cells, the first one the columns' names
// and the last one the slope, where there is one.
func (r *GrowthReport) table(g *Grown) [][]string {
	rows := [][]string{{g.Name, "events/s", "range", "CPU ns/event: own", "broker", "Redis", "together", "bytes/participant: Redis", "cache", "events each", "other load"}}
	figures, slope := r.Figures(g)
	for i, f := range figures {
		rows = append(rows, []string{
			thousands(float64(f.At)), thousands(f.EventsPerS), thousands(f.Low) + "–" + thousands(f.High),
			fmt.Sprintf("%.0f", f.OwnNanos), orNone(f.BrokerNanos), orNone(f.RedisNanos), fmt.Sprintf("%.0f", f.Together),
			orNone(f.RedisBytes), orNone(f.CacheBytes), fmt.Sprintf("%.3g", f.EventsEach), load(&g.Points[i].Result),
		})
	}
	if slope != nil {
		rows = append(rows, []string{"per " + slope.per(g), "", "", slope.Own.text(), textOf(slope.Broker), textOf(slope.Redis), slope.Together.text(), "", "", "", ""})
	}
	return rows
}

// per is what one step of the slope is.
func (s *Slope) per(g *Grown) string {
	if s.Per == perDoubling {
		return perDoubling
	}
	return g.Unit
}

// text is a rise with its standard error, in nanoseconds.
func (r Rise) text() string {
	size := math.Abs(r.Nanos)
	if r.Error != nil {
		size = max(size, *r.Error)
	}
	digits := 0
	switch { // for one unit more it may be little
	case size < 0.1:
		digits = 5
	case size < 10:
		digits = 2
	}
	text := fmt.Sprintf("%+.*f", digits, r.Nanos)
	if r.Error != nil {
		text += fmt.Sprintf(" ± %.*f", digits, *r.Error)
	}
	return text
}

func textOf(r *Rise) string {
	if r == nil {
		return "–"
	}
	return r.text()
}

// words say what the last row of a dimension's table is.
func (s *Slope) words(g *Grown) []string {
	if s == nil {
		return nil
	}
	is, other := "for twice as many "+g.Name, "a line by the "+g.Unit
	if g.Name == "tail" {
		is = "for a tail twice as long"
	}
	if s.Per == perUnit {
		is, other = "for one more "+g.Unit, "a line by doublings"
	}
	text := fmt.Sprintf("An event takes %s ns %s (least squares over the rounds, ± standard error; R² %.3f, of %s %.3f).", s.Together.text(), is, s.Apt, other, s.Other)
	if !s.Together.seen() {
		text += " That is not told from none."
	}
	lines := []string{text}
	if g.disturbed() {
		lines = append(lines, "Rounds that other load or the start disturbed are in it; see the notes.")
	}
	if g.Name == "tail" {
		var means []string
		for _, p := range g.Points {
			means = append(means, fmt.Sprintf("%.3g", p.Along))
		}
		p := g.Points[0]
		lines = append(lines, fmt.Sprintf("Tails begin empty and are %s events on average, which the slope is along; %s participants, commits of at most %s records, to fill them.",
			strings.Join(means, ", "), thousands(float64(p.Participants)), thousands(float64(p.CommitRecords))))
	}
	return lines
}

// disturbed says that what is counted holds rounds that would better not be.
func (g *Grown) disturbed() bool {
	return slices.ContainsFunc(g.Points, func(p *GrowthPoint) bool {
		counted, quiet := p.Counted()
		return !quiet || slices.ContainsFunc(counted, func(w Window) bool { return w.WithStart })
	})
}

// young is how few events of a participant leave its state smaller than it grows to.
const young = 10

// notes are what a reader has to know beside the figures.
func (r *GrowthReport) notes() []string {
	var points []*GrowthPoint
	for _, g := range r.Dimensions {
		points = append(points, g.Points...)
	}
	notes := r.rounds(points...).notes()
	remarks := map[string][]string{} // points by what is to be said of them
	for _, p := range points {
		if float64(r.Events)/float64(p.States) < young {
			const text = "a participant had few events, so that states are small and commits meet many new ones: give more --events"
			remarks[text] = append(remarks[text], p.Name)
		}
		if len(p.CacheBytes) < len(p.Rounds) {
			text := fmt.Sprintf("not all participants were in the cache at the end (processor.cache_bytes is %d MiB; partitions change hands at the start): what one takes there is not known", r.Processor.CacheBytes>>20)
			remarks[text] = append(remarks[text], p.Name)
		}
		if len(p.RedisBytes) < len(p.Rounds) {
			const text = "Redis did not say what its keys take (MEMORY USAGE)"
			remarks[text] = append(remarks[text], p.Name)
		}
	}
	for _, text := range slices.Sorted(maps.Keys(remarks)) {
		notes = append(notes, strings.Join(remarks[text], "; ")+": "+text)
	}
	return notes
}
