package wire

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/veltrix/veltrix/internal/participant"
)

// The state's encoding, version 1. Equal histories give equal bytes, and what
// decodes gives the same bytes again: there is one encoding of everything.
//
//	version  1 byte
//	flags    1 byte: stateFresh (nothing follows), stateFloorHash
//	newest   varint, µs
//	floor    varint, µs behind newest; with stateFloorHash 16 bytes, else zero
//	base     uvarint slots, then a value each
//	ring     uvarint length, then 8 bytes each
//	tail     uvarint length, then an entry each
//	head     only where the tail is not empty: a value per slot, or stateSame
//
//	entry    uvarint µs after the one before (the first: after the floor),
//	         16 bytes hash, 8 bytes content, uvarint type+1 with the failed flag
//	         in the lowest bit, a value per field of the type as in
//	         participant.Packed, uvarint
//	         emissions, each: uvarint key minus the one before (the first: the
//	         key), uvarint revision with the retracted flag in the lowest bit,
//	         8 bytes content
//	value    1 byte kind; int, time: varint · bool: 1 byte · number: 8 bytes ·
//	         string: uvarint length, bytes · set, map: uvarint members, their
//	         lengths, all their bytes, for a map their varints
//
// Fixed-size numbers are little-endian, varints are minimal.
const (
	stateVersion = 1

	stateFresh     = 1 << 0
	stateFloorHash = 1 << 1

	stateSame = 0xff // instead of a kind: as in the base
)

// AppendStored appends what is stored of one participant: asOf, the offset after
// the last event that entered the history, as a uvarint, and the state.
func AppendStored(dst []byte, asOf int64, h *participant.History, s *participant.Schema) []byte {
	return AppendState(binary.AppendUvarint(dst, uint64(asOf)), h, s)
}

// DecodeStored is the inverse of AppendStored. It refuses what AppendStored would
// not write.
func DecodeStored(b []byte, s *participant.Schema) (asOf int64, _ *participant.History, _ error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > math.MaxInt64 || size > 1 && b[size-1] == 0 {
		return 0, nil, errors.New("decode a stored state: it does not begin with an offset")
	}
	h, err := DecodeState(b[size:], s)
	return int64(n), h, err
}

// AppendState appends the encoding of h to dst. Equal histories give equal
// bytes. The history must be of that schema.
func AppendState(dst []byte, h *participant.History, s *participant.Schema) []byte {
	if h.Fresh() {
		return append(dst, stateVersion, stateFresh)
	}
	flags := byte(0)
	if h.Floor.Hash != (participant.Identity{}) {
		flags |= stateFloorHash
	}
	dst = append(dst, stateVersion, flags)
	dst = binary.AppendVarint(dst, h.Newest)
	dst = binary.AppendVarint(dst, h.Newest-h.Floor.Time)
	if flags&stateFloorHash != 0 {
		dst = appendIdentity(dst, h.Floor.Hash)
	}
	dst = binary.AppendUvarint(dst, uint64(len(s.Slots)))
	for i := range s.Slots {
		dst = appendValue(dst, &h.Base[i])
	}
	dst = binary.AppendUvarint(dst, uint64(len(h.Ring)))
	for _, fragment := range h.Ring {
		dst = binary.LittleEndian.AppendUint64(dst, fragment)
	}
	dst = binary.AppendUvarint(dst, uint64(len(h.Tail)))
	if len(h.Tail) == 0 {
		return dst
	}
	last := h.Floor.Time
	for i := range h.Tail {
		if t := &h.Tail[i]; t.TypeIndex >= 0 && (t.Fields == "") != (len(s.Types[t.TypeIndex].Fields) == 0) {
			panic("wire: an event of type " + s.Types[t.TypeIndex].Name + " without its fields is in the state")
		}
		dst = appendEntry(dst, &h.Tail[i], last)
		last = h.Tail[i].Stamp.Time
	}
	for i := range s.Slots {
		if h.Head[i].Equal(&h.Base[i]) {
			dst = append(dst, stateSame)
			continue
		}
		dst = appendValue(dst, &h.Head[i])
	}
	return dst
}

func appendEntry(dst []byte, t *participant.Entry, last int64) []byte {
	dst = binary.AppendUvarint(dst, uint64(t.Stamp.Time-last))
	dst = appendIdentity(dst, t.Stamp.Hash)
	dst = binary.LittleEndian.AppendUint64(dst, t.Content)
	dst = binary.AppendUvarint(dst, uint64(t.TypeIndex+1)<<1|bit(t.Failed))
	dst = append(dst, t.Fields...)
	dst = binary.AppendUvarint(dst, uint64(len(t.Emitted)))
	key := uint32(0)
	for i := range t.Emitted {
		m := &t.Emitted[i]
		dst = binary.AppendUvarint(dst, uint64(m.Key-key))
		dst = binary.AppendUvarint(dst, uint64(m.Revision)<<1|bit(m.Retracted))
		dst = binary.LittleEndian.AppendUint64(dst, m.Content)
		key = m.Key
	}
	return dst
}

func appendIdentity(dst []byte, id participant.Identity) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, id.Hi)
	return binary.LittleEndian.AppendUint64(dst, id.Lo)
}

func appendValue(dst []byte, v *participant.Value) []byte {
	if v.Kind == participant.KindSet || v.Kind == participant.KindMap {
		return appendCollection(append(dst, byte(v.Kind)), v.Coll, v.Kind == participant.KindMap)
	}
	return participant.AppendPacked(dst, v)
}

