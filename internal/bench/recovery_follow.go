package bench

import (
	"slices"
	"sync"
	"time"
)

// follow sees from the notifications when the partitions go on behind a kill, and
// when they are as far as before it.
type follow struct {
	mu     sync.Mutex
	usual  time.Duration // notifications come no later than that when nothing is wrong; 0: not known yet
	times  []int64       // µs, until it is known
	bounds []int64       // by partition: where the notifications after the kill begin; nil: not looking
	killed []bool        // by partition: whether it was the killed one's
	back   []bool        // by partition: whether it is as far as before
	next   time.Time     // when one of the killed one's partitions went on first; zero: not yet
	zero   time.Time     // when the last one was back; zero: not yet
}

// forget drops what has come so far.
func (f *follow) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.times = nil
}

// learn takes what has come so far for usual: the time that 99 % kept to. It
// returns 0 where nothing has come.
func (f *follow) learn() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.Sort(f.times)
	f.usual = time.Duration(quantiles(f.times).P99 * float64(time.Millisecond))
	f.times = nil
	return f.usual
}

// look begins anew, behind bounds.
func (f *follow) look(bounds []int64, killed []bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bounds, f.killed, f.back = bounds, killed, make([]bool, len(bounds))
	f.next, f.zero = time.Time{}, time.Time{}
}

// see takes the next notification.
func (f *follow) see(n notified) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.usual == 0 {
		f.times = append(f.times, n.late.Microseconds())
	}
	if f.bounds == nil || n.offset < f.bounds[n.partition] {
		return // committed before
	}
	if f.killed[n.partition] && f.next.IsZero() {
		f.next = n.at
	}
	if n.late <= f.usual && !f.back[n.partition] {
		f.back[n.partition] = true
		if !slices.Contains(f.back, false) {
			f.zero = n.at
		}
	}
}

// at returns both times; ok says that both have come. Where nobody was killed, only
// the second one is awaited.
func (f *follow) at() (next, zero time.Time, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.next, f.zero, !f.zero.IsZero() && (!f.next.IsZero() || !slices.Contains(f.killed, true))
}
