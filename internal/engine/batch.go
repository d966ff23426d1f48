package engine

// batchPhase is where a batch stands.
type batchPhase uint8

const (
	gathering batchPhase = iota
	loading
	producing
	ending
	checking
)

// batch is the records of one transaction, by partition.
type batch struct {
	phase   batchPhase
	runs    []*run
	records int
	out     Outputs
}

func (b *batch) run(id int32) *run {
	for _, r := range b.runs {
		if r.p.id == id {
			return r
		}
	}
	return nil
}

// polled adds records to the batch that is gathered.
func (m *Machine) polled(runs []Run) {
	for _, in := range runs {
		p := m.partitions[in.Partition]
		switch {
		case in.Err != nil && p == nil:
			continue
		case in.Err != nil && p.phase != ready:
			// The client compares its place with the log on its own. What that
			// means is being decided, or was: a new session would hear the same
			// before it came to a decision.
			p.stray = in.Err.Error()
			continue
		case in.Err != nil:
			m.restart("partition %d: %v", in.Partition, in.Err)
			return
		case p == nil || p.phase != ready:
			// It was paused too late: go back to what is committed.
			m.gather()
			m.rewind()
			return
		}
		if p.gap != 0 {
			continue // what is behind a gap waits until what is before it is committed
		}
		b := m.gather()
		r := b.run(in.Partition)
		if r == nil {
			r = newRun(p)
			b.runs = append(b.runs, r)
		}
		before := len(r.records)
		next, ok := r.add(in.Records)
		b.records += len(r.records) - before
		switch {
		case ok:
		case next < r.to:
			m.restart("partition %d: the client fetched from %d, expected %d", p.id, next, r.to)
			return
		default:
			// Either the log has a gap, or the client stands elsewhere than K.
			p.gap = next
			if len(r.records) == 0 {
				m.rewind()
				return
			}
		}
	}
}

func (m *Machine) gather() *batch {
	if m.batch == nil {
		m.batch = &batch{}
	}
	return m.batch
}

// stale reports whether a partition of the batch changed hands since it was
// polled. Its records may have been polled by its next owner too.
func (m *Machine) stale() bool {
	for _, r := range m.batch.runs {
		if p := m.owned(r.p.id, r.epoch); p == nil || p.phase != ready {
			return true
		}
	}
	return false
}

// seal closes the batch and loads what it needs, before the transaction
// begins: a transaction's time is short.
func (m *Machine) seal() {
	b := m.batch
	if b == nil || b.phase != gathering || b.records == 0 {
		return
	}
	if m.stale() {
		m.rewind()
		return
	}
	var requests []LoadRequest
	for _, r := range b.runs {
		if keys := m.prepare(r); len(keys) > 0 {
			requests = append(requests, LoadRequest{r.p.id, r.epoch, r.p.meta.Generation, keys})
		}
	}
	b.phase = loading
	if len(requests) == 0 {
		m.transact()
		return
	}
	m.emit(Load{requests})
}

// loaded verifies what was read and folds. Redis away, or elsewhere than
// expected, drops the batch: it is read again.
func (m *Machine) loaded(in Loaded) {
	b := m.batch
	if b == nil || b.phase != loading {
		return
	}
	if in.Err != nil || m.stale() {
		m.rewind()
		return
	}
	next := 0
	for _, r := range b.runs {
		if len(r.asked) == 0 {
			continue
		}
		if err := m.fill(r, in.Results[next]); err != nil {
			m.restart("%v", err)
			return
		}
		next++
	}
	m.transact()
}

// transact folds the batch and hands out the transaction in its order.
func (m *Machine) transact() {
	b := m.batch
	for _, r := range b.runs {
		m.foldRun(r, &b.out)
	}
	b.phase = producing
	m.emit(Begin{}, Produce{b.out.List, b.out.Seen}, Release{})
}

// produced ends the transaction: with a commit only if every output was
// acknowledged and every partition is still ours.
func (m *Machine) produced(err error) {
	b := m.batch
	if b == nil || b.phase != producing {
		return
	}
	b.phase = ending
	if err != nil || m.stale() {
		m.emit(End{})
		return
	}
	offsets := make(map[int32]Commit, len(b.runs))
	for _, r := range b.runs {
		offsets[r.p.id] = Commit{r.to, r.stamp.String(), r.p.gap != 0}
	}
	m.emit(End{Commit: true, Offsets: offsets})
}

// rewind drops the batch without having begun a transaction.
func (m *Machine) rewind() {
	m.batch.phase = ending
	m.emit(Release{}, Rewind{})
}

// ended takes the transaction's outcome.
func (m *Machine) ended(in Ended) {
	b := m.batch
	if b == nil || b.phase != ending {
		return
	}
	switch {
	case in.Err != nil:
		m.restart("the transaction's outcome is unknown: %v", in.Err)
	case in.Committed:
		m.committed()
	default:
		m.uncertain()
	}
}

func (m *Machine) committed() {
	b := m.batch
	m.batch = nil
	for i, n := range b.out.Fates {
		m.counts.Fates[i] += n
	}
	for i, n := range b.out.Ops {
		m.counts.Ops[i] += n
	}
	m.counts.Committed++
	for _, r := range b.runs {
		p := m.owned(r.p.id, r.epoch)
		if p == nil {
			continue // it moved after the commit: its next owner replays
		}
		m.merge(r)
		if !p.known {
			p.known = true
			m.emit(MarkInitialized{p.id})
		}
	}
	m.evict()
	for _, r := range b.runs {
		if p := m.owned(r.p.id, r.epoch); p != nil && p.gap != 0 {
			// The client stands behind the gap, and cannot be told to go back.
			m.restart("partition %d: offset %d is expected and %d comes", p.id, p.position, p.gap)
			return
		}
	}
}

// uncertain drops the batch and asks what is committed. "Not committed" proves
// nothing: a broker that committed and answered with an error looks the same.
func (m *Machine) uncertain() {
	b := m.batch
	m.counts.Uncertain++
	b.phase = checking
	for _, r := range b.runs {
		m.discard(r)
	}
	for _, r := range b.runs {
		p := m.owned(r.p.id, r.epoch)
		if p == nil || p.phase != ready {
			continue // decided by A
		}
		if len(r.records) > 0 {
			p.gap = 0 // it is met again, behind what was not committed
		}
		p.checking = true
		m.emit(ReadCommitted{p.id, p.epoch})
	}
	m.settle()
}

// settle lets the next batch begin once no K is left to compare. It is called
// too when partitions come or go, since theirs need no comparison any more.
func (m *Machine) settle() {
	if m.batch == nil || m.batch.phase != checking {
		return
	}
	for _, p := range m.partitions {
		if p.checking {
			return
		}
	}
	m.batch = nil
}

// checked compares K with our own position: where they differ, the batch was
// committed after all, and only a new session can go on.
func (m *Machine) checked(p *partition, c Committed) {
	p.checking = false
	switch {
	case !c.Absent && c.Offset != p.position, c.Absent && p.known:
		m.restart("partition %d: the committed offset is %d, expected %d: a transaction of uncertain outcome was committed", p.id, c.Offset, p.position)
		return
	case p.gap != 0:
		m.refuse(p, refuseGap(p.id, p.position, p.gap))
	}
	m.settle()
}
