package app

import (
	"fmt"
	"slices"
	"time"

	"github.com/veltrix/veltrix/internal/lag"
	"github.com/veltrix/veltrix/internal/service"
)

// lagVersion is of the report as JSON: fields are only ever added under it.
const lagVersion = 1

// LagBounds are what a group's lag may not be above, against its commits and
// against its view; below 0 there is none.
type LagBounds struct {
	MaxRecords int64
	MaxSeconds float64
}

// enough is how many records have to be met to know that there are too many.
func (b LagBounds) enough() int64 { return b.MaxRecords + 1 }

// LagReport is one look.
type LagReport struct {
	Version int          `json:"version"`
	At      time.Time    `json:"at"`
	Prefix  string       `json:"prefix"`
	Exit    int          `json:"exit"`
	Groups  []LagGroup   `json:"groups"`
	Alarms  []LagAlarm   `json:"alarms"`
	Unknown []LagUnknown `json:"unknown"` // what could not be seen
}

// LagAlarm is what somebody has to look at.
type LagAlarm struct {
	// Kind is hung, unnamed (held back, and no broker says by what), lost, ahead,
	// records or seconds.
	Kind      string `json:"kind"`
	Reader    string `json:"reader"`
	Partition *int32 `json:"partition,omitempty"` // none: of the group
	Text      string `json:"text"`
}

// LagUnknown is what could not be seen, and why.
type LagUnknown struct {
	Reader    string `json:"reader"`
	Partition *int32 `json:"partition,omitempty"`
	Text      string `json:"text"`
}

// LagGroup is a group with the topic that it reads.
type LagGroup struct {
	Reader           string         `json:"reader"`
	Group            string         `json:"group"`
	Topic            string         `json:"topic"`
	CommittedKnown   bool           `json:"committed_known"`
	ViewKnown        bool           `json:"view_known"`             // false also of a group without a view
	Foreign          []int32        `json:"foreign_view,omitempty"` // partitions whose view is of another log
	RetentionUnknown string         `json:"retention_unknown,omitempty"`
	Partitions       []LagPartition `json:"partitions"`
	Total            LagTotal       `json:"total"`
}

func (g *LagGroup) hasView() bool { return g.Reader == "processor" }

// LagPartition is a partition. What is null is not there, or not known; it is never 0.
type LagPartition struct {
	Partition int32            `json:"partition"`
	Start     int64            `json:"log_start"`
	Committed *int64           `json:"committed"`
	Applied   *int64           `json:"applied,omitempty"`
	Stable    int64            `json:"stable"`
	End       int64            `json:"end"`
	Undecided int64            `json:"undecided"` // offsets that transactions hold back
	Lag       *LagBehind       `json:"lag"`
	ViewLag   *LagBehind       `json:"view_lag,omitempty"`
	Headroom  *LagHeadroom     `json:"headroom"`
	Hung      []LagTransaction `json:"hung,omitempty"`
	Running   []LagTransaction `json:"running,omitempty"`
	Unnamed   bool             `json:"unnamed,omitempty"` // held back, and no broker says by what
}

// LagBehind is how far a reader has to go, in records that it will be given.
type LagBehind struct {
	Records int64    `json:"records"` // at most that many, if AtLeast is less
	AtLeast int64    `json:"at_least"`
	Seconds *float64 `json:"seconds"` // the age of the next record; null if it could not be read
	Lost    int64    `json:"lost"`    // offsets that left the log before they were read
	Ahead   int64    `json:"ahead"`   // offsets that it stands beyond the log's end

	oldest float64 // of the ages that are known
}

// LagHeadroom is what lies between the commit and what retention deletes next.
type LagHeadroom struct {
	Offsets int64    `json:"offsets"`
	Seconds *float64 `json:"seconds"` // that the next record is kept at least; null if none waits
}

// LagTransaction is one that is open.
type LagTransaction struct {
	ID         string     `json:"transactional_id,omitempty"`
	ProducerID int64      `json:"producer_id"`
	State      string     `json:"state,omitempty"`
	Ended      bool       `json:"ended"`
	Since      *time.Time `json:"since"`
	Timeout    float64    `json:"timeout_seconds,omitempty"`
	From       int64      `json:"from"`

	text string
}

