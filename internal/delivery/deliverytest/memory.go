// Package deliverytest has what tests of delivery share: stores in memory, and
// the suites that every implementation of a port must pass, those in memory
// included.
package deliverytest

import (
	"context"
	"fmt"
	"sort"
	"sync"
	"time"

	"github.com/veltrix/veltrix/internal/delivery"
)

// Ledger is a delivery.Ledger in memory.
type Ledger struct {
	mu      sync.Mutex
	entries map[delivery.Key]*record
}

type record struct {
	state       string // inflight, waiting, sent, dead
	owner, why  string
	rev, att    int
	seen        int
	until, next time.Time
}

// NewLedger returns an empty ledger.
func NewLedger() *Ledger { return &Ledger{entries: map[delivery.Key]*record{}} }

// Claim implements delivery.Ledger.
func (l *Ledger) Claim(_ context.Context, k delivery.Key, r delivery.ClaimRequest) (delivery.Claim, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[k]
	if e == nil {
		e = &record{}
	}
	next, now := *e, time.Now()
	answer := func(state delivery.ClaimState, wait time.Duration, why string) (delivery.Claim, error) {
		return delivery.Claim{State: state, Attempt: next.att, Wait: wait, Seen: next.seen > 0, Reason: why}, nil
	}
	unknown := false
	if e.state == "inflight" {
		if left := e.until.Sub(now); left > 0 {
			return answer(delivery.Busy, left, "")
		}
		next.seen = max(next.seen, e.rev)
		unknown = e.rev == r.Revision
	}
	switch {
	case e.rev > r.Revision:
		return answer(delivery.Finished, 0, "a later revision is known")
	case e.rev < r.Revision:
		next.att = 0
	case e.state == "sent":
		return answer(delivery.Finished, 0, "sent")
	case e.state == "dead":
		return answer(delivery.Finished, 0, e.why)
	case e.state == "waiting" && !r.Expired && e.next.After(now):
		return answer(delivery.Early, e.next.Sub(now), e.why)
	}
	state := delivery.Claimed
	next.rev, next.state, next.why = r.Revision, "dead", ""
	switch {
	case r.Retract && next.seen == 0:
		state, next.why = delivery.Retracted, "retracted"
	case r.Expired:
		state, next.why = delivery.Expired, "expired"
	default:
		next.state, next.owner, next.until = "inflight", r.Owner, now.Add(r.Lease)
		next.att++
	}
	l.entries[k] = &next
	claim, err := answer(state, 0, next.why)
	claim.Unknown = unknown
	return claim, err
}

// Mark implements delivery.Ledger.
func (l *Ledger) Mark(_ context.Context, k delivery.Key, owner string, attempt int, m delivery.Mark) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[k]
	if e == nil || e.owner != owner || e.att != attempt {
		return false, nil
	}
	if e.state != "inflight" {
		return e.state == string(m.State), nil
	}
	e.state, e.why, e.next = string(m.State), m.Reason, time.Now().Add(m.Wait)
	if m.Seen {
		e.seen = e.rev
	}
	return true, nil
}

// Inbox is a delivery.Inbox in memory.
type Inbox struct {
	max       int
	retention time.Duration

	mu    sync.Mutex
	boxes map[string]*box
	wakes map[string]map[chan struct{}]bool
	life  int
}

type box struct {
	epoch             string
	last, gone, acked int64
	floor             int64            // ms
	entries           []delivery.Entry // by offset
	seen              map[string]int64 // arrival, ms
	revs              map[string]int
}

// NewInbox returns empty inboxes of at most entriesMax entries, each kept for
// retention.
func NewInbox(entriesMax int, retention time.Duration) *Inbox {
	return &Inbox{
		max: entriesMax, retention: retention, boxes: map[string]*box{},
		wakes: map[string]map[chan struct{}]bool{},
	}
}

func (b *box) drop(id string) {
	for i, e := range b.entries {
		if e.Notification == id {
			b.entries = append(b.entries[:i:i], b.entries[i+1:]...)
			b.gone = max(b.gone, e.Offset)
			return
		}
	}
}

