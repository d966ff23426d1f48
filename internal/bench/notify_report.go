package bench

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// NotifyReport is what a run of Notify measured, and everything it depends on.
type NotifyReport struct {
	Players     int            `json:"players"`
	Partitions  int32          `json:"partitions"`
	Records     int            `json:"backlog_records"`
	Duplicates  float64        `json:"duplicates"` // the share of copies
	Lanes       int            `json:"lanes"`      // appends at a time
	Machine     Machine        `json:"machine"`
	Broker      Process        `json:"broker"`
	Redis       Process        `json:"redis"`
	Verified    NotifyVerified `json:"verified"`
	Alone       *Drained       `json:"without_streams"`
	Watched     *Drained       `json:"with_streams"`
	Connections *Connections   `json:"connections"`
	Screen      *Screen        `json:"event_to_screen"`
}

// NotifyVerified is what was compared and found right: each notification shown
// once, in order, and each copy taken for one.
type NotifyVerified struct {
	Notifications int64 `json:"notifications"`
	Copies        int64 `json:"copies"`
}

func (v *NotifyVerified) add(notifications, copies int64) {
	v.Notifications, v.Copies = v.Notifications+notifications, v.Copies+copies
}

// account is a reading, with the parts' CPU time.
type account struct {
	Reading
	notifier, players, pipeline time.Duration
}

// usage is the CPU time that passed between two accounts.
type usage struct {
	Notifier time.Duration `json:"notifier_cpu_ns"`
	Players  time.Duration `json:"players_cpu_ns"`
	Pipeline time.Duration `json:"pipeline_cpu_ns"`
	Broker   time.Duration `json:"broker_cpu_ns"`
	Redis    time.Duration `json:"redis_cpu_ns"`
	Own      time.Duration `json:"own_cpu_ns"`
	Busy     float64       `json:"busy"`       // the share of the machine that was busy
	Other    float64       `json:"other_load"` // of it, the share of others; negative where it could not be told
}

// between returns what passed between two accounts.
func (n *notify) between(from, to account) usage {
	u := usage{
		Notifier: to.notifier - from.notifier, Players: to.players - from.players, Pipeline: to.pipeline - from.pipeline,
		Broker: to.Broker - from.Broker, Redis: to.Redis - from.Redis, Own: to.Own - from.Own, Other: -1,
	}
	machine := to.At.Sub(from.At).Seconds() * float64(runtime.NumCPU())
	u.Busy = min((to.Busy-from.Busy).Seconds()/machine, 1)
	if n.meter.apart() && to.At.Sub(from.At) >= tellable {
		ours := u.Notifier + u.Players + u.Pipeline + u.Broker + u.Redis + u.Own
		u.Other = max(0, (to.Busy-from.Busy-ours).Seconds()/machine)
	}
	return u
}

// Noisy says that others disturbed.
func (u usage) Noisy() bool { return u.Other > noisyAbove }

// DrainWindow is one backlog drained.
type DrainWindow struct {
	Notifications int64         `json:"notifications"`
	Copies        int64         `json:"copies"`
	Wall          time.Duration `json:"wall_ns"`
	usage
}

// Rate is in notifications per second.
func (w DrainWindow) Rate() float64 { return float64(w.Notifications) / w.Wall.Seconds() }

// RecordRate counts the copies too.
func (w DrainWindow) RecordRate() float64 {
	return float64(w.Notifications+w.Copies) / w.Wall.Seconds()
}

// Micros is the notifier's CPU time for one notification, its share of the
// copies included, in microseconds.
func (w DrainWindow) Micros() float64 {
	return float64(w.Notifier.Microseconds()) / float64(w.Notifications)
}

// Drained are the rounds of one kind.
type Drained struct {
	Streams int           `json:"streams"`
	Rounds  []DrainWindow `json:"rounds"`
}

