// Package examples holds the example hunts, rules and input, so that a binary
// runs them without any file.
//
// The invariant: the same name gives the same bytes, whenever and wherever it
// is opened.
package examples

import (
	"bytes"
	_ "embed" // the rules and January's flights
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/veltrix/veltrix/examples/harbour"
	"github.com/veltrix/veltrix/examples/quiz"
)

// January's flights, as examples/flights/convert writes them, and how many
// events there are. A test holds the number against the file.
var (
	//go:embed flights/2013-01.ndjson.zst
	january []byte
	//go:embed flights/rules.yaml
	flightsRules []byte
	//go:embed harbour/rules.yaml
	harbourRules []byte
	//go:embed quiz/rules.yaml
	quizRules []byte
)

const januaryEvents = 53_317

// seed makes the disorder in which Open sends what Sorted has.
const seed = 2013

// Example is one of the hunts.
type Example struct {
	Name  string
	About string // what it shows, in a line
	// TryType and TryData are the type and the data, in JSON, of an event that
	// its rules take.
	TryType, TryData string

	rules  []byte
	sorted func() (events io.ReadCloser, count int, err error)
	delays *Delays // nil: sorted has the disorder of the way already
}

var all = []Example{
	{
		Name:    "flights",
		About:   "January 2013 from New York: 53,317 real flights that land late, 3,148 aircraft that collect airports",
		TryType: "flight.arrived",
		TryData: `{"origin":"JFK","dest":"HNL","carrier":"HA","flight":51,"delay":75,"distance":4983}`,
		rules:   flightsRules, sorted: flights, delays: &FlightReports,
	},
	{
		Name:    "harbour",
		About:   "a treasure hunt over a bad network: 38,192 events of 200 teams and 800 players with skewed clocks",
		TryType: "clue.found",
		TryData: `{"clue":"the old crane","player":"you","distance_m":5,"points":10}`,
		rules:   harbourRules, sorted: hunt,
	},
	{
		Name:    "quiz",
		About:   "a live quiz: 180 players answer within the same seconds, by three replicas of a back end",
		TryType: "player.entered",
		TryData: `{"team":"owls","pub":"swan"}`,
		rules:   quizRules, sorted: night, delays: &QuizAnswers,
	},
}

// All returns the examples, the default first.
func All() []Example { return slices.Clone(all) }

// Names lists the examples, the default first.
func Names() []string {
	var names []string
	for _, e := range all {
		names = append(names, e.Name)
	}
	return names
}

// Find returns the example of a name; the error for another name lists those
// that there are.
func Find(name string) (*Example, error) {
	for i := range all {
		if all[i].Name == name {
			return &all[i], nil
		}
	}
	names := Names()
	last := len(names) - 1
	return nil, fmt.Errorf("there is no example %q: choose %s or %s", name, strings.Join(names[:last], ", "), names[last])
}

// Open returns an example's rules file and its events: NDJSON of structured
// CloudEvents, count lines (repeats included), in the order in which a back end
// with an ordinary network would have sent them. All are within the grace of
// their rules, so none is late. The caller closes events.
func Open(name string) (rules []byte, events io.ReadCloser, count int, err error) {
	e, err := Find(name)
	if err != nil {
		return nil, nil, 0, err
	}
	sorted, count, err := e.sorted()
	if err != nil || e.delays == nil {
		return e.rules, sorted, count, err
	}
	defer sorted.Close()
	var sent bytes.Buffer
	repeats, err := Disorder(&sent, sorted, seed, *e.delays)
	if err != nil {
		return nil, nil, 0, fmt.Errorf("open the example %s: %w", name, err)
	}
	return e.rules, io.NopCloser(&sent), count + repeats, nil
}

// Sorted is Open without the disorder that Open adds: the flights and the quiz
// by event time, each event once. The harbour hunt has its disorder from its
// generator, and is the same from both.
func Sorted(name string) (rules []byte, events io.ReadCloser, count int, err error) {
	e, err := Find(name)
	if err != nil {
		return nil, nil, 0, err
	}
	events, count, err = e.sorted()
	return e.rules, events, count, err
}

func flights() (io.ReadCloser, int, error) {
	unpacked, err := zstd.NewReader(bytes.NewReader(january), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, 0, fmt.Errorf("unpack January's flights: %w", err)
	}
	return unpacked.IOReadCloser(), januaryEvents, nil
}

func hunt() (io.ReadCloser, int, error) {
	sent, err := harbour.Generate(harbour.Default())
	if err != nil {
		return nil, 0, err
	}
	var lines bytes.Buffer
	err = harbour.Write(&lines, sent)
	return io.NopCloser(&lines), len(sent), err
}

func night() (io.ReadCloser, int, error) {
	events, err := quiz.Generate(quiz.Default())
	if err != nil {
		return nil, 0, err
	}
	var lines bytes.Buffer
	err = quiz.Write(&lines, events)
	return io.NopCloser(&lines), len(events), err
}
