package engine

import (
	"context"
	"errors"
)

// ErrFenced says that another process took this slot's identity. The session
// is over and must not be retried under the same slot.
var ErrFenced = errors.New("another process took this slot")

// ErrLogStart says that the log no longer holds the offset asked for.
var ErrLogStart = errors.New("the log starts after that offset")

// Meta is what Redis keeps of a partition beside its participants' values.
type Meta struct {
	Exists bool
	// Intact is false where a bucket's sentinel is missing: Redis lost or
	// evicted a bucket, and its values cannot be trusted.
	Intact bool
	Token  string
	// Generation separates a rebuilt life from the one it replaces: values are
	// stored under it, so a rebuild never reads what it replaces.
	Generation string
	Start      int64  // the first offset folded into this state
	Applied    int64  // R
	Chain      uint64 // chain hash of the records in [Start, Applied)
	Digest     uint64 // of all participants' values
}

// Same reports whether two metas name the same position of the same life.
func (m Meta) Same(o Meta) bool {
	return m.Exists == o.Exists && m.Token == o.Token && m.Generation == o.Generation && m.Applied == o.Applied
}

// MetaResult is a partition's position, or why it could not be read.
type MetaResult struct {
	Meta Meta
	Err  error
}

// KeyValue is one participant's encoded state.
type KeyValue struct {
	Key   string
	Value []byte
}

// Move is one step of a partition's view: From → To, with the values that
// changed between them.
type Move struct {
	Token, Generation string
	From, To          int64
	Chain, Digest     uint64 // at To
	Values            []KeyValue

	memory []byte // that the values are parts of
}

// reached reports that the view stands where the move leads.
func (m Meta) reached(move Move) bool {
	return m.Same(Meta{Exists: true, Token: move.Token, Generation: move.Generation, Applied: move.To})
}

// ErrDamaged says that values have to be made anew.
var ErrDamaged = errors.New("damaged")

// Store is the view in Redis. No method writes a value without the position
// it belongs to. Errors are transport errors: the outcome is unknown, and
// every method may be called again.
type Store interface {
	// Meta reads a partition's position.
	Meta(ctx context.Context, partition int32) (Meta, error)
	// EachMeta does so for many partitions, in requests whose number does not grow
	// with theirs. Each one's position is read in a step of its own; there is a
	// result for each, in their order.
	EachMeta(ctx context.Context, partitions []int32) []MetaResult
	// Load reads the position and the values of keys in one atomic step; a
	// participant without a value is nil.
	Load(ctx context.Context, partition int32, generation string, keys []string) (Meta, [][]byte, error)
	// Apply moves the partition by compare-and-set on (token, generation,
	// From) and returns the position then stored, moved or not. It keeps nothing
	// of the move: the machine writes over it once it has an answer.
	Apply(ctx context.Context, partition int32, move Move) (Meta, error)
	// Init replaces the partition's meta old (whose Exists may be false) by
	// next, and returns the meta then stored, whoever wrote it. Without a
	// generation, next is a new one without participants. With one, it is what
	// was staged under that name; where that is not whole any more, nothing is
	// replaced.
	Init(ctx context.Context, partition int32, old, next Meta) (Meta, error)
	// Stage puts values into a generation that is nobody's yet, and returns its
	// name; without a name it begins a new one. What is never adopted by Init
	// goes away by itself.
	Stage(ctx context.Context, partition int32, generation string, values []KeyValue) (string, error)
	// Scan calls fn with every participant of a generation, in no order and
	// some of them twice. After the last one, the error ErrDamaged says that
	// what the store keeps beside the values is not theirs, unless something has
	// moved meanwhile.
	Scan(ctx context.Context, partition int32, generation string, fn func([]KeyValue) error) error
}

// Committed is a partition's stable committed offset with the log's bounds.
type Committed struct {
	Absent   bool // nothing is committed
	Offset   int64
	Metadata string
	// Initialized says that the manifest knows of an earlier commit; it is
	// read only where Absent.
	Initialized bool
	LogStart    int64
	LogEnd      int64 // the high watermark
	// Epoch is the leader epoch of the last committed record, and EpochEnd the
	// offset at which that epoch ends in the log as it is now, where known.
	Epoch      int32
	EpochKnown bool
	EpochEnd   int64
}

// Positions reads what belongs to no session.
type Positions interface {
	// Committed fetches the offset require-stable, naming the partition, and
	// waits while a transaction on it is pending.
	Committed(ctx context.Context, partition int32) (Committed, error)
	// Replay reads up to about 10,000 records of [from, to), read-committed,
	// and returns them with the position reached: to, where records are gone.
	Replay(ctx context.Context, partition int32, from, to int64) ([]Record, int64, error)
	// MarkInitialized notes in the manifest that a partition has a commit.
	MarkInitialized(ctx context.Context, partition int32) error
}

// Session is one member of the consumer group with one transactional ID.
// Assignments and revocations are reported through the notify function that
// it was made with. Its methods are called by one goroutine.
type Session interface {
	// Poll returns records by partition, or nothing when ctx ends. Once it
	// returned records, no rebalance is let in before Release. It is behind where
	// the log had more than it returned.
	Poll(ctx context.Context, recordsMax int) (runs []Run, behind bool, err error)
	Pause(partition int32)
	Resume(partition int32)
	Begin() error
	// Produce writes outputs and waits until the brokers acknowledged them:
	// reroutes outside of the transaction, all others inside.
	Produce(ctx context.Context, outputs []Output) error
	// Release lets rebalances in.
	Release()
	// End ends the transaction, or without one returns to the committed
	// offsets. It commits exactly offsets, or nothing.
	End(ctx context.Context, commit bool, offsets map[int32]Commit) (committed bool, err error)
}

// Commit is one partition's offset in a transaction, with its stamp.
type Commit struct {
	Offset   int64
	Metadata string
	// Short: less was folded than was polled, because what followed has a gap.
	Short bool
}

// Run is consecutive records of one partition, or the error met there.
type Run struct {
	Partition int32
	Records   []Record
	Err       error
}
