package harbour

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

var names = []string{"ana", "ben", "cleo", "dan", "eva", "finn", "gus", "hana"}

var clues = []string{
	"anchor", "bell", "bollard", "buoy", "capstan", "chandlery", "compass", "crane",
	"customs-house", "dry-dock", "ferry", "figurehead", "fish-market", "fog-horn", "lock", "mermaid",
	"pilot-boat", "quay-7", "rope-walk", "sail-loft", "slipway", "tide-gauge", "tugboat", "warehouse-3",
}

// cluesToWin is what the rules ask for before the finish counts.
const cluesToWin = 12

// phone is a player's device: its clock, and where the network has holes.
type phone struct {
	player  string
	skew    time.Duration
	offline []window // apart from each other
	events  int
	team    int // events sent for the team
	own     int // events sent for the player
}

type window struct{ from, to time.Time }

// happening is one event as it really was.
type happening struct {
	at          time.Time // by a true clock
	phone       *phone
	kind        string
	participant string
	data        any
	id          string
	sequence    string
	heldBack    time.Duration // on request; 0 as a rule
}

// seen is the time that the phone's clock shows.
func (h *happening) seen() time.Time { return h.at.Add(h.phone.skew).Truncate(time.Millisecond) }

type (
	joined struct {
		Player string `json:"player"`
	}
	found struct {
		Clue     string  `json:"clue"`
		Player   string  `json:"player"`
		Distance float64 `json:"distance_m"`
		Points   int     `json:"points"`
		Photo    string  `json:"photo,omitempty"`
	}
	hint struct {
		Clue   string `json:"clue"`
		Player string `json:"player"`
		Cost   int    `json:"cost"`
	}
	finish struct {
		Player   string  `json:"player"`
		Distance float64 `json:"distance_m"`
	}
	walked struct {
		Metres int `json:"metres"`
	}
)

// team is one team's hunt while it is being played.
type team struct {
	random     *rand.Rand
	name       string
	phones     []*phone
	start, end time.Time
	happenings []happening
}

// play plays one team's hunt and returns what happened, in order of true time.
func play(random *rand.Rand, o *Options, number int) []happening {
	t := &team{
		random: random, name: fmt.Sprintf("team-%03d", number),
		start: o.Start.UTC(), end: o.Start.UTC().Add(o.Length),
	}
	for n := range o.Players {
		p := &phone{player: fmt.Sprintf("%s-%03d", names[n], number)}
		// Every second clock is really off, the others a little.
		off := skewMax
		if random.IntN(2) == 0 {
			off = skewMax / 10
		}
		p.skew = between(random, -off, off)
		for at := t.start; at.Before(t.end); {
			at = at.Add(time.Duration(random.ExpFloat64() * float64(offlineEvery)))
			p.lose(random, at)
		}
		t.phones = append(t.phones, p)
	}
	t.look()
	t.walk()
	slices.SortStableFunc(t.happenings, func(a, b happening) int { return a.at.Compare(b.at) })
	for i := range t.happenings {
		t.happenings[i].number(t.name)
	}
	return t.happenings
}

// number gives a happening its id and the phone's count for the participant.
func (h *happening) number(team string) {
	p := h.phone
	p.events++
	count := &p.own
	if h.participant == team {
		count = &p.team
	}
	*count++
	h.id, h.sequence = fmt.Sprintf("%s-%d", p.player, p.events), strconv.Itoa(*count)
}

// lose takes the network away from a phone for some seconds, unless it has
// lost it around then already: two holes never join into one that is longer
// than offlineMax.
func (p *phone) lose(random *rand.Rand, from time.Time) {
	hole := window{from, from.Add(between(random, offlineMin, offlineMax))}
	for _, w := range p.offline {
		if !hole.to.Before(w.from) && !w.to.Before(hole.from) {
			return
		}
	}
	p.offline = append(p.offline, hole)
}

func between(random *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(random.Int64N(int64(high-low)+1))
}

// metres is a distance with one decimal.
func (t *team) metres(low, high float64) float64 {
	return math.Round((low+t.random.Float64()*(high-low))*10) / 10
}

func (t *team) happens(at time.Time, p *phone, kind string, data any) {
	t.happenings = append(t.happenings, happening{at: at, phone: p, kind: kind, participant: t.name, data: data})
}

func (t *team) anyone() *phone { return t.phones[t.random.IntN(len(t.phones))] }

// look joins, finds clue after clue in the team's own order, and finishes.
func (t *team) look() {
	for _, p := range t.phones {
		// All press the button at the whistle: the first burst.
		t.happens(t.start.Add(between(t.random, 0, 10*time.Second)), p, "team.joined", joined{p.player})
	}
	at := t.start.Add(time.Minute)
	pace := between(t.random, 3*time.Minute, 11*time.Minute)
	for n, c := range t.random.Perm(len(clues)) {
		at = at.Add(pace/2 + time.Duration(t.random.ExpFloat64()*float64(pace)/2))
		if at.After(t.end) {
			return
		}
		if n == cluesToWin {
			t.reach(at)
			return
		}
		if n == cluesToWin-2 && t.random.IntN(10) == 0 {
			p := t.anyone() // some try the finish too early
			t.happens(at.Add(-40*time.Second), p, "finish.reached", finish{p.player, t.metres(1, 20)})
		}
		if t.random.IntN(4) == 0 {
			p := t.anyone()
			t.happens(at.Add(-between(t.random, 10*time.Second, time.Minute)), p, "hint.used",
				hint{clues[c], p.player, 5 * (1 + t.random.IntN(4))})
		}
		t.find(at, c)
	}
}

// find reports a clue: now and then from too far away first, often by two phones
// within seconds of each other.
func (t *team) find(at time.Time, c int) {
	points := 50 + 10*(c%6)
	p := t.anyone()
	if t.random.IntN(10) == 0 {
		t.happens(at.Add(-15*time.Second), p, "clue.found", found{clues[c], p.player, t.metres(26, 80), points, ""})
	}
	report := found{clues[c], p.player, t.metres(1, 24), points, ""}
	if t.random.IntN(3) == 0 {
		report.Photo = p.player + "-" + clues[c] + ".jpg"
	}
	t.happens(at, p, "clue.found", report)
	if t.random.IntN(3) == 0 {
		p.lose(t.random, at.Add(-time.Second)) // clues hang where the network does not reach
	}
	other := t.anyone()
	if other != p {
		// The difference of two clocks can be larger than this, so that the
		// second to press is the first by its time.
		later := at.Add(between(t.random, 300*time.Millisecond, 6*time.Second))
		t.happens(later, other, "clue.found", found{clues[c], other.player, t.metres(1, 24), points, ""})
	}
}

// reach brings everyone to the finish, all pressing at once.
func (t *team) reach(at time.Time) {
	for _, p := range t.phones {
		t.happens(at.Add(between(t.random, 0, 4*time.Second)), p, "finish.reached", finish{p.player, t.metres(1, 20)})
	}
}

// walk reports the metres of each player, every three minutes or so, for the
// player and not for the team.
func (t *team) walk() {
	for _, p := range t.phones {
		at := t.start.Add(between(t.random, time.Minute, 4*time.Minute))
		for at.Before(t.end) {
			t.happenings = append(t.happenings, happening{
				at: at, phone: p, kind: "player.walked", participant: p.player,
				data: walked{60 + t.random.IntN(240)},
			})
			at = at.Add(between(t.random, 2*time.Minute, 4*time.Minute))
		}
	}
}
