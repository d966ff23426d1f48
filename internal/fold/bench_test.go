package fold_test

import (
	"fmt"
	"testing"

	"github.com/veltrix/veltrix/internal/engine"
	hunt "github.com/veltrix/veltrix/internal/participant/participanttest"
	"github.com/veltrix/veltrix/internal/wire"
)

// BenchmarkRecord decodes and folds one record in order, with a tail of six:
// from the log's bytes to the state and its outputs.
func BenchmarkRecord(b *testing.B) {
	var ticks, finds [1000]*wire.Record
	for i := range int64(1000) {
		ticks[i] = record(i, fmt.Sprint("event-", i), "tick", i*5*second, `{}`)
		finds[i] = finding(i, fmt.Sprint("event-", i), i*5*second, fmt.Sprint("clue ", i%40), 1)
	}
	run := func(records []*wire.Record) func(b *testing.B) {
		return func(b *testing.B) {
			f := newFold(hunt.DefaultOrder())
			s := f.New()
			var out engine.Outputs
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				if i++; i == len(records) {
					i, s = 0, f.New()
				}
				out.Reset()
				f.Apply(s, records[i], &out)
			}
		}
	}
	b.Run("tick", run(ticks[:]))
	b.Run("find", run(finds[:]))
}
