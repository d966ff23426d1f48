package flights

import (
	"fmt"
	"time"
	_ "time/tzdata" // the machine that converts may have no zone files
)

// atlantic is the zone of the four airports that airports.csv does not hold:
// Atlantic Standard Time, the whole year round.
var atlantic = time.FixedZone("AST", -4*60*60)

var withoutEntry = map[string]*time.Location{
	"SJU": atlantic, // San Juan, Puerto Rico
	"BQN": atlantic, // Aguadilla, Puerto Rico
	"PSE": atlantic, // Ponce, Puerto Rico
	"STT": atlantic, // Charlotte Amalie, U.S. Virgin Islands
}

// instants returns the moments at which a clock in zone shows hhmm on the given
// day: one as a rule, two in the hour that autumn repeats, none in the hour
// that spring leaves out. hhmm is hours and minutes as one number; 2400 is the
// midnight that ends the day.
func instants(day time.Time, hhmm int, zone *time.Location) []time.Time {
	wall := time.Date(day.Year(), day.Month(), day.Day(), hhmm/100, hhmm%100, 0, 0, time.UTC)
	var found []time.Time
	// Any change of the clock lies between the offsets half a day to either
	// side, so one of the two holds.
	for _, near := range []time.Duration{-12 * time.Hour, 12 * time.Hour} {
		_, offset := wall.Add(near).In(zone).Zone()
		at := wall.Add(-time.Duration(offset) * time.Second)
		if _, really := at.In(zone).Zone(); really != offset {
			continue
		}
		if len(found) == 0 || !found[0].Equal(at) {
			found = append(found, at)
		}
	}
	return found
}

// nearest returns the moment closest to target at which a clock in zone shows
// hhmm on the day before, on, or on one of the two days after day. The file
// gives a time of day without its date: a flight of 23:50 that leaves at 00:20
// does so on the next day, and one of 00:05 may leave the evening before.
func nearest(target, day time.Time, hhmm int, zone *time.Location) (time.Time, error) {
	if hhmm < 0 || hhmm > 2400 || hhmm%100 > 59 {
		return time.Time{}, fmt.Errorf("%04d is no time of day", hhmm)
	}
	var best time.Time
	for shift := -1; shift <= 2; shift++ {
		for _, at := range instants(day.AddDate(0, 0, shift), hhmm, zone) {
			if best.IsZero() || at.Sub(target).Abs() < best.Sub(target).Abs() {
				best = at
			}
		}
	}
	if best.IsZero() {
		return best, fmt.Errorf("%04d is shown by no clock around %s", hhmm, day.Format(time.DateOnly))
	}
	return best, nil
}

// scheduled returns the moment at which a clock in zone shows hhmm on day. In
// the hour that spring leaves out it is what the clock would have shown, had it
// not been moved.
func scheduled(day time.Time, hhmm int, zone *time.Location) time.Time {
	if found := instants(day, hhmm, zone); len(found) > 0 {
		return found[0]
	}
	return time.Date(day.Year(), day.Month(), day.Day(), hhmm/100, hhmm%100, 0, 0, zone)
}
