package engine

import "slices"

// reuse keeps the memory of what is over for what comes next, so that a record
// allocates nothing of the engine's in the steady state. Nothing is read again
// that is kept here.
type reuse struct {
	states []State   // from before a commit, or of a batch that was dropped
	owner  [][]int32 // of the records of runs that were folded
	arenas []arena   // of moves that Redis acknowledged
}

// What is kept at most: what two batches of a usual machine leave.
const (
	statesKept = 50_000
	slicesKept = 64
)

// arena is the memory of a move's values.
type arena struct {
	values []KeyValue
	memory []byte
}

// state returns the memory of a state that nobody has any more, or nil.
func (u *reuse) state() State {
	n := len(u.states)
	if n == 0 {
		return nil
	}
	s := u.states[n-1]
	u.states[n-1], u.states = nil, u.states[:n-1]
	return s
}

func (u *reuse) keepState(s State) {
	if s != nil && len(u.states) < statesKept {
		u.states = append(u.states, s)
	}
}

// owners returns room for the owners of n records, who are all to be written.
func (u *reuse) owners(n int) []int32 {
	var owners []int32
	if k := len(u.owner); k > 0 {
		owners, u.owner = u.owner[k-1], u.owner[:k-1]
	}
	return slices.Grow(owners[:0], n)[:n]
}

func (u *reuse) keepOwners(owners []int32) {
	if len(u.owner) < slicesKept {
		u.owner = append(u.owner, owners)
	}
}

// arena returns an empty one.
func (u *reuse) arena() arena {
	n := len(u.arenas)
	if n == 0 {
		return arena{}
	}
	a := u.arenas[n-1]
	u.arenas = u.arenas[:n-1]
	return a
}

// keepMove takes a move's memory back: whoever performed it has answered.
func (u *reuse) keepMove(m Move) {
	if len(u.arenas) < slicesKept {
		clear(m.Values)
		u.arenas = append(u.arenas, arena{m.Values[:0], m.memory[:0]})
	}
}

// expect makes room for all of a run's values, by what the first of them took.
func (a *arena) expect(written, all int) {
	if each := len(a.memory) / written; cap(a.memory) < each*all {
		a.memory = slices.Grow(a.memory, each*(all-written)*9/8)
	}
}

// sampled is how many states tell how large the others are.
const sampled = 64