// Append implements delivery.Inbox.
func (m *Inbox) Append(_ context.Context, n *delivery.Notification) (delivery.AppendOutcome, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.boxes[n.Participant]
	if b == nil {
		m.life++
		b = &box{epoch: fmt.Sprint("life", m.life), seen: map[string]int64{}, revs: map[string]int{}}
		m.boxes[n.Participant] = b
	}
	at := -1
	for i, e := range b.entries {
		if e.Notification == n.ID {
			at = i
		}
	}
	arrival, oldest := n.Arrival.UnixMilli(), time.Now().Add(-m.retention).UnixMilli()
	if known, ok := b.revs[n.ID]; ok && known >= n.Revision {
		if at >= 0 {
			return delivery.Deduped, b.entries[at].Offset, nil
		}
		return delivery.Deduped, 0, nil
	} else if !ok && (arrival < b.floor || arrival < oldest) {
		return delivery.TooOld, 0, nil
	}
	b.revs[n.ID], b.seen[n.ID] = n.Revision, arrival
	outcome := delivery.Appended
	if n.Op == delivery.Retract {
		outcome = delivery.NothingYet
		if at >= 0 {
			outcome = delivery.Tombstone
		}
	}
	offset := int64(0)
	if outcome != delivery.NothingYet {
		if at >= 0 {
			b.entries = append(b.entries[:at:at], b.entries[at+1:]...)
		}
		b.last++
		offset = b.last
		b.entries = append(b.entries, delivery.Entry{
			Offset: offset, Notification: n.ID, Revision: n.Revision, Op: n.Op, Class: n.Class, Title: n.Title,
			Body: n.Body, At: n.Arrival, Expires: n.Expires, EventType: n.EventType, EventTime: n.EventTime,
		})
	}
	m.trim(b, oldest)
	if offset > 0 {
		for ch := range m.wakes[n.Participant] {
			select {
			case ch <- struct{}{}:
			default:
			}
		}
	}
	return outcome, offset, nil
}

func (m *Inbox) trim(b *box, oldest int64) {
	for len(b.entries) > m.max {
		b.drop(b.entries[0].Notification)
	}
	ids := make([]string, 0, len(b.seen))
	for id := range b.seen {
		ids = append(ids, id)
	}
	sort.Slice(ids, func(i, j int) bool { return b.seen[ids[i]] < b.seen[ids[j]] })
	for _, id := range ids {
		if b.seen[id] >= oldest && len(b.seen) <= 4*m.max {
			return
		}
		b.drop(id)
		b.floor = max(b.floor, b.seen[id])
		delete(b.seen, id)
		delete(b.revs, id)
	}
}

// Page implements delivery.Inbox.
func (m *Inbox) Page(_ context.Context, who string, after delivery.Cursor, limit int) (delivery.Page, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.boxes[who]
	if b == nil {
		return delivery.Page{Resync: after.Epoch != ""}, nil
	}
	p := delivery.Page{Epoch: b.epoch, Last: b.last, Acked: b.acked}
	from := after.Offset
	if after.Epoch == "" {
		from = 0
	} else if after.Epoch != b.epoch || from > b.last || from < b.gone {
		from, p.Resync = 0, true
	}
	for _, e := range b.entries {
		if e.Offset > from && len(p.Entries) < limit {
			p.Entries = append(p.Entries, e)
		}
	}
	return p, nil
}

// Newest implements delivery.Inbox.
func (m *Inbox) Newest(_ context.Context, who string, before int64, limit int) (delivery.Page, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.boxes[who]
	if b == nil {
		return delivery.Page{}, nil
	}
	p := delivery.Page{Epoch: b.epoch, Last: b.last, Acked: b.acked}
	for i := len(b.entries) - 1; i >= 0 && len(p.Entries) < limit; i-- {
		if before == 0 || b.entries[i].Offset < before {
			p.Entries = append(p.Entries, b.entries[i])
		}
	}
	return p, nil
}

// Ack implements delivery.Inbox.
func (m *Inbox) Ack(_ context.Context, who string, offset int64) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.boxes[who]
	if b == nil {
		return 0, nil
	}
	b.acked = max(b.acked, min(offset, b.last))
	return b.acked, nil
}

// Wake implements delivery.Inbox.
func (m *Inbox) Wake(who string) (<-chan struct{}, func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ch := make(chan struct{}, 1)
	if m.wakes[who] == nil {
		m.wakes[who] = map[chan struct{}]bool{}
	}
	m.wakes[who][ch] = true
	return ch, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.wakes[who], ch)
	}
}

// Forget loses a participant's inbox, as a store that was flushed does.
func (m *Inbox) Forget(who string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.boxes, who)
}
