package hand

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// Load reads a state as one of the rules wrote it.
func Load(b []byte) (State, error) {
	var s State
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("read a state: %w", err)
	}
	return s, nil
}

// Output appends the notification that an event caused, as JSON.
func (r *Rules) Output(b []byte, e *Event, s *State) []byte {
	b = appendText(append(b, `{"id":`...), string(e.ID))
	b = append(b, `,"title":`...)
	b = appendText(b, "Clue "+string(e.Clue)+" found")
	b = append(b, `,"body":"`...)
	b = r.Body(b, s)
	return append(b, `"}`...)
}

func bodyCore(b []byte, s *State) []byte {
	b = strconv.AppendInt(b, s.Score, 10)
	b = append(b, " points and "...)
	b = strconv.AppendInt(b, s.Walked, 10)
	b = append(b, " m so far; "...)
	b = strconv.AppendInt(b, int64(len(s.Found)), 10)
	return append(b, " clues."...)
}

func bodyTen(b []byte, s *State) []byte {
	b = strconv.AppendInt(b, s.Score, 10)
	b = append(b, " points, "...)
	b = strconv.AppendInt(b, s.Bonus, 10)
	b = append(b, " more and "...)
	b = strconv.AppendInt(b, s.Walked, 10)
	b = append(b, " m so far; "...)
	b = strconv.AppendInt(b, int64(len(s.Found)), 10)
	return append(b, " clues."...)
}

func appendCore(b []byte, s *State) []byte {
	b = number(append(b, '{'), `"score":`, s.Score)
	b = number(b, `,"walked":`, s.Walked)
	b = number(b, `,"steps":`, s.Steps)
	return append(s.rest(append(b, ',')), '}')
}

func appendTen(b []byte, s *State) []byte {
	b = number(append(b, '{'), `"score":`, s.Score)
	b = number(b, `,"walked":`, s.Walked)
	b = number(b, `,"steps":`, s.Steps)
	b = number(b, `,"sprints":`, s.Sprints)
	b = number(b, `,"strolls":`, s.Strolls)
	b = number(b, `,"moves":`, s.Moves)
	b = number(b, `,"bonus":`, s.Bonus)
	b = number(b, `,"streak":`, s.Streak)
	b = number(b, `,"longest":`, s.Longest)
	b = appendText(append(b, `,"device":`...), s.Device)
	return append(s.rest(append(b, ',')), '}')
}

// rest appends the members that both have last.
func (s *State) rest(b []byte) []byte {
	b = appendText(append(b, `"zone":`...), s.Zone)
	b = append(b, `,"found":[`...)
	for i, clue := range s.Found {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, clue)
	}
	return appendText(append(b, `],"last":`...), s.Last)
}

func number(b []byte, name string, n int64) []byte {
	return strconv.AppendInt(append(b, name...), n, 10)
}

// appendText appends a JSON string. One that needs an escape goes the long way.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			long, err := json.Marshal(s)
			if err != nil {
				panic(err) // a string always has one
			}
			return append(b, long...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
