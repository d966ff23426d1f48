package delivery

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options bound a Dispatcher. A zero field takes its default.
type Options struct {
	Lanes         int           // appends to inboxes at a time (64)
	EndpointSlots int           // attempts at a time for one target (32)
	RecordsMax    int           // records being worked on at a time (4096)
	BacklogMax    int           // fetched records of one partition that wait (2000)
	LaneMax       int           // notifications waiting in one outside lane (256)
	ParkAfter     time.Duration // a longer wait goes through a retry topic (5 s)
	LeaseMargin   time.Duration // of a claim beyond the channel's timeout (15 s)
	StoreTimeout  time.Duration // of one call to a store (5 s)
	DrainTimeout  time.Duration // for running attempts when a partition goes (10 s)
	CommitEvery   time.Duration // (250 ms)
	// Retention is how long the ledger keeps an entry at least (168 h).
	Retention time.Duration
	Pacing
	// Follow returns the pacing that is in force now, where it may change (Pacing).
	Follow  func() Pacing
	Retries []RetryTopic // by rising delay (RetryTopics)
	Logger  *slog.Logger // (silent)
}

// Pacing says how much a participant's devices are to be bothered.
type Pacing struct {
	// PresenceWait is how long a push waits for a participant who has the inbox open
	// to see it there (3 s); below 0 it does not.
	PresenceWait time.Duration
	// PushesMax are the pushes to one participant's devices within PushesWindow
	// (1 h); what is more becomes one digest. 0 is no limit.
	PushesMax    int
	PushesWindow time.Duration
	// DigestTitle and DigestBody are what a digest says; {n} is the number of
	// notifications.
	DigestTitle string // ("{n} more messages")
	DigestBody  string
}

func (p Pacing) withDefaults() Pacing {
	if p.PushesWindow <= 0 {
		p.PushesWindow = time.Hour
	}
	if p.PresenceWait == 0 {
		p.PresenceWait = 3 * time.Second
	}
	if p.DigestTitle == "" {
		p.DigestTitle = "{n} more messages"
	}
	return p
}

// exceeded says why a push is told in a digest.
func (p Pacing) exceeded() string {
	return "more pushes than " + strconv.Itoa(p.PushesMax) + " in " + p.PushesWindow.String()
}

// pacing is what is in force now.
func (d *Dispatcher) pacing() Pacing {
	if d.opts.Follow == nil {
		return d.opts.Pacing
	}
	return d.opts.Follow().withDefaults()
}

