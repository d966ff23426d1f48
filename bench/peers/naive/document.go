package naive

import "github.com/veltrix/veltrix/bench/peers/hand"

// document is a state as the standard library writes it.
type document struct {
	Score  int64 `json:"score"`
	Walked int64 `json:"walked"`
	Steps  int64 `json:"steps"`
	*Ten
	Zone  string   `json:"zone"`
	Found []string `json:"found"`
	Last  string   `json:"last"`
}

// Ten are the members that only the ten rules have.
type Ten struct {
	Sprints int64  `json:"sprints"`
	Strolls int64  `json:"strolls"`
	Moves   int64  `json:"moves"`
	Bonus   int64  `json:"bonus"`
	Streak  int64  `json:"streak"`
	Longest int64  `json:"longest"`
	Device  string `json:"device"`
}

func documentOf(s *hand.State, ten bool) *document {
	d := &document{Score: s.Score, Walked: s.Walked, Steps: s.Steps, Zone: s.Zone, Found: s.Found, Last: s.Last}
	if d.Found == nil {
		d.Found = []string{}
	}
	if ten {
		d.Ten = &Ten{s.Sprints, s.Strolls, s.Moves, s.Bonus, s.Streak, s.Longest, s.Device}
	}
	return d
}

func (d *document) state() hand.State {
	s := hand.State{Score: d.Score, Walked: d.Walked, Steps: d.Steps, Zone: d.Zone, Found: d.Found, Last: d.Last}
	if t := d.Ten; t != nil {
		s.Sprints, s.Strolls, s.Moves, s.Bonus, s.Streak, s.Longest, s.Device = t.Sprints, t.Strolls, t.Moves, t.Bonus, t.Streak, t.Longest, t.Device
	}
	return s
}