// Text names it, with what is known of it.
func (t *LagTransaction) Text() string { return t.text }

// LagTotal is of all partitions of a group that could be seen.
type LagTotal struct {
	Lag       *LagBehind `json:"lag"`
	Whole     bool       `json:"whole"` // of all partitions; else there may be more
	ViewLag   *LagBehind `json:"view_lag,omitempty"`
	ViewWhole bool       `json:"view_whole"` // false also of a group without a view
	Undecided int64      `json:"undecided"`
	Hung      int        `json:"hung"`
}

// seen is what a look could see of a partition.
type seen struct{ committed, applied, frozen, unheld bool }

func (g *LagGroup) add(p *lag.Partition, r lag.Result, by seen) {
	g.CommittedKnown, g.ViewKnown = by.committed, by.applied
	out := LagPartition{Partition: p.Partition, Start: p.Start, Stable: p.Stable, End: p.End, Undecided: r.Undecided}
	if r.HasCommit {
		out.Committed, out.Headroom = &p.Committed, &LagHeadroom{Offsets: r.Headroom.Offsets}
		if r.Headroom.Timed {
			left := r.Headroom.Left.Seconds()
			out.Headroom.Seconds = &left
		}
	}
	if r.HasView {
		out.Applied = &p.Applied
	}
	if by.committed {
		out.Lag = behindOf(&r.Committed, r.HasCommit)
	}
	if by.applied {
		out.ViewLag = behindOf(&r.Applied, r.HasView)
	}
	for i := range r.Hung {
		out.Hung = append(out.Hung, transactionOf(&r.Hung[i]))
	}
	for i := range r.Running {
		out.Running = append(out.Running, transactionOf(&r.Running[i]))
	}
	out.Unnamed = r.Unnamed && by.frozen && !by.unheld
	g.Partitions = append(g.Partitions, out)
}

// behindOf is null for a reader without a place that has nothing before it: it may
// never have run, and that it is at the end is not known.
func behindOf(b *lag.Behind, placed bool) *LagBehind {
	if !placed && b.Records.Most() == 0 {
		return nil
	}
	out := &LagBehind{Records: b.Records.Most(), AtLeast: b.Records.Met, Lost: b.Lost, Ahead: b.Ahead}
	if b.Aged {
		out.Seconds, out.oldest = &b.Seconds, b.Seconds
	}
	return out
}

func transactionOf(t *lag.Transaction) LagTransaction {
	out := LagTransaction{ID: t.ID, ProducerID: t.ProducerID, State: t.State, Ended: t.Ended, Timeout: t.Timeout.Seconds(), From: t.From, text: t.String()}
	if !t.Since.IsZero() {
		since := t.Since.UTC()
		out.Since = &since
	}
	return out
}

// total sums up; whole says that every partition was seen. A partition that never
// held anything adds nothing.
func (g *LagGroup) total(whole bool) {
	t := LagTotal{Whole: whole, ViewWhole: whole && g.hasView()}
	for i := range g.Partitions {
		p := &g.Partitions[i]
		t.Undecided += p.Undecided
		t.Hung += len(p.Hung)
		t.Lag, t.ViewLag = t.Lag.plus(p.Lag), t.ViewLag.plus(p.ViewLag)
		t.Whole = t.Whole && (p.Lag != nil || p.End == 0)
		t.ViewWhole = t.ViewWhole && (p.ViewLag != nil || p.End == 0)
	}
	g.Total = t
}

// plus sums records, and keeps the greater age; it is not known if one is not.
func (b *LagBehind) plus(d *LagBehind) *LagBehind {
	if b == nil || d == nil {
		if b == nil {
			b = d
		}
		if b == nil {
			return nil
		}
		same := *b
		return &same
	}
	sum := &LagBehind{Records: b.Records + d.Records, AtLeast: b.AtLeast + d.AtLeast, Lost: b.Lost + d.Lost, Ahead: b.Ahead + d.Ahead, oldest: max(b.oldest, d.oldest)}
	if b.Seconds != nil && d.Seconds != nil {
		age := sum.oldest
		sum.Seconds = &age
	}
	return sum
}

