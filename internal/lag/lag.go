// Package lag says how far behind its log a reader is, from one look at both.
//
// Offsets are no count of records: a transaction's markers take offsets, and a
// record that a transaction still holds has an offset that nobody can read.
// So what is behind is counted by reading, within a bound, and where the bound
// ends the read the rest is counted in offsets and the sum said to be at most
// that. A log whose last stable offset stands still below its high watermark
// looks read to the end and is not: that is told apart from having caught up.
//
// Nothing here looks at the world or the clock.
package lag

import (
	"strconv"
	"strings"
	"time"
)

// Unknown is the place of a reader that has none.
const Unknown int64 = -1

// Partition is one look at a partition of a topic and at its readers.
type Partition struct {
	Partition int32
	Start     int64 // the first offset that is still there
	Stable    int64 // the last stable offset: readers are given what is below
	End       int64 // the high watermark
	Committed int64 // the group's, or Unknown
	Applied   int64 // what the view has, or Unknown
	// What was read from each of the two places on.
	AfterCommitted, AfterApplied Read
	Open                         []Transaction
}

// Read is what a bounded read met.
type Read struct {
	Records int64     // that a reader is given: neither markers nor aborted ones
	Through int64     // every offset below was read or is known to hold nothing
	Next    time.Time // the first record's own timestamp; zero if none was met
}

// Transaction is one that has not ended.
type Transaction struct {
	ID         string // empty if no coordinator lists it
	ProducerID int64
	State      string        // its coordinator's; empty as the ID
	Ended      bool          // for its coordinator: no marker will come by itself
	Since      time.Time     // zero if the broker does not say
	Timeout    time.Duration // zero if no coordinator says
	From       int64         // its first offset in this partition
}

// What a transaction is given before it is said to hang.
const (
	// abortWithin is for its coordinator, which looks for those that have timed
	// out every ten seconds (Kafka's default).
	abortWithin = 15 * time.Second
	// timeoutUnknown stands for a timeout that nobody tells: the clients' default.
	timeoutUnknown = time.Minute
)

// Hangs says that a transaction is open for longer than it may be, or that it
// cannot be excused as young.
func (t *Transaction) Hangs(now time.Time) bool {
	timeout := t.Timeout
	if timeout <= 0 {
		timeout = timeoutUnknown
	}
	return t.Ended || t.Since.IsZero() || now.Sub(t.Since) > timeout+abortWithin
}

// String names it, with what is known of it.
func (t *Transaction) String() string {
	name := "a transaction that no coordinator lists to this user"
	if t.ID != "" {
		name = "transaction " + strconv.Quote(t.ID)
	}
	name += " of producer " + strconv.FormatInt(t.ProducerID, 10)
	var facts []string
	if t.State != "" {
		facts = append(facts, t.State)
	}
	if t.Ended {
		facts = append(facts, "left open here by its coordinator")
	}
	if t.Timeout > 0 {
		facts = append(facts, "timeout "+t.Timeout.String())
	}
	if !t.Since.IsZero() {
		facts = append(facts, "open since "+t.Since.UTC().Format(time.RFC3339))
	}
	if len(facts) > 0 {
		name += " (" + strings.Join(facts, ", ") + ")"
	}
	return name + ", from offset " + strconv.FormatInt(t.From, 10)
}

// Count is a number of records: those that were met, and offsets that were not
// looked at, each of which may hold one.
type Count struct{ Met, Rest int64 }

// Most is what the number cannot be above.
func (c Count) Most() int64 { return c.Met + c.Rest }

func (c Count) String() string {
	if c.Rest > 0 {
		return "≤ " + strconv.FormatInt(c.Most(), 10)
	}
	return strconv.FormatInt(c.Met, 10)
}

// Plus is the sum.
func (c Count) Plus(d Count) Count { return Count{c.Met + d.Met, c.Rest + d.Rest} }

// Behind is how far one reader has to go.
type Behind struct {
	Records Count
	// Seconds is the age of the next record, and not known (Aged is false) where
	// records are left and none was met by the read.
	Seconds float64
	Aged    bool
	Lost    int64 // offsets that left the log before the reader came to them
	// Ahead is how far it stands beyond the log's end: what it read is not what
	// is there now, and that nothing is left says nothing.
	Ahead int64
}

