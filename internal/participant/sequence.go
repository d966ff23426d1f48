package participant

import (
	"slices"
	"strconv"

	"github.com/zeebo/xxh3"
)

// Break says how an event's sequence goes on from its source's last one, where
// that is not by one.
type Break uint8

// The breaks. A gap with an inversion after it is an exchange of places; a gap
// that stays one is a loss.
const (
	NoBreak   Break = iota
	Gap             // later ones came before it: at least one is missing here
	Inversion       // a later one came before it
	BreakCount
)

var breakNames = [...]string{"", "gap", "inversion"}

func (b Break) String() string { return breakNames[b] }

// sequencesMax bounds the sources remembered of one participant.
const sequencesMax = 8

// Sequences are the last counts of a participant's sources, in the order in
// which their events arrived: of the latest few sources. They are no part of any
// state and decide nothing. The zero value is ready.
type Sequences struct{ last []sequence }

type sequence struct{ source, number uint64 }

// Note takes the sequence of an event that is no copy of another, and says
// whether it goes on by one. One that is no decimal number is passed over, and
// the first of a source is where its count begins.
func (s *Sequences) Note(source, text string) Break {
	if text == "" {
		return NoBreak
	}
	number, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return NoBreak
	}
	key := xxh3.HashString(source)
	at := slices.IndexFunc(s.last, func(q sequence) bool { return q.source == key })
	if at < 0 {
		if len(s.last) == sequencesMax {
			s.last = slices.Delete(s.last, 0, 1)
		}
		s.last = append(s.last, sequence{key, number})
		return NoBreak
	}
	q := s.last[at]
	s.last = append(slices.Delete(s.last, at, at+1), sequence{key, max(q.number, number)}) // the latest source last
	switch {
	case number <= q.number:
		return Inversion
	case number-q.number > 1:
		return Gap
	}
	return NoBreak
}

// Clone returns a copy.
func (s *Sequences) Clone() Sequences { return Sequences{slices.Clone(s.last)} }

// Bytes is the memory that s holds.
func (s *Sequences) Bytes() int { return 16 * cap(s.last) }
