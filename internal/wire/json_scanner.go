package wire

import (
	"encoding/binary"
	"math/bits"
	"strconv"
)

// depthMax bounds how deep arrays and objects may be nested.
const depthMax = 128

// scanner reads one JSON text without copying it. It is strict: what it passes
// is valid JSON. The first problem sticks.
type scanner struct {
	b  []byte
	at int
	// spaced says that white space outside of strings was met.
	spaced  bool
	problem string
	where   int
}

// token is one scanned value: its kind by first byte ('"', '{', '[', 't', 'f',
// 'n', or '0' for a number) and its bytes, strings without their quotes.
type token struct {
	kind    byte
	escaped bool // a string that holds escapes
	raw     []byte
}

func (s *scanner) fail(problem string) bool {
	if s.problem == "" {
		s.problem, s.where = problem, s.at
	}
	return false
}

// complaint says what is wrong and where.
func (s *scanner) complaint() string {
	return s.problem + " at byte " + strconv.Itoa(s.where)
}

// space skips white space and returns the next byte, or 0 at the end.
func (s *scanner) space() byte {
	for s.at < len(s.b) {
		c := s.b[s.at]
		if c > ' ' {
			return c
		}
		if c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
		s.spaced = true
		s.at++
	}
	return 0
}

// end requires that nothing but white space follows.
func (s *scanner) end() bool {
	if s.space(); s.at < len(s.b) {
		return s.fail("something follows the JSON value")
	}
	return s.problem == ""
}

// value reads the next value of any kind.
func (s *scanner) value(t *token) bool {
	c := s.space()
	start := s.at
	t.kind, t.escaped = c, false
	ok := false
	switch {
	case c == '"':
		return s.text(t)
	case c == '{' || c == '[':
		ok = s.nested()
	case c == '-' || (c >= '0' && c <= '9'):
		t.kind = '0'
		ok = s.number()
	case c == 't':
		ok = s.word("true")
	case c == 'f':
		ok = s.word("false")
	case c == 'n':
		ok = s.word("null")
	default:
		return s.fail(s.unexpected("a JSON value"))
	}
	t.raw = s.b[start:s.at]
	return ok
}

func (s *scanner) unexpected(wanted string) string {
	if s.at >= len(s.b) {
		return "the JSON ends where " + wanted + " should be"
	}
	return "the JSON has " + strconv.QuoteRuneToASCII(rune(s.b[s.at])) + " where " + wanted + " should be"
}

func (s *scanner) word(w string) bool {
	if len(s.b)-s.at < len(w) || string(s.b[s.at:s.at+len(w)]) != w {
		return s.fail("the JSON has an unknown word")
	}
	s.at += len(w)
	return true
}

func (s *scanner) digits() bool {
	start := s.at
	for s.at < len(s.b) && s.b[s.at]-'0' <= 9 {
		s.at++
	}
	return s.at > start
}

func (s *scanner) number() bool {
	if s.b[s.at] == '-' {
		s.at++
	}
	zero := s.at < len(s.b) && s.b[s.at] == '0'
	start := s.at
	if !s.digits() || (zero && s.at-start > 1) {
		return s.fail("the JSON has a malformed number")
	}
	if s.at < len(s.b) && s.b[s.at] == '.' {
		s.at++
		if !s.digits() {
			return s.fail("the JSON has a malformed number")
		}
	}
	if s.at < len(s.b) && s.b[s.at]|0x20 == 'e' {
		s.at++
		if s.at < len(s.b) && (s.b[s.at] == '+' || s.b[s.at] == '-') {
			s.at++
		}
		if !s.digits() {
			return s.fail("the JSON has a malformed number")
		}
	}
	return true
}

const (
	eachByte = 0x0101010101010101
	highBits = 0x8080808080808080
)

