package engine

import (
	"context"
	"errors"
)

// ErrSnapshotBroken says that a snapshot is not whole any more.
var ErrSnapshotBroken = errors.New("the snapshot is not whole")

// Snapshot names one complete copy of a partition's state at an offset, kept
// in the log's own store and not in Redis.
type Snapshot struct {
	Token  string
	Start  int64  // the first offset folded into the state
	Offset int64  // the offset after the last record folded into it
	Chain  uint64 // chain hash of the records in [Start, Offset)
	Digest uint64 // of all participants' values
	// Participants is the number of values. With Digest it says whether a copy
	// was read whole.
	Participants int64
	// ID tells the copy from others of the same partition; Finish sets it.
	ID string
}

// Snapshots keeps copies of partitions' states, from which a partition is
// rebuilt where the log no longer reaches back, or would take too long.
//
// Invariant: a snapshot that Find returns was complete and was verified
// against its digest before its head was written. A writer that dies, or two
// that write at once, leave the one before in place.
type Snapshots interface {
	// Find returns the newest complete snapshot of the partition under token
	// whose offset is at most notAfter; ok is false where there is none.
	Find(ctx context.Context, partition int32, token string, notAfter int64) (snapshot Snapshot, ok bool, err error)
	// Read calls fn with the snapshot's values in chunks, each participant
	// once. It fails where the copy is not whole any more.
	Read(ctx context.Context, partition int32, s Snapshot, fn func([]KeyValue) error) error
	// Write begins a copy. Nothing of it is found before Finish succeeded.
	Write(ctx context.Context, partition int32) (SnapshotWriter, error)
}

// SnapshotWriter takes one copy. It belongs to one goroutine.
type SnapshotWriter interface {
	// Add appends values; they may be kept until Finish or Abort.
	Add(ctx context.Context, values []KeyValue) error
	// Finish writes the head once all values are acknowledged, and returns it
	// with its ID. What the copy replaces may be deleted afterwards.
	Finish(ctx context.Context, s Snapshot) (Snapshot, error)
	// Abort gives the copy up. It is harmless after Finish.
	Abort()
}
