package wire

import (
	"encoding/binary"

	"github.com/veltrix/veltrix/internal/participant"
)

// ProbeParticipant is reserved for probes of a deployment. It has a state as others
// have, and is on no leaderboard: nobody plays as it.
const ProbeParticipant = "veltrix-probe"

// Score is what one leaderboard ranks a participant by: the number of its slot.
// Without a value, the participant is not on the leaderboard.
type Score struct {
	Ranked bool
	Value  int64 // of a time µs since the Unix epoch
}

// Scores appends one score for each leaderboard of s, read out of a stored
// participant (see AppendStored) without decoding the rest of it. It walks over
// what it does not need: that b is whole is the caller's to know.
func Scores(dst []Score, b []byte, s *participant.Schema) ([]Score, error) {
	r := stateReader{b: b, schema: s}
	r.uvarint() // as of
	if v := r.byte(); r.err == nil && v != stateVersion {
		return dst, r.failf("has version %d; this binary reads version %d", v, stateVersion)
	}
	from := len(dst)
	for range s.Leaderboards {
		dst = append(dst, Score{})
	}
	scores := dst[from:]
	flags := r.byte()
	if flags == stateFresh {
		return dst, r.end()
	}
	r.varint() // newest
	r.varint() // floor
	if flags&stateFloorHash != 0 {
		r.take(16)
	}
	if n := r.uvarint(); r.err == nil && n != uint64(len(s.Slots)) {
		return dst, r.failf("has %d slots; the rules declare %d", n, len(s.Slots))
	}
	for slot := range s.Slots {
		r.score(slot, scores)
	}
	r.take(8 * r.count(8)) // the ring
	n := r.count(entryBytesMin)
	for range n {
		r.passEntry()
	}
	for slot := 0; n > 0 && slot < len(s.Slots); slot++ {
		if !r.skip(stateSame) {
			r.score(slot, scores)
		}
	}
	return dst, r.end()
}

// score reads the value of a slot into the scores of the leaderboards that rank
// by it, and passes over it where none does.
func (r *stateReader) score(slot int, scores []Score) {
	at := r.at
	r.passValue()
	for i := range r.schema.Leaderboards {
		if r.schema.Leaderboards[i].Slot != slot || r.err != nil {
			continue
		}
		scores[i] = Score{}
		if kind := participant.Kind(r.b[at]); kind == participant.KindInt || kind == participant.KindTime {
			v, _ := binary.Varint(r.b[at+1 : r.at])
			scores[i] = Score{true, v}
		}
	}
}

func (r *stateReader) passEntry() {
	r.uvarint()      // time
	r.take(16 + 8)   // hash, content
	t := r.uvarint() // type+1, with the failed flag
	at := int(t>>1) - 1
	if r.err == nil && at >= len(r.schema.Types) {
		r.failf("has the event type %d; the rules declare %d", at+1, len(r.schema.Types))
	}
	if r.err != nil {
		return
	}
	if at >= 0 {
		for range r.schema.Types[at].Fields {
			r.passValue()
		}
	}
	for range r.count(emissionBytesMin) {
		r.uvarint() // key
		r.uvarint() // revision
		r.take(8)   // content
	}
}

// passValue passes over a value of any kind.
func (r *stateReader) passValue() {
	switch kind := participant.Kind(r.byte()); kind {
	case participant.KindNone:
	case participant.KindInt, participant.KindTime:
		r.uvarint()
	case participant.KindBool:
		r.take(1)
	case participant.KindDouble:
		r.take(8)
	case participant.KindString:
		r.take(r.count(1))
	case participant.KindSet, participant.KindMap:
		r.passCollection(kind == participant.KindMap)
	default:
		r.failf("has a value of kind %d", kind)
	}
}

func (r *stateReader) passCollection(isMap bool) {
	n, total := r.count(1), 0
	for i := 0; i < n && r.err == nil; i++ {
		total += r.count(1)
	}
	r.take(total)
	for i := 0; isMap && i < n; i++ {
		r.uvarint()
	}
}
