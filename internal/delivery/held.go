package delivery

import (
	"context"
	"sync"
	"time"

	"github.com/veltrix/veltrix/internal/wire"
)

// held is one partition while this process holds it.
type held struct {
	TopicPartition
	d     *Dispatcher
	lanes *lanes
	// soft ends when no new attempt may begin, hard when even a running one
	// must stop.
	soft, hard         context.Context
	softStop, hardStop context.CancelFunc
	feeding            chan struct{} // closed when the feed has ended

	mu      sync.Mutex
	tracker *tracker
	backlog []Fetch
	records int // in the backlog
	paused  bool
	end     int64         // the last stable offset that was seen
	more    chan struct{} // capacity 1: the backlog grew
}

func (d *Dispatcher) hold(ctx context.Context, tp TopicPartition) *held {
	h := &held{
		TopicPartition: tp, d: d, tracker: newTracker(),
		more: make(chan struct{}, 1), feeding: make(chan struct{}), end: -1,
	}
	h.hard, h.hardStop = context.WithCancel(ctx)
	h.soft, h.softStop = context.WithCancel(h.hard)
	h.lanes = newLanes(h.work)
	go h.feed()
	return h
}

// push takes what a poll brought and pauses the partition where it is enough.
func (h *held) push(f Fetch) {
	h.mu.Lock()
	h.backlog = append(h.backlog, f)
	h.records += len(f.Records)
	h.end = f.End
	pause := !h.paused && h.records >= h.d.opts.BacklogMax
	h.paused = h.paused || pause
	h.mu.Unlock()
	if pause {
		h.d.source.Pause(h.TopicPartition)
	}
	select {
	case h.more <- struct{}{}:
	default:
	}
}

// pop returns the next fetch, or false when the partition is being taken away.
func (h *held) pop() (Fetch, bool) {
	for {
		h.mu.Lock()
		if len(h.backlog) > 0 {
			f := h.backlog[0]
			h.backlog = h.backlog[1:]
			h.records -= len(f.Records)
			resume := h.paused && h.records < h.d.opts.BacklogMax/2+1
			h.paused = h.paused && !resume
			h.mu.Unlock()
			if resume {
				h.d.source.Resume(h.TopicPartition)
			}
			return f, h.soft.Err() == nil
		}
		h.mu.Unlock()
		select {
		case <-h.more:
		case <-h.soft.Done():
			return Fetch{}, false
		}
	}
}

// feed hands the records to their lanes, in the order of the log.
func (h *held) feed() {
	defer close(h.feeding)
	for {
		f, ok := h.pop()
		if !ok {
			return
		}
		for i := range f.Records {
			if !h.feedOne(&f.Records[i]) {
				return
			}
		}
		h.mu.Lock()
		h.tracker.reach(f.Next)
		h.mu.Unlock()
	}
}

// feedOne takes one record, once there is room for it.
func (h *held) feedOne(rec *wire.Record) bool {
	if h.Topic == NotificationsTopic {
		return h.feedNotification(rec)
	}
	return h.feedParked(rec)
}

// admit waits for room among the records being worked on and returns the
// function that finishes this one after pieces calls of it.
func (h *held) admit(rec *wire.Record, pieces int) (finish func(), ok bool) {
	for h.ahead() { // the window and the receipts pile up in memory
		if !sleep(h.soft, 10*time.Millisecond) {
			return nil, false
		}
	}
	select {
	case h.d.room <- struct{}{}:
	case <-h.soft.Done():
		return nil, false
	}
	h.mu.Lock()
	ticket := h.tracker.take(rec.Offset)
	h.mu.Unlock()
	if h.d.pending.Add(1) == 1 {
		h.d.progress.Store(time.Now().UnixNano()) // idleness counts from the first record that waits
	}
	left := pieces
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if left--; left == 0 {
			h.tracker.finish(ticket)
			h.d.pending.Add(-1)
			h.d.release(h)
		}
	}, true
}

// ahead reports whether too much was taken and is not committed: because
// commits fail, or because one record keeps the position back.
func (h *held) ahead() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tracker.next-h.tracker.committed >= int64(4*h.d.opts.RecordsMax)
}

func (h *held) feedNotification(rec *wire.Record) bool {
	n, err := Decode(rec)
	if err != nil {
		return h.malformed(rec, err)
	}
	h.d.metrics.Consumed(n.Op)
	tasks, ok := h.tasks(&n)
	if !ok {
		return false
	}
	finish, ok := h.admit(rec, len(tasks)+1)
	if !ok {
		return false
	}
	for _, t := range tasks {
		t.finish = finish
	}
	first := &task{n: &n, partition: h.Partition, channel: InboxChannel, finish: finish}
	first.then = func() { h.disperse(tasks, first.inboxOffset) }
	h.lanes.add(laneKey{n.Participant, InboxChannel}, first, h.d.opts.RecordsMax)
	return true
}

// tasks lists the work outside of the inbox. A channel that is not set up is
// said in a receipt: the class asked for it. It gives up when the partition is
// being taken away.
func (h *held) tasks(n *Notification) (out []*task, ok bool) {
	for _, name := range n.Channels {
		if name == InboxChannel {
			continue
		}
		ch := h.d.channels[name]
		if ch == nil {
			h.d.receipt(&task{n: n, partition: h.Partition, channel: name}, OutDead, 0, "the channel is not set up")
			continue
		}
		var targets []string
		known := h.insist(h.soft, "devices", func(ctx context.Context) (err error) {
			targets, err = ch.Targets(ctx, n.Participant)
			return err
		})
		if !known {
			return nil, false
		}
		for _, target := range targets {
			out = append(out, &task{
				n: n, partition: h.Partition, channel: name, target: target, attempt: 1,
				holdUntil: n.visible(),
			})
		}
	}
	return out, true
}

