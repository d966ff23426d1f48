package ingest

import (
	"container/heap"

	"github.com/veltrix/veltrix/internal/wire"
)

// window holds records back until their place has come.
type window struct {
	queue held
	place int // of the record read last
	added int
}

type heldRecord struct {
	due, number int
	record      wire.Record
}

// held orders by when a record is due, then by when it was added.
type held []heldRecord

func (h held) Len() int      { return len(h) }
func (h held) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h held) Less(i, j int) bool {
	if h[i].due != h[j].due {
		return h[i].due < h[j].due
	}
	return h[i].number < h[j].number
}
func (h *held) Push(x any) { *h = append(*h, x.(heldRecord)) }
func (h *held) Pop() any {
	old := *h
	x := old[len(old)-1]
	old[len(old)-1] = heldRecord{}
	*h = old[:len(old)-1]
	return x
}

// add holds a record back for so many places.
func (w *window) add(r wire.Record, places int) {
	w.added++
	heap.Push(&w.queue, heldRecord{w.place + places, w.added, r})
}

// step goes on to the next place.
func (w *window) step() { w.place++ }

// next returns a record that is due, or with a negative argument any record
// that is left.
func (w *window) next(places int) (wire.Record, bool) {
	if len(w.queue) == 0 || (places >= 0 && w.queue[0].due >= w.place) {
		return wire.Record{}, false
	}
	return heap.Pop(&w.queue).(heldRecord).record, true
}
