package enginetest

import "math/rand/v2"

// chooser decides everything that is left open in a run: who acts, what
// arrives, what fails.
type chooser interface {
	// pick returns a number below n.
	pick(n int) int
	// fault reports whether the named fault strikes here; its odds are 1 in n.
	fault(n int, name string) bool
}

// dice choose at random. Each step throws dice of its own, so that a run
// without some of its steps makes the same choices in the others.
type dice struct {
	seed uint64
	pcg  *rand.PCG
	rng  *rand.Rand
}

func newDice(seed uint64) *dice {
	pcg := rand.NewPCG(seed, 0)
	return &dice{seed, pcg, rand.New(pcg)}
}

func (d *dice) step(n uint64)              { d.pcg.Seed(d.seed, n) }
func (d *dice) pick(n int) int             { return d.rng.IntN(n) }
func (d *dice) fault(n int, _ string) bool { return d.rng.IntN(n) == 0 }
