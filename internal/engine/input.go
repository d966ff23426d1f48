package engine

// Input is something that happened. Inputs that answer an effect carry the
// ownership epoch of that effect; answers of an older epoch are ignored.
type Input interface{ input() }

type (
	// Assigned and Revoked report the group's decisions.
	Assigned struct{ Partitions []int32 }
	Revoked  struct{ Partitions []int32 }
	// MetaRead answers ReadMeta, each one of ReadMetas, and Init.
	MetaRead struct {
		Partition int32
		Epoch     uint64
		Meta      Meta
	}
	// CommittedRead answers ReadCommitted.
	CommittedRead struct {
		Partition int32
		Epoch     uint64
		Committed Committed
	}
	// Replayed answers Replay: records from the replay's position to Next.
	Replayed struct {
		Partition int32
		Epoch     uint64
		Records   []Record
		Next      int64
	}
	// Lost says that the log no longer holds what Replay asked for.
	Lost struct {
		Partition int32
		Epoch     uint64
	}
	// Polled brings records. They count towards the batch that is gathered.
	Polled struct{ Runs []Run }
	// Seal ends gathering: the batch is old enough or large enough.
	Seal struct{}
	// Loaded answers Load, one result per request and in its order.
	Loaded struct {
		Results []LoadResult
		Err     error
	}
	// Produced answers Begin, Produce and Release: the first error among them.
	Produced struct{ Err error }
	// Ended answers End and Rewind.
	Ended struct {
		Committed bool
		Err       error
	}
	// Flushed answers Flush with the position then stored.
	Flushed struct {
		Partition int32
		Epoch     uint64
		Meta      Meta
	}
	// Recheck asks to try refused partitions again.
	Recheck struct{}
	// Compare asks to look whether Redis still stands where it was put.
	Compare struct{}
	// Scrub asks to read all values of a partition and to compare them with
	// their digest, and with Save to take a snapshot of them.
	Scrub struct {
		Partition int32
		Save      bool
	}
	// Scanned answers Scan: the position as it was after the last value was
	// read, and the digest of all of them. Damaged: what is kept beside the
	// values is not theirs. Err: they could not be read, or not be added to a
	// snapshot.
	Scanned struct {
		Partition    int32
		Epoch        uint64
		Meta         Meta
		Digest       uint64
		Damaged      bool
		Participants int64
		Err          error
	}
	// Saved answers Save. Err: there is no new snapshot.
	Saved struct {
		Partition int32
		Epoch     uint64
		Snapshot  Snapshot
		Err       error
	}
	// SnapshotFound answers FindSnapshot; nil: there is none.
	SnapshotFound struct {
		Partition int32
		Epoch     uint64
		Snapshot  *Snapshot
	}
	// SnapshotUnusable answers Restore where the snapshot is not whole any more.
	SnapshotUnusable struct {
		Partition int32
		Epoch     uint64
	}
)

// LoadRequest names values to read from a partition.
type LoadRequest struct {
	Partition  int32
	Epoch      uint64
	Generation string
	Keys       []string
}

// LoadResult is what a LoadRequest found.
type LoadResult struct {
	Meta   Meta
	Values [][]byte
}

func (Assigned) input()      {}
func (Revoked) input()       {}
func (MetaRead) input()      {}
func (CommittedRead) input() {}
func (Replayed) input()      {}
func (Lost) input()          {}
func (Polled) input()        {}
func (Seal) input()          {}
func (Loaded) input()        {}
func (Produced) input()      {}
func (Ended) input()         {}
func (Flushed) input()       {}
func (Recheck) input()       {}

func (Compare) input()          {}
func (Scrub) input()            {}
func (Scanned) input()          {}
func (Saved) input()            {}
func (SnapshotFound) input()    {}
func (SnapshotUnusable) input() {}

// Effect is something to do. Effects of one step are performed in their order.
type Effect interface{ effect() }

