package participant_test

import (
	"fmt"
	"testing"

	"github.com/veltrix/veltrix/internal/participant"
)

func TestSequences(t *testing.T) {
	var s participant.Sequences
	for i, step := range []struct {
		source, sequence string
		want             participant.Break
	}{
		{"a", "7", participant.NoBreak}, // where it begins
		{"a", "8", participant.NoBreak},
		{"b", "3", participant.NoBreak}, // each source has its own
		{"a", "9", participant.NoBreak},
		{"a", "12", participant.Gap},
		{"a", "11", participant.Inversion}, // one of the missing
		{"a", "13", participant.NoBreak},
		{"a", "13", participant.Inversion}, // twice, and no copy
		{"a", "", participant.NoBreak},
		{"a", "x14", participant.NoBreak},
		{"a", "-1", participant.NoBreak},
		{"a", "14", participant.NoBreak},
		{"b", "4", participant.NoBreak},
		{"a", "18446744073709551615", participant.Gap},
		{"a", "0", participant.Inversion},
	} {
		if got := s.Note(step.source, step.sequence); got != step.want {
			t.Errorf("step %d, %s of %s: %q, want %q", i, step.sequence, step.source, got, step.want)
		}
	}
	copied := s.Clone()
	s.Note("b", "5")
	if got := copied.Note("b", "5"); got != participant.NoBreak {
		t.Errorf("a copy knows what came after it: %q", got)
	}
	// The sources that were not heard of for longest are forgotten.
	for i := range 8 {
		s.Note(fmt.Sprint("phone", i), "1")
	}
	if s.Bytes() > 16*16 {
		t.Errorf("%d bytes for a few sources", s.Bytes())
	}
	if got := s.Note("phone0", "3"); got != participant.Gap {
		t.Errorf("one of the latest sources is forgotten: %q", got)
	}
	if got := s.Note("b", "9"); got != participant.NoBreak {
		t.Errorf("an old source is remembered: %q", got)
	}
}
