package delivery

// tracker knows which records of a partition are finished and how far the
// offset may be committed. It is not safe for concurrent use.
type tracker struct {
	window []tracked // records in the order of the log, the first one unfinished
	first  int64     // the number of window[0], counted from the assignment on
	// next is where the position stands once everything in the window is finished.
	next      int64
	committed int64 // the last offset that was committed, or the first one taken
	ready     int64 // may be committed, or -1
}

type tracked struct {
	offset   int64
	finished bool
}

// newTracker knows nothing: -1 stands for no offset yet.
func newTracker() *tracker { return &tracker{next: -1, committed: -1, ready: -1} }

// take notes a record and returns its ticket.
func (t *tracker) take(offset int64) (ticket int64) {
	if t.committed < 0 {
		t.committed = offset
	}
	t.window = append(t.window, tracked{offset: offset})
	t.next = offset + 1
	return t.first + int64(len(t.window)) - 1
}

// reach notes that the log was read up to next.
func (t *tracker) reach(next int64) {
	t.next = max(t.next, next)
	t.advance()
}

// finish notes that nothing remains to be done for a record.
func (t *tracker) finish(ticket int64) {
	t.window[ticket-t.first].finished = true
	t.advance()
}

func (t *tracker) advance() {
	n := 0
	for n < len(t.window) && t.window[n].finished {
		n++
	}
	if n > 0 {
		t.ready = t.window[n-1].offset + 1
		t.window = t.window[n:]
		t.first += int64(n)
	}
	if len(t.window) == 0 {
		t.ready = t.next
	}
}

// committable returns the offset to commit, or false where nothing is new.
func (t *tracker) committable() (int64, bool) {
	return t.ready, t.ready > t.committed && t.ready >= 0
}
