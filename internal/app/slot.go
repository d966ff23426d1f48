package app

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/redisstore"
)

// slot is one session's place in this process.
type slot struct {
	owner   string
	name    string // of this process's slot, unlike any other
	loop    atomic.Pointer[engine.Loop]
	mu      sync.Mutex
	counted engine.Counts         // of the present loop, as the metrics have them
	denied  atomic.Pointer[error] // why the last session ended, where the brokers refused it
}

func newSlot(instance string, index int) *slot {
	host, _ := os.Hostname()
	return &slot{owner: owner(instance, index), name: fmt.Sprintf("%s:%d:%08x", host, os.Getpid(), rand.Uint32())}
}

// view is what the slot's session published last; nil between two sessions.
func (s *slot) view() *engine.View {
	if loop := s.loop.Load(); loop != nil {
		return loop.View()
	}
	return nil
}

// note keeps why a session ended for readiness, where waiting will not mend it.
func (s *slot) note(err error) {
	s.denied.Store(nil)
	if denied := (*kafkalog.DeniedError)(nil); errors.As(err, &denied) {
		s.denied.Store(&err)
	}
}

// instanceOwner begins the name of a holder whose instance is configured.
const instanceOwner = "instance:"

// owner names a slot's holder for its lease. With a configured instance the
// name outlives the process, and a restart has its slot back at once wherever
// it runs; without, it names this process, and only a lease whose process is
// known to be gone from this host is taken over.
func owner(instance string, index int) string {
	if instance != "" {
		return fmt.Sprintf("%s%s:%d", instanceOwner, instance, index)
	}
	host, _ := os.Hostname()
	return fmt.Sprintf("process:%s:%d:%s:%d", host, os.Getpid(), startTime(os.Getpid()), index)
}

// gone reports whether a lease's owner was a process of this host that has
// ended. A process ID used again has another start time.
func gone(owner string) bool {
	part := strings.Split(owner, ":")
	host, _ := os.Hostname()
	if len(part) != 5 || part[0] != "process" || part[1] != host {
		return false
	}
	pid, err := strconv.Atoi(part[2])
	return err == nil && startTime(pid) != part[3]
}

// startTime returns when a process of this host began, in clock ticks since
// the host did; empty for one that is not there.
func startTime(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The second field is the command in parentheses and may hold anything.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" {
		return ""
	}
	return fields[19]
}

