package kafkalog

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/wire"
)

// A copy's stream is its values one after the other, each: uvarint length of the
// participant, participant, uvarint length of the state, state. A chunk is the
// stream's next bytes, wherever they end; so a state of any size can be kept.
// A chunk's header "copy" holds the name of the copy that it belongs to.
const (
	snapshotLayout     = 1
	snapshotCopyHeader = "copy"
	snapshotHeadName   = "head"
	snapshotBase       = "base" // the place of declared beginnings
)

var snapshotInTurn = [2]string{"a", "b"}

// snapshotHead is the value of a head: all of engine.Snapshot and where its
// chunks are. The offset of the head itself is known from its record.
type snapshotHead struct {
	Layout       int    `json:"layout"`
	Copy         string `json:"copy"` // random: tells the copy's chunks from others
	Place        string `json:"place"`
	Chunks       int64  `json:"chunks"`
	First        int64  `json:"first"`  // offset of the first chunk; without chunks not used
	Extent       int64  `json:"extent"` // chunk numbers below it may be there beside the copy's own
	Token        string `json:"token"`
	Start        int64  `json:"start"`
	Offset       int64  `json:"offset"`
	Chain        string `json:"chain"`  // hexadecimal: a JSON number would lose bits
	Digest       string `json:"digest"` // hexadecimal
	Participants int64  `json:"participants"`

	at            int64 // the head's own offset
	overwritten   bool  // something of the place came after it
	chain, digest uint64
}

func decodeSnapshotHead(r *wire.Record) (*snapshotHead, error) {
	var h snapshotHead
	if err := json.Unmarshal(r.Value, &h); err != nil {
		return nil, fmt.Errorf("decode the snapshot's head at %d: %w", r.Offset, err)
	}
	if h.Layout != snapshotLayout {
		return nil, fmt.Errorf("the snapshot's head at %d has layout %d, this binary knows %d: run the version that wrote it", r.Offset, h.Layout, snapshotLayout)
	}
	var err1, err2 error
	h.chain, err1 = strconv.ParseUint(h.Chain, 16, 64)
	h.digest, err2 = strconv.ParseUint(h.Digest, 16, 64)
	if err1 != nil || err2 != nil {
		return nil, fmt.Errorf("decode the snapshot's head at %d: chain %q, digest %q", r.Offset, h.Chain, h.Digest)
	}
	h.at = r.Offset
	return &h, nil
}

// intact reports whether compaction keeps every chunk of the copy.
func (h *snapshotHead) intact() bool {
	return !h.overwritten && (h.Chunks == 0 || h.at-h.First == h.Chunks)
}

func (h *snapshotHead) id() string {
	first := h.First
	if h.Chunks == 0 {
		first = h.at
	}
	return snapshotID{h.Place, h.Copy, first, h.at}.String()
}

func (h *snapshotHead) snapshot() engine.Snapshot {
	return engine.Snapshot{
		Token: h.Token, Start: h.Start, Offset: h.Offset, Chain: h.chain, Digest: h.digest, Participants: h.Participants, ID: h.id(),
	}
}

// snapshotID is a copy's ID: with it, a copy is read without being searched.
type snapshotID struct {
	place, copy string
	first, head int64 // offsets of the first chunk and of the head
}

func (i snapshotID) String() string {
	return fmt.Sprintf("%s/%s/%d/%d", i.place, i.copy, i.first, i.head)
}

func parseSnapshotID(text string) (snapshotID, error) {
	part := strings.Split(text, "/")
	if len(part) == 4 {
		first, err1 := strconv.ParseInt(part[2], 10, 64)
		head, err2 := strconv.ParseInt(part[3], 10, 64)
		if err1 == nil && err2 == nil && 0 <= first && first <= head {
			return snapshotID{part[0], part[1], first, head}, nil
		}
	}
	return snapshotID{}, fmt.Errorf("%w: %q names no copy", engine.ErrSnapshotBroken, text)
}

// snapshotPlace is what was seen of one place.
type snapshotPlace struct {
	name    string
	head    *snapshotHead // the newest, or nil where none was seen
	stray   bool          // a chunk was seen after the head
	deleted int64         // one past the lowest chunk number deleted after the head; 0: none
	extent  int64         // one past the highest chunk number seen after the head
}

// snapshotPlaces is what was seen of all places, up to the log's end.
type snapshotPlaces struct{ list []*snapshotPlace }

func (p *snapshotPlaces) of(name string) *snapshotPlace {
	for _, place := range p.list {
		if place.name == name {
			return place
		}
	}
	place := &snapshotPlace{name: name}
	p.list = append(p.list, place)
	return place
}

