package hand

import "sync"

// Store keeps the states of a process's partitions in memory, and can take back what
// a batch did whose transaction was aborted. It survives nothing: what a peer that
// uses it writes is exactly once as long as the process lives.
type Store struct{ partitions []partition }

// partition belongs to the batch that has locked it. Partitions change hands within
// a process: whoever gets one waits until the transaction of who had it has ended.
type partition struct {
	sync.Mutex
	states map[string]*kept
}

// kept is a state with the number of the batch that touched it last.
type kept struct {
	State
	batch uint64
}

// NewStore returns a store of empty partitions.
func NewStore(partitions int) *Store {
	s := &Store{partitions: make([]partition, partitions)}
	for i := range s.partitions {
		s.partitions[i].states = map[string]*kept{}
	}
	return s
}

// Batch is what one client does to the store between two ends of a transaction. It
// belongs to one goroutine. A partition has one batch at a time, so that numbers
// need only differ within one.
type Batch struct {
	store  *Store
	number uint64
	held   map[int32]*partition
	before []saved
	Next   map[int32]int64 // by partition: the offset after the last event folded
}

type saved struct {
	of    *kept
	state State
}

// Batch returns a client's, with nothing in it.
func (s *Store) Batch(client int) *Batch {
	const numbers = 40 // bits of a client's own
	return &Batch{store: s, number: uint64(client+1) << numbers, held: map[int32]*partition{}, Next: map[int32]int64{}}
}

// State returns a participant's state, to be changed until the batch ends, for the
// event at this offset.
func (b *Batch) State(number int32, offset int64, who []byte) *State {
	p := b.held[number]
	if p == nil {
		p = &b.store.partitions[number]
		p.Lock()
		b.held[number] = p
	}
	b.Next[number] = offset + 1
	k := p.states[string(who)]
	if k == nil {
		k = &kept{}
		p.states[string(who)] = k
	}
	if k.batch != b.number {
		k.batch = b.number
		b.before = append(b.before, saved{k, k.State})
	}
	return &k.State
}

// Keep ends the batch: its transaction was committed.
func (b *Batch) Keep() { b.end() }

// Undo ends the batch: its transaction was aborted.
func (b *Batch) Undo() {
	for i := range b.before {
		b.before[i].of.State = b.before[i].state
	}
	b.end()
}

func (b *Batch) end() {
	clear(b.before) // or it would keep sets alive
	b.before = b.before[:0]
	b.number++
	clear(b.Next)
	for number, p := range b.held {
		delete(b.held, number)
		p.Unlock()
	}
}