// keep holds a slot as long as ctx lasts: leases a number, runs a session, and
// replaces it when it ends.
func (p *Processor) keep(ctx context.Context, s *slot) {
	log := p.rt.Log
	leases := redisstore.Slots{
		Client: p.client, Prefix: p.rt.Config.Prefix, Life: 2 * p.rt.Config.Processor.SessionTimeout, Gone: gone,
	}
	for n := 0; ctx.Err() == nil; n++ {
		number, err := leases.Acquire(ctx, s.owner)
		if err == nil {
			began := time.Now()
			err = p.session(ctx, s, leases, number)
			if time.Since(began) > time.Minute {
				n = 0
			}
		}
		if ctx.Err() != nil {
			break
		}
		err = p.kafka.Denied(ctx, err)
		s.note(err)
		p.rt.Metrics.Processor.Sessions.WithLabelValues(cause(err)).Inc()
		if errors.Is(err, engine.ErrFenced) {
			p.fenced(ctx, s, leases, number)
		}
		wait := pause(n)
		log.Warn("the session ended and is replaced", "slot", number, "cause", err, "wait", wait)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// fenced leaves word that a slot was lost while its lease was this process's: two
// that take it from each other, again and again, are seen by it.
func (p *Processor) fenced(ctx context.Context, s *slot, leases redisstore.Slots, number int) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := leases.NoteFence(ctx, redisstore.Fence{At: time.Now(), Slot: number, Session: s.name, Owner: s.owner}); err != nil {
		p.rt.Log.Debug("that the slot was lost is not noted", "slot", number, "error", err)
	}
}

// life names the events topic that this process reads, for all Redis has of it.
func life(m *kafkalog.Manifest) string { return "cluster " + m.ClusterID + ", topic ID " + m.TopicID }

// cause is a session's end in one word.
func cause(err error) string {
	switch {
	case errors.Is(err, engine.ErrFenced):
		return "fenced"
	case errors.Is(err, redisstore.ErrSlotLost):
		return "lease"
	}
	return "restart"
}

// pause is the wait before the next session: sessions that all come back at
// once make a storm of rebalances.
func pause(n int) time.Duration {
	d := min(100*time.Millisecond<<min(n, 6), 5*time.Second)
	return d/2 + rand.N(d/2)
}

// session runs one session of the group from joining to leaving.
func (p *Processor) session(ctx context.Context, s *slot, leases redisstore.Slots, number int) error {
	cfg := p.rt.Config.Processor
	log := p.rt.Log.With("slot", number)
	closing := func() (context.Context, context.CancelFunc) {
		return context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	}
	defer func() {
		if ctx.Err() == nil {
			return // this process goes on with it
		}
		freeing, cancel := closing()
		defer cancel()
		if err := leases.Free(freeing, number, s.owner); err != nil {
			log.Warn("the slot's lease stays until it ends by itself", "error", err)
		}
	}()
	if err := leases.Claim(ctx, life(p.manifest)); err != nil {
		return err
	}
	leased, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	go renew(leased, lost, leases, number, s.owner, life(p.manifest))
	inbox := engine.NewInbox()
	session, err := kafkalog.NewSession(leased, kafkalog.SessionConfig{
		Config: p.kafka, Slot: number, SessionTimeout: cfg.SessionTimeout, TransactionTimeout: cfg.TransactionTimeout,
		RebalanceTimeout: cfg.RebalanceTimeout, OnLeftOpen: p.leftOpen,
	}, p.positions, p.reroute, inbox.Put)
	if err != nil {
		return ended(ctx, leased, err)
	}
	defer func() {
		leaving, cancel := closing()
		defer cancel()
		session.Close(leaving, ctx.Err() != nil && cfg.LeaveOnStop)
	}()
	log.Info("joining the group", "group", p.kafka.ProcessorGroup())
	machine := engine.New(p.fold, engine.Config{Token: p.token(), CacheBytes: int(cfg.CacheBytes) / cfg.Slots, Snapshots: true})
	loop := engine.NewLoop(engine.LoopConfig{
		CommitInterval: cfg.CommitInterval, CommitRecords: cfg.CommitRecords, EndTimeout: 2 * cfg.SessionTimeout,
		Recheck: engine.DefaultLoop.Recheck, SettleTimeout: engine.DefaultLoop.SettleTimeout,
		Compare: cfg.CompareInterval, Scrub: cfg.ScrubInterval, Snapshot: cfg.SnapshotInterval, ScanTimeout: engine.DefaultLoop.ScanTimeout,
		Log: log, Hooks: p.hooks(),
	}, machine, session, engine.Stores{
		Positions: p.positions, Store: p.rt.view(p.client, p.manifest, p.program.Schema()), Snapshots: p.snapshots,
	}, inbox)
	s.loop.Store(loop)

	err = loop.Run(leased)
	s.mu.Lock()
	p.count(&s.counted, loop.View())
	s.counted = engine.Counts{}
	s.loop.Store(nil)
	s.mu.Unlock()
	return ended(ctx, leased, err)
}

// ended is why a session ended: where that was the loss of its lease, it says so.
func ended(ctx, leased context.Context, err error) error {
	if cause := context.Cause(leased); cause != nil && ctx.Err() == nil {
		return cause
	}
	return err
}

// renew prolongs the slot's lease. Only a lease that another holds ends the
// session; Redis away does not, for then nobody can take it.
func renew(ctx context.Context, lost context.CancelCauseFunc, leases redisstore.Slots, number int, owner, life string) {
	tick := time.NewTicker(leases.Life / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := leases.Renew(ctx, number, owner); errors.Is(err, redisstore.ErrSlotLost) {
				lost(err)
				return
			}
			_ = leases.Claim(ctx, life) // who was here first stays; the other is refused
		}
	}
}