// of returns a figure's median over the quiet rounds, or over all where every
// one was noisy.
func (d *Drained) of(figure func(DrainWindow) float64) (s Spread, quiet bool) {
	var values, all []float64
	for _, w := range d.Rounds {
		all = append(all, figure(w))
		if !w.Noisy() {
			values = append(values, figure(w))
		}
	}
	if len(values) == 0 {
		return spread(all), false
	}
	return spread(values), true
}

// Connections is what players cost who are connected and are sent nothing.
type Connections struct {
	Players int           `json:"players"`
	Took    time.Duration `json:"took_ns"` // until all were connected
	Without memory        `json:"without"`
	With    memory        `json:"with"`
	IdleFor time.Duration `json:"idle_ns"`
	Idle    usage         `json:"idle"`
	// Inbox is what Redis holds for one player with so many Entries, in bytes; 0
	// where it does not say.
	Inbox   float64 `json:"inbox_bytes"`
	Entries float64 `json:"inbox_entries"`
}

// PerConnection is the notifier's memory for one, in bytes.
func (c *Connections) PerConnection() float64 {
	return float64(c.With.Resident-c.Without.Resident) / float64(c.Players)
}

// Screen is the open loop, from an event's due time to the player's screen.
type Screen struct {
	Rate    int           `json:"events_per_s"`
	For     time.Duration `json:"for_ns"`
	Refused int64         `json:"refused"` // by the gateway for the time being, and sent again
	Shown   int64         `json:"shown"`   // and measured
	Times   Quantiles     `json:"due_to_shown"`
	Behind  Quantiles     `json:"due_to_sent"` // of Times, what the sender itself was behind
	usage
}

func (s *Screen) take(times []int64) { s.Shown, s.Times = int64(len(times)), quantiles(times) }

// Quantiles are times in milliseconds.
type Quantiles struct {
	P50  float64 `json:"p50_ms"`
	P90  float64 `json:"p90_ms"`
	P99  float64 `json:"p99_ms"`
	P999 float64 `json:"p999_ms"`
	Max  float64 `json:"max_ms"`
}

// quantiles reads sorted microseconds.
func quantiles(sorted []int64) Quantiles {
	at := func(share float64) float64 {
		if len(sorted) == 0 {
			return 0
		}
		return float64(sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]) / 1000
	}
	return Quantiles{at(0.5), at(0.9), at(0.99), at(0.999), at(1)}
}

// WriteJSON writes the report for machines.
func (r *NotifyReport) WriteJSON(w io.Writer) error {
	return writeJSON(w, r)
}

