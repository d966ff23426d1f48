package participant_test

import (
	"fmt"
	"testing"

	"github.com/veltrix/veltrix/internal/participant"
	hunt "github.com/veltrix/veltrix/internal/participant/participanttest"
)

// BenchmarkInOrder is the usual case: an event at the end of a tail of so many,
// which moves one event into the base.
func BenchmarkInOrder(b *testing.B) {
	for _, tail := range []int{1, 16, 256} {
		b.Run(fmt.Sprint("tail=", tail), func(b *testing.B) {
			p := newPlayer(b, hunt.DefaultOrder())
			step := 30 * second / int64(tail)
			e := hunt.Event("x", 0, hunt.Tick)
			now := int64(0)
			tick := func() {
				now += step
				e.Time, e.Arrival.Time = now, now
				e.Identity.Hi, e.Identity.Lo = uint64(now), uint64(now)*0x9e3779b97f4a7c15
				p.fold.Apply(p.h, e, &p.out)
				if p.out.Fate != participant.Applied {
					b.Fatal(p.out.Fate, p.out.Reason)
				}
			}
			for range 2 * tail {
				tick()
			}
			b.ReportAllocs()
			for b.Loop() {
				tick()
			}
		})
	}
}

// BenchmarkInOrderNotified finds a clue, new or known, every time.
func BenchmarkInOrderNotified(b *testing.B) {
	p := newPlayer(b, hunt.DefaultOrder())
	var clues [50]participant.Value
	for i := range clues {
		clues[i] = hunt.Str(fmt.Sprint("clue ", i))
	}
	e := hunt.Finding("x", 0, "", 1)
	i := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		i++
		if i%50 == 0 {
			p.h = participant.NewHistory(p.fold.Program().Schema())
		}
		e.Fields = []participant.Value{clues[i%50], hunt.Int(1)}
		e.Time, e.Arrival.Time = i*second, i*second
		e.Identity.Hi, e.Identity.Lo = uint64(i), uint64(i)*0x9e3779b97f4a7c15
		p.fold.Apply(p.h, e, &p.out)
	}
}

// BenchmarkRefold inserts an event in front of a tail of so many.
func BenchmarkRefold(b *testing.B) {
	for _, tail := range []int{16, 256} {
		b.Run(fmt.Sprint("tail=", tail), func(b *testing.B) {
			p := newPlayer(b, hunt.DefaultOrder())
			for i := range tail {
				p.apply(hunt.Event(fmt.Sprint(i), int64(1000+i), hunt.Tick), participant.Applied)
			}
			e := hunt.Event("first", 1, hunt.Tick)
			full := p.h
			b.ReportAllocs()
			for b.Loop() {
				p.h = full.Clone()
				p.fold.Apply(p.h, e, &p.out)
			}
		})
	}
}

// BenchmarkClone copies a history with a tail of 16, as the engine does once per
// participant and batch.
func BenchmarkClone(b *testing.B) {
	p := newPlayer(b, hunt.DefaultOrder())
	for i := range 16 {
		p.apply(hunt.Event(fmt.Sprint(i), int64(i)*second, hunt.Tick), participant.Applied)
	}
	b.ReportAllocs()
	for b.Loop() {
		p.h.Clone()
	}
}

// BenchmarkDuplicate refuses a copy of the oldest event of a tail of 256.
func BenchmarkDuplicate(b *testing.B) {
	p := newPlayer(b, hunt.DefaultOrder())
	for i := range 256 {
		p.apply(hunt.Event(fmt.Sprint(i), int64(i+1), hunt.Tick), participant.Applied)
	}
	e := hunt.Event("0", 1, hunt.Tick)
	b.ReportAllocs()
	for b.Loop() {
		p.fold.Apply(p.h, e, &p.out)
	}
}