// complete reports whether nothing further back matters to those who write in
// turn: an older head of the same place is overwritten.
func (p *snapshotPlaces) complete() bool {
	return p.of(snapshotInTurn[0]).head != nil && p.of(snapshotInTurn[1]).head != nil
}

// add takes the next record of the log.
func (p *snapshotPlaces) add(r *wire.Record) error {
	name, what, _ := strings.Cut(string(r.Key), "/")
	place := p.of(name)
	if what == snapshotHeadName {
		head, err := decodeSnapshotHead(r)
		if err != nil {
			return err
		}
		*place = snapshotPlace{name: name, head: head}
		return nil
	}
	number, err := strconv.ParseInt(what, 10, 64)
	switch {
	case err != nil:
		return fmt.Errorf("the key %q at %d is not a snapshot's", r.Key, r.Offset)
	case len(r.Value) == 0:
		place.deleted = lowest(place.deleted, number+1)
	default:
		place.stray, place.extent = true, max(place.extent, number+1)
	}
	place.judge()
	return nil
}

// judge notes at the head what came after it. Deletions beyond its own chunks
// are its own.
func (p *snapshotPlace) judge() {
	if h := p.head; h != nil {
		h.overwritten = p.stray || p.deleted > 0 && p.deleted <= h.Chunks
	}
}

// lowest is the lower of two numbers, of which 0 is none.
func lowest(a, b int64) int64 {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// prepend takes what was seen further back.
func (p *snapshotPlaces) prepend(earlier *snapshotPlaces) {
	for _, e := range earlier.list {
		place := p.of(e.name)
		if place.head != nil {
			continue
		}
		place.head = e.head
		place.stray = place.stray || e.stray
		place.deleted = lowest(place.deleted, e.deleted)
		place.extent = max(place.extent, e.extent)
		place.judge()
	}
}

// newest returns the head that was written last among those that fit, an intact
// one if there is any; nil where none fits.
func (p *snapshotPlaces) newest(fits func(*snapshotHead) bool) *snapshotHead {
	var best *snapshotHead
	for _, place := range p.list {
		h := place.head
		if h == nil || !fits(h) {
			continue
		}
		if best == nil || h.intact() && !best.intact() || h.intact() == best.intact() && h.at > best.at {
			best = h
		}
	}
	return best
}

// snapshotReader takes a copy's records in the order of the log.
type snapshotReader struct {
	at   snapshotID
	want engine.Snapshot
	fn   func([]engine.KeyValue) error

	chunks       int64
	stream       []byte // what is not decoded yet
	participants int64
	digest       uint64
}

func snapshotBroken(format string, args ...any) error {
	return fmt.Errorf("%w: %s", engine.ErrSnapshotBroken, fmt.Sprintf(format, args...))
}

func (in *snapshotReader) add(r *wire.Record) error {
	if string(r.Header(snapshotCopyHeader)) != in.at.copy {
		return nil // another writer's
	}
	if want := snapshotKey(in.at.place, in.chunks); string(r.Key) != want {
		return snapshotBroken("chunk %s comes where %s is due", r.Key, want)
	}
	in.chunks++
	in.stream = append(in.stream, r.Value...)
	return in.decode()
}

// decode hands on the values that the stream has whole.
func (in *snapshotReader) decode() error {
	var values []engine.KeyValue
	rest := in.stream
	for len(rest) > 0 {
		key, after, ok := cutSized(rest)
		if !ok {
			break
		}
		value, after, ok := cutSized(after)
		if !ok {
			break
		}
		kv := engine.KeyValue{Key: string(key), Value: append([]byte(nil), value...)}
		in.digest += engine.ValueDigest(kv.Key, kv.Value)
		values, rest = append(values, kv), after
	}
	in.stream = append(in.stream[:0], rest...)
	in.participants += int64(len(values))
	if len(values) == 0 {
		return nil
	}
	return in.fn(values)
}

// cutSized splits off bytes that their length stands before; ok is false where
// they are not all there yet.
func cutSized(b []byte) (item, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || uint64(len(b)-size) < n {
		return nil, nil, false
	}
	return b[size : size+int(n)], b[size+int(n):], true
}

func (in *snapshotReader) end() error {
	switch w := in.want; {
	case in.participants != w.Participants:
		return snapshotBroken("it has %d participants, its head says %d", in.participants, w.Participants)
	case in.digest != w.Digest:
		return snapshotBroken("its digest is %016x, its head says %016x", in.digest, w.Digest)
	}
	return nil
}

func snapshotKey(place string, number int64) string {
	return place + "/" + strconv.FormatInt(number, 10)
}
