package engine

import "slices"

// assigned begins a new ownership of each partition: whatever was known of it
// is dropped here, because its revocation may never have been reported.
func (m *Machine) assigned(ids []int32) {
	m.counts.Joined++
	for _, id := range ids {
		m.drop(id)
		m.epochs++
		m.counts.Assigned++
		p := &partition{id: id, epoch: m.epochs, saved: -1}
		m.partitions[id] = p
		m.emit(Pause{id}, ReadMeta{id, p.epoch})
	}
	m.settle()
}

// again decides a partition anew, under a new epoch, so that answers to what
// was asked before are ignored.
func (m *Machine) again(p *partition) {
	m.counts.Joined--
	m.assigned([]int32{p.id})
	m.partitions[p.id].stray = p.stray // the client stays where it is
}

func (m *Machine) revoked(ids []int32) {
	for _, id := range ids {
		m.drop(id)
	}
	m.settle()
}

func (m *Machine) drop(id int32) {
	if m.partitions[id] == nil {
		return
	}
	delete(m.partitions, id)
	m.cache.drop(id)
}

// recheck tries refused partitions again: the operator may have acted.
func (m *Machine) recheck() {
	if m.batch != nil {
		return
	}
	for _, s := range m.Status() {
		if p := m.partitions[s.Partition]; p.phase == refused {
			m.again(p)
		}
	}
}

func (m *Machine) refuse(p *partition, r Refusal) {
	p.phase, p.refusal = refused, r
	m.emit(Pause{p.id}, Refuse{p.id, r})
}

func (m *Machine) metaRead(in MetaRead) {
	p := m.owned(in.Partition, in.Epoch)
	if p == nil {
		return
	}
	switch p.phase {
	case readingMeta:
		p.meta, p.phase = in.Meta, readingCommitted
		m.emit(ReadCommitted{p.id, p.epoch}) // only now: R before K
	case initializing:
		m.initialized(p, in.Meta)
	case ready:
		m.answered(p, in.Meta)
	}
}

func (m *Machine) committedRead(in CommittedRead) {
	p := m.owned(in.Partition, in.Epoch)
	switch {
	case p == nil:
	case p.checking:
		m.checked(p, in.Committed)
	case p.phase == readingCommitted:
		m.decide(p, in.Committed)
	}
}

// decide compares R with K and the log, and refuses whatever only an operator
// or a fault of the infrastructure can have caused.
func (m *Machine) decide(p *partition, c Committed) {
	if c.Absent {
		m.decideFirst(p, c)
		return
	}
	p.target = c // also of a refusal, as its evidence
	stamp, err := ParseStamp(c.Metadata)
	meta := p.meta
	switch {
	case err != nil:
		m.refuse(p, refuseStamp(p.id, c, meta, err))
		return
	case stamp.Token != m.token:
		m.refuse(p, refuseToken(p.id, c, stamp.Token, m.token))
		return
	case c.LogEnd < c.Offset:
		m.refuse(p, refuseTruncated(p.id, c))
		return
	case c.EpochKnown && c.EpochEnd < c.Offset:
		m.refuse(p, refuseEpoch(p.id, c))
		return
	}
	p.promised, p.known = stamp, true
	if !c.Initialized {
		m.emit(MarkInitialized{p.id}) // whoever committed did not come to it
	}
	trusted := meta.Exists && meta.Intact && meta.Token == m.token && !p.suspect
	switch {
	case trusted && meta.Applied > c.Offset:
		m.refuse(p, refuseReset(p.id, c, meta))
	case !trusted, meta.Applied < c.LogStart:
		m.rebuild(p)
	default:
		m.follow(p)
	}
}

// decideFirst handles a partition without a commit: a new one, or one whose
// commit was lost.
func (m *Machine) decideFirst(p *partition, c Committed) {
	meta := p.meta
	ours := meta.Exists && meta.Token == m.token
	switch {
	case c.Initialized, meta.Exists && !ours, ours && meta.Applied > meta.Start:
		m.refuse(p, refuseNoCommit(p.id, c, meta))
	case ours && meta.Intact && meta.Start >= c.LogStart:
		p.target.Offset = meta.Start
		m.follow(p)
	default:
		p.target.Offset = c.LogStart
		m.init(p, c.LogStart)
	}
}

// rebuild starts a new generation, without ever reading the old values: from
// the newest snapshot, and where that is none or did not lead to what was
// committed, from the start of the state.
func (m *Machine) rebuild(p *partition) {
	p.rebuilt++
	m.cache.drop(p.id)
	switch {
	case p.rebuilt == 1 && m.snapshots:
		p.phase = seeking
		m.emit(FindSnapshot{p.id, p.epoch, p.target.Offset})
	case p.rebuilt == 1, p.rebuilt == 2 && p.base != nil && p.target.LogStart <= p.promised.Start:
		m.rebuildFrom(p, nil)
	default: // the log did not lead from a snapshot, or from its start, to what was committed
		m.refuse(p, refuseDiverged(p.id, p.promised, p.stamp))
	}
}

// rebuildFrom begins at a snapshot, or at the start of the state.
func (m *Machine) rebuildFrom(p *partition, s *Snapshot) {
	p.base = s
	switch {
	case s != nil:
		m.counts.Rebuilt++
		p.phase = initializing
		m.emit(Restore{p.id, p.epoch, p.meta, *s})
	case p.target.LogStart > p.promised.Start:
		m.refuse(p, refuseLost(p.id, p.target, p.needed(m.token)))
	default:
		m.counts.Rebuilt++
		m.init(p, p.promised.Start)
	}
}

