package enginetest

import (
	"github.com/veltrix/veltrix/internal/engine"
)

// Faults names everything that a schedule does to a run. Each of them has to
// happen in a campaign.
var Faults = []string{
	"kill", "stall", "replaced by another process", "rebalance", "revocation never reported", "transaction timed out", "killed while its commit is on the way",
	"output not acknowledged", "redis away", "write not sent", "write delayed", "write applied, answer lost",
	"committed, but answered not committed", "committed, but answered with an error",
	"not committed, answered with an error", "not committed without a fault",
	"client skips a record", "client goes back",
	"redis rolled back", "redis lost a meta hash", "redis lost a bucket",
	"retention", "scan failed", "snapshot not finished", "snapshot overwritten", "snapshot broken when it is read", "leader elected",
	"reset back", "reset forward", "moved forward", "group deleted", "log start advanced", "log truncated", "hole in the log", "other records", "unclean election", "other token",
}

// Reasons names the refusals. Each of them has to be met in a campaign.
var Reasons = []string{"stamp", "token", "no-commit", "lost-log", "truncated", "gap", "diverged"}

// fault lets something go wrong, or be repaired.
func (s *sim) fault(n int) error {
	w := s.w
	switch {
	case n < 6:
		s.kill(w.pick(len(s.procs)))
	case n < 8:
		s.replace(w.pick(len(s.procs)))
	case n < 15:
		w.count("rebalance")
		s.rebalance()
	case n < 21:
		s.stall(w.pick(len(s.procs)), 20+w.pick(100))
	case n < 24:
		s.timeout(w.pick(len(s.procs)))
	case n < 27:
		s.rollback(w.pick(len(w.views)), 0)
	case n < 29:
		s.forget(w.pick(len(w.views)), w.pick(buckets+2))
	case n < 32:
		s.retain(w.pick(len(w.logs)))
	case n < 33:
		s.loseCopy(w.pick(len(w.logs)))
	case n < 34:
		w.count("leader elected")
		w.logs[w.pick(len(w.logs))].epoch++
	case len(w.wire) > 0:
		return w.land(w.pick(len(w.wire)))
	}
	return nil
}

// kill ends a process without a word. What it had pending stays pending until
// its slot returns or the coordinator loses patience.
func (s *sim) kill(slot int) {
	if s.procs[slot] == nil {
		return
	}
	s.w.count("kill")
	s.w.note("slot %d is killed", slot)
	if pr := s.procs[slot]; pr.ending && s.w.chance(2, "killed while its commit is on the way") {
		s.w.wire = append(s.w.wire, flight{from: pr, txn: pr.txn})
	}
	s.collect(s.procs[slot])
	s.procs[slot] = nil
	s.rebalance()
}

// replace starts a second process with the same slot. The first one goes on,
// without being a member of the group any more.
func (s *sim) replace(slot int) {
	pr := s.procs[slot]
	if pr == nil || len(s.zombies) > 3 {
		return
	}
	s.w.count("replaced by another process")
	s.w.note("slot %d is replaced", slot)
	pr.replaced = true
	s.zombies = append(s.zombies, pr)
	s.start(slot)
	s.rebalance()
}

// stall stops a process long enough to be kicked out of the group: it wakes
// and goes on as if nothing had happened.
func (s *sim) stall(slot, steps int) {
	pr := s.procs[slot]
	if pr == nil {
		return
	}
	s.w.count("stall")
	s.w.note("slot %d is stopped", slot)
	pr.stalled = steps
	s.rebalance()
}

// timeout lets the coordinator abort what a slot has open.
func (s *sim) timeout(slot int) {
	open := s.procs[slot] != nil && s.procs[slot].txn != nil
	for _, t := range s.w.pending {
		open = open || t.slot == slot
	}
	if open {
		s.w.count("transaction timed out")
		s.w.note("slot %d: its transaction is aborted", slot)
		s.w.fence(slot)
	}
}

// rollback sets one partition of Redis to an older copy of itself: the nth
// from the last where n > 0.
func (s *sim) rollback(p, n int) {
	h := s.w.history[p]
	if len(h) < max(n, 1) {
		return
	}
	i := len(h) - n
	if n == 0 {
		i = s.w.pick(len(h))
	}
	s.w.count("redis rolled back")
	s.w.note("redis: partition %d goes back to R %d", p, h[i].meta.Applied)
	s.w.views[p] = h[i].clone()
}

// forget loses one of a partition's buckets with its sentinel, or its meta.
func (s *sim) forget(p, what int) {
	v := s.w.views[p]
	if what >= buckets {
		s.w.count("redis lost a meta hash")
		v.meta = engine.Meta{}
		return
	}
	s.w.count("redis lost a bucket")
	v.lost[what] = true
	for key := range v.values {
		if bucketOf(key) == what {
			delete(v.values, key)
		}
	}
}