// disperse hands a notification to its outside lanes; a lane that is too long
// already gives the task to a retry topic.
func (h *held) disperse(tasks []*task, inboxOffset int64) {
	for _, t := range tasks {
		t.inboxOffset = inboxOffset
		if h.soft.Err() != nil {
			return
		}
		if h.lanes.add(laneKey{t.n.Participant, t.channel + "\x00" + t.target}, t, h.d.opts.LaneMax) {
			continue
		}
		if h.park(t, time.Now().Add(h.d.opts.ParkAfter), t.attempt) {
			t.finish()
		}
	}
}

// feedParked waits until a parked delivery is due, or until its topic's delay
// is over and another topic is to hold it on.
func (h *held) feedParked(rec *wire.Record) bool {
	p, err := DecodeParked(rec)
	if err != nil {
		return h.malformed(rec, err)
	}
	hop := time.UnixMicro(rec.Timestamp).Add(h.d.delays[h.Topic])
	if p.NotBefore.Before(hop) {
		hop = p.NotBefore
	}
	if !sleep(h.soft, time.Until(hop)) {
		return false
	}
	finish, ok := h.admit(rec, 1)
	if !ok {
		return false
	}
	t := &task{
		n: &p.Notification, partition: h.Partition, channel: p.Channel, target: p.Target,
		attempt: p.Attempt, inboxOffset: p.InboxOffset, finish: finish, holdUntil: p.Notification.visible(),
	}
	if h.d.channels[p.Channel] == nil {
		h.d.receipt(t, OutDead, 0, "the channel is not set up")
		finish()
		return true
	}
	if time.Until(p.NotBefore) > 0 {
		if !h.park(t, p.NotBefore, p.Attempt) {
			return false
		}
		finish()
		return true
	}
	if h.lanes.add(laneKey{t.n.Participant, t.channel + "\x00" + t.target}, t, h.d.opts.LaneMax) {
		return true
	}
	if !h.park(t, time.Now().Add(h.d.opts.ParkAfter), t.attempt) {
		return false
	}
	finish()
	return true
}

// malformed passes over a record that nothing can read; reading it again would
// not help, and holding the partition would stop everybody on it.
func (h *held) malformed(rec *wire.Record, err error) bool {
	h.d.log.Error("a record cannot be read and is passed over",
		"topic", h.Topic, "partition", h.Partition, "offset", rec.Offset, "error", err)
	t := &task{n: &Notification{Participant: string(rec.Key)}, partition: h.Partition}
	h.d.receipt(t, OutDead, 0, "malformed: "+err.Error())
	finish, ok := h.admit(rec, 1)
	if ok {
		finish()
	}
	return ok
}

// work is what a lane does with a task.
func (h *held) work(ln *lane, t *task) bool {
	h.d.working.Add(1)
	defer h.d.working.Add(-1)
	if t.channel != InboxChannel {
		return h.outside(ln, t)
	}
	if !h.inbox(t) {
		return false
	}
	t.then()
	t.finish()
	return true
}

// inbox appends to the participant's inbox where the class names it.
func (h *held) inbox(t *task) bool {
	named := false
	for _, name := range t.n.Channels {
		named = named || name == InboxChannel
	}
	if !named {
		return h.soft.Err() == nil
	}
	select { // bounds the connections to the store, not the lanes
	case h.d.slots <- struct{}{}:
		defer func() { <-h.d.slots }()
	case <-h.soft.Done():
		return false
	}
	var outcome AppendOutcome
	if !h.insist(h.soft, "inbox", func(ctx context.Context) (err error) {
		outcome, t.inboxOffset, err = h.d.inbox.Append(ctx, t.n)
		return err
	}) {
		return false
	}
	switch outcome {
	case Appended:
		h.d.metrics.Age(InboxChannel, time.Since(t.n.Arrival))
		h.d.receipt(t, OutSent, 1, "")
	case Deduped:
		h.d.receipt(t, OutDeduped, 0, "this revision or a later one is in the inbox")
	case TooOld:
		h.d.receipt(t, OutExpired, 0, "from before what the inbox remembers")
	case Tombstone, NothingYet:
		h.d.receipt(t, OutRetracted, 0, "")
	}
	return true
}

// drain lets running attempts end for at most grace, then stops them.
func (h *held) drain(grace time.Duration) {
	h.softStop()
	ended := make(chan struct{})
	go func() {
		<-h.feeding
		h.lanes.wg.Wait()
		close(ended)
	}()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
		h.hardStop()
		<-ended
	}
	h.hardStop()
	// Whatever was given up frees its place: its record is read again elsewhere.
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.tracker.window {
		if !w.finished {
			h.d.pending.Add(-1)
			h.d.release(h)
		}
	}
}

// insist repeats an operation with growing pauses until it works, and returns
// false when until ends first. The operation itself runs to its end.
func (h *held) insist(until context.Context, store string, op func(context.Context) error) bool {
	pause := 50 * time.Millisecond
	for {
		if until.Err() != nil {
			return false
		}
		ctx, cancel := context.WithTimeout(h.hard, h.d.opts.StoreTimeout)
		err := op(ctx)
		cancel()
		if err == nil {
			h.d.worked(store)
			return true
		}
		h.d.failed(store, err)
		if !sleep(until, jitter(pause)) {
			return false
		}
		pause = min(2*pause, 2*time.Second)
	}
}
