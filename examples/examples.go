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
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/veltrix/veltrix/examples/harbour"
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
)

const januaryEvents = 53_317

// seed makes the disorder in which Open sends the flights.
const seed = 2013

// Names lists the examples, the default first.
func Names() []string { return []string{"flights", "harbour"} }

// Open returns an example's rules file and its events: NDJSON of structured
// CloudEvents, count lines (repeats included), in the order in which a back end
// with an ordinary network would have sent them. All are within the grace of
// their rules, so none is late. The caller closes events.
//
// flights is January 2013, by event time, with reports held back for up to ten
// hours and some sent twice. harbour is a generated treasure hunt.
func Open(name string) (rules []byte, events io.ReadCloser, count int, err error) {
	if name != "flights" {
		return Sorted(name)
	}
	_, sorted, count, err := Sorted(name)
	if err != nil {
		return nil, nil, 0, err
	}
	defer sorted.Close()
	var sent bytes.Buffer
	repeats, err := Disorder(&sent, sorted, seed, FlightReports)
	if err != nil {
		return nil, nil, 0, fmt.Errorf("open the example %s: %w", name, err)
	}
	return flightsRules, io.NopCloser(&sent), count + repeats, nil
}

// Sorted is Open without the disorder added to real input: the flights by event
// time, each once. The harbour hunt has its disorder from its generator.
func Sorted(name string) (rules []byte, events io.ReadCloser, count int, err error) {
	switch name {
	case "flights":
		unpacked, err := zstd.NewReader(bytes.NewReader(january), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, nil, 0, fmt.Errorf("unpack January's flights: %w", err)
		}
		return flightsRules, unpacked.IOReadCloser(), januaryEvents, nil
	case "harbour":
		sent, err := harbour.Generate(harbour.Default())
		if err != nil {
			return nil, nil, 0, err
		}
		var lines bytes.Buffer
		if err := harbour.Write(&lines, sent); err != nil {
			return nil, nil, 0, err
		}
		return harbourRules, io.NopCloser(&lines), len(sent), nil
	}
	return nil, nil, 0, fmt.Errorf("there is no example %q: choose %s", name, strings.Join(Names(), " or "))
}