// WriteText writes the report for people.
func (r *NotifyReport) WriteText(w io.Writer) error {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "machine    %d CPUs (%s), %d MiB, %s, Go %s\n", m.CPUs, orUnknown(m.Model), m.MemoryMiB, m.System, m.Go)
	fmt.Fprintf(&b, "servers    Kafka %s; Redis %s\n", orUnknown(m.Kafka), orUnknown(m.Redis))
	fmt.Fprintf(&b, "sent       %s players, %d partitions, %d lanes; %.0f %% of what is sent are copies\n", thousands(float64(r.Players)), r.Partitions, r.Lanes, r.Duplicates*100)
	fmt.Fprintf(&b, "compared   %s notifications shown once and in order, %s copies shown never\n\n", thousands(float64(r.Verified.Notifications)), thousands(float64(r.Verified.Copies)))
	if err := r.drains(&b); err != nil {
		return err
	}
	c, s := r.Connections, r.Screen
	fmt.Fprintf(&b, "\na connection     %s of the notifier (%s of heap, %s of stacks, %.1f goroutines); connecting all took %.1f s\n", kib(c.PerConnection()),
		kib(c.each(c.With.Heap-c.Without.Heap)), kib(c.each(c.With.Stacks-c.Without.Stacks)), c.each(c.With.Goroutines-c.Without.Goroutines), c.Took.Seconds())
	fmt.Fprintf(&b, "all of them idle %.0f %% of a processor for the notifier, %s for Redis%s\n",
		percent(c.Idle.Notifier, c.IdleFor), r.orNot(c.Idle.Redis, c.IdleFor), noise(c.Idle))
	if c.Inbox > 0 {
		fmt.Fprintf(&b, "an inbox         %s of Redis with %.0f entries\n", kib(c.Inbox), c.Entries)
	}
	fmt.Fprintf(&b, "\nevent to screen at %s events/s for %s (%s shown): p50 %.0f ms, p90 %.0f, p99 %.0f, p99.9 %.0f, max %.0f\n", thousands(float64(s.Rate)), s.For,
		thousands(float64(s.Shown)), s.Times.P50, s.Times.P90, s.Times.P99, s.Times.P999, s.Times.Max)
	fmt.Fprintf(&b, "of it behind schedule when sent: p50 %.1f ms, p99 %.1f, max %.0f; refused and sent again: %d\n", s.Behind.P50, s.Behind.P99, s.Behind.Max, s.Refused)
	fmt.Fprintf(&b, "the machine was busy to %.0f %%%s; in %% of a processor: gateway and processor %.0f, notifier %.0f, players %.0f, broker %s, Redis %s, sender %.0f\n", s.Busy*100, noise(s.usage),
		percent(s.Pipeline, s.For), percent(s.Notifier, s.For), percent(s.Players, s.For), r.orNotBroker(s.Broker, s.For), r.orNot(s.usage.Redis, s.For), percent(s.Own, s.For))
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *NotifyReport) drains(b *strings.Builder) error {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "backlog drained\tnotifications/s\trange\twith copies/s\tCPU µs each: notifier\tbroker\tRedis\tplayers\tother load\t")
	for _, d := range []*Drained{r.Alone, r.Watched} {
		rate, quiet := d.of(DrainWindow.Rate)
		micros := func(part func(DrainWindow) time.Duration) string {
			s, _ := d.of(func(w DrainWindow) float64 { return float64(part(w).Microseconds()) / float64(w.Notifications) })
			if s.High == 0 {
				return "–"
			}
			return fmt.Sprintf("%.0f", s.Median)
		}
		records, _ := d.of(DrainWindow.RecordRate)
		name, other := "nobody connected", Spread{}
		if d.Streams > 0 {
			name = thousands(float64(d.Streams)) + " connected"
		}
		var loads []float64
		for _, w := range d.Rounds {
			loads = append(loads, w.Other)
		}
		other = spread(loads)
		load := "–"
		if other.Low >= 0 {
			load = fmt.Sprintf("%.0f–%.0f %%", other.Low*100, other.High*100)
		}
		if !quiet {
			load += " (noisy)"
		}
		fmt.Fprintf(t, "%s\t%s\t%s–%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", name, thousands(rate.Median), thousands(rate.Low), thousands(rate.High), thousands(records.Median),
			micros(func(w DrainWindow) time.Duration { return w.Notifier }), micros(func(w DrainWindow) time.Duration { return w.Broker }),
			micros(func(w DrainWindow) time.Duration { return w.Redis }), micros(func(w DrainWindow) time.Duration { return w.Players }), load)
	}
	return t.Flush()
}

func (c *Connections) each(n int64) float64 { return float64(n) / float64(c.Players) }

func kib(n float64) string { return fmt.Sprintf("%.1f KiB", n/1024) }

func percent(part, of time.Duration) float64 { return part.Seconds() / of.Seconds() * 100 }

func (r *NotifyReport) orNot(part, of time.Duration) string { return orNot(r.Redis, part, of) }

func (r *NotifyReport) orNotBroker(part, of time.Duration) string { return orNot(r.Broker, part, of) }

func orNot(p Process, part, of time.Duration) string {
	if !p.measured() {
		return "–"
	}
	return fmt.Sprintf("%.0f", percent(part, of))
}

func noise(u usage) string {
	switch {
	case u.Other < 0:
		return " (other load is not known)"
	case u.Noisy():
		return fmt.Sprintf(" (noisy: %.0f %% was others')", u.Other*100)
	}
	return ""
}

// WritePage puts the report, with the command that made it, between the page's
// marks.
func (r *NotifyReport) WritePage(path, command string) error {
	return writePage(path, "bench notify", command, r.WriteText)
}