// special marks (in high bits) the first byte of w that is a quote, a
// backslash or a control character. Only the lowest mark is exact.
func special(w uint64) uint64 {
	quote := w ^ eachByte*'"'
	slash := w ^ eachByte*'\\'
	return ((quote-eachByte)&^quote | (slash-eachByte)&^slash | (w-eachByte*0x20)&^w) & highBits
}

// text reads a string; the scanner stands at its opening quote.
func (s *scanner) text(t *token) bool {
	t.kind, t.escaped = '"', false
	s.at++
	start := s.at
	for {
		for len(s.b)-s.at >= 8 {
			if m := special(binary.LittleEndian.Uint64(s.b[s.at:])); m != 0 {
				s.at += bits.TrailingZeros64(m) / 8
				break
			}
			s.at += 8
		}
		if s.at >= len(s.b) {
			return s.fail("the JSON ends inside a string")
		}
		switch c := s.b[s.at]; {
		case c == '"':
			t.raw = s.b[start:s.at]
			s.at++
			return true
		case c == '\\':
			t.escaped = true
			if !s.escape() {
				return false
			}
		case c < 0x20:
			return s.fail("the JSON has a control character inside a string")
		default:
			s.at++
		}
	}
}

// escape skips one escape; the scanner stands at its backslash.
func (s *scanner) escape() bool {
	if s.at+1 >= len(s.b) {
		s.at = len(s.b)
		return s.fail("the JSON ends inside a string")
	}
	switch s.b[s.at+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.at += 2
		return true
	case 'u':
		if s.at+6 <= len(s.b) && hex4(s.b[s.at+2:s.at+6]) >= 0 {
			s.at += 6
			return true
		}
	}
	return s.fail("the JSON has a malformed escape")
}

// nested skips an array or object, checking all of it.
func (s *scanner) nested() bool {
	var objects [depthMax/64 + 1]uint64 // by depth: is it an object
	depth := 0
	var t token
	for {
		// Here a value begins.
		switch c := s.space(); c {
		case '{', '[':
			if depth == depthMax {
				return s.fail("the JSON is nested deeper than " + strconv.Itoa(depthMax))
			}
			s.at++
			closing := c + 2
			depth++
			objects[depth>>6] &^= 1 << (depth & 63)
			if c == '{' {
				objects[depth>>6] |= 1 << (depth & 63)
			}
			if s.space() != closing {
				if c == '{' && !s.name(&t) {
					return false
				}
				continue
			}
			s.at++
			depth--
		case '"':
			if !s.text(&t) {
				return false
			}
		default:
			if !s.value(&t) {
				return false
			}
		}
		// Here a value has ended.
		for {
			if depth == 0 {
				return true
			}
			object := objects[depth>>6]>>(depth&63)&1 == 1
			more, ok := s.next(object)
			if !ok {
				return false
			}
			if more {
				if object && !s.name(&t) {
					return false
				}
				break
			}
			depth--
		}
	}
}

// next reads what follows a member: a comma (more) or the closing bracket.
func (s *scanner) next(object bool) (more, ok bool) {
	closing := byte(']')
	if object {
		closing = '}'
	}
	switch s.space() {
	case ',':
		s.at++
		return true, true
	case closing:
		s.at++
		return false, true
	}
	return false, s.fail(s.unexpected("a comma or " + string(rune(closing))))
}

// name reads an object's key and its colon.
func (s *scanner) name(t *token) bool {
	if s.space() != '"' {
		return s.fail(s.unexpected("a key"))
	}
	if !s.text(t) {
		return false
	}
	if s.space() != ':' {
		return s.fail(s.unexpected("a colon"))
	}
	s.at++
	return true
}

// open enters an object, which the next byte must begin. It says whether there
// is a first member.
func (s *scanner) open() (more, ok bool) {
	if s.space() != '{' {
		return false, s.fail(s.unexpected("an object"))
	}
	s.at++
	if s.space() == '}' {
		s.at++
		return false, true
	}
	return true, true
}
