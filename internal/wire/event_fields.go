package wire

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"unsafe"

	"github.com/veltrix/veltrix/internal/participant"
)

// fieldReader reads an event's data into the slots of its type.
type fieldReader struct {
	t      *participant.EventType
	values []participant.Value
	next   int // the field that probably comes next
	p      *Problem
}

// readFields reads the data by its type into e.Fields. It reads all of it, so
// that a malformed text is never taken for a schema's problem.
func readFields(s *scanner, t *participant.EventType, e *participant.Event) *Problem {
	r := fieldsOf(t, e)
	if len(s.b) > 0 && !(r.object(s) && s.end()) {
		clear(r.values)
		return malformed(s)
	}
	if !r.complete(e) {
		clear(r.values)
		return r.p
	}
	return nil
}

// complete packs the fields, if nothing is wrong with them and none is missing.
func (r *fieldReader) complete(e *participant.Event) bool {
	if r.p == nil {
		r.missing()
	}
	if r.p != nil {
		return false
	}
	e.Packed = participant.Pack(r.values)
	return true
}

// fieldsOf returns the reader of an event's data into e.Fields.
func fieldsOf(t *participant.EventType, e *participant.Event) fieldReader {
	e.Fields = slices.Grow(e.Fields[:0], len(t.Fields))[:len(t.Fields)]
	clear(e.Fields)
	return fieldReader{t: t, values: e.Fields}
}

// object reads the data; it is false where the text is malformed.
func (r *fieldReader) object(s *scanner) bool {
	var t token
	if s.space() != '{' {
		if !s.value(&t) {
			return false
		}
		r.refuse("data", "its data must be an object with the fields of "+excerpt([]byte(r.t.Name))+", got "+t.excerpt())
		return true
	}
	var few [64]bool
	seen := few[:]
	if len(r.t.Fields) > len(few) {
		seen = make([]bool, len(r.t.Fields))
	}
	for more, ok := s.open(); more || !ok; more, ok = s.next(true) {
		if !ok || !s.name(&t) {
			return false
		}
		at := r.find(&t)
		if !s.value(&t) {
			return false
		}
		if at < 0 {
			continue
		}
		f := &r.t.Fields[at]
		if seen[at] {
			return s.fail("the field " + f.Name + " is given twice")
		}
		seen[at] = true
		if t.kind == 'n' {
			continue // null says the same as leaving the field out
		}
		if t.kind == '"' && t.escaped {
			if t.raw, ok = appendUnescaped(make([]byte, 0, len(t.raw)), t.raw); !ok {
				return s.fail("the field " + f.Name + " holds half of a surrogate pair")
			}
		}
		if r.p == nil && !r.set(&r.values[at], f, &t) {
			r.refuse("data."+f.Name, "its field "+f.Name+" must be "+wanted(f)+", got "+t.excerpt())
		}
	}
	return true
}

// find returns the place of the field with that key, or -1.
func (r *fieldReader) find(t *token) int {
	name, ok := t.text()
	if !ok {
		return -1
	}
	n := len(r.t.Fields)
	for range n {
		if r.next >= n {
			r.next = 0
		}
		at := r.next
		r.next++
		if r.t.Fields[at].Name == string(name) {
			return at
		}
	}
	return -1
}

func (r *fieldReader) refuse(field, reason string) {
	if r.p == nil {
		r.p = problem(participant.SchemaMismatch, field, reason)
	}
}

func (r *fieldReader) missing() {
	for i := range r.values {
		f := &r.t.Fields[i]
		if r.values[i].Kind == participant.KindNone && !f.Optional {
			r.refuse("data."+f.Name, "its field "+f.Name+" is missing: it must be "+wanted(f))
			return
		}
	}
}

