package hand

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// Event is what the folds need of one. Its texts lie in the value that was scanned,
// or in memory of their own where they had escapes.
type Event struct {
	ID, Type, Time     []byte
	Participant        []byte
	Clue, Zone, Device []byte
	Metres, Points     int64
}

// depthMax bounds how deep a value that is passed over may be nested.
const depthMax = 64

var errShort = errors.New("the value ends within the event")

// scanner reads JSON from its start, and knows only what it is asked for.
type scanner struct {
	b  []byte
	at int
}

// Scan reads a CloudEvent in structured mode. What it does not know it passes over
// without looking at it closely.
func (e *Event) Scan(value []byte) error {
	*e = Event{}
	s := scanner{b: value}
	err := s.object(func(key []byte) error {
		switch string(key) {
		case "id":
			return s.text(&e.ID)
		case "type":
			return s.text(&e.Type)
		case "time":
			return s.text(&e.Time)
		case "partitionkey":
			return s.text(&e.Participant)
		case "data":
			return s.object(func(key []byte) error { return e.data(&s, key) })
		}
		return s.skip(0)
	})
	if err != nil {
		return fmt.Errorf("scan an event: byte %d: %w", s.at, err)
	}
	return nil
}

func (e *Event) data(s *scanner, key []byte) error {
	switch string(key) {
	case "metres":
		return s.integer(&e.Metres)
	case "points":
		return s.integer(&e.Points)
	case "clue":
		return s.text(&e.Clue)
	case "zone":
		return s.text(&e.Zone)
	case "device":
		return s.text(&e.Device)
	}
	return s.skip(0)
}

// next passes over blanks and returns the byte behind them, or 0 at the end.
func (s *scanner) next() byte {
	for ; s.at < len(s.b); s.at++ {
		switch s.b[s.at] {
		case ' ', '\t', '\n', '\r':
		default:
			return s.b[s.at]
		}
	}
	return 0
}

// take passes over one byte, which must be c.
func (s *scanner) take(c byte) error {
	switch got := s.next(); got {
	case c:
		s.at++
		return nil
	case 0:
		return errShort
	default:
		return fmt.Errorf("%q where %q belongs", got, c)
	}
}

// object calls member behind each key and its colon; member reads the value.
func (s *scanner) object(member func(key []byte) error) error {
	if err := s.take('{'); err != nil {
		return err
	}
	if s.next() == '}' {
		s.at++
		return nil
	}
	for {
		var key []byte
		if err := s.text(&key); err != nil {
			return err
		}
		if err := s.take(':'); err != nil {
			return err
		}
		if err := member(key); err != nil {
			return err
		}
		if s.next() == ',' {
			s.at++
			continue
		}
		return s.take('}')
	}
}

// text reads a string. One with an escape goes the long way.
func (s *scanner) text(to *[]byte) error {
	if err := s.take('"'); err != nil {
		return err
	}
	start, escaped := s.at, false
	for ; s.at < len(s.b); s.at++ {
		switch s.b[s.at] {
		case '"':
			*to = s.b[start:s.at]
			s.at++
			if !escaped {
				return nil
			}
			var long string
			if err := json.Unmarshal(s.b[start-1:s.at], &long); err != nil {
				return err
			}
			*to = []byte(long)
			return nil
		case '\\':
			escaped = true
			s.at++
		}
	}
	s.at = len(s.b)
	return errShort
}

// integer reads a whole number.
func (s *scanner) integer(to *int64) error {
	negative := s.next() == '-'
	if negative {
		s.at++
	}
	n, digits := int64(0), 0
	for ; s.at < len(s.b) && s.b[s.at] >= '0' && s.b[s.at] <= '9'; s.at++ {
		d := int64(s.b[s.at] - '0')
		if n > (math.MaxInt64-d)/10 {
			return errors.New("a number beyond 64 bits")
		}
		n, digits = n*10+d, digits+1
	}
	if digits == 0 {
		return errors.New("no whole number")
	}
	if negative {
		n = -n
	}
	*to = n
	return nil
}

// skip passes over a value of any kind.
func (s *scanner) skip(depth int) error {
	if depth > depthMax {
		return fmt.Errorf("nested deeper than %d", depthMax)
	}
	var text []byte
	switch s.next() {
	case 0:
		return errShort
	case '"':
		return s.text(&text)
	case '{':
		return s.object(func([]byte) error { return s.skip(depth + 1) })
	case '[':
		return s.array(depth)
	}
	start := s.at
	for s.at < len(s.b) && literal(s.b[s.at]) {
		s.at++
	}
	if s.at == start {
		return fmt.Errorf("%q where a value belongs", s.b[s.at])
	}
	return nil
}

func (s *scanner) array(depth int) error {
	s.at++
	if s.next() == ']' {
		s.at++
		return nil
	}
	for {
		if err := s.skip(depth + 1); err != nil {
			return err
		}
		if s.next() == ',' {
			s.at++
			continue
		}
		return s.take(']')
	}
}

// literal says that c may be of a number, true, false or null.
func literal(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == '-' || c == '+' || c == '.' || c == 'E'
}
