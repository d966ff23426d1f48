package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// LoadHead is what the figures of an open loop depend on, and what was compared in all.
type LoadHead struct {
	Workload   Workload `json:"workload"` // its events are those of a round of the maximum
	Partitions int32    `json:"partitions"`
	Processor  Settings `json:"processor"`
	Machine    Machine  `json:"machine"`
	Broker     Process  `json:"broker"`
	Redis      Process  `json:"redis"`
	Verified   Verified `json:"verified"` // sums; the rounds of the maximum are compared too, and not in them
	Maximum    Maximum  `json:"maximum"`
}

// write writes it for people.
func (h *LoadHead) write(b *strings.Builder) {
	l := h.Workload
	fmt.Fprintf(b, "workload   %s: events of %d B (%s), %s participants, a notification every %s, %d partitions\n",
		l.Name, l.EventBytes, l.Encoding, thousands(float64(l.Participants)), every(l), h.Partitions)
	h.machine(b)
	fmt.Fprintf(b, "maximum    %s\n", h.Maximum.words(l.Events))
	fmt.Fprintf(b, "compared   %s events, %s outputs, %s states of %d runs with their fold: nothing lost, duplicated or wrong\n\n",
		thousands(float64(h.Verified.Events)), thousands(float64(h.Verified.Outputs)), thousands(float64(h.Verified.States)), h.Verified.Rounds)
}

// machine writes what has to do with where and how it ran.
func (h *LoadHead) machine(b *strings.Builder) {
	m := h.Machine
	fmt.Fprintf(b, "processor  %d slots, commit every %s or %s records; in a process of its own\n",
		h.Processor.Slots, h.Processor.CommitInterval, thousands(float64(h.Processor.CommitRecords)))
	fmt.Fprintf(b, "machine    %d CPUs (%s), %d MiB, %s, Go %s\n", m.CPUs, orUnknown(m.Model), m.MemoryMiB, m.System, m.Go)
	fmt.Fprintf(b, "servers    Kafka %s; Redis %s\n", orUnknown(m.Kafka), orUnknown(m.Redis))
}

func (m *Maximum) words(events int64) string {
	text := thousands(m.EventsPerS) + " events/s of the processor, "
	switch {
	case m.Given:
		return text + "as it was given"
	case m.Quiet:
		return text + fmt.Sprintf("on topics filled with %s", thousands(float64(events)))
	}
	return text + fmt.Sprintf("on topics filled with %s (every round was noisy: repeat on a quiet machine)", thousands(float64(events)))
}

// notes are what a reader has to know of the servers.
func (h *LoadHead) notes() (notes []string) {
	for what, p := range map[string]Process{"broker": h.Broker, "Redis": h.Redis} {
		if !p.measured() {
			notes = append(notes, fmt.Sprintf("%s: CPU time not measured (%s)", what, p.Reason))
		}
	}
	slices.Sort(notes)
	return notes
}

// otherLoad is the other load of a window, in words.
func otherLoad(w Window) string {
	text := "–"
	if w.Other >= 0 {
		text = fmt.Sprintf("%.0f %%", w.Other*100)
	}
	if w.Noisy {
		text += " (noisy)"
	}
	return text
}

// LatencyReport is what a run of Latency measured, and everything it depends on.
type LatencyReport struct {
	LoadHead
	Levels []Level `json:"levels"`
}

// WriteJSON writes the report for machines.
func (r *LatencyReport) WriteJSON(w io.Writer) error {
	return writeJSON(w, r)
}

// WriteText writes the report for people.
func (r *LatencyReport) WriteText(w io.Writer) error {
	var b strings.Builder
	r.write(&b)
	if err := r.tables(&b); err != nil {
		return err
	}
	for _, note := range r.notes() {
		fmt.Fprintf(&b, "\n%s", note)
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, strings.TrimRight(b.String(), "\n")+"\n")
	return err
}

// tables are the times, what of them was before the processor, and who used the
// machine meanwhile.
func (r *LatencyReport) tables(b *strings.Builder) error {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "of the maximum\tevents/s\tnotifications\tms from due to notified: p50\tp90\tp99\tp99.9\tmax\t")
	for i := range r.Levels {
		v, q := &r.Levels[i], r.Levels[i].Times
		fmt.Fprintf(t, "%d %%\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", v.Percent, thousands(v.Rate), thousands(float64(v.Notifications)),
			millis(q.P50), millis(q.P90), millis(q.P99), millis(q.P999), millis(q.Max))
	}
	fmt.Fprintln(t)
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(t, "of it\tms behind when sent: p50\tp99\tmax\tms until in the log: p50\tp99\tmax\t")
	for i := range r.Levels {
		v := &r.Levels[i]
		fmt.Fprintf(t, "%d %%\t%s\t%s\t%s\t%s\t%s\t%s\t\n", v.Percent, millis(v.Late.P50), millis(v.Late.P99), millis(v.Late.Max),
			millis(v.Logged.P50), millis(v.Logged.P99), millis(v.Logged.Max))
	}
	fmt.Fprintln(t)
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(t, "% of a CPU\tprocessor\tbroker\tRedis\tsender and consumer\tother load of the machine\t")
	for i := range r.Levels {
		v := &r.Levels[i]
		fmt.Fprintf(t, "%d %%\t%.0f\t%s\t%s\t%.0f\t%s\t\n", v.Percent, percent(v.Processors, v.Wall),
			orNot(r.Broker, v.Broker, v.Wall), orNot(r.LoadHead.Redis, v.Redis, v.Wall), percent(v.Own, v.Wall), otherLoad(v.Window))
	}
	return t.Flush()
}

// notes are what a reader has to know beside the figures.
func (r *LatencyReport) notes() []string {
	notes := r.LoadHead.notes()
	for i := range r.Levels {
		v := &r.Levels[i]
		if !v.KeptUp {
			notes = append(notes, fmt.Sprintf("%d %%: it did not keep up, the last notification came %.1f s after it was due: the times grow with --for. The sender, the consumer and the servers share the machine's %d CPUs",
				v.Percent, v.Left.Seconds(), r.Machine.CPUs))
		}
		if v.Noisy {
			notes = append(notes, fmt.Sprintf("%d %%: noisy (other load above %.0f %%): repeat on a quiet machine", v.Percent, noisyAbove*100))
		}
		if v.Other < 0 {
			notes = append(notes, fmt.Sprintf("%d %%: other load is not known (too short, or a server's process was not found): noise would not be seen", v.Percent))
		}
	}
	return notes
}

// WritePage puts the report, with the command that made it, between the page's
// marks.
func (r *LatencyReport) WritePage(path, command string) error {
	return writePage(path, "bench latency", command, r.WriteText)
}

// millis renders milliseconds with three digits that say something.
func millis(ms float64) string {
	switch {
	case ms < 10:
		return fmt.Sprintf("%.2f", ms)
	case ms < 100:
		return fmt.Sprintf("%.1f", ms)
	}
	return thousands(ms)
}
