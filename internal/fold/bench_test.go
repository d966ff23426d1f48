package fold_test

import (
	"fmt"
	"testing"

	"github.com/veltrix/veltrix/internal/engine"
	hunt "github.com/veltrix/veltrix/internal/participant/participanttest"
)

// BenchmarkRecord decodes and folds one record in order: from the log's bytes
// to the state and its outputs.
func BenchmarkRecord(b *testing.B) {
	for _, kind := range []string{"tick", "find"} {
		b.Run(kind, func(b *testing.B) {
			f := newFold(hunt.DefaultOrder())
			s := f.New()
			var out engine.Outputs
			i := int64(0)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				if i++; i%1000 == 0 {
					s = f.New()
				}
				r := record(i, fmt.Sprint(i), "tick", i*5*second, `{}`)
				if kind == "find" {
					r = finding(i, fmt.Sprint(i), i*5*second, fmt.Sprint("clue ", i%40), 1)
				}
				out.Reset()
				b.StartTimer()
				f.Apply(s, r, f.Decode(r), &out)
			}
		})
	}
}
