package hand

import (
	"fmt"
	"slices"
)

// State is a participant's. Found is sorted, and never changed in place: a copy of
// a State may share it.
type State struct {
	Score, Walked, Steps                            int64
	Sprints, Strolls, Moves, Bonus, Streak, Longest int64
	Zone, Device                                    string
	Found                                           []string
	Last                                            string
}

// Rules are a fold with the way its states and notifications are written.
type Rules struct {
	// Apply folds an event into a participant's state, in the order of arrival, and
	// says whether it notifies.
	Apply func(s *State, e *Event) (notifies bool)
	// Body appends a notification's.
	Body func(b []byte, s *State) []byte
	// State appends a state as JSON.
	State func(b []byte, s *State) []byte
	Ten   bool // a state has the members that only the ten rules have
}

// The hunts of the workloads: a rule or two for an event, and ten.
var (
	core = Rules{Apply: applyCore, Body: bodyCore, State: appendCore}
	ten  = Rules{Apply: applyTen, Body: bodyTen, State: appendTen, Ten: true}
)

// RulesFor returns the rules of that name.
func RulesFor(name string) (*Rules, error) {
	switch name {
	case "core":
		return &core, nil
	case "ten":
		return &ten, nil
	}
	return nil, fmt.Errorf("there are the rules core and ten, not %q", name)
}

// with returns the set with a clue in it.
func with(found []string, clue []byte) []string {
	at, is := slices.BinarySearchFunc(found, clue, func(s string, b []byte) int {
		switch {
		case s < string(b):
			return -1
		case s > string(b):
			return 1
		}
		return 0
	})
	if is {
		return found
	}
	grown := make([]string, 0, len(found)+1)
	grown = append(append(grown, found[:at]...), string(clue))
	return append(grown, found[at:]...)
}

func applyCore(s *State, e *Event) bool {
	switch string(e.Type) {
	case "player.walked":
		if e.Metres <= 0 {
			return false
		}
		s.Walked += e.Metres
		s.Steps++
		s.zone(e)
		s.Last = string(e.Time)
	case "clue.found":
		s.Found = with(s.Found, e.Clue)
		s.Score += e.Points
		s.Last = string(e.Time)
		return true
	}
	return false
}

// zone notes where an event was, and says whether that is elsewhere.
func (s *State) zone(e *Event) bool {
	if s.Zone == string(e.Zone) {
		return false
	}
	s.Zone = string(e.Zone)
	return true
}

func (s *State) device(e *Event) {
	if s.Device != string(e.Device) {
		s.Device = string(e.Device)
	}
}

func applyTen(s *State, e *Event) bool {
	switch string(e.Type) {
	case "player.walked":
		s.walk(e)
	case "clue.found":
		s.find(e)
		return true
	}
	return false
}

// walk is the ten rules of an event player.walked, each seeing what those before it did.
func (s *State) walk(e *Event) {
	if e.Metres > 0 {
		s.Walked += e.Metres
	}
	s.Steps++
	if e.Metres >= 60 && s.Walked > 500 {
		s.Sprints++
	}
	if e.Metres < 20 || string(e.Zone) == "harbour-7" {
		s.Strolls++
	}
	if s.zone(e) {
		s.Moves++
	}
	s.device(e)
	if s.Steps%10 == 0 && len(s.Found) > 2 {
		s.Bonus += 5
	}
	if e.Metres > 10 {
		s.Streak++
	}
	if s.Streak > s.Longest {
		s.Longest = s.Streak
	}
	s.Last = string(e.Time)
}

// find is the rules of an event clue.found. The one named "new" has no effect: the
// clue was added before it looks.
func (s *State) find(e *Event) {
	s.Found = with(s.Found, e.Clue)
	s.Score += e.Points
	if e.Points > 80 {
		s.Bonus += e.Points / 10
	}
	if len(s.Found) >= 20 {
		s.Bonus += 2
	}
	if s.zone(e) {
		s.Moves++
	}
	s.device(e)
	s.Streak = 0
	s.Last = string(e.Time)
}
