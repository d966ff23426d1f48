package engine

import "time"

// pace says when a batch ends, and when the log is asked for more of it.
//
// A slot that keeps up with its log begins batches one interval apart: a batch ends
// an interval after the one before, so that the time which that one took is no wait
// of the events that came meanwhile, and an event that comes after a quiet time waits
// for no more than what may be coming behind it. A slot that is behind gathers for a
// whole interval instead: what is fetched is large then, and the larger a batch, the
// less each event costs.
type pace struct {
	interval time.Duration
	endedAt  time.Time // of gathering the batch before
	firstAt  time.Time // the first records of this batch
	behind   bool      // the log had more than a fetch of this batch brought
}

// tail is how long a batch is gathered at least: what the client has at hand was
// fetched while the batch before was folded, and what came since takes one more fetch.
// A fifth of the interval had transactions so small that they used up the CPUs.
func (p *pace) tail() time.Duration { return p.interval / 2 }

// due is when the batch ends that has records since firstAt.
func (p *pace) due() time.Time {
	if p.behind {
		return p.firstAt.Add(p.interval)
	}
	due, tail := p.endedAt.Add(p.interval), p.firstAt.Add(p.tail())
	if due.Before(tail) {
		return tail
	}
	return due
}

// askAt is when the log is asked for more of the batch. Who keeps up with the log is
// brought a handful by each fetch, and asks shortly before the batch is due; who is
// behind asks at once.
func (p *pace) askAt() time.Time {
	if p.behind {
		return p.firstAt
	}
	return p.due().Add(-p.tail())
}

// polled notes records, the first of their batch or more of it.
func (p *pace) polled(now time.Time, first, behind bool) {
	p.behind = behind || p.behind && !first
	if first {
		p.firstAt = now
	}
}

// ended notes that a batch is gathered.
func (p *pace) ended(now time.Time) { p.endedAt = now }
