// Package quiz generates a quiz night in the pubs of a town: everybody answers
// within the same seconds, through whichever replica of the back end is free,
// and each replica has its own clock.
//
// The invariant: the same Options give the same events, byte for byte, sorted by
// their time and each once. How they are delayed and repeated on the way is not
// this package's business.
package quiz

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"
)

// How the evening runs. The bell rings 20 s after a question (rules.yaml).
const (
	rounds    = 4
	questions = 8 // of each round
	every     = 45 * time.Second
	pause     = 5 * time.Minute // between two rounds
	skewMax   = time.Second     // how far a replica's clock is off, either way
)

var (
	pubs  = []string{"anchor", "crown", "swan"}
	teams = []string{"owls", "foxes", "herons", "badgers", "otters", "magpies", "newts", "hares"}
)

// Options says which quiz to generate.
type Options struct {
	Seed     uint64
	Players  int       // 1 to 10,000
	Replicas int       // of the back end, 1 to 100
	Start    time.Time // of the evening, which lasts some 40 minutes
}

// Default is a Friday evening with 180 players and 3 replicas.
func Default() Options {
	return Options{Seed: 11, Players: 180, Replicas: 3, Start: time.Date(2025, 11, 7, 20, 0, 0, 0, time.UTC)}
}

func (o *Options) validate() error {
	switch {
	case o.Players < 1 || o.Players > 10_000:
		return fmt.Errorf("players is %d: give 1 to 10000", o.Players)
	case o.Replicas < 1 || o.Replicas > 100:
		return fmt.Errorf("replicas is %d: give 1 to 100", o.Replicas)
	case o.Start.IsZero():
		return fmt.Errorf("start is missing: give a time")
	}
	return nil
}

// Event is a structured CloudEvent; its fields stand as they are written.
type Event struct {
	SpecVersion  string `json:"specversion"`
	ID           string `json:"id"`
	Source       string `json:"source"` // the replica that took it from the phone
	Type         string `json:"type"`
	Time         string `json:"time"` // by that replica's clock
	PartitionKey string `json:"partitionkey"`
	Data         any    `json:"data"`

	at  time.Time // as Time
	tap int       // in the order in which they really were, within a player
}

type (
	entered struct {
		Team string `json:"team"`
		Pub  string `json:"pub"`
	}
	answered struct {
		Question string    `json:"question"`
		Asked    time.Time `json:"asked"`
		Correct  bool      `json:"correct"`
		Level    int       `json:"level"`
	}
	joker struct {
		Question string `json:"question"`
		Kind     string `json:"kind"`
	}
	nothing struct{}
)

// night is the evening while it is being played.
type night struct {
	random *rand.Rand
	skews  []time.Duration // of the replicas' clocks
	taken  []int           // events that each replica has taken
	taps   int             // of all players
	events []Event
}

// Generate plays the quiz and returns its events in the order of their times.
func Generate(o Options) ([]Event, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("generate the quiz: %w", err)
	}
	n := night{random: rand.New(rand.NewPCG(o.Seed, 0xa0761d6478bd642f)), taken: make([]int, o.Replicas)}
	for range o.Replicas {
		n.skews = append(n.skews, n.between(-skewMax, skewMax))
	}
	for p := range o.Players {
		n.play(fmt.Sprintf("player-%03d", p+1), o.Start.UTC(), p)
	}
	slices.SortStableFunc(n.events, func(a, b Event) int { return a.at.Compare(b.at) })
	return n.events, nil
}

// Write writes events as NDJSON.
func Write(w io.Writer, events []Event) error {
	out := bufio.NewWriterSize(w, 1<<20)
	lines := json.NewEncoder(out)
	for i := range events {
		if err := lines.Encode(&events[i]); err != nil {
			return fmt.Errorf("write event %s: %w", events[i].ID, err)
		}
	}
	return out.Flush()
}

func (n *night) between(low, high time.Duration) time.Duration {
	return low + time.Duration(n.random.Int64N(int64(high-low)+1))
}

// chance is true in so many of a hundred cases.
func (n *night) chance(percent int) bool { return n.random.IntN(100) < percent }

// happens takes an event of a player by a replica: the balancer gives every
// request to another one, so a player's events are stamped by several clocks.
func (n *night) happens(at time.Time, player, kind string, data any) {
	replica := n.random.IntN(len(n.skews))
	n.taken[replica]++
	n.taps++
	seen := at.Add(n.skews[replica]).Truncate(time.Millisecond)
	n.events = append(n.events, Event{
		SpecVersion: "1.0", ID: fmt.Sprintf("%d-%s", n.taken[replica], player),
		Source: fmt.Sprintf("/quiz/replica-%d", replica+1), Type: kind,
		Time: seen.Format("2006-01-02T15:04:05.000Z"), PartitionKey: player, Data: data, at: seen, tap: n.taps,
	})
}

// play plays one player's evening. Some come a round late, some leave early, and
// some close the application without leaving.
func (n *night) play(player string, start time.Time, number int) {
	first, last := 0, rounds
	if n.chance(10) {
		first = 1
	}
	if n.chance(15) {
		last = rounds - 1
	}
	skill := 35 + n.random.IntN(55) // percent of the easy questions
	length := questions*every + pause
	in := start.Add(time.Duration(first)*length + n.between(0, 40*time.Second))
	n.happens(in, player, "player.entered", entered{teams[number/len(pubs)%len(teams)], pubs[number%len(pubs)]})
	for round := first; round < last; round++ {
		for q := range questions {
			asked := start.Add(time.Minute + time.Duration(round)*length + time.Duration(q)*every)
			n.answer(player, answered{Question: fmt.Sprintf("q%d", round*questions+q+1), Asked: asked, Level: 1 + round}, skill)
		}
	}
	if n.chance(90) {
		n.happens(start.Add(time.Duration(last)*length).Add(n.between(0, 30*time.Second)), player, "round.left", nothing{})
	}
}

// answer answers a question, most within seconds: some not at all, some after
// the bell, some with a joker before it, and some twice in a hurry.
func (n *night) answer(player string, a answered, skill int) {
	if n.chance(4) {
		return
	}
	at := a.Asked.Add(n.between(2*time.Second, 15*time.Second))
	if n.chance(3) {
		at = a.Asked.Add(n.between(20*time.Second, 26*time.Second))
	}
	if n.chance(6) {
		kind := "half"
		if n.chance(50) {
			kind = "friend"
		}
		n.happens(at.Add(-time.Second), player, "joker.played", joker{a.Question, kind})
		skill += 20
	}
	a.Correct = n.chance(skill - 5*(a.Level-1))
	n.happens(at, player, "question.answered", a)
	if n.chance(5) {
		// Nearer together than two clocks: the second tap can be the first by time.
		a.Correct = !a.Correct
		n.happens(at.Add(n.between(100*time.Millisecond, 900*time.Millisecond)), player, "question.answered", a)
	}
}
