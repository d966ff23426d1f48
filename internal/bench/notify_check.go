package bench

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// What can be wrong with what a player was shown.
const (
	findLost     = "lost"         // was to be shown and was not
	findTwice    = "twice"        // was shown before
	findOrder    = "out of order" // came behind one that was caused later
	findOffset   = "offset"       // its place does not follow the one before it
	findEpoch    = "epoch"        // the inbox began anew
	findForeign  = "foreign"      // nobody caused it
	findStream   = "stream"       // the connection failed, or the server gave up the cursor
	findReceipts = "receipts"     // do not agree with what was sent
)

// findingsMost bounds the sentences, not the counts.
const findingsMost = 10

// findings are what is wrong with a run. The zero value has nothing wrong.
type findings struct {
	Counts    map[string]int64 `json:"counts,omitempty"`
	Sentences []string         `json:"sentences,omitempty"` // the first few
}

func (f *findings) add(kind string, n int64, format string, args ...any) {
	if f.Counts == nil {
		f.Counts = map[string]int64{}
	}
	f.Counts[kind] += n
	if len(f.Sentences) < findingsMost {
		f.Sentences = append(f.Sentences, kind+": "+fmt.Sprintf(format, args...))
	}
}

// merge takes over what another process found.
func (f *findings) merge(other findings) {
	for kind, n := range other.Counts {
		if f.Counts == nil {
			f.Counts = map[string]int64{}
		}
		f.Counts[kind] += n
	}
	room := max(findingsMost-len(f.Sentences), 0)
	f.Sentences = append(f.Sentences, other.Sentences[:min(room, len(other.Sentences))]...)
}

// err is nil where nothing is wrong.
func (f *findings) err() error {
	if len(f.Counts) == 0 {
		return nil
	}
	return &ShownError{findings: *f}
}

// ShownError says that players were not shown each notification once and in
// order; figures of such a run mean nothing.
type ShownError struct{ findings findings }

func (e *ShownError) Error() string {
	var counts []string
	for _, kind := range slices.Sorted(maps.Keys(e.findings.Counts)) {
		counts = append(counts, fmt.Sprintf("%s %d", kind, e.findings.Counts[kind]))
	}
	return "not every notification was shown once and in order, so no figure is given: " + strings.Join(counts, ", ") +
		"\n  " + strings.Join(e.findings.Sentences, "\n  ")
}

// screen is what one player has been shown, checked as it comes. A player's
// notifications are numbered from 1 in the order in which they were caused.
type screen struct {
	player string
	epoch  string
	offset int64               // of the last entry
	last   int64               // the highest number
	ids    map[string]struct{} // shown
}

func newScreen(player string) *screen {
	return &screen{player: player, ids: map[string]struct{}{}}
}

// shown counts the different notifications.
func (s *screen) shown() int64 { return int64(len(s.ids)) }

// see takes the next entry.
func (s *screen) see(f *findings, epoch string, offset int64, id string, number int64) {
	if s.epoch == "" {
		s.epoch = epoch
	}
	if epoch != s.epoch {
		f.add(findEpoch, 1, "%s: entry %d is of epoch %s, those before it of %s", s.player, offset, epoch, s.epoch)
		s.epoch, s.offset = epoch, 0
	}
	if offset != s.offset+1 {
		f.add(findOffset, 1, "%s: entry %d came behind entry %d", s.player, offset, s.offset)
	}
	s.offset = offset
	if _, before := s.ids[id]; before {
		f.add(findTwice, 1, "%s: number %d, notification %s, was shown before", s.player, number, id)
		return
	}
	s.ids[id] = struct{}{}
	if number <= s.last {
		f.add(findOrder, 1, "%s: number %d came behind number %d", s.player, number, s.last)
	}
	s.last = max(s.last, number)
}

// end compares with how many the player was to be shown.
func (s *screen) end(f *findings, want int64) {
	if n := s.shown(); n < want {
		f.add(findLost, want-n, "%s: %d of %d were shown", s.player, n, want)
	} else if n > want {
		f.add(findForeign, n-want, "%s: %d were shown where %d were caused", s.player, n, want)
	}
	if s.last > want {
		f.add(findForeign, 1, "%s: number %d was shown where %d were caused", s.player, s.last, want)
	}
}
