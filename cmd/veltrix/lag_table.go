package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/veltrix/veltrix/internal/app"
)

// How what is no number is shown.
const (
	notKnown = "?"
	notThere = "–"
)

func printLag(out io.Writer, r *app.LagReport) error {
	p := &printer{out: out}
	p.line("%s at %s", r.Prefix, r.At.Format(time.RFC3339))
	for i := range r.Groups {
		g := &r.Groups[i]
		p.line("\n%s: group %s on %s", g.Reader, g.Group, g.Topic)
		if p.err == nil {
			p.err = lagTable(out, g)
		}
		for _, id := range g.Foreign {
			p.line("partition %d: what Redis holds is not of this log, and counts as nothing", id)
		}
		for j := range g.Partitions {
			for _, t := range g.Partitions[j].Running {
				p.line("partition %d: %s is open, and within its timeout", g.Partitions[j].Partition, t.Text())
			}
		}
	}
	if len(r.Alarms)+len(r.Unknown) > 0 {
		p.line("")
	}
	for _, a := range r.Alarms {
		p.line("✗ %s: %s", a.Reader, a.Text)
	}
	for _, u := range r.Unknown {
		at := u.Reader
		if u.Partition != nil {
			at += fmt.Sprintf(": partition %d", *u.Partition)
		}
		p.line("? %s: %s", at, u.Text)
	}
	return p.err
}

func lagTable(out io.Writer, g *app.LagGroup) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(cells ...string) { _, _ = fmt.Fprintln(w, strings.Join(cells, "\t")+"\t") } // Flush says what went wrong
	view := g.Reader == "processor"
	columns := func(front []string, ofView []string, back ...string) []string {
		if view {
			front = append(front, ofView...)
		}
		return append(front, back...)
	}
	row(columns([]string{"partition", "committed", "LSO", "end", "held back", "lag", "seconds"}, []string{"R", "lag of R", "seconds"}, "headroom")...)
	for i := range g.Partitions {
		p := &g.Partitions[i]
		row(columns(append([]string{id(p.Partition), place(p.Committed, g.CommittedKnown), number(p.Stable), number(p.End), number(p.Undecided)},
			behind(p.Lag, g.CommittedKnown, true)...),
			append([]string{place(p.Applied, g.ViewKnown)}, behind(p.ViewLag, g.ViewKnown, true)...), headroom(p.Headroom, g.CommittedKnown))...)
	}
	t := &g.Total
	row(columns(append([]string{"total", "", "", "", number(t.Undecided)}, behind(t.Lag, g.CommittedKnown, t.Whole)...),
		append([]string{""}, behind(t.ViewLag, g.ViewKnown, t.ViewWhole)...), "")...)
	return w.Flush()
}

func id(p int32) string { return strconv.Itoa(int(p)) }

func number(n int64) string { return strconv.FormatInt(n, 10) }

func none(known bool) string {
	if known {
		return notThere
	}
	return notKnown
}

func place(at *int64, known bool) string {
	if at == nil {
		return none(known)
	}
	return number(*at)
}

// behind are records and seconds. Whole is false where there may be more records
// than were seen, and older ones.
func behind(b *app.LagBehind, known, whole bool) []string {
	if b == nil {
		return []string{none(known), none(known)}
	}
	records, seconds := number(b.Records), notKnown
	switch {
	case !whole:
		records = "≥ " + number(b.AtLeast)
	case b.AtLeast < b.Records:
		records = "≤ " + records
	}
	if b.Seconds != nil {
		seconds = strconv.FormatFloat(*b.Seconds, 'f', 1, 64)
		if !whole {
			seconds = "≥ " + seconds
		}
	}
	return []string{records, seconds}
}

func headroom(h *app.LagHeadroom, known bool) string {
	switch {
	case h == nil:
		return none(known)
	case h.Seconds == nil:
		return number(h.Offsets)
	}
	left := time.Duration(*h.Seconds * float64(time.Second)).Round(time.Second)
	return fmt.Sprintf("%d, %s", h.Offsets, left)
}