// judge says what is alarming, and how the command ends.
func (r *LagReport) judge(by LagBounds) {
	for i := range r.Groups {
		g := &r.Groups[i]
		for j := range g.Partitions {
			r.judgePartition(g, &g.Partitions[j])
		}
		r.judgeBounds(g, "the commits", g.Total.Lag, by)
		if g.hasView() {
			r.judgeBounds(g, "the view in Redis", g.Total.ViewLag, by)
		}
	}
	r.Groups, r.Alarms, r.Unknown = emptied(r.Groups), emptied(r.Alarms), emptied(r.Unknown)
	switch {
	case len(r.Alarms) > 0:
		r.Exit = service.ExitFailure
	case len(r.Unknown) > 0:
		r.Exit = service.ExitWarnings
	}
}

// emptied is an empty list instead of none, for those who read the JSON.
func emptied[T any](list []T) []T { return slices.Concat([]T{}, list) }

func (r *LagReport) alarm(kind string, g *LagGroup, partition *int32, format string, args ...any) {
	r.Alarms = append(r.Alarms, LagAlarm{Kind: kind, Reader: g.Reader, Partition: partition, Text: fmt.Sprintf(format, args...)})
}

func (r *LagReport) judgePartition(g *LagGroup, p *LagPartition) {
	at := fmt.Sprintf("%s/%d", g.Topic, p.Partition)
	for _, t := range p.Hung {
		r.alarm("hung", g, &p.Partition, "%s: %d offsets are held back by %s", at, p.Undecided, t.text)
	}
	if p.Unnamed {
		r.alarm("unnamed", g, &p.Partition, "%s: %d offsets are held back, and no broker says by what", at, p.Undecided)
	}
	if p.Lag != nil && p.Lag.Lost > 0 {
		r.alarm("lost", g, &p.Partition, "%s: %d offsets left the log before the group read them", at, p.Lag.Lost)
	}
	if p.Lag != nil && p.Lag.Ahead > 0 {
		r.alarm("ahead", g, &p.Partition, "%s: the group has committed %d offsets beyond the log's end", at, p.Lag.Ahead)
	}
	if p.ViewLag != nil && p.ViewLag.Ahead > 0 {
		r.alarm("ahead", g, &p.Partition, "%s: Redis has applied %d offsets beyond the log's end", at, p.ViewLag.Ahead)
	}
	if p.End == 0 {
		return // nothing was ever there, for anybody to read
	}
	const gone = "%s: %s has no position, and the log has nothing left: whether it came to the end is not known"
	if g.CommittedKnown && p.Lag == nil {
		r.Unknown = append(r.Unknown, LagUnknown{Reader: g.Reader, Partition: &p.Partition, Text: fmt.Sprintf(gone, at, "the group")})
	}
	if g.ViewKnown && p.ViewLag == nil {
		r.Unknown = append(r.Unknown, LagUnknown{Reader: g.Reader, Partition: &p.Partition, Text: fmt.Sprintf(gone, at, "the view in Redis")})
	}
}

// judgeBounds compares what is certain. What could be either is not known.
func (r *LagReport) judgeBounds(g *LagGroup, against string, total *LagBehind, by LagBounds) {
	if total == nil {
		return // what was not seen is listed already, or nothing was ever there
	}
	unknown := func(what string) {
		r.Unknown = append(r.Unknown, LagUnknown{Reader: g.Reader, Text: "whether " + what + " behind " + against + " are within the bound is not known: give it more time (--timeout)"})
	}
	switch {
	case by.MaxRecords < 0 || total.Records <= by.MaxRecords:
	case total.AtLeast > by.MaxRecords:
		r.alarm("records", g, nil, "%d records or more behind %s, allowed are %d", total.AtLeast, against, by.MaxRecords)
	default:
		unknown("the records")
	}
	switch {
	case by.MaxSeconds < 0:
	case total.oldest > by.MaxSeconds:
		r.alarm("seconds", g, nil, "the next record behind %s is %.1f s old, allowed are %g s", against, total.oldest, by.MaxSeconds)
	case total.Seconds == nil:
		unknown("the seconds")
	}
}
