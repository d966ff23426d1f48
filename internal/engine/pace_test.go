package engine

import (
	"slices"
	"testing"
	"time"
)

// at is a time of the tests of pace, in milliseconds.
func at(ms int) time.Time { return time.UnixMilli(1_000_000 + int64(ms)) }

func TestPace(t *testing.T) {
	for name, c := range map[string]struct {
		ended            int   // when the batch before was gathered
		polled           []int // when records came
		behind           []int // those of polled that left more in the log
		wantDue, wantAsk int
	}{
		"after a quiet time, for what may come behind it":           {0, []int{1000}, nil, 1010, 1000},
		"an interval after the batch before":                        {0, []int{8}, nil, 20, 10},
		"what took longer than an interval is not waited for again": {0, []int{50}, nil, 60, 50},
		"later records leave the end of the batch where it was":     {0, []int{8, 17}, nil, 20, 10},
		"behind the log for a whole interval":                       {0, []int{50}, []int{50}, 70, 50},
		"behind the log, until the batch ends":                      {0, []int{50, 53}, []int{50}, 70, 50},
		"a batch that falls behind is gathered on":                  {0, []int{50, 53}, []int{53}, 70, 50},
	} {
		t.Run(name, func(t *testing.T) {
			p := pace{interval: 20 * time.Millisecond}
			p.ended(at(c.ended))
			for i, ms := range c.polled {
				p.polled(at(ms), i == 0, slices.Contains(c.behind, ms))
			}
			if got := p.due(); !got.Equal(at(c.wantDue)) {
				t.Errorf("the batch is due %s after its first records, want %d ms", got.Sub(at(c.polled[0])), c.wantDue-c.polled[0])
			}
			if got := p.askAt(); !got.Equal(at(c.wantAsk)) {
				t.Errorf("the log is asked again %s after the first records, want %d ms", got.Sub(at(c.polled[0])), c.wantAsk-c.polled[0])
			}
		})
	}
}

// What one batch left behind says nothing of the next one.
func TestPaceOfTheNextBatch(t *testing.T) {
	p := pace{interval: 20 * time.Millisecond}
	p.polled(at(0), true, true)
	p.ended(at(20))
	p.polled(at(28), true, false)
	if got := p.due(); !got.Equal(at(40)) {
		t.Errorf("due %s after the batch before, want 20ms", got.Sub(at(20)))
	}
}
