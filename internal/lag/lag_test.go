package lag_test

import (
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/lag"
)

var (
	noon  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	terms = lag.Terms{Now: noon, Retention: time.Hour}
)

func TestMarkersAreNoRecords(t *testing.T) {
	t.Parallel()
	r := lag.Judge(&lag.Partition{
		Stable: 12, End: 12, Committed: 0, Applied: 11,
		AfterCommitted: lag.Read{Records: 8, Through: 12, Next: noon.Add(-90 * time.Second)},
		AfterApplied:   lag.Read{Through: 12},
	}, terms)
	if got := r.Committed.Records.String(); got != "8" {
		t.Errorf("behind the commit: %s, want 8", got)
	}
	if !r.Committed.Aged || r.Committed.Seconds != 90 {
		t.Errorf("seconds: %+v, want 90", r.Committed)
	}
	if !r.CaughtUp() {
		t.Errorf("a marker alone is left, and it is not caught up: %+v", r.Applied)
	}
	if !r.Headroom.Timed || r.Headroom.Left != time.Hour-90*time.Second {
		t.Errorf("headroom: %+v", r.Headroom)
	}
}

func TestUncountedRestIsAtMost(t *testing.T) {
	t.Parallel()
	r := lag.Judge(&lag.Partition{Stable: 1000, End: 1000, AfterApplied: lag.Read{Records: 80, Through: 100}}, terms)
	if got := r.Applied.Records.String(); got != "≤ 980" {
		t.Errorf("got %s, want ≤ 980", got)
	}
	if r.Applied.Aged {
		t.Error("an age was made up without a record's timestamp")
	}
	if got := (lag.Count{Met: 2}).Plus(r.Applied.Records).String(); got != "≤ 982" {
		t.Errorf("the total is %s, want ≤ 982", got)
	}
}

func TestHungTransactionIsNotCaughtUp(t *testing.T) {
	t.Parallel()
	p := lag.Partition{Stable: 5, End: 9, Committed: 5, Applied: 5, Open: []lag.Transaction{
		{ID: "old", ProducerID: 7, Since: noon.Add(-time.Hour), From: 5},
		{ID: "young", ProducerID: 8, Since: noon.Add(-70 * time.Second), From: 6},
		{ID: "ageless", ProducerID: 9, From: 7},
		{ID: "ended", ProducerID: 10, Ended: true, Since: noon, From: 8},
		{ID: "short", ProducerID: 11, Since: noon.Add(-20 * time.Second), Timeout: 4 * time.Second, From: 8},
		{ID: "long", ProducerID: 12, Since: noon.Add(-time.Hour), Timeout: time.Hour, From: 8},
	}}
	r := lag.Judge(&p, terms)
	if r.CaughtUp() || r.Undecided != 4 {
		t.Errorf("caught up %t with %d undecided", r.CaughtUp(), r.Undecided)
	}
	names := func(all []lag.Transaction) (ids string) {
		for _, t := range all {
			ids += t.ID + " "
		}
		return ids
	}
	if hung, running := names(r.Hung), names(r.Running); hung != "old ageless ended short " || running != "young long " {
		t.Errorf("hung %s, running %s", hung, running)
	}
	p.Open = nil
	if r := lag.Judge(&p, terms); !r.Unnamed {
		t.Error("a held log that nobody explains is not said to be one")
	}
}

func TestOvertakenByRetention(t *testing.T) {
	t.Parallel()
	r := lag.Judge(&lag.Partition{
		Start: 50, Stable: 60, End: 60, Committed: 20, Applied: lag.Unknown,
		AfterCommitted: lag.Read{Records: 10, Through: 60, Next: noon},
	}, terms)
	if r.Committed.Lost != 30 || r.Headroom.Offsets != -30 || r.Committed.Records != (lag.Count{Met: 10}) {
		t.Errorf("got %+v, headroom %+v", r.Committed, r.Headroom)
	}
	if r.HasView || r.CaughtUp() || r.Applied.Lost != 0 {
		t.Errorf("without a view: %+v", r)
	}
}

// TestAheadOfTheLog: a log that ends before its reader was made anew, or lost
// its end. Nothing is left to be read, and that is no comfort.
func TestAheadOfTheLog(t *testing.T) {
	t.Parallel()
	r := lag.Judge(&lag.Partition{Stable: 5, End: 5, Committed: 9, Applied: 7}, terms)
	if r.Committed.Ahead != 4 || r.Applied.Ahead != 2 || r.CaughtUp() {
		t.Errorf("caught up: %t, %+v, %+v", r.CaughtUp(), r.Committed, r.Applied)
	}
}

func TestMeasure(t *testing.T) {
	t.Parallel()
	a, b := lag.Partition{Stable: 100}, lag.Partition{Stable: 110, Applied: 40}
	r := lag.Measure(&a, &b, 10*time.Second)
	if !r.Known || r.In != 1 || r.Out != 4 || r.CatchesUp.Round(time.Second) != 23*time.Second {
		t.Errorf("got %+v", r)
	}
	b.Applied = 0
	if r := lag.Measure(&a, &b, 10*time.Second); r.Known {
		t.Errorf("a reader that stands still catches up in %s", r.CatchesUp)
	}
}
