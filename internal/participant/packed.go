package participant

import "encoding/binary"

// Packed is an event's fields as the tail keeps them: one string instead of a
// slice of values, which is what a refold needs and no more. Its bytes are the
// state's encoding of them, a value for each field of the type:
//
//	value    1 byte kind, 0 where the event does not carry it; int, time: varint ·
//	         bool: 1 byte · number: 8 bytes · string: uvarint length, bytes
//
// Varints are minimal, fixed-size numbers little-endian: equal fields, equal bytes.
type Packed string

// AppendPacked appends the packed form of one field, which is no collection.
func AppendPacked(dst []byte, v *Value) []byte {
	dst = append(dst, byte(v.Kind))
	switch v.Kind {
	case KindInt, KindTime:
		return binary.AppendVarint(dst, v.Int)
	case KindBool:
		if v.Int != 0 {
			return append(dst, 1)
		}
		return append(dst, 0)
	case KindDouble:
		return binary.LittleEndian.AppendUint64(dst, uint64(v.Int))
	case KindString:
		dst = binary.AppendUvarint(dst, uint64(len(v.Str)))
		return append(dst, v.Str...)
	}
	return dst
}

// Pack returns the packed form of fields and leaves their texts in it, so that
// whatever they were read from need not outlive it.
func Pack(fields []Value) Packed {
	if len(fields) == 0 {
		return ""
	}
	var scratch [256]byte
	b := scratch[:0]
	for i := range fields {
		b = AppendPacked(b, &fields[i])
	}
	p := Packed(b)
	p.Unpack(fields)
	return p
}

// Unpack reads so many fields back as there is room for. Their texts are parts of p.
// It believes what it reads: p comes from Pack, or was checked when it was decoded.
func (p Packed) Unpack(fields []Value) {
	for i := range fields {
		v := Value{Kind: Kind(p[0])}
		p = p[1:]
		switch v.Kind {
		case KindInt, KindTime:
			var u uint64
			u, p = p.uvarint()
			v.Int = int64(u>>1) ^ -int64(u&1)
		case KindBool:
			v.Int, p = int64(p[0]), p[1:]
		case KindDouble:
			for at := range 8 {
				v.Int |= int64(p[at]) << (8 * at)
			}
			p = p[8:]
		case KindString:
			var n uint64
			n, p = p.uvarint()
			v.Str, p = string(p[:n]), p[n:]
		}
		fields[i] = v
	}
}

func (p Packed) uvarint() (n uint64, rest Packed) {
	for at := 0; ; at++ {
		n |= uint64(p[at]&0x7f) << (7 * at)
		if p[at] < 0x80 {
			return n, p[at+1:]
		}
	}
}
