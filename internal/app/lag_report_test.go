package app

import (
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/lag"
)

// lagOf judges one look at partitions of the processors' topic, of which all could
// be seen unless by says otherwise.
func lagOf(bounds LagBounds, by seen, parts ...lag.Partition) *LagReport {
	g := LagGroup{Reader: "processor", Group: "g", Topic: "t"}
	now := time.Unix(1_800_000_000, 0)
	for i := range parts {
		parts[i].Partition = int32(i)
		g.add(&parts[i], lag.Judge(&parts[i], lag.Terms{Now: now}), by)
	}
	g.total(true)
	r := &LagReport{Groups: []LagGroup{g}}
	r.judge(bounds)
	return r
}

func TestLagIsJudged(t *testing.T) {
	t.Parallel()
	all := seen{committed: true, applied: true}
	now := time.Unix(1_800_000_000, 0)
	left := func(records, through int64, age time.Duration) lag.Read {
		return lag.Read{Records: records, Through: through, Next: now.Add(-age)}
	}
	even := lag.Partition{Stable: 10, End: 10, Committed: 10, Applied: 10}
	late := lag.Partition{Stable: 20, End: 20, Committed: 10, Applied: 10, AfterCommitted: left(8, 20, time.Minute), AfterApplied: left(8, 20, time.Minute)}
	part := lag.Partition{Stable: 90, End: 90, Committed: 10, Applied: 90, AfterCommitted: left(5, 15, time.Minute)}
	ageless := lag.Partition{Stable: 20, End: 20, Committed: 10, Applied: 20, AfterCommitted: lag.Read{Through: 12}}
	none := LagBounds{MaxRecords: -1, MaxSeconds: -1}
	for name, c := range map[string]struct {
		bounds LagBounds
		by     seen
		part   lag.Partition
		exit   int
		said   string // kinds of the alarms, or a part of what is unknown
	}{
		"even":                                 {LagBounds{}, all, even, 0, ""},
		"late, and nobody minds":               {none, all, late, 0, ""},
		"within both":                          {LagBounds{8, 60}, all, late, 0, ""},
		"too many":                             {LagBounds{7, 60}, all, late, 1, "records records"},
		"too old":                              {LagBounds{8, 59}, all, late, 1, "seconds seconds"},
		"too many for certain":                 {LagBounds{4, -1}, all, part, 1, "records"},
		"perhaps too many":                     {LagBounds{5, -1}, all, part, 2, "whether the records"},
		"not even perhaps too many":            {LagBounds{80, -1}, all, part, 0, ""},
		"perhaps too old":                      {LagBounds{-1, 5}, all, ageless, 2, "whether the seconds"},
		"overtaken by retention":               {none, all, lag.Partition{Start: 15, Stable: 20, End: 20, Committed: 10, Applied: 15}, 1, "lost"},
		"a log that is shorter":                {none, all, lag.Partition{Stable: 5, End: 5, Committed: 9, Applied: 7}, 1, "ahead ahead"},
		"emptied, without a place":             {none, all, lag.Partition{Start: 5, Stable: 5, End: 5, Committed: lag.Unknown, Applied: lag.Unknown}, 2, "the group has no position"},
		"never used":                           {LagBounds{}, all, lag.Partition{Committed: lag.Unknown, Applied: lag.Unknown}, 0, ""},
		"hung":                                 {none, all, lag.Partition{Stable: 10, End: 12, Committed: 10, Applied: 10, Open: []lag.Transaction{{ID: "x"}}}, 1, "hung"},
		"open":                                 {LagBounds{}, all, lag.Partition{Stable: 10, End: 12, Committed: 10, Applied: 10, Open: []lag.Transaction{{ID: "x", Since: now}}}, 0, ""},
		"held back, and nobody says by what":   {none, seen{committed: true, applied: true, frozen: true}, lag.Partition{Stable: 10, End: 12, Committed: 10, Applied: 10}, 1, "unnamed"},
		"held back, and nobody could be asked": {none, seen{committed: true, applied: true, frozen: true, unheld: true}, lag.Partition{Stable: 10, End: 12, Committed: 10, Applied: 10}, 0, ""},
	} {
		r := lagOf(c.bounds, c.by, even, c.part)
		var said []string
		for _, a := range r.Alarms {
			said = append(said, a.Kind)
		}
		if len(said) == 0 {
			for _, u := range r.Unknown {
				said = append(said, u.Text)
			}
		}
		text := strings.Join(said, " ")
		if r.Exit != c.exit || c.exit != 2 && text != c.said || !strings.Contains(text, c.said) {
			t.Errorf("%s: it ends with %d, %s; want %d, %s", name, r.Exit, text, c.exit, c.said)
		}
	}
}

// What was not seen is null, and so is its total; it is never 0.
func TestUnseenLagIsNull(t *testing.T) {
	t.Parallel()
	even := lag.Partition{Stable: 10, End: 10, Committed: 10, Applied: 10}
	for _, by := range []seen{{}, {committed: true}, {applied: true}} {
		g := lagOf(LagBounds{}, by, even, even).Groups[0]
		if (g.Total.Lag != nil) != by.committed || (g.Total.ViewLag != nil) != by.applied || (g.Partitions[0].Lag != nil) != by.committed {
			t.Errorf("%+v: %+v", by, g.Total)
		}
		if g.Total.Whole != by.committed || g.Total.ViewWhole != by.applied {
			t.Errorf("%+v: the total is said to be whole: %+v", by, g.Total)
		}
	}
}