func (o *Options) defaults() {
	set := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	dur := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&o.Lanes, 64)
	set(&o.EndpointSlots, 32)
	set(&o.RecordsMax, 4096)
	set(&o.BacklogMax, 2000)
	set(&o.LaneMax, 256)
	dur(&o.ParkAfter, 5*time.Second)
	dur(&o.LeaseMargin, 15*time.Second)
	dur(&o.StoreTimeout, 5*time.Second)
	dur(&o.DrainTimeout, 10*time.Second)
	dur(&o.CommitEvery, 250*time.Millisecond)
	dur(&o.Retention, 168*time.Hour)
	o.Pacing = o.withDefaults()
	if o.Retries == nil {
		o.Retries = RetryTopics()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Dispatcher delivers. It is the Holder of its source's partitions; make it
// with New, give it its source through Run.
type Dispatcher struct {
	opts     Options
	owner    string // of claims, new at every start
	source   Source
	ledger   Ledger
	inbox    Inbox
	gate     Gate
	receipts Receipts
	channels map[string]Channel
	metrics  Metrics
	log      *slog.Logger
	delays   map[string]time.Duration

	room    chan struct{} // records being worked on
	slots   chan struct{} // appends being made
	pending atomic.Int64
	working atomic.Int64 // tasks that lanes are at
	holding atomic.Int64 // of them, those in their class's hold

	mu        sync.Mutex // guards held
	held      map[TopicPartition]*held
	base      context.Context
	commits   sync.Mutex // one commit at a time, and none for a partition that went
	endpoints sync.Map   // "channel\x00target" → *endpoint
	troubles  sync.Map   // store → *trouble
	progress  atomic.Int64
}

// Ports are what a Dispatcher works with.
type Ports struct {
	Ledger   Ledger
	Inbox    Inbox
	Receipts Receipts
	Channels []Channel
	Gate     Gate    // nil: everything is wanted
	Metrics  Metrics // nil: none
}

// New returns a Dispatcher that holds no partition yet.
func New(p Ports, opts Options) *Dispatcher {
	opts.defaults()
	var id [8]byte
	rand.Read(id[:]) //nolint:errcheck // never fails
	d := &Dispatcher{
		opts: opts, owner: hex.EncodeToString(id[:]),
		ledger: p.Ledger, inbox: p.Inbox, gate: p.Gate, receipts: p.Receipts,
		channels: map[string]Channel{}, metrics: p.Metrics, log: opts.Logger,
		delays: map[string]time.Duration{},
		room:   make(chan struct{}, opts.RecordsMax), slots: make(chan struct{}, opts.Lanes),
		held: map[TopicPartition]*held{}, base: context.Background(),
	}
	if d.metrics == nil {
		d.metrics = NoMetrics{}
	}
	for _, ch := range p.Channels {
		d.channels[ch.Name()] = ch
	}
	for _, r := range opts.Retries {
		d.delays[r.Name] = r.Delay
	}
	return d
}

// Run reads and delivers until ctx ends, then drains and leaves the group. Its
// error is final: restarting without looking would skip records.
func (d *Dispatcher) Run(ctx context.Context, connect func(Holder) (Source, error)) error {
	source, err := connect(d)
	if err != nil {
		return err
	}
	d.source = source
	committing := make(chan struct{})
	stop, cancel := context.WithCancel(ctx)
	go func() {
		defer close(committing)
		for sleep(stop, d.opts.CommitEvery) {
			d.commit()
		}
	}()
	err = d.read(ctx)
	cancel()
	<-committing
	source.Close()
	return err
}

func (d *Dispatcher) read(ctx context.Context) error {
	for ctx.Err() == nil {
		fetches, err := d.source.Poll(ctx, d.opts.BacklogMax)
		for _, f := range fetches {
			d.mu.Lock()
			h := d.held[f.TopicPartition]
			d.mu.Unlock()
			if h != nil {
				h.push(f)
			}
		}
		d.source.Release()
		if err != nil {
			return fmt.Errorf("read the notifications: %w", err)
		}
	}
	return nil
}

// Assigned implements Holder.
func (d *Dispatcher) Assigned(parts []TopicPartition) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, tp := range parts {
		d.held[tp] = d.hold(d.base, tp)
	}
}

// Revoked implements Holder: drain first, so that the next owner finds as
// little in flight as possible, then commit, then forget.
func (d *Dispatcher) Revoked(parts []TopicPartition) {
	d.drop(parts)
	d.commits.Lock()
	defer d.commits.Unlock()
	d.commitLocked(parts)
	d.forget(parts)
}

// Lost implements Holder.
func (d *Dispatcher) Lost(parts []TopicPartition) {
	d.drop(parts)
	d.commits.Lock()
	defer d.commits.Unlock()
	d.forget(parts)
}

func (d *Dispatcher) drop(parts []TopicPartition) {
	var wg sync.WaitGroup
	for _, tp := range parts {
		d.mu.Lock()
		h := d.held[tp]
		d.mu.Unlock()
		if h != nil {
			wg.Go(func() { h.drain(d.opts.DrainTimeout) })
		}
	}
	wg.Wait()
}

func (d *Dispatcher) forget(parts []TopicPartition) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, tp := range parts {
		delete(d.held, tp)
	}
}

func (d *Dispatcher) commit() {
	d.commits.Lock()
	defer d.commits.Unlock()
	d.mu.Lock()
	parts := make([]TopicPartition, 0, len(d.held))
	for tp := range d.held {
		parts = append(parts, tp)
	}
	d.mu.Unlock()
	d.commitLocked(parts)
}

