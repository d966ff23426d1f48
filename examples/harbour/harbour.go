// Package harbour generates a treasure hunt round a harbour, as the phones of
// its players send it over a bad network: buffered, in bursts, by skewed clocks,
// and repeated by a gateway that did not hear the answer.
//
// The invariant: the same Options give the same bytes; and no event is further
// behind its participant's newest than the grace of the rules, unless
// Options.Late asks for it.
package harbour

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"
)

// What the network may do. The sum of the longest way and of the difference of
// two clocks stays below the grace of rules.yaml (30 s), which a test checks.
const (
	skewMax      = 5 * time.Second // how far a clock is off, either way
	offlineMin   = 2 * time.Second
	offlineMax   = 15 * time.Second
	offlineEvery = 3 * time.Minute // mean time between two holes in the network
	latencyMin   = 50 * time.Millisecond
	latencyMax   = 600 * time.Millisecond
	retryAfter   = time.Second // doubled each time
	retriesMax   = 2
	retryShare   = 0.06 // of requests whose answer is lost, each time
)

// Options says which hunt to generate.
type Options struct {
	Seed    uint64
	Teams   int           // 1 to 10,000
	Players int           // per team, 1 to 8
	Start   time.Time     // of the hunt
	Length  time.Duration // after which nobody looks any more; 10 min to 24 h
	Late    int           // events to hold back until they are late
}

// Default is a hunt of 200 teams in two hours of a June morning.
func Default() Options {
	return Options{
		Seed: 7, Teams: 200, Players: 4, Length: 2 * time.Hour,
		Start: time.Date(2025, 6, 14, 9, 0, 0, 0, time.UTC),
	}
}

func (o *Options) validate() error {
	switch {
	case o.Teams < 1 || o.Teams > 10_000:
		return fmt.Errorf("teams is %d: give 1 to 10000", o.Teams)
	case o.Players < 1 || o.Players > len(names):
		return fmt.Errorf("players is %d: give 1 to %d", o.Players, len(names))
	case o.Length < 10*time.Minute || o.Length > 24*time.Hour:
		return fmt.Errorf("length is %s: give 10m to 24h", o.Length)
	case o.Late < 0:
		return fmt.Errorf("late is %d: give 0 or more", o.Late)
	case o.Start.IsZero():
		return fmt.Errorf("start is missing: give a time")
	}
	return nil
}

// Record is one sending of one event.
type Record struct {
	Sent        time.Time // when the gateway sends it
	Time        time.Time // the event's own time, by the phone's clock
	Participant string
	Line        []byte // a structured CloudEvent, without the line's end
	Repeat      bool   // the gateway has sent it before
	Late        bool   // held back on request
}

// Generate plays the hunt and returns its events in the order in which they are
// sent.
func Generate(o Options) ([]Record, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("generate the harbour hunt: %w", err)
	}
	random := rand.New(rand.NewPCG(o.Seed, 0xd1b54a32d192ed03))
	var played []happening
	for n := range o.Teams {
		played = append(played, play(random, &o, n+1)...)
	}
	if err := holdBack(random, played, o.Late); err != nil {
		return nil, fmt.Errorf("generate the harbour hunt: %w", err)
	}
	records := make([]Record, 0, len(played)+len(played)/8)
	for i := range played {
		var err error
		if records, err = appendSendings(random, records, &played[i]); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(records, func(a, b Record) int { return a.Sent.Compare(b.Sent) })
	return records, nil
}

// Write writes the records' events as NDJSON.
func Write(w io.Writer, records []Record) error {
	out := bufio.NewWriterSize(w, 1<<20)
	for i := range records {
		if _, err := out.Write(records[i].Line); err != nil {
			return err
		}
		if err := out.WriteByte('\n'); err != nil {
			return err
		}
	}
	return out.Flush()
}

// Summary counts what a hunt's network did.
type Summary struct {
	Sendings, Events, Repeats, Late int
	Participants                    int
	// Disordered counts events behind the newest of their participant when first
	// sent. LagMax is the furthest of all sendings (those held back on request
	// apart).
	Disordered int
	LagMax     time.Duration
}

// Summarize counts records in the order in which they are sent.
func Summarize(records []Record) Summary {
	s := Summary{Sendings: len(records)}
	newest := map[string]time.Time{}
	for i := range records {
		r := &records[i]
		switch {
		case r.Repeat:
			s.Repeats++
		case r.Late:
			s.Late++
		}
		lag := newest[r.Participant].Sub(r.Time)
		if lag <= 0 {
			newest[r.Participant] = r.Time
			continue
		}
		if !r.Repeat {
			s.Disordered++
		}
		if !r.Late {
			s.LagMax = max(s.LagMax, lag)
		}
	}
	s.Events, s.Participants = s.Sendings-s.Repeats, len(newest)
	return s
}

// event is a structured CloudEvent; its fields stand as they are written.
type event struct {
	SpecVersion  string `json:"specversion"`
	ID           string `json:"id"`
	Source       string `json:"source"`
	Type         string `json:"type"`
	Time         string `json:"time"`
	PartitionKey string `json:"partitionkey"`
	Sequence     string `json:"sequence"`
	Data         any    `json:"data"`
}

func (h *happening) line() ([]byte, error) {
	line, err := json.Marshal(event{
		SpecVersion:  "1.0",
		ID:           h.id,
		Source:       "/harbour/phone/" + h.phone.player,
		Type:         h.kind,
		Time:         h.seen().Format("2006-01-02T15:04:05.000Z"),
		PartitionKey: h.participant,
		Sequence:     h.sequence,
		Data:         h.data,
	})
	if err != nil {
		return nil, fmt.Errorf("write event %s: %w", h.id, err)
	}
	return line, nil
}
