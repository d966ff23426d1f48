package engine

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
	p.promised, p.target, p.known = stamp, c, true
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
	case p.rebuilt == 1, p.rebuilt == 2 && p.base != nil:
		m.rebuildFrom(p, nil)
	default:
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
	m.proceed(p)
}

func (m *Machine) proceed(p *partition) {
	if p.position < p.target.Offset {
		p.phase = replaying
		m.emit(Replay{p.id, p.epoch, p.position, p.target.Offset})
		return
	}
	if p.known && p.stamp != p.promised {
		m.rebuild(p) // what was folded is not what was committed
		return
	}
	p.phase = ready
	m.emit(Resume{p.id})
	if m.snapshots && p.saved < 0 {
		m.emit(FindSnapshot{p.id, p.epoch, p.position}) // to know when the next one is due
	}
}

func (m *Machine) replayed(in Replayed) {
	p := m.owned(in.Partition, in.Epoch)
	if p == nil || p.phase != replaying {
		return
	}
	r := newRun(p)
	if next, ok := r.add(in.Records); !ok || next != in.Next {
		m.refuse(p, refuseGap(p.id, r.to, next))
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
	p.flushes = p.flushes[1:]
	if len(p.flushes) > 0 {
		m.emit(Flush{p.id, p.epoch, p.flushes[0]})
	}
	if p.phase == replaying {
		m.proceed(p)
	}
	m.evict()
}
