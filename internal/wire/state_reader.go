package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/veltrix/veltrix/internal/participant"
)

// stateReader reads an encoded state. The first error sticks, and what is read
// after it is zero. No count is believed before the bytes for it are there.
type stateReader struct {
	b      []byte
	at     int
	schema *participant.Schema
	err    error
}

func (r *stateReader) failf(format string, args ...any) error {
	if r.err == nil {
		r.err = fmt.Errorf("decode state: byte %d of %d: %s", r.at, len(r.b), fmt.Sprintf(format, args...))
	}
	return r.err
}

func (r *stateReader) truncated() { r.failf("is cut short") }

// end requires that everything was read.
func (r *stateReader) end() error {
	if r.err == nil && r.at != len(r.b) {
		r.failf("has %d bytes too many", len(r.b)-r.at)
	}
	return r.err
}

// take returns the next n bytes, or nil.
func (r *stateReader) take(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n < 0 || n > len(r.b)-r.at {
		r.truncated()
		return nil
	}
	r.at += n
	return r.b[r.at-n : r.at]
}

func (r *stateReader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

// skip reads the byte if it is the next one.
func (r *stateReader) skip(b byte) bool {
	if r.err != nil || r.at >= len(r.b) || r.b[r.at] != b {
		return false
	}
	r.at++
	return true
}

func (r *stateReader) fixed() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *stateReader) identity() participant.Identity {
	hi := r.fixed()
	return participant.Identity{Hi: hi, Lo: r.fixed()}
}

func (r *stateReader) uvarint() uint64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Uvarint(r.b[r.at:])
	if n == 0 {
		r.truncated()
		return 0
	}
	if n < 0 || (n > 1 && r.b[r.at+n-1] == 0) {
		r.failf("has a malformed number")
		return 0
	}
	r.at += n
	return v
}

func (r *stateReader) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// count reads the number of things that take at least size bytes each.
func (r *stateReader) count(size int) int {
	n := r.uvarint()
	if r.err == nil && n > uint64((len(r.b)-r.at)/size) {
		r.truncated()
	}
	if r.err != nil {
		return 0
	}
	return int(n)
}

// value reads a value of that kind, or an absent one where that is allowed.
func (r *stateReader) value(want participant.Kind, name string) participant.Value {
	v, text := r.scalar(want, name)
	v.Str = string(text)
	if v.Kind == participant.KindSet || v.Kind == participant.KindMap {
		v.Coll = r.collection(v.Kind == participant.KindMap)
	}
	return v
}

// scalar reads a value up to a collection's members, and a text where it stands.
func (r *stateReader) scalar(want participant.Kind, name string) (v participant.Value, text []byte) {
	kind := participant.Kind(r.byte())
	if r.err != nil || kind == participant.KindNone {
		return participant.Value{}, nil
	}
	if kind != want {
		r.failf("has a value of kind %d for %s; the rules declare %s", kind, name, want)
		return participant.Value{}, nil
	}
	v.Kind = kind
	switch kind {
	case participant.KindInt, participant.KindTime:
		v.Int = r.varint()
	case participant.KindBool:
		v.Int = int64(r.byte())
		if v.Int > 1 {
			r.failf("has the bool %d for %s", v.Int, name)
		}
	case participant.KindDouble:
		v.Int = int64(r.fixed())
	case participant.KindString:
		text = r.take(r.count(1))
	}
	return v, text
}

// collection reads a set or a map. Its keys share one string.
func (r *stateReader) collection(isMap bool) *participant.Collection {
	n := r.count(1)
	if n == 0 {
		return nil
	}
	from, total := r.at, 0
	for range n {
		total += r.count(1)
		if total > len(r.b) {
			r.truncated()
		}
		if r.err != nil {
			return nil
		}
	}
	lengths := stateReader{b: r.b, at: from}
	bytes := string(r.take(total))
	if r.err != nil {
		return nil
	}
	c := &participant.Collection{Keys: make([]string, n)}
	for i, at := 0, 0; i < n; i++ {
		end := at + int(lengths.uvarint())
		c.Keys[i], at = bytes[at:end], end
		if i > 0 && c.Keys[i] <= c.Keys[i-1] {
			r.failf("has keys out of order")
			return nil
		}
	}
	if isMap && len(r.b)-r.at < n {
		r.truncated()
		return nil
	}
	if isMap {
		c.Ints = make([]int64, n)
		for i := range c.Ints {
			c.Ints[i] = r.varint()
		}
	}
	return c
}
