package engine

import (
	"fmt"
	"slices"

	"github.com/veltrix/veltrix/internal/participant"
)

// Machine decides what one session does. It is not safe for concurrent use.
type Machine struct {
	fold      Fold
	token     string
	snapshots bool
	empty     []byte // the encoding of a participant without events

	partitions map[int32]*partition
	epochs     uint64 // the last ownership epoch given out
	cache      cache
	reuse      reuse
	warmth     uint8    // see Machine.warm
	order      []int32  // in which the records of a run are folded
	folded     []folded // parallel to the records of a run that is being folded
	sorted     []Output // its outputs, in the order of their causes
	memory     any      // the fold's own
	batch      *batch
	scans      []*partition // that wait for their partition to be quiet
	effects    []Effect
	over       bool // Restart was emitted
	counts     Counts
}

// Counts are totals over the machine's life. Fates and Ops count what was
// committed.
type Counts struct {
	Fates     [participant.FateCount]int64
	Ops       [participant.OpCount]int64
	Committed int64 // transactions
	Uncertain int64 // transactions answered "not committed"
	Replayed  int64 // records folded again without producing
	Rebuilt   int64 // partitions begun anew, from a snapshot or from the log
	Restored  int64 // of these, from a snapshot
	Strayed   int64 // idle partitions that Redis had moved or lost
	Scrubbed  int64 // partitions whose values were read and compared with their digest
	Damaged   int64 // of these, those whose values were not what they should be
	Saved     int64 // snapshots finished
	Joined    int64 // assignments, those of no partition included
	Assigned  int64 // ownerships begun
	Hits      int64 // records whose participant was cached
	Misses    int64 // participants loaded
	Evicted   int64 // participants dropped for the cache's budget
}

// phase is where a partition stands.
type phase uint8

const (
	readingMeta phase = iota
	readingCommitted
	seeking
	initializing
	replaying
	ready
	refused
)

var phaseNames = [...]string{"reading R", "reading K", "looking for a snapshot", "rebuilding", "replaying", "ready", "refused"}

func (p phase) String() string { return phaseNames[p] }

// partition is one owned partition. It dies with its ownership epoch.
type partition struct {
	id      int32
	epoch   uint64
	phase   phase
	refusal Refusal

	meta     Meta      // as last acknowledged by Redis
	stamp    Stamp     // at position, as folded
	promised Stamp     // at target, as committed
	position int64     // K as this machine decided it: the next record to fold
	known    bool      // the manifest knows of a commit
	suspect  bool      // Redis's values are not what they should be: rebuild them
	rebuilt  int       // attempts: from a snapshot, from the log; then a mismatch is the log's
	base     *Snapshot // what a rebuild starts from; nil: the log
	target   Committed // K to reach, while replaying
	proof    proof     // that the log up to the target is what was committed
	replay   *run      // the chunk being replayed
	flushes  []Move    // committed, not yet acknowledged; the first one is in flight
	checking bool      // K is being compared after an uncertain End
	gap      int64     // the offset that was polled instead of the next one; 0: none
	compared *Meta     // where it stood when Redis was asked; nil: it was not
	scan     *scan     // of its values; nil: none
	saving   bool      // a snapshot is being finished
	saved    int64     // the newest snapshot's offset; -1: none is known
	stray    string    // what the client said of its place in the log before this was ready
}

// Config is what a Machine needs beside its fold.
type Config struct {
	Token      Token
	CacheBytes int  // of decoded states, over all partitions
	Snapshots  bool // there is a place where they are kept
}

// New returns a machine that owns nothing yet.
func New(fold Fold, cfg Config) *Machine {
	m := &Machine{
		fold: fold, token: cfg.Token.String(), snapshots: cfg.Snapshots, partitions: make(map[int32]*partition),
		empty: fold.Encode(nil, fold.New()),
	}
	m.cache.init(cfg.CacheBytes)
	return m
}

