package engine

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// LoopConfig bounds a loop. Zero fields take the defaults of DefaultLoop.
type LoopConfig struct {
	CommitInterval time.Duration // between the ends of two batches: see pace
	CommitRecords  int           // or at this many records
	EndTimeout     time.Duration // an End that takes longer ends the session; at most 2 × the session timeout
	Recheck        time.Duration // refused partitions are tried again this often
	Compare        time.Duration // idle partitions are compared with Redis this often
	Scrub          time.Duration // all values of a partition are read and compared this often; 0: never
	Snapshot       time.Duration // a snapshot of a partition is taken this often; 0: never
	ScanTimeout    time.Duration // a scan that takes longer is given up
	SettleTimeout  time.Duration // on stop, wait so long for Redis to acknowledge
	Log            *slog.Logger
	Hooks          Hooks
}

// DefaultLoop holds the defaults.
var DefaultLoop = LoopConfig{
	CommitInterval: 20 * time.Millisecond, CommitRecords: 50_000,
	EndTimeout: 20 * time.Second, Recheck: 10 * time.Second, SettleTimeout: 5 * time.Second,
	Compare: time.Second, Scrub: time.Hour, Snapshot: 10 * time.Minute, ScanTimeout: time.Minute,
}

// Hooks observe a loop; nil ones are not called. They must not block.
type Hooks struct {
	Batch   func(BatchInfo)
	Loaded  func(took time.Duration)
	Flushed func(outcome string) // moved, refused or retried
}

// BatchInfo describes one ended transaction.
type BatchInfo struct {
	Records int
	Outcome string        // committed, not_committed, error
	Took    time.Duration // from the first record polled to the transaction's end
	Outputs []Output
	Seen    Seen
}

// View is what a loop publishes of its machine.
type View struct {
	Status     []Status
	Counts     Counts
	CacheBytes int
}

// Loop performs a machine's effects. Run it once.
type Loop struct {
	cfg       LoopConfig
	machine   *Machine
	session   Session
	positions Positions
	store     Store
	snapshots Snapshots // nil: none are kept
	inbox     *Inbox
	view      atomic.Pointer[View]
	async     sync.WaitGroup
	copies    copies // snapshots that are being taken

	pending     []Input // answers of effects that were performed at once
	producing   bool
	failed      error // the first error between Begin and Release
	loadFails   int   // consecutive
	records     int   // of the batch under way
	outputs     []Output
	seen        Seen
	pace        pace
	pollAt      time.Time // no poll before: Redis is away
	recheckAt   time.Time
	compareAt   time.Time
	chores      chores
	said        map[int32]bool // ready, since their assignment
	replays     replays
	publishedAt time.Time
	stopAt      time.Time
	err         error
}

// Stores are where a loop reads and writes beside its session.
type Stores struct {
	Positions Positions
	Store     Store
	Snapshots Snapshots // nil: none are kept, as the machine's Config says too
}

// NewLoop joins a machine with its session. inbox is the one that the
// session's notify function puts into.
func NewLoop(cfg LoopConfig, m *Machine, s Session, st Stores, inbox *Inbox) *Loop {
	return &Loop{cfg: cfg, pace: pace{interval: cfg.CommitInterval}, machine: m, session: s, positions: st.Positions, store: st.Store, snapshots: st.Snapshots, inbox: inbox, said: map[int32]bool{}, replays: replays{}}
}

// View returns the latest published state; nil before the first.
func (l *Loop) View() *View { return l.view.Load() }