// set stores one value; it is false where the field does not take it. A text is
// left where it stands, in the memory of the record: packing moves it.
func (r *fieldReader) set(v *participant.Value, f *participant.Field, t *token) bool {
	switch f.Kind {
	case participant.KindInt:
		n, ok := t.integer()
		v.Int = n
		if !ok || (f.HasMin && n < f.IntMin) || (f.HasMax && n > f.IntMax) {
			return false
		}
	case participant.KindDouble:
		if t.kind != '0' {
			return false
		}
		x, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(t.raw), len(t.raw)), 64)
		if err != nil || (f.HasMin && x < f.Min) || (f.HasMax && x > f.Max) {
			return false
		}
		v.Int = int64(math.Float64bits(x))
	case participant.KindBool:
		if t.kind != 't' && t.kind != 'f' {
			return false
		}
		v.Int = 0
		if t.kind == 't' {
			v.Int = 1
		}
	case participant.KindTime:
		us, ok := parseTime(t.raw)
		if t.kind != '"' || !ok {
			return false
		}
		v.Int = us
	case participant.KindString:
		if t.kind != '"' || !setText(v, f, t) {
			return false
		}
	default:
		return false
	}
	v.Kind = f.Kind
	return true
}

func setText(v *participant.Value, f *participant.Field, t *token) bool {
	if f.BytesMax > 0 && len(t.raw) > f.BytesMax {
		return false
	}
	if len(f.Enum) > 0 {
		for _, word := range f.Enum {
			if word == string(t.raw) {
				v.Str = word
				return true
			}
		}
		return false
	}
	v.Str = unsafe.String(unsafe.SliceData(t.raw), len(t.raw))
	return true
}

// integer reads a number that is written as an integer: 1.0 and 1e3 are not.
func (t *token) integer() (int64, bool) {
	if t.kind != '0' {
		return 0, false
	}
	digits, negative := t.raw, t.raw[0] == '-'
	if negative {
		digits = digits[1:]
	}
	if len(digits) > 19 {
		return 0, false
	}
	n := uint64(0)
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	if negative {
		return -int64(n), n <= 1<<63
	}
	return int64(n), n <= math.MaxInt64
}

// excerpt shows a value in a sentence.
func (t *token) excerpt() string {
	if t.kind == '"' {
		return excerpt(t.raw)
	}
	const longest = 60
	if len(t.raw) > longest || bytes.ContainsAny(t.raw, "\n\r\t") {
		return map[byte]string{'{': "an object", '[': "an array"}[t.kind] + longNumber(t)
	}
	return string(t.raw)
}

func longNumber(t *token) string {
	if t.kind != '0' {
		return ""
	}
	return "a number of " + strconv.Itoa(len(t.raw)) + " digits"
}

// wanted says what a field takes.
func wanted(f *participant.Field) string {
	switch f.Kind {
	case participant.KindInt:
		return "an int" + rangeText(f)
	case participant.KindDouble:
		return "a number" + rangeText(f)
	case participant.KindBool:
		return "true or false"
	case participant.KindTime:
		return "an RFC 3339 time in quotes"
	}
	if len(f.Enum) > 0 {
		return "one of the " + strconv.Itoa(len(f.Enum)) + " words that the rules list, such as " + excerpt([]byte(f.Enum[0]))
	}
	if f.BytesMax > 0 {
		return "a string of at most " + strconv.Itoa(f.BytesMax) + " bytes"
	}
	return "a string"
}

// rangeText writes a field's bounds for a sentence.
func rangeText(f *participant.Field) string {
	low, high := "", ""
	if f.HasMin {
		low = strconv.FormatFloat(f.Min, 'g', -1, 64)
	}
	if f.HasMax {
		high = strconv.FormatFloat(f.Max, 'g', -1, 64)
	}
	if f.Kind == participant.KindInt {
		if f.HasMin {
			low = strconv.FormatInt(f.IntMin, 10)
		}
		if f.HasMax {
			high = strconv.FormatInt(f.IntMax, 10)
		}
	}
	switch {
	case f.HasMin && f.HasMax:
		return " from " + low + " to " + high
	case f.HasMin:
		return " of at least " + low
	case f.HasMax:
		return " of at most " + high
	}
	return ""
}