// Step takes one input and returns what to do, in order. The slice is valid
// until the next call.
func (m *Machine) Step(in Input) []Effect {
	m.effects = m.effects[:0]
	if m.over {
		return nil
	}
	switch in := in.(type) {
	case Assigned:
		m.assigned(in.Partitions)
	case Revoked:
		m.revoked(in.Partitions)
	case MetaRead:
		m.metaRead(in)
	case CommittedRead:
		m.committedRead(in)
	case Replayed:
		m.replayed(in)
	case ReplayLoaded:
		m.replayLoaded(in)
	case Lost:
		m.lost(in)
	case Polled:
		m.polled(in.Runs)
	case Seal:
		m.seal()
	case Loaded:
		m.loaded(in)
	case Produced:
		m.produced(in.Err)
	case Ended:
		m.ended(in)
	case Flushed:
		m.flushed(in)
	case Recheck:
		m.recheck()
	default:
		m.beside(in)
	}
	m.beginScans()
	return m.effects
}

// beside takes the inputs of what happens beside batches: snapshots, and looks
// at what Redis holds.
func (m *Machine) beside(in Input) {
	switch in := in.(type) {
	case Compare:
		m.compare()
	case Scrub:
		m.scrub(in)
	case Scanned:
		m.scanned(in)
	case SnapshotFound:
		m.snapshotFound(in)
	case SnapshotUnusable:
		m.snapshotUnusable(in)
	case Saved:
		m.saved(in)
	default:
		panic(fmt.Sprintf("engine: unknown input %T", in))
	}
}

func (m *Machine) emit(e ...Effect) { m.effects = append(m.effects, e...) }

// restart gives up the session. Everything is decided anew by the next one.
func (m *Machine) restart(format string, args ...any) {
	if m.over {
		return
	}
	m.over = true
	m.effects = append(m.effects[:0], Restart{Reason: fmt.Sprintf(format, args...)})
}

// owned returns the partition if the answer is of its present ownership.
func (m *Machine) owned(id int32, epoch uint64) *partition {
	if p := m.partitions[id]; p != nil && p.epoch == epoch {
		return p
	}
	return nil
}

// WantPoll reports whether to poll: a batch may be gathered, and no partition
// has two batches that Redis has not acknowledged.
func (m *Machine) WantPoll() bool {
	if m.over {
		return false
	}
	if m.batch != nil {
		return m.batch.phase == gathering
	}
	for _, p := range m.partitions {
		if len(p.flushes) >= 2 || p.checking {
			return false
		}
	}
	return true
}

// Gathered returns the number of records that wait for Seal.
func (m *Machine) Gathered() int {
	if m.batch == nil || m.batch.phase != gathering {
		return 0
	}
	return m.batch.records
}

// Idle reports that a stop now would leave nothing to repair: no transaction is
// open, and Redis has acknowledged every committed one.
func (m *Machine) Idle() bool {
	if m.batch != nil && m.batch.phase != gathering {
		return false
	}
	for _, p := range m.partitions {
		if len(p.flushes) > 0 {
			return false
		}
	}
	return true
}

// Counts returns the totals so far.
func (m *Machine) Counts() Counts { return m.counts }

// CacheBytes returns the memory held by cached states.
func (m *Machine) CacheBytes() int { return m.cache.bytes }

// Status is one partition as an operator sees it.
type Status struct {
	Partition int32
	Phase     string
	Position  int64 // K
	Applied   int64 // R as acknowledged
	Target    int64 // where a replay ends
	Saved     int64 // the newest snapshot's offset; -1: none is known
	Start     int64 // the first offset of the state
	Refusal   Refusal
}

// Status returns the owned partitions, sorted.
func (m *Machine) Status() []Status {
	out := make([]Status, 0, len(m.partitions))
	for _, p := range m.partitions {
		out = append(out, Status{
			Partition: p.id, Phase: p.phase.String(), Position: p.position, Applied: p.meta.Applied,
			Target: p.target.Offset, Saved: p.saved, Start: p.stamp.Start, Refusal: p.refusal,
		})
	}
	slices.SortFunc(out, func(a, b Status) int { return int(a.Partition - b.Partition) })
	return out
}
