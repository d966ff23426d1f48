package bench

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is a run's figures and everything they depend on.
type Report struct {
	Workload   Workload `json:"workload"`
	Partitions int32    `json:"partitions"`
	Rounds     int      `json:"rounds"`
	Warmups    int      `json:"warmups"`
	Processor  Settings `json:"processor"`
	Machine    Machine  `json:"machine"`
	Broker     Process  `json:"broker"`
	Redis      Process  `json:"redis"`
	Verified   Verified `json:"verified"`
	Reference  string   `json:"reference"` // the variant that ratios refer to
	Variants   []Result `json:"variants"`
	Profile    []Cost   `json:"profile,omitempty"` // where the CPU of a further round went
}

// Settings are those of the processor that matter for its speed.
type Settings struct {
	Slots          int    `json:"slots"`
	CommitInterval string `json:"commit_interval"`
	CommitRecords  int    `json:"commit_records"`
	CacheBytes     int64  `json:"cache_bytes"`
	Buckets        int    `json:"buckets"`
}

// Verified is what was compared, in each of so many rounds, and found equal.
type Verified struct {
	Rounds  int   `json:"rounds"`
	Events  int64 `json:"events"`
	Outputs int64 `json:"outputs"`
	States  int64 `json:"states"`
}

// add sums what several runs have compared.
func (v *Verified) add(other *Verified) {
	v.Rounds, v.Events, v.Outputs, v.States = v.Rounds+other.Rounds, v.Events+other.Events, v.Outputs+other.Outputs, v.States+other.States
}

// Result is a variant's rounds.
type Result struct {
	Name   string   `json:"name"`
	Rounds []Window `json:"rounds"`
}

// Spread is the median of some rounds, and their range.
type Spread struct{ Median, Low, High float64 }

func spread(values []float64) Spread {
	if len(values) == 0 {
		return Spread{math.NaN(), math.NaN(), math.NaN()}
	}
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return Spread{(v[(n-1)/2] + v[n/2]) / 2, v[0], v[n-1]}
}

// Counted returns the rounds that figures are taken from: the quiet ones, or
// all where every round was noisy.
func (r *Result) Counted() (rounds []Window, quiet bool) {
	for _, w := range r.Rounds {
		if !w.Noisy {
			rounds = append(rounds, w)
		}
	}
	if len(rounds) == 0 {
		return r.Rounds, false
	}
	return rounds, true
}

// Rate is in events per second.
func (r *Result) Rate() Spread { return r.of(Window.Rate) }

// perEvent is in nanoseconds of CPU per event.
func (r *Result) perEvent(part func(Window) time.Duration) Spread {
	return r.of(func(w Window) float64 { return float64(part(w)) / float64(w.Events) })
}

func (r *Result) of(figure func(Window) float64) Spread {
	rounds, _ := r.Counted()
	values := make([]float64, len(rounds))
	for i, w := range rounds {
		values[i] = figure(w)
	}
	return spread(values)
}

// Figures are a variant's medians, for machines.
type Figures struct {
	Name        string   `json:"name"`
	EventsPerS  float64  `json:"events_per_s"`
	Low         float64  `json:"events_per_s_low"`
	High        float64  `json:"events_per_s_high"`
	Ratio       float64  `json:"ratio"` // to the reference
	OwnNanos    float64  `json:"own_cpu_ns_per_event"`
	BrokerNanos *float64 `json:"broker_cpu_ns_per_event"` // null: not measured
	RedisNanos  *float64 `json:"redis_cpu_ns_per_event"`  // null: not measured
	Quiet       bool     `json:"quiet"`                   // false: every round was noisy
	Rounds      []Window `json:"rounds"`
}

// Figures returns the variants' medians.
func (r *Report) Figures() []Figures {
	reference := math.NaN()
	var all []Figures
	for i := range r.Variants {
		v := &r.Variants[i]
		rate := v.Rate()
		if v.Name == r.Reference {
			reference = rate.Median
		}
		_, quiet := v.Counted()
		f := Figures{
			Name: v.Name, EventsPerS: rate.Median, Low: rate.Low, High: rate.High, Ratio: rate.Median / reference,
			OwnNanos: v.perEvent(func(w Window) time.Duration { return w.Own }).Median, Quiet: quiet, Rounds: v.Rounds,
		}
		if r.Broker.measured() {
			f.BrokerNanos = new(v.perEvent(func(w Window) time.Duration { return w.Broker }).Median)
		}
		if r.Redis.measured() {
			f.RedisNanos = new(v.perEvent(func(w Window) time.Duration { return w.Redis }).Median)
		}
		all = append(all, f)
	}
	return all
}

// WriteJSON writes the report for machines.
func (r *Report) WriteJSON(w io.Writer) error {
	type plain Report
	return writeJSON(w, struct {
		*plain
		Variants []Figures `json:"variants"`
	}{(*plain)(r), r.Figures()})
}

