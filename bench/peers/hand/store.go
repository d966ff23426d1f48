package hand

import "sync"

// Store keeps the states of a process's partitions in memory, and can take back what
// a batch did whose transaction was aborted. It survives nothing: what a peer that
// uses it writes is exactly once as long as the process lives.
type Store[S any] struct {
	partitions []partition[S]
	fresh      func() S
	copied     func(S) S
}

// partition belongs to the batch that has locked it. Partitions change hands within
// a process: whoever gets one waits until the transaction of who had it has ended.
type partition[S any] struct {
	sync.Mutex
	states map[string]*kept[S]
}

// kept is a state with the number of the batch that touched it last.
type kept[S any] struct {
	state S
	batch uint64
}

// NewStore returns a store of empty partitions, with states of the folds by hand.
func NewStore(partitions int) *Store[State] {
	return StoreOf(partitions, func() State { return State{} }, func(s State) State { return s })
}

// StoreOf returns a store of states that begin as fresh and are copied by copied,
// to be as they were when a batch is undone.
func StoreOf[S any](partitions int, fresh func() S, copied func(S) S) *Store[S] {
	s := &Store[S]{partitions: make([]partition[S], partitions), fresh: fresh, copied: copied}
	for i := range s.partitions {
		s.partitions[i].states = map[string]*kept[S]{}
	}
	return s
}

// Batch is what one client does to the store between two ends of a transaction. It
// belongs to one goroutine. A partition has one batch at a time, so that numbers
// need only differ within one.
type Batch[S any] struct {
	store  *Store[S]
	number uint64
	held   map[int32]*partition[S]
	before []saved[S]
	Next   map[int32]int64 // by partition: the offset after the last event folded
}

type saved[S any] struct {
	of    *kept[S]
	state S
}

// Batch returns a client's, with nothing in it.
func (s *Store[S]) Batch(client int) *Batch[S] {
	const numbers = 40 // bits of a client's own
	return &Batch[S]{store: s, number: uint64(client+1) << numbers, held: map[int32]*partition[S]{}, Next: map[int32]int64{}}
}

// State returns a participant's state, to be changed until the batch ends, for the
// event at this offset.
func (b *Batch[S]) State(number int32, offset int64, who []byte) *S {
	p := b.held[number]
	if p == nil {
		p = &b.store.partitions[number]
		p.Lock()
		b.held[number] = p
	}
	b.Next[number] = offset + 1
	k := p.states[string(who)]
	if k == nil {
		k = &kept[S]{state: b.store.fresh()}
		p.states[string(who)] = k
	}
	if k.batch != b.number {
		k.batch = b.number
		b.before = append(b.before, saved[S]{k, b.store.copied(k.state)})
	}
	return &k.state
}

// Keep ends the batch: its transaction was committed.
func (b *Batch[S]) Keep() { b.end() }

// Undo ends the batch: its transaction was aborted.
func (b *Batch[S]) Undo() {
	for i := range b.before {
		b.before[i].of.state = b.before[i].state
	}
	b.end()
}

func (b *Batch[S]) end() {
	clear(b.before) // or it would keep sets alive
	b.before = b.before[:0]
	b.number++
	clear(b.Next)
	for number, p := range b.held {
		delete(b.held, number)
		p.Unlock()
	}
}