// behind is of a reader at a place, which Unknown puts at the log's start: what
// was deleted before anybody read is not known to have been lost by it.
func behind(p *Partition, at int64, r Read, now time.Time) Behind {
	var b Behind
	if at == Unknown {
		at = p.Start
	}
	b.Lost, b.Ahead = max(p.Start-at, 0), max(at-p.End, 0)
	b.Records = Count{Met: r.Records, Rest: max(p.Stable-max(r.Through, at, p.Start), 0)}
	switch {
	case b.Records.Most() == 0:
		b.Aged = true
	case !r.Next.IsZero():
		// A sender's clock may be ahead of ours.
		b.Seconds, b.Aged = max(now.Sub(r.Next).Seconds(), 0), true
	}
	return b
}

// Headroom is what lies between a reader and what retention deletes next.
type Headroom struct {
	Offsets int64 // negative once it was overtaken
	// Left is how long the next record is kept at least: a segment is deleted
	// whole, by its youngest record. Timed is false if nothing is waiting, if its
	// age is not known or if the topic keeps everything.
	Left  time.Duration
	Timed bool
}

// Result is what a look comes to.
type Result struct {
	Partition          int32
	Committed          Behind
	Applied            Behind
	Headroom           Headroom
	Undecided          int64 // offsets above the last stable one
	Hung               []Transaction
	Running            []Transaction
	Unnamed            bool // something holds the log, and no broker says what
	HasCommit, HasView bool
}

// CaughtUp says that nothing is left, not even undecided.
func (r *Result) CaughtUp() bool {
	return r.HasView && r.Applied.Records.Most() == 0 && r.Applied.Lost == 0 && r.Applied.Ahead == 0 && r.Undecided == 0
}

// Terms are what a look is judged by.
type Terms struct {
	Now       time.Time
	Retention time.Duration // of the topic; zero keeps everything, or is not known
}

// Judge says what a look comes to.
func Judge(p *Partition, by Terms) Result {
	r := Result{
		Partition: p.Partition,
		Committed: behind(p, p.Committed, p.AfterCommitted, by.Now),
		Applied:   behind(p, p.Applied, p.AfterApplied, by.Now),
		Undecided: max(p.End-p.Stable, 0),
		HasCommit: p.Committed != Unknown,
		HasView:   p.Applied != Unknown,
	}
	if r.HasCommit {
		r.Headroom.Offsets = p.Committed - p.Start
	}
	if next := p.AfterCommitted.Next; by.Retention > 0 && !next.IsZero() {
		r.Headroom.Left, r.Headroom.Timed = next.Add(by.Retention).Sub(by.Now), true
	}
	if r.Undecided == 0 {
		return r // what is open elsewhere holds nothing up here
	}
	for _, t := range p.Open {
		if t.Hangs(by.Now) {
			r.Hung = append(r.Hung, t)
		} else {
			r.Running = append(r.Running, t)
		}
	}
	r.Unnamed = len(p.Open) == 0
	return r
}

// Rate is what two looks at the same reader measured.
type Rate struct {
	In, Out float64 // offsets a second
	// CatchesUp is how long it takes at these rates; Known is false if it does not.
	CatchesUp time.Duration
	Known     bool
}

// Measure compares two looks, of which b is the later.
func Measure(a, b *Partition, between time.Duration) Rate {
	if between <= 0 || a.Applied == Unknown || b.Applied == Unknown {
		return Rate{}
	}
	r := Rate{
		In:  float64(b.Stable-a.Stable) / between.Seconds(),
		Out: float64(b.Applied-a.Applied) / between.Seconds(),
	}
	left := float64(max(b.Stable-b.Applied, 0))
	if gain := r.Out - r.In; left == 0 || gain > 0 {
		r.Known = true
		if left > 0 {
			r.CatchesUp = time.Duration(left / gain * float64(time.Second))
		}
	}
	return r
}