// WriteText writes the report for people, wholly in the width of a terminal.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	r.writeHead(&b)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range r.table() {
		fmt.Fprintln(t, strings.Join(row, "\t")+"\t")
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for i := range r.Variants {
		v := &r.Variants[i]
		if n := v.of(func(w Window) float64 { return float64(w.Commits) }).Median; n > 0 {
			fmt.Fprintf(&b, "\n%s: %s records a commit, %.1f ms from a commit's first record to its end",
				v.Name, thousands(float64(r.Workload.Events)/n), v.of(func(w Window) float64 { return float64(w.CommitTime) / 1e6 }).Median)
		}
	}
	for _, note := range r.notes() {
		fmt.Fprintf(&b, "\n%s", note)
	}
	b.WriteByte('\n')
	if len(r.Profile) > 0 {
		b.WriteByte('\n')
		if err := writeCosts(&b, r.Profile); err != nil {
			return err
		}
		b.WriteString(r.floor())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeHead writes what the figures depend on, and what was compared.
func (r *Report) writeHead(b *strings.Builder) {
	m, l := r.Machine, r.Workload
	fmt.Fprintf(b, "workload   %s: %s events of %d B (%s), %s participants, a notification every %s, %d partitions\n",
		l.Name, thousands(float64(l.Events)), l.EventBytes, l.Encoding, thousands(float64(l.Participants)), every(l), r.Partitions)
	fmt.Fprintf(b, "processor  %d slots, commit every %s or %s records\n", r.Processor.Slots, r.Processor.CommitInterval, thousands(float64(r.Processor.CommitRecords)))
	fmt.Fprintf(b, "machine    %d CPUs (%s), %d MiB, %s, Go %s\n", m.CPUs, orUnknown(m.Model), m.MemoryMiB, m.System, m.Go)
	fmt.Fprintf(b, "servers    Kafka %s; Redis %s\n", orUnknown(m.Kafka), orUnknown(m.Redis))
	fmt.Fprintf(b, "compared   %d rounds of %s events, %s outputs, %s states with their fold: nothing lost, duplicated or wrong\n\n",
		r.Verified.Rounds, thousands(float64(r.Verified.Events)), thousands(float64(r.Verified.Outputs)), thousands(float64(r.Verified.States)))
}

// table is the figures in rows of cells, the first one the columns' names.
func (r *Report) table() [][]string {
	rows := [][]string{{"variant", "events/s", "range", "ratio", "CPU ns/event: own", "broker", "Redis", "other load"}}
	for i, f := range r.Figures() {
		rows = append(rows, []string{
			f.Name, thousands(f.EventsPerS), thousands(f.Low) + "–" + thousands(f.High), fmt.Sprintf("%.2f", f.Ratio),
			fmt.Sprintf("%.0f", f.OwnNanos), orNone(f.BrokerNanos), orNone(f.RedisNanos), load(&r.Variants[i]),
		})
	}
	return rows
}

// notes are what a reader has to know beside the figures.
func (r *Report) notes() []string {
	var notes []string
	for what, p := range map[string]Process{"broker": r.Broker, "Redis": r.Redis} {
		if !p.measured() {
			notes = append(notes, fmt.Sprintf("%s: not measured (%s)", what, p.Reason))
		}
	}
	slices.Sort(notes)
	for i := range r.Variants {
		v := &r.Variants[i]
		noisy, started, blind := 0, 0, 0
		for _, w := range v.Rounds {
			noisy += count(w.Noisy)
			started += count(w.WithStart)
			blind += count(w.Other < 0)
		}
		if _, quiet := v.Counted(); noisy > 0 && quiet {
			notes = append(notes, fmt.Sprintf("%s: %d of %d rounds were noisy (other load above %.0f %%) and are left out", v.Name, noisy, len(v.Rounds), noisyAbove*100))
		} else if noisy > 0 {
			notes = append(notes, fmt.Sprintf("%s: every round was noisy (other load above %.0f %%): repeat on a quiet machine", v.Name, noisyAbove*100))
		}
		if blind > 0 {
			notes = append(notes, fmt.Sprintf("%s: other load is not known in %d rounds (too short, or a server's process was not found): noise would not be seen", v.Name, blind))
		}
		if started > 0 {
			notes = append(notes, fmt.Sprintf("%s: in %d rounds the start took half of the events or more and is part of the figure: give more --events", v.Name, started))
		}
	}
	return notes
}

// every says how often a notification is caused, and what else is a workload's own.
func every(l Workload) string {
	text := strconv.Itoa(l.Notify)
	if l.Shape != "" {
		text += ", " + l.Shape
	}
	return text
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

// remark says what is odd about a round.
func remark(w Window) string {
	text := ""
	if w.Other >= 0 {
		text = fmt.Sprintf(", other load %.0f %%", w.Other*100)
	}
	if w.Noisy {
		text += " (noisy)"
	}
	if w.Commits > 0 {
		text += fmt.Sprintf(", %d commits of %s", w.Commits, w.CommitTime.Round(100*time.Microsecond))
	}
	if w.WithStart {
		text += " (with the start)"
	}
	return text
}

// load is the range of other load over a variant's rounds.
func load(v *Result) string {
	low, high := math.Inf(1), -1.0
	for _, w := range v.Rounds {
		low, high = min(low, w.Other), max(high, w.Other)
	}
	if high < 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f–%.0f %%", max(low, 0)*100, high*100)
}

func orNone(f *float64) string {
	if f == nil {
		return "–"
	}
	return fmt.Sprintf("%.0f", *f)
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// thousands renders a whole number in groups of three.
func thousands(f float64) string {
	digits := fmt.Sprintf("%.0f", f)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}
