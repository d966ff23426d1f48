package bench

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
)

// entry is what a screen is shown.
type entry struct {
	epoch  string
	offset int64
	number int64 // its notification's; the ID is made of it
}

// TestScreen plants what no player may be shown: each is found, and nothing is
// where all is well.
func TestScreen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		entries []entry
		want    int64 // caused
		finds   map[string]int64
	}{
		"all is well":                 {[]entry{{"a", 1, 1}, {"a", 2, 2}, {"a", 3, 3}}, 3, nil},
		"nothing was caused":          {nil, 0, nil},
		"the last one is lost":        {[]entry{{"a", 1, 1}, {"a", 2, 2}}, 3, map[string]int64{findLost: 1}},
		"one in the middle is lost":   {[]entry{{"a", 1, 1}, {"a", 2, 3}}, 3, map[string]int64{findLost: 1}},
		"all are lost":                {nil, 3, map[string]int64{findLost: 3}},
		"one comes twice":             {[]entry{{"a", 1, 1}, {"a", 2, 1}, {"a", 3, 2}}, 2, map[string]int64{findTwice: 1}},
		"an offset comes again":       {[]entry{{"a", 1, 1}, {"a", 1, 2}}, 2, map[string]int64{findOffset: 1}},
		"an offset is missing":        {[]entry{{"a", 1, 1}, {"a", 3, 2}}, 2, map[string]int64{findOffset: 1}},
		"two change places":           {[]entry{{"a", 1, 2}, {"a", 2, 1}}, 2, map[string]int64{findOrder: 1}},
		"the inbox begins anew":       {[]entry{{"a", 1, 1}, {"b", 1, 2}}, 2, map[string]int64{findEpoch: 1}},
		"one comes that nobody made":  {[]entry{{"a", 1, 1}, {"a", 2, 2}}, 1, map[string]int64{findForeign: 2}}, // one too many, and its number
		"the first is not the oldest": {[]entry{{"a", 2, 1}}, 1, map[string]int64{findOffset: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var f findings
			s := newScreen("ada")
			for _, e := range c.entries {
				s.see(&f, e.epoch, e.offset, fmt.Sprint(e.number), e.number)
			}
			s.end(&f, c.want)
			if !maps.Equal(f.Counts, c.finds) {
				t.Errorf("found %v %q, want %v", f.Counts, f.Sentences, c.finds)
			}
			var shown *ShownError
			if err := f.err(); (err == nil) != (len(c.finds) == 0) || err != nil && !errors.As(err, &shown) {
				t.Errorf("the run's error is %v", err)
			}
		})
	}
}

// TestReceiptsAreCompared plants receipts that do not agree with what was sent.
func TestReceiptsAreCompared(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		outcomes map[string]int64
		finds    int64
	}{
		"as sent":                        {map[string]int64{"sent": 7, "deduped": 3}, 0},
		"a copy was sent":                {map[string]int64{"sent": 8, "deduped": 2}, 2},
		"one is missing":                 {map[string]int64{"sent": 6, "deduped": 3}, 1},
		"a notification died":            {map[string]int64{"sent": 6, "deduped": 3, "dead": 1}, 2},
		"nothing was said of the copies": {map[string]int64{"sent": 7}, 3},
	} {
		var f findings
		(&receipts{outcomes: c.outcomes}).compare(&f, 7, 3)
		if got := f.Counts[findReceipts]; got != c.finds {
			t.Errorf("%s: %d found, want %d", name, got, c.finds)
		}
	}
}

// TestFindingsOfAnotherProcess merges counts whole, and only some sentences.
func TestFindingsOfAnotherProcess(t *testing.T) {
	t.Parallel()
	var f, other findings
	for i := range findingsMost - 1 {
		f.add(findLost, 1, "%d", i)
		other.add(findTwice, 2, "%d", i)
	}
	f.merge(other)
	if want := map[string]int64{findLost: findingsMost - 1, findTwice: 2 * (findingsMost - 1)}; !maps.Equal(f.Counts, want) {
		t.Errorf("counts %v, want %v", f.Counts, want)
	}
	if len(f.Sentences) != findingsMost || !slices.Contains(f.Sentences, findTwice+": 0") {
		t.Errorf("sentences %q", f.Sentences)
	}
}

// TestPlan draws copies in the share that was asked for, each behind its
// original and of the same player.
func TestPlan(t *testing.T) {
	t.Parallel()
	d := newDraw(50)
	plan, copies := d.plan(10_000, 0.3)
	if len(plan) != 10_000 || copies < 2900 || copies > 3100 {
		t.Fatalf("%d records with %d copies", len(plan), copies)
	}
	first := map[numbered]bool{}
	next := map[int]int64{} // by player: the number of the next original
	again := 0
	for i, what := range plan {
		if first[what] {
			again++
			continue
		}
		first[what] = true
		if next[what.player]++; what.number != next[what.player] {
			t.Fatalf("record %d is number %d of player %d, want %d", i, what.number, what.player, next[what.player])
		}
	}
	if again != copies {
		t.Errorf("%d records stand behind one like them, want %d", again, copies)
	}
	for player, n := range d.counts {
		if next[player] != n {
			t.Errorf("player %d is to be shown %d, and %d were planned", player, n, next[player])
		}
	}
}

// TestFilesHint says what to do where the system's limit is too low.
func TestFilesHint(t *testing.T) {
	t.Parallel()
	o := NotifyOptions{Players: 10_000}
	if err := o.files(20_000); err != nil {
		t.Error(err)
	}
	if err := o.files(1024); err == nil {
		t.Error("a limit of 1,024 files is taken for 10,000 players")
	}
}