// vacate empties the group: every process is killed or asleep, and nothing
// stays pending. Only then a broker lets anybody change the group's offsets.
func (s *sim) vacate(killing bool) {
	for slot, pr := range s.procs {
		switch {
		case pr == nil:
		case killing || s.w.pick(2) == 0:
			s.kill(slot)
		default:
			s.stall(slot, 20+s.w.pick(60))
		}
		s.w.fence(slot)
	}
}

// change lets an operator or the infrastructure do what nobody should.
func (s *sim) change(p int, what string) {
	w, id := s.w, int32(p)
	l, c := w.logs[p], w.offsets[p]
	if w.changed[p] != "" || !c.set || c.offset == 0 {
		return
	}
	excuse := func(reasons ...string) {
		w.changed[p] = what
		w.count(what)
		for _, r := range reasons {
			w.excused[p][r] = true
		}
	}
	switch what {
	case "reset back", "reset forward", "moved forward", "group deleted":
		s.changeOffsets(id, what, excuse)
	case "log start advanced":
		excuse("lost-log")
		l.startWas = l.start
		l.start += 1 + int64(w.pick(len(l.records)))
	case "log truncated":
		excuse("truncated", "gap")
		l.cut = int64(w.pick(len(l.records)))
	case "hole in the log":
		excuse("gap")
		l.hole = int64(w.pick(len(l.records)))
	case "other records":
		excuse("diverged")
		at := w.pick(int(w.high[p]))
		l.replace(at, at+1, "something else")
		w.tainted[p] = true
	case "unclean election":
		excuse("diverged")
		l.epoch++
		// What is fetched and not yet committed stays: nobody could know better.
		l.replace(w.pick(int(w.high[p])), int(w.high[p]), "of another leader")
		w.tainted[p] = true
	case "other token":
		s.changeToken(excuse)
	}
	w.note("CHANGED partition %d: %s", p, w.changed[p])
}

func (s *sim) changeOffsets(p int32, what string, excuse func(...string)) {
	w, c := s.w, s.w.offsets[p]
	switch {
	case what == "group deleted" && !w.known[p]: // the manifest does not know of a commit yet
		return
	case what == "moved forward" && !c.set: // there is no stamp to keep
		return
	}
	s.vacate(false)
	w.saved[p] = c
	switch what {
	case "reset back":
		excuse("stamp")
		w.offsets[p] = committed{set: true, offset: int64(w.pick(int(c.offset)))}
	case "reset forward":
		excuse("stamp", "gap") // a zombie's client may have fetched the offset
		w.offsets[p] = committed{set: true, offset: c.offset + 1 + int64(w.pick(3)), epoch: c.epoch}
	case "moved forward": // the stamp is kept
		excuse("diverged", "gap", "truncated")
		w.offsets[p] = committed{set: true, offset: c.offset + 1 + int64(w.pick(3)), metadata: c.metadata, epoch: c.epoch}
	default:
		excuse("no-commit")
		w.offsets[p] = committed{}
	}
}

// changeToken starts all processes with other rules.
func (s *sim) changeToken(excuse func(...string)) {
	w := s.w
	for p := range w.changed {
		if w.changed[p] != "" || !w.offsets[p].set {
			return
		}
	}
	s.vacate(true)
	w.token = "other"
	excuse("token")
	for p := range w.changed {
		w.changed[p] = "other token"
		w.excused[p]["token"] = true
	}
}

// repair undoes a change, as the refusal told the operator to.
func (s *sim) repair(p int) {
	switch s.w.changed[p] {
	case "reset back", "reset forward", "moved forward", "group deleted":
		s.vacate(false)
	case "other token":
		s.vacate(true)
	case "other records", "unclean election":
		s.vacate(true) // with its zombies, which may have read the wrong records
		s.zombies, s.w.wire = nil, nil
	}
	s.restore(p)
}

func (s *sim) restore(p int) {
	w, l := s.w, s.w.logs[p]
	w.note("REPAIRED partition %d: %s", p, w.changed[p])
	switch w.changed[p] {
	case "reset back", "reset forward", "moved forward", "group deleted":
		w.offsets[p] = w.saved[p]
	case "log start advanced":
		l.start = l.startWas
	case "log truncated":
		l.cut = -1
	case "hole in the log":
		l.hole = -1
	case "other records", "unclean election":
		l.putBack()
	case "other token":
		w.token = "sim"
		clear(w.changed)
	}
	w.changed[p] = ""
}

// changes are what change does, by the operator or by the infrastructure.
var changes = []string{
	"reset back", "reset forward", "moved forward", "group deleted", "log start advanced", "log truncated", "hole in the log", "other records", "unclean election", "other token",
}

// meddle changes something, or repairs what was changed some time ago.
func (s *sim) meddle() {
	p := s.w.pick(len(s.w.logs))
	if s.w.changed[p] != "" {
		s.repair(p)
		return
	}
	if s.w.pick(4) == 0 {
		s.change(p, changes[s.w.pick(len(changes))])
	}
}