func appendCollection(dst []byte, c *participant.Collection, isMap bool) []byte {
	n := c.Len()
	dst = binary.AppendUvarint(dst, uint64(n))
	if n == 0 {
		return dst
	}
	for _, key := range c.Keys {
		dst = binary.AppendUvarint(dst, uint64(len(key)))
	}
	for _, key := range c.Keys {
		dst = append(dst, key...)
	}
	if isMap {
		for _, i := range c.Ints {
			dst = binary.AppendVarint(dst, i)
		}
	}
	return dst
}

func bit(set bool) uint64 {
	if set {
		return 1
	}
	return 0
}

// DecodeState is the inverse of AppendState. It refuses what AppendState would
// not have written for that schema, with the place in bytes. b is not kept.
func DecodeState(b []byte, s *participant.Schema) (*participant.History, error) {
	r := stateReader{b: b, schema: s}
	if v := r.byte(); r.err == nil && v != stateVersion {
		return nil, r.failf("has version %d; this binary reads version %d", v, stateVersion)
	}
	flags := r.byte()
	if flags == stateFresh {
		h := participant.NewHistory(s)
		return h, r.end()
	}
	if flags&^stateFloorHash != 0 {
		return nil, r.failf("has unknown flags %#x", flags)
	}
	h := &participant.History{Newest: r.varint()}
	if h.Fresh() {
		return nil, r.failf("has no newest time")
	}
	h.Floor.Time = h.Newest - r.varint()
	if flags&stateFloorHash != 0 {
		h.Floor.Hash = r.identity()
		if h.Floor.Hash == (participant.Identity{}) {
			return nil, r.failf("has an empty floor hash")
		}
	}
	r.base(h)
	r.ring(h)
	r.tail(h)
	r.head(h)
	if err := r.end(); err != nil {
		return nil, err
	}
	return h, nil
}

func (r *stateReader) base(h *participant.History) {
	if n := r.uvarint(); r.err == nil && n != uint64(len(r.schema.Slots)) {
		r.failf("has %d slots; the rules declare %d", n, len(r.schema.Slots))
	}
	if r.err != nil {
		return
	}
	h.Base = make([]participant.Value, len(r.schema.Slots))
	for i := range h.Base {
		h.Base[i] = r.value(r.schema.Slots[i].Kind, r.schema.Slots[i].Name)
	}
}

func (r *stateReader) ring(h *participant.History) {
	n := r.count(8)
	if n == 0 {
		return
	}
	h.Ring = make([]uint64, n)
	for i := range h.Ring {
		h.Ring[i] = r.fixed()
	}
}

// entryBytesMin is the least that an entry takes: time, hash, content, type,
// emissions.
const entryBytesMin = 1 + 16 + 8 + 1 + 1

func (r *stateReader) tail(h *participant.History) {
	n := r.count(entryBytesMin)
	if n == 0 {
		return
	}
	h.Tail = make([]participant.Entry, n)
	last := h.Floor
	for i := range h.Tail {
		t := &h.Tail[i]
		r.entry(t, last.Time)
		if r.err != nil {
			return
		}
		if t.Stamp.Compare(last) <= 0 {
			r.failf("has a tail out of order")
			return
		}
		last = t.Stamp
	}
}

func (r *stateReader) entry(t *participant.Entry, last int64) {
	t.Stamp.Time = last + int64(r.uvarint())
	if r.err == nil && t.Stamp.Time < last {
		r.failf("has a time out of range")
	}
	t.Stamp.Hash = r.identity()
	t.Content = r.fixed()
	kind := r.uvarint()
	t.Failed = kind&1 != 0
	if kind>>1 > uint64(len(r.schema.Types)) {
		r.failf("has the event type %d; the rules declare %d", kind>>1, len(r.schema.Types))
	}
	if r.err != nil {
		return
	}
	t.TypeIndex = int32(kind>>1) - 1
	if t.TypeIndex >= 0 {
		r.fields(t, r.schema.Types[t.TypeIndex].Fields)
	}
	r.emissions(t)
}

func (r *stateReader) fields(t *participant.Entry, fields []participant.Field) {
	if len(fields) == 0 || len(fields) > len(r.b)-r.at {
		if len(fields) > 0 {
			r.truncated()
		}
		return
	}
	from := r.at
	for i := range fields {
		r.scalar(fields[i].Kind, fields[i].Name)
	}
	if r.err == nil {
		t.Fields = participant.Packed(r.b[from:r.at])
	}
}

// emissionBytesMin is the least that an emission takes.
const emissionBytesMin = 1 + 1 + 8

func (r *stateReader) emissions(t *participant.Entry) {
	n := r.count(emissionBytesMin)
	if n == 0 {
		return
	}
	t.Emitted = make([]participant.Emission, n)
	key := uint64(0)
	for i := range t.Emitted {
		m := &t.Emitted[i]
		step := r.uvarint()
		key += step
		revision := r.uvarint()
		m.Content = r.fixed()
		if r.err != nil {
			return
		}
		if step > math.MaxUint32 || key > math.MaxUint32 || (i > 0 && step == 0) {
			r.failf("has emissions out of order")
			return
		}
		if revision>>1 == 0 || revision>>1 > math.MaxUint32 {
			r.failf("has a revision out of range")
			return
		}
		m.Key, m.Revision, m.Retracted = uint32(key), uint32(revision>>1), revision&1 != 0
	}
}

func (r *stateReader) head(h *participant.History) {
	if r.err != nil {
		return
	}
	h.Head = make([]participant.Value, len(h.Base))
	copy(h.Head, h.Base)
	if len(h.Tail) == 0 {
		return
	}
	for i := range h.Head {
		if r.skip(stateSame) {
			continue
		}
		slot := &r.schema.Slots[i]
		h.Head[i] = r.value(slot.Kind, slot.Name)
		if r.err == nil && h.Head[i].Equal(&h.Base[i]) {
			r.failf("repeats the base's %s", slot.Name)
		}
	}
}
