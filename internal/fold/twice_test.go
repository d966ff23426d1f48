package fold_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/fold"
	"github.com/veltrix/veltrix/internal/rules"
	"github.com/veltrix/veltrix/internal/wire"
)

// TestRow37FoldedTwice is part of row 37 of the failure matrix: two processes
// that compile the same rules and fold the same records, in other batches and
// with other states still cached, write the same outputs and the same bytes.
// A process folds each record at another time than the other did.
func TestRow37FoldedTwice(t *testing.T) {
	dice := rand.New(rand.NewPCG(37, 37))
	var records []*wire.Record
	for i := range 600 {
		at := int64(i) * second / 4
		late := max(at-dice.Int64N(40*second), 0) // some beyond the grace
		r := finding(int64(i), fmt.Sprint(dice.IntN(500)), late, fmt.Sprint("clue ", dice.IntN(25)), dice.IntN(90))
		if dice.IntN(4) == 0 {
			r = record(int64(i), fmt.Sprint("tick ", i), "tick", late, `{}`)
		}
		r.Timestamp = start + at
		records = append(records, r)
	}
	process := func(batch int) (states [][]byte, outputs [][]byte) {
		program, err := rules.Load("rules.yaml", []byte(rulesText))
		if err != nil {
			t.Fatal(err)
		}
		f := fold.New(program, partitions)
		s := f.New()
		for i, r := range records {
			if i%batch == 0 {
				if s, err = f.Load(f.Encode(nil, s)); err != nil {
					t.Fatal(err)
				}
			}
			var out engine.Outputs
			f.Apply(s, r, &out)
			states = append(states, f.Encode(nil, s))
			outputs = append(outputs, fmt.Appendf(nil, "%q %v", out.List, out.Fates))
		}
		return states, outputs
	}
	states, outputs := process(1)
	for _, batch := range []int{7, 100, len(records)} {
		again, said := process(batch)
		for i := range records {
			if !bytes.Equal(states[i], again[i]) {
				t.Fatalf("in batches of %d, the state after record %d is another one:\n%x\n%x", batch, i, states[i], again[i])
			}
			if !bytes.Equal(outputs[i], said[i]) {
				t.Fatalf("in batches of %d, record %d causes something else:\n%s\n%s", batch, i, outputs[i], said[i])
			}
		}
	}
}
