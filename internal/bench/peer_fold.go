package bench

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
)

// arrival is a workload's fold in the order of arrival, in which a copy is an event:
// what peers are held against. It shares no code with them and none with the product.
type arrival struct {
	apply   func(s *arrivalState, e *arrivalEvent) (body string, notifies bool)
	ten     bool
	states  map[string]*arrivalState
	outputs map[string][]arrivalOutput // by the event's id, as often as it came
	count   int64                      // of the outputs
}

// arrivalEvent is what the rules read.
type arrivalEvent struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	Time string `json:"time"`
	Data struct {
		Metres int64  `json:"metres"`
		Zone   string `json:"zone"`
		Device string `json:"device"`
		Clue   string `json:"clue"`
		Points int64  `json:"points"`
	} `json:"data"`
}

// arrivalState is a participant's.
type arrivalState struct {
	Score  int64    `json:"score"`
	Walked int64    `json:"walked"`
	Steps  int64    `json:"steps"`
	Zone   string   `json:"zone"`
	Found  []string `json:"found"`
	Last   string   `json:"last"`
	arrivalTen
}

// arrivalTen is what only the ten rules keep.
type arrivalTen struct {
	Sprints, Strolls, Moves, Bonus, Streak, Longest int64
	Device                                          string
}

// arrivalOutput is a notification where it belongs.
type arrivalOutput struct {
	Partition   int32
	Participant string
	Title, Body string
}

// newArrival folds a workload whole.
func newArrival(w *Workload, partitions int32) (*arrival, error) {
	a := &arrival{apply: arriveCore, states: map[string]*arrivalState{}, outputs: map[string][]arrivalOutput{}}
	if w.rulesName() == "ten" {
		a.apply, a.ten = arriveTen, true
	}
	return a, w.Each(partitions, a.feed)
}

// feed folds a record.
func (a *arrival) feed(r *kgo.Record) error {
	var e arrivalEvent
	if err := json.Unmarshal(r.Value, &e); err != nil {
		return fmt.Errorf("fold in the order of arrival: %w", err)
	}
	s := a.states[string(r.Key)]
	if s == nil {
		s = &arrivalState{Found: []string{}}
		a.states[string(r.Key)] = s
	}
	if body, notifies := a.apply(s, &e); notifies {
		a.outputs[e.ID] = append(a.outputs[e.ID], arrivalOutput{r.Partition, string(r.Key), "Clue " + e.Data.Clue + " found", body})
		a.count++
	}
	return nil
}

// json is a state as a peer is to write it.
func (a *arrival) json(s *arrivalState) ([]byte, error) {
	members := map[string]any{"score": s.Score, "walked": s.Walked, "steps": s.Steps, "zone": s.Zone, "found": s.Found, "last": s.Last}
	if a.ten {
		members["sprints"], members["strolls"], members["moves"], members["bonus"] = s.Sprints, s.Strolls, s.Moves, s.Bonus
		members["streak"], members["longest"], members["device"] = s.Streak, s.Longest, s.Device
	}
	return json.Marshal(members)
}

func (s *arrivalState) find(clue string) {
	if !slices.Contains(s.Found, clue) {
		s.Found = append(s.Found, clue)
		slices.Sort(s.Found)
	}
}

func arriveCore(s *arrivalState, e *arrivalEvent) (string, bool) {
	d := &e.Data
	switch {
	case e.Type == "player.walked" && d.Metres > 0:
		s.Walked, s.Steps, s.Zone, s.Last = s.Walked+d.Metres, s.Steps+1, d.Zone, e.Time
	case e.Type == "clue.found":
		s.find(d.Clue)
		s.Score, s.Last = s.Score+d.Points, e.Time
		return fmt.Sprintf("%d points and %d m so far; %d clues.", s.Score, s.Walked, len(s.Found)), true
	}
	return "", false
}

// arriveTen follows the order of the rules in rules_ten.yaml.
func arriveTen(s *arrivalState, e *arrivalEvent) (string, bool) {
	d, walked := &e.Data, e.Type == "player.walked"
	when := func(is bool, n *int64, by int64) {
		if is {
			*n += by
		}
	}
	if walked {
		when(d.Metres > 0, &s.Walked, d.Metres)
		when(true, &s.Steps, 1)
		when(d.Metres >= 60 && s.Walked > 500, &s.Sprints, 1)
		when(d.Metres < 20 || d.Zone == "harbour-7", &s.Strolls, 1)
	} else {
		s.find(d.Clue)
		when(true, &s.Score, d.Points)
		when(d.Points > 80, &s.Bonus, d.Points/10)
		when(!slices.Contains(s.Found, d.Clue), &s.Bonus, 1)
		when(len(s.Found) >= 20, &s.Bonus, 2)
	}
	when(d.Zone != s.Zone, &s.Moves, 1)
	s.Zone, s.Device = d.Zone, d.Device
	if walked {
		when(s.Steps%10 == 0 && len(s.Found) > 2, &s.Bonus, 5)
		when(d.Metres > 10, &s.Streak, 1)
		s.Longest = max(s.Longest, s.Streak)
	} else {
		s.Streak = 0
	}
	s.Last = e.Time
	return fmt.Sprintf("%d points, %d more and %d m so far; %d clues.", s.Score, s.Bonus, s.Walked, len(s.Found)), !walked
}
