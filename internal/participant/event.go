package participant

import (
	"github.com/zeebo/xxh3"
)

// Identity is the 128-bit hash of (source, id): what makes an event itself.
type Identity struct{ Hi, Lo uint64 }

// IdentityOf hashes a CloudEvent's source and id. The length of source stands
// between the two, so that ("a","bc") and ("ab","c") differ.
func IdentityOf(source, id string) Identity {
	var scratch [192]byte
	b := append(scratch[:0], byte(len(source)), byte(len(source)>>8))
	b = append(b, source...)
	b = append(b, id...)
	h := xxh3.Hash128(b)
	return Identity{h.Hi, h.Lo}
}

// Stamp is an event's unique timestamp: a total order that does not depend on
// arrival. Time is µs since the Unix epoch.
type Stamp struct {
	Time int64
	Hash Identity
}

// Compare orders stamps by time, then by hash.
func (a Stamp) Compare(b Stamp) int {
	switch {
	case a.Time != b.Time:
		return order(a.Time < b.Time)
	case a.Hash.Hi != b.Hash.Hi:
		return order(a.Hash.Hi < b.Hash.Hi)
	case a.Hash.Lo != b.Hash.Lo:
		return order(a.Hash.Lo < b.Hash.Lo)
	}
	return 0
}

func order(less bool) int {
	if less {
		return -1
	}
	return 1
}

// Arrival is where and when the log took an event. It is in the log, so it is
// the same for whoever reads it again. Time is the record's own timestamp in
// µs since the Unix epoch.
type Arrival struct {
	Partition int32
	Offset    int64
	Time      int64
}

// Event is a decoded CloudEvent, ready to fold.
type Event struct {
	Source, ID  string
	Type        string
	Participant string
	// Time is when it happened, µs since the Unix epoch. Where the event
	// carries none, it is the arrival's, and TimeGiven is false.
	Time      int64
	TimeGiven bool
	// Sequence and TraceParent are carried, never interpreted by the fold.
	Sequence    string
	TraceParent string
	Identity    Identity
	// Content is a hash over type, given time and data, without regard to
	// insignificant white space: it tells a duplicate from a conflict.
	Content uint64
	// TypeIndex is the place in Schema.Types, or -1 for a type unknown there.
	TypeIndex int
	// Texts is memory for the texts above, which a decoder writes over. Where it
	// has no room, they get their own.
	Texts []byte
	// Fields holds the data by Schema.Types[TypeIndex].Fields; an absent
	// optional field is the zero Value.
	Fields []Value
	// Packed is the same as the tail keeps it; where it is empty, the fold packs
	// the fields of an event that it accepts.
	Packed  Packed
	Arrival Arrival
}

// Stamp returns the event's unique timestamp.
func (e *Event) Stamp() Stamp { return Stamp{Time: e.Time, Hash: e.Identity} }

// Fate is what became of a record. Every record has exactly one.
type Fate uint8

// The fates. Applied and Rerouted are the good ones; all others are written
// to the rejected topic with their reason.
const (
	Applied Fate = iota
	Duplicate
	Conflict
	Late
	Future
	Rerouted
	Malformed
	NoParticipant
	SchemaMismatch
	TooLarge
	RuleError
	Overflow
	FateCount // the number of fates, for tables
)

var fateNames = [...]string{
	"applied", "duplicate", "conflict", "late", "future", "rerouted", "malformed",
	"no-participant", "schema", "too-large", "rule-error", "overflow",
}

func (f Fate) String() string { return fateNames[f] }

// FateByName returns the fate with that name.
func FateByName(name string) (Fate, bool) {
	for i, n := range fateNames {
		if n == name {
			return Fate(i), true
		}
	}
	return 0, false
}

// Rejection is a fate other than applied, with a sentence for whoever sent the
// event. It is an error so that decoders can return it.
type Rejection struct {
	Fate   Fate
	Reason string
}

func (r *Rejection) Error() string { return r.Fate.String() + ": " + r.Reason }
