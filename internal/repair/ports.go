package repair

import (
	"context"
	"time"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/wire"
)

// Log reads the topics by their short names, and commits for the processors'
// group. What it reads is committed.
type Log interface {
	// Bounds returns the first offset and the one after the last decided record.
	Bounds(ctx context.Context, topic string, partition int32) (start, stable int64, err error)
	// Read calls fn with the records of [from, to), and leaves out what is not
	// there.
	Read(ctx context.Context, topic string, partition int32, from, to int64, fn func([]wire.Record) error) error
	// Committed returns the group's offset with the bounds of events.
	Committed(ctx context.Context, partition int32) (engine.Committed, error)
	// Members names the group's members.
	Members(ctx context.Context) ([]string, error)
	// Commit sets the group's offset. It fails where the group has members.
	Commit(ctx context.Context, partition int32, c engine.Commit) error
}

// View reads a partition's view and drops it.
type View interface {
	Meta(ctx context.Context, partition int32) (engine.Meta, error)
	Scan(ctx context.Context, partition int32, generation string, fn func([]engine.KeyValue) error) error
	// Forget drops the position old, if it is what is stored, and returns what is
	// stored then.
	Forget(ctx context.Context, partition int32, old engine.Meta) (engine.Meta, error)
}

// Snapshots keeps copies, one of which can be a partition's beginning.
type Snapshots interface {
	engine.Snapshots
	// WriteBase begins the copy that stays until the next of its kind.
	WriteBase(ctx context.Context, partition int32) (engine.SnapshotWriter, error)
}

// Journal remembers what operators did.
type Journal interface {
	// Base returns the partition's declared beginning, or nil.
	Base(ctx context.Context, partition int32) (*Base, error)
	// Note adds an entry, with the base that it declares, if any, and notes that
	// the partition has had a commit. The same entry again changes nothing.
	Note(ctx context.Context, e Entry, base *Base) error
}

// Base is a beginning that an operator has declared: the state at Snapshot's
// offset is what it is, whatever the log before says.
type Base struct {
	Snapshot engine.Snapshot
	// Notifications and Rejected are where these topics ended then: what is
	// before belongs to the life before.
	Notifications, Rejected int64
}

// Entry is one thing that an operator did.
type Entry struct {
	At        time.Time
	Who       string // user@host
	Command   string // rebase, rebuild or promote
	Mode      string // of a rebase: lossless or accept-loss
	Partition int32
	From, To  int64 // the committed offset before (−1: none) and after; of a rebuild both are R
	Reason    string
}