// commitLocked commits what is finished. Receipts go first: an offset that is
// committed before its receipts would lose them in a crash.
func (d *Dispatcher) commitLocked(parts []TopicPartition) {
	offsets := map[TopicPartition]int64{}
	d.mu.Lock()
	for _, tp := range parts {
		if h := d.held[tp]; h != nil {
			h.mu.Lock()
			if at, ok := h.tracker.committable(); ok {
				offsets[tp] = at
			}
			h.mu.Unlock()
		}
	}
	d.mu.Unlock()
	ctx, cancel := context.WithTimeout(d.base, d.opts.StoreTimeout)
	defer cancel()
	err := d.receipts.Flush(ctx)
	if err == nil && len(offsets) > 0 {
		err = d.source.Commit(ctx, offsets)
	}
	if err != nil {
		d.failed("log", err)
		return
	}
	d.worked("log")
	if len(offsets) == 0 {
		return
	}
	d.progress.Store(time.Now().UnixNano())
	d.mu.Lock()
	defer d.mu.Unlock()
	for tp, at := range offsets {
		if h := d.held[tp]; h != nil {
			h.mu.Lock()
			h.tracker.committed = at
			h.mu.Unlock()
		}
	}
}

// release frees a record's place. The channel never blocks here: each record
// that was admitted gives back exactly the place that it took.
func (d *Dispatcher) release(*held) { <-d.room }

// endpoint returns the guard of a task's target. Devices are named by their
// participants, so that of a personal channel is theirs alone; and there are many,
// so one that is as new is forgotten.
func (d *Dispatcher) endpoint(t *task) *endpoint {
	name := t.channel + "\x00" + t.target
	_, personal := d.channels[t.channel].(Personal)
	if personal {
		name += "\x00" + t.n.Participant
	}
	if e, ok := d.endpoints.Load(name); ok {
		return e.(*endpoint)
	}
	made := newEndpoint(t.channel, d.opts.EndpointSlots)
	if personal {
		made.forget = func() { d.endpoints.CompareAndDelete(name, made) }
	}
	e, _ := d.endpoints.LoadOrStore(name, made)
	return e.(*endpoint)
}

// deadline is when a notification is over for outside channels: at its own
// expiry, and in any case while the ledger still remembers it.
func (d *Dispatcher) deadline(n *Notification) time.Time {
	end := n.Recorded.Add(Life(d.opts.Retention))
	if !n.Expires.IsZero() && n.Expires.Before(end) {
		return n.Expires
	}
	return end
}

// Life is for how long a notification may be sent to outside channels, where the
// ledger remembers for retention what was sent: a little less.
func Life(retention time.Duration) time.Duration { return retention - min(retention/10, time.Hour) }

// retryTopic is the one with the longest delay that is not longer than wait,
// or the shortest of all.
func (d *Dispatcher) retryTopic(wait time.Duration) string {
	best := d.opts.Retries[0]
	for _, r := range d.opts.Retries {
		if r.Delay <= wait {
			best = r
		}
	}
	return best.Name
}

func (d *Dispatcher) receipt(t *task, out Outcome, attempt int, reason string) {
	cause := ""
	if out == OutDead {
		cause, _, _ = strings.Cut(reason, ":") // what follows the colon may be anything
	}
	d.metrics.Outcome(t.channel, out, cause)
	d.receipts.Write(Receipt{
		Notification: t.n.ID, Revision: t.n.Revision, Participant: t.n.Participant,
		Channel: t.channel, Target: t.target, Outcome: out, Attempt: attempt,
		At: time.Now().UTC(), Reason: reason, Partition: t.partition, TraceParent: t.n.TraceParent,
	})
}

// sleep waits and reports false where ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// jitter spreads a pause over [3/4, 5/4) of it, so that what failed together
// does not come back together.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d*3/4 + mathrand.N(d/2+1)
}

// NoMetrics counts nothing.
type NoMetrics struct{}

func (NoMetrics) Consumed(Op)                     {} //nolint:revive // see Metrics
func (NoMetrics) Outcome(string, Outcome, string) {} //nolint:revive // see Metrics
func (NoMetrics) Ambiguous(string, Policy)        {} //nolint:revive // see Metrics
func (NoMetrics) Attempt(string, time.Duration)   {} //nolint:revive // see Metrics
func (NoMetrics) Age(string, time.Duration)       {} //nolint:revive // see Metrics
func (NoMetrics) Alarm(string)                    {} //nolint:revive // see Metrics
func (NoMetrics) Stalled(string)                  {} //nolint:revive // see Metrics