// needed is the offset from which the log would have to be there.
func (p *partition) needed(token string) int64 {
	if p.meta.Exists && p.meta.Intact && p.meta.Token == token && !p.suspect {
		return p.meta.Applied
	}
	return p.promised.Start
}

func (m *Machine) init(p *partition, start int64) {
	p.phase = initializing
	m.emit(Init{p.id, p.epoch, p.meta, m.token, start})
}

func (m *Machine) initialized(p *partition, meta Meta) {
	want := meta.Start
	if p.base != nil {
		want = p.base.Offset
	}
	if meta.Token != m.token || meta.Applied != want {
		m.again(p) // another owner was faster: what it wrote is judged from the start
		return
	}
	if p.base != nil {
		m.counts.Restored++
	}
	p.meta = meta
	m.follow(p)
}

// follow replays up to the target, or is ready there.
func (m *Machine) follow(p *partition) {
	p.position = p.meta.Applied
	p.stamp = Stamp{Token: m.token, Start: p.meta.Start, Chain: p.meta.Chain, Digest: p.meta.Digest}
	p.proof = proof{p.position, p.stamp.Chain}
	m.proceed(p)
}

func (m *Machine) proceed(p *partition) {
	if p.position < p.target.Offset {
		from := p.position
		if !p.proved() {
			from = p.proof.to
		}
		p.phase = replaying
		m.emit(Replay{p.id, p.epoch, from, p.target.Offset})
		return
	}
	if p.known && p.stamp != p.promised {
		m.rebuild(p) // what was folded is not what was committed
		return
	}
	if p.stray != "" {
		m.restart("partition %d: %s", p.id, p.stray) // it begins where the log was found in order
		return
	}
	p.phase = ready
	m.emit(Resume{p.id})
	if m.snapshots && p.saved < 0 {
		m.emit(FindSnapshot{p.id, p.epoch, p.position}) // to know when the next one is due
	}
}

// proof is how far the log was read to see whether it is what was committed.
type proof struct {
	to    int64
	chain uint64 // of the records before
}

// proved reports whether all records up to the target have been read for it.
func (p *partition) proved() bool { return p.proof.to >= p.target.Offset }

// prove extends the proof by a chunk. It reports whether the chunk may be folded
// at once: it is all that is missing, and it is what was committed.
//
// The records are proved before the first of them is folded, because Redis must
// not follow a commit that nobody made: it would be ahead once the right one is
// restored, and is the only witness then of how far the partition was processed.
// A long replay reads its records twice for that; hashing them costs a small
// part of folding them.
func (m *Machine) prove(p *partition, r *run) bool {
	for i := range r.records {
		p.proof.chain = chain(p.proof.chain, &r.records[i])
	}
	p.proof.to = r.to
	switch {
	case r.to < p.target.Offset:
		m.proceed(p)
	case p.proof.chain != p.promised.Chain || p.stamp.Start != p.promised.Start:
		p.stamp.Chain = p.proof.chain
		m.rebuild(p)
	case r.from == p.position:
		return true
	default:
		m.proceed(p)
	}
	return false
}

func (m *Machine) replayed(in Replayed) {
	p := m.owned(in.Partition, in.Epoch)
	if p == nil || p.phase != replaying {
		return
	}
	r := newRun(p)
	if !p.proved() {
		r.from, r.to = p.proof.to, p.proof.to
	}
	if next, ok := r.add(in.Records); !ok || next != in.Next {
		m.refuse(p, refuseGap(p.id, r.to, next))
		return
	}
	if !p.proved() && !m.prove(p, r) {
		return
	}
	p.replay = r
	keys := m.prepare(r)
	if len(keys) == 0 {
		m.foldReplay(p)
		return
	}
	m.emit(LoadReplay{LoadRequest{p.id, p.epoch, p.meta.Generation, keys}})
}

func (m *Machine) replayLoaded(in ReplayLoaded) {
	p := m.owned(in.Partition, in.Epoch)
	if p == nil || p.phase != replaying || p.replay == nil {
		return
	}
	if err := m.fill(p.replay, in.Result); err != nil {
		m.again(p)
		return
	}
	m.foldReplay(p)
}

// foldReplay folds a chunk and throws its outputs away: they were committed.
func (m *Machine) foldReplay(p *partition) {
	m.foldRun(p.replay, new(Outputs))
	m.counts.Replayed += int64(len(p.replay.records))
	m.merge(p.replay)
	p.replay = nil
}

// lost decides anew: retention was faster than the replay, or the log is not
// what it was when its bounds were read.
func (m *Machine) lost(in Lost) {
	if p := m.owned(in.Partition, in.Epoch); p != nil && p.phase == replaying {
		m.again(p)
	}
}

// flushed takes Redis's answer. Only the expected position is a success;
// anything else means that somebody else moved it, and all is decided anew.
func (m *Machine) flushed(in Flushed) {
	p := m.owned(in.Partition, in.Epoch)
	if p == nil || len(p.flushes) == 0 {
		return
	}
	move := p.flushes[0]
	if !in.Meta.reached(move) {
		if m.batch != nil && m.batch.run(p.id) != nil {
			m.restart("partition %d: redis answered offset %d of token %q to the move to %d", p.id, in.Meta.Applied, in.Meta.Token, move.To)
			return
		}
		m.again(p)
		return
	}
	p.meta.Applied, p.meta.Chain, p.meta.Digest = move.To, move.Chain, move.Digest
	p.flushes = slices.Delete(p.flushes, 0, 1)
	m.reuse.keepMove(move)
	if len(p.flushes) > 0 {
		m.emit(Flush{p.id, p.epoch, p.flushes[0]})
	}
	if p.phase == replaying {
		m.proceed(p)
	}
	m.evict()
}