type (
	// Pause and Resume stop and start fetching of a partition.
	Pause  struct{ Partition int32 }
	Resume struct{ Partition int32 }
	// ReadMeta reads R and the token; answered by MetaRead.
	ReadMeta struct {
		Partition int32
		Epoch     uint64
	}
	// ReadMetas reads those of many partitions that nobody waits for; each is
	// answered by a MetaRead of its own.
	ReadMetas struct{ Each []ReadMeta }
	// ReadCommitted reads K, stable; answered by CommittedRead.
	ReadCommitted struct {
		Partition int32
		Epoch     uint64
	}
	// Init starts a new generation; answered by MetaRead.
	Init struct {
		Partition int32
		Epoch     uint64
		Old       Meta
		Token     string
		Start     int64
	}
	// FindSnapshot looks for the newest snapshot at or before an offset;
	// answered by SnapshotFound.
	FindSnapshot struct {
		Partition int32
		Epoch     uint64
		NotAfter  int64
	}
	// Restore starts a new generation with the values of a snapshot; answered
	// by MetaRead or SnapshotUnusable.
	Restore struct {
		Partition int32
		Epoch     uint64
		Old       Meta
		Snapshot  Snapshot
	}
	// Scan reads all values of a partition at its position, and with Save adds
	// them to a snapshot that nobody finds before Save; answered by Scanned.
	Scan struct {
		Partition int32
		Epoch     uint64
		Meta      Meta
		Save      bool
	}
	// Save finishes the snapshot that a scan has filled; answered by Saved.
	// Discard drops it; nothing answers.
	Save struct {
		Partition int32
		Epoch     uint64
		Snapshot  Snapshot
	}
	Discard struct {
		Partition int32
		Epoch     uint64
	}
	// Replay reads the next records of [From, To); answered by Replayed or Lost.
	Replay struct {
		Partition int32
		Epoch     uint64
		From, To  int64
	}
	// Load reads the batch's values; answered by Loaded.
	Load struct{ Requests []LoadRequest }
	// LoadReplay reads values for one partition's replay; answered by ReplayLoaded.
	LoadReplay struct{ Request LoadRequest }
	// Begin opens the transaction, Produce fills it, Release lets rebalances
	// in: together answered by one Produced.
	Begin   struct{}
	Produce struct {
		Outputs []Output
		Seen    Seen // for whoever counts
	}
	Release struct{}
	// End ends the transaction; answered by Ended.
	End struct {
		Commit  bool
		Offsets map[int32]Commit
	}
	// Rewind drops what was polled, without a transaction; answered by Ended.
	Rewind struct{}
	// Flush moves a partition's view; the performer repeats it until it has an
	// answer; answered by Flushed.
	Flush struct {
		Partition int32
		Epoch     uint64
		Move      Move
	}
	// MarkInitialized notes a partition's first commit. Nothing answers it.
	MarkInitialized struct{ Partition int32 }
	// Refuse reports that a partition stays paused, and why. Nothing answers it.
	Refuse struct {
		Partition int32
		Refusal   Refusal
	}
	// Restart ends this session: nothing of it can be trusted any more. The
	// machine ignores every input that follows.
	Restart struct{ Reason string }
)

// ReplayLoaded answers LoadReplay.
type ReplayLoaded struct {
	Partition int32
	Epoch     uint64
	Result    LoadResult
}

func (ReplayLoaded) input() {}

func (Pause) effect()           {}
func (Resume) effect()          {}
func (ReadMeta) effect()        {}
func (ReadMetas) effect()       {}
func (ReadCommitted) effect()   {}
func (Init) effect()            {}
func (Replay) effect()          {}
func (Load) effect()            {}
func (LoadReplay) effect()      {}
func (Begin) effect()           {}
func (Produce) effect()         {}
func (Release) effect()         {}
func (End) effect()             {}
func (Rewind) effect()          {}
func (Flush) effect()           {}
func (MarkInitialized) effect() {}
func (Refuse) effect()          {}
func (Restart) effect()         {}
func (FindSnapshot) effect()    {}
func (Restore) effect()         {}
func (Scan) effect()            {}
func (Save) effect()            {}
func (Discard) effect()         {}
