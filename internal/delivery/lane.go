package delivery

import "sync"

// laneKey names a serial lane of one held partition.
type laneKey struct{ participant, channel string }

// lane is a queue that one goroutine at a time works off.
type lane struct {
	queue []*task
	// newest is the highest revision of each notification in the queue.
	newest map[string]int
	// changed is closed and replaced whenever the queue grows.
	changed chan struct{}
}

// lanes are the lanes of one held partition.
type lanes struct {
	mu  sync.Mutex
	all map[laneKey]*lane
	wg  sync.WaitGroup
	run func(*lane, *task) (finished bool)
}

func newLanes(run func(*lane, *task) bool) *lanes {
	return &lanes{all: map[laneKey]*lane{}, run: run}
}

// add queues a task in its lane. It reports false where queueMax tasks wait
// there already; the task is then not queued.
func (l *lanes) add(key laneKey, t *task, queueMax int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	ln := l.all[key]
	if ln == nil {
		ln = &lane{newest: map[string]int{}, changed: make(chan struct{})}
		l.all[key] = ln
		l.wg.Add(1)
		go l.work(key, ln)
	}
	if len(ln.queue) >= queueMax {
		return false
	}
	ln.queue = append(ln.queue, t)
	ln.newest[t.n.ID] = max(ln.newest[t.n.ID], t.n.Revision)
	close(ln.changed)
	ln.changed = make(chan struct{})
	return true
}

// work runs a lane's tasks one after the other until none is left, or until
// one is given up: what is behind it must not overtake it.
func (l *lanes) work(key laneKey, ln *lane) {
	defer l.wg.Done()
	for {
		l.mu.Lock()
		if len(ln.queue) == 0 {
			delete(l.all, key)
			l.mu.Unlock()
			return
		}
		t := ln.queue[0]
		l.mu.Unlock()
		if !l.run(ln, t) {
			return // the lane stays in the map, so nothing starts it again
		}
		l.mu.Lock()
		ln.queue = ln.queue[1:]
		if ln.newest[t.n.ID] == t.n.Revision {
			delete(ln.newest, t.n.ID)
		}
		l.mu.Unlock()
	}
}

// superseded reports whether a later revision of the task's notification waits
// in its lane, and a channel that is closed when the answer may change.
func (l *lanes) superseded(ln *lane, t *task) (bool, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return ln.newest[t.n.ID] > t.n.Revision, ln.changed
}