// Run performs until ctx ends (nil), the session must be replaced (an error),
// or the slot belongs to another (ErrFenced). It waits for all it started.
func (l *Loop) Run(ctx context.Context) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer l.copies.abort()
	defer l.async.Wait()
	defer cancel()
	l.recheckAt, l.compareAt = time.Now().Add(l.cfg.Recheck), time.Now().Add(l.cfg.Compare)
	for l.err == nil && !l.stopped(ctx) {
		l.drain(work)
		switch now := time.Now(); {
		case l.err != nil:
		case l.due(now):
			l.pace.ended(now)
			l.step(work, Seal{})
		case now.After(l.recheckAt):
			l.recheckAt = now.Add(l.cfg.Recheck)
			l.step(work, Recheck{})
		case now.After(l.compareAt):
			l.compareAt = now.Add(l.cfg.Compare)
			l.step(work, Compare{})
			l.chore(work, now)
		case l.machine.Gathered() > 0 && now.Before(l.pace.askAt()):
			l.inbox.wait(min(l.pace.askAt().Sub(now), idleWait))
		case ctx.Err() == nil && now.After(l.pollAt) && l.machine.WantPoll():
			l.poll(ctx, work)
		default:
			l.inbox.wait(idleWait)
		}
		l.publish(false)
	}
	l.publish(true)
	return l.err
}

// idleWait is how long a loop waits at most before it looks what is due.
const idleWait = 100 * time.Millisecond

// stopped reports whether a stop may end the loop now: when nothing is under
// way, or when waiting for it took too long (the next owner replays it).
func (l *Loop) stopped(ctx context.Context) bool {
	if ctx.Err() == nil {
		return false
	}
	if l.stopAt.IsZero() {
		l.stopAt = time.Now().Add(l.cfg.SettleTimeout)
	}
	return l.machine.Idle() || time.Now().After(l.stopAt)
}

// drain takes what arrived and what performed effects answered.
func (l *Loop) drain(ctx context.Context) {
	for l.err == nil {
		ins := append(l.inbox.take(), l.pending...)
		l.pending = nil
		if len(ins) == 0 {
			return
		}
		for _, in := range ins {
			l.step(ctx, in)
		}
	}
}

// due reports whether the gathered batch is old or large enough.
func (l *Loop) due(now time.Time) bool {
	n := l.machine.Gathered()
	return n > 0 && (n >= l.cfg.CommitRecords || !now.Before(l.pace.due()))
}

// poll waits for records: until the gathered batch is due, or until something
// else arrives.
func (l *Loop) poll(ctx, work context.Context) {
	until, gathered := l.compareAt, l.machine.Gathered()
	if gathered > 0 {
		until = l.pace.due()
	}
	pollCtx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	if !l.inbox.interrupt(cancel) {
		return // something is there already
	}
	l.publish(gathered == 0) // what follows may be a long wait
	runs, behind, err := l.session.Poll(pollCtx, l.cfg.CommitRecords-gathered)
	l.inbox.interrupt(nil)
	if err != nil {
		l.err = err
		return
	}
	l.drain(work) // assignments first: these records belong to the newest
	if len(runs) == 0 {
		return
	}
	l.pace.polled(time.Now(), gathered == 0, behind)
	l.step(work, Polled{runs})
}

// step gives the machine one input and performs the effects in their order.
func (l *Loop) step(ctx context.Context, in Input) {
	if l.err != nil {
		return
	}
	switch in := in.(type) {
	case Seal:
		l.records = l.machine.Gathered()
	case Assigned:
		for _, id := range in.Partitions {
			delete(l.said, id)
		}
		l.cfg.Log.Info("partitions assigned", "partitions", in.Partitions)
	case Revoked:
		l.cfg.Log.Info("partitions revoked", "partitions", in.Partitions)
	}
	for _, e := range l.machine.Step(in) {
		l.perform(ctx, e)
		if l.err != nil {
			return
		}
	}
}

func (l *Loop) publish(always bool) {
	if now := time.Now(); always || now.Sub(l.publishedAt) > 100*time.Millisecond {
		l.publishedAt = now
		l.replays.tell(l.cfg.Log, now, l.machine)
		l.view.Store(&View{Status: l.machine.Status(), Counts: l.machine.Counts(), CacheBytes: l.machine.CacheBytes()})
	}
}
