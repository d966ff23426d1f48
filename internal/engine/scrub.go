package engine

import "slices"

// What Redis holds is looked at even when nothing happens: a failover or a
// rollback after the last event would otherwise wait for the next one, and a
// value that was lost or changed would be folded further.
//
// A scan reads every value while its partition stands still: it is paused, and
// the scan begins once nothing of it is under way. Records that were fetched
// before the pause may still move it; then the scan says nothing, and the next
// one will. A snapshot is found only after its scan's digest was that of the
// position, so what is damaged in Redis never becomes a snapshot.

// scan is one reading of all values of a partition.
type scan struct {
	save  bool
	begun bool
	meta  Meta // where the partition stood when it began
}

// quiet reports that nothing of the partition is under way: Redis stands where
// this machine put it last.
func (m *Machine) quiet(p *partition) bool {
	return p.phase == ready && len(p.flushes) == 0 && !p.checking && (m.batch == nil || m.batch.run(p.id) == nil)
}

// compare asks Redis where the idle partitions stand.
func (m *Machine) compare() {
	var idle []ReadMeta
	for _, s := range m.Status() {
		p := m.partitions[s.Partition]
		if p.compared == nil && m.quiet(p) {
			at := p.meta
			p.compared = &at
			idle = append(idle, ReadMeta{p.id, p.epoch})
		}
	}
	if len(idle) > 0 {
		m.emit(ReadMetas{idle})
	}
}

// answered takes the position of a partition that was idle when it was asked
// for. One that has moved meanwhile was compared by its move.
func (m *Machine) answered(p *partition, found Meta) {
	at := p.compared
	p.compared = nil
	if at == nil || !m.quiet(p) || !p.meta.Same(*at) || found.Intact && found.Same(*at) {
		return
	}
	m.counts.Strayed++
	m.again(p)
}

// scrub begins a scan as soon as the partition is quiet.
func (m *Machine) scrub(in Scrub) {
	p := m.partitions[in.Partition]
	if p == nil || p.phase != ready || p.scan != nil || p.saving {
		return
	}
	p.scan = &scan{save: in.Save && m.snapshots && p.saved != p.position}
	m.scans = append(m.scans, p)
	m.emit(Pause{p.id})
}

// beginScans begins the scans whose partitions have become quiet.
func (m *Machine) beginScans() {
	if len(m.scans) == 0 {
		return
	}
	m.scans = slices.DeleteFunc(m.scans, func(p *partition) bool {
		switch {
		case m.owned(p.id, p.epoch) == nil || p.phase != ready:
			return true
		case !m.quiet(p) || m.over:
			return false
		}
		p.scan.begun, p.scan.meta = true, p.meta
		m.emit(Scan{p.id, p.epoch, p.meta, p.scan.save})
		return true
	})
}

// scanned judges what was read.
func (m *Machine) scanned(in Scanned) {
	p := m.owned(in.Partition, in.Epoch)
	if p == nil || p.scan == nil || !p.scan.begun {
		m.emit(Discard{in.Partition, in.Epoch})
		return
	}
	s := p.scan
	p.scan = nil
	still := m.quiet(p) && p.meta.Same(s.meta)
	switch {
	case p.phase != ready:
		m.emit(Discard{p.id, p.epoch})
	case in.Err != nil || !still:
		m.emit(Discard{p.id, p.epoch}, Resume{p.id})
	case !in.Meta.Intact || !in.Meta.Same(s.meta):
		m.counts.Strayed++
		m.emit(Discard{p.id, p.epoch})
		m.again(p)
	case in.Damaged || in.Digest != p.stamp.Digest:
		m.counts.Damaged++
		m.emit(Discard{p.id, p.epoch})
		m.distrust(p)
	default:
		m.counts.Scrubbed++
		m.emit(Resume{p.id})
		if s.save {
			p.saving = true
			m.emit(Save{p.id, p.epoch, Snapshot{
				Token: m.token, Start: p.stamp.Start, Offset: p.position,
				Chain: p.stamp.Chain, Digest: p.stamp.Digest, Participants: in.Participants,
			}})
		}
	}
}

// distrust decides a partition anew, and has its values made anew.
func (m *Machine) distrust(p *partition) {
	m.again(p)
	m.partitions[p.id].suspect = true
}

func (m *Machine) saved(in Saved) {
	p := m.owned(in.Partition, in.Epoch)
	if p != nil {
		p.saving = false
	}
	if in.Err != nil {
		return
	}
	m.counts.Saved++
	if p != nil {
		p.saved = max(p.saved, in.Snapshot.Offset)
	}
}

// snapshotFound takes the newest snapshot: what a rebuild begins with, or the
// offset back to which the log is needed.
func (m *Machine) snapshotFound(in SnapshotFound) {
	p, s := m.owned(in.Partition, in.Epoch), in.Snapshot
	if p == nil {
		return
	}
	if s != nil {
		p.saved = max(p.saved, s.Offset)
	}
	if p.phase != seeking {
		return
	}
	// A snapshot of another start is of a life that was given up, and one
	// before the log's start does not meet the log.
	if s != nil && (s.Token != m.token || s.Start != p.promised.Start || s.Offset > p.target.Offset || s.Offset < p.target.LogStart) {
		s = nil
	}
	m.rebuildFrom(p, s)
}

// snapshotUnusable goes on without it where the log reaches back, and
// otherwise looks for another: it was whole when it was found, so somebody is
// writing.
func (m *Machine) snapshotUnusable(in SnapshotUnusable) {
	switch p := m.owned(in.Partition, in.Epoch); {
	case p == nil || p.phase != initializing || p.base == nil:
	case p.target.LogStart > p.promised.Start:
		m.again(p)
	default:
		m.rebuildFrom(p, nil)
	}
}
