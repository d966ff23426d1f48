package delivery

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
	_ "time/tzdata" // participants' time zones are known where the machine has no list of them
)

// Preferences say by which channels and when a participant wants to be reached.
// The zero value wants everything at all times.
type Preferences struct {
	// TimeZone is a name of the IANA list, such as Europe/Berlin; empty is UTC.
	TimeZone   string      `json:"time_zone,omitempty"`
	QuietHours *QuietHours `json:"quiet_hours,omitempty"`
	// Classes narrow down by which of its channels a class may reach the
	// participant's devices. A class that is not named may use all of them.
	Classes map[string]ClassPreference `json:"classes,omitempty"`
}

// QuietHours is a stretch of each day on the clock of the time zone. It may go over
// midnight.
type QuietHours struct {
	From string `json:"from"` // 22:00
	To   string `json:"to"`   // 07:00
}

// ClassPreference is of one class.
type ClassPreference struct {
	// Channels may reach the participant; none mutes the class. The inbox has
	// it in any case.
	Channels []string `json:"channels"`
}

// DigestClass is the class that digests have.
const DigestClass = "digest"

const preferenceClassesMax = 200

var (
	dayTime   = regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]$`)
	className = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)
)

// IsZero reports whether they say nothing.
func (p *Preferences) IsZero() bool {
	return p.TimeZone == "" && p.QuietHours == nil && len(p.Classes) == 0
}

// Check says what is wrong with preferences, for who wrote them.
func (p *Preferences) Check() error {
	if _, err := p.zone(); err != nil {
		return fmt.Errorf("time_zone %.80q is not a name of the IANA list: write one like Europe/Berlin", p.TimeZone)
	}
	if q := p.QuietHours; q != nil {
		switch {
		case !dayTime.MatchString(q.From):
			return fmt.Errorf("quiet_hours.from %.80q is not a time like 22:00", q.From)
		case !dayTime.MatchString(q.To):
			return fmt.Errorf("quiet_hours.to %.80q is not a time like 07:00", q.To)
		case q.From == q.To:
			return errors.New("quiet_hours begin when they end: mute the classes instead")
		}
	}
	if len(p.Classes) > preferenceClassesMax {
		return fmt.Errorf("%d classes; at most %d are allowed", len(p.Classes), preferenceClassesMax)
	}
	for name, c := range p.Classes {
		if !className.MatchString(name) {
			return fmt.Errorf("%.80q cannot be the name of a class", name)
		}
		if c.Channels == nil { // most likely forgotten, and it would mute the class
			return fmt.Errorf(`class %s has no channels: name those that may be used, or write "channels": [] to mute it`, name)
		}
		if len(c.Channels) > channelsMax {
			return fmt.Errorf("class %s has %d channels; at most %d are allowed", name, len(c.Channels), channelsMax)
		}
		for _, channel := range c.Channels {
			if !className.MatchString(channel) {
				return fmt.Errorf("class %s: %.80q cannot be the name of a channel", name, channel)
			}
		}
	}
	return nil
}

func (p *Preferences) zone() (*time.Location, error) {
	if p.TimeZone == "Local" || p.TimeZone == "localtime" { // the notifier's, which says nothing about a participant
		return nil, errors.New("not a time zone")
	}
	return time.LoadLocation(p.TimeZone)
}

// allows reports whether a class may reach the participant by a channel.
func (p *Preferences) allows(class, channel string) bool {
	c, named := p.Classes[class]
	return !named || slices.Contains(c.Channels, channel)
}

// quietUntil returns the end of the quiet hours that now is in, or false: the first
// moment at which a clock in the time zone is not within them. So where it is put
// forward over their end, they end as it is, and where it is put back, at the first
// of two such ends.
func (p *Preferences) quietUntil(now time.Time) (time.Time, bool) {
	q := p.QuietHours
	if q == nil {
		return time.Time{}, false
	}
	zone, err := p.zone()
	if err != nil {
		return time.Time{}, false // was checked when it was written
	}
	end, err := time.Parse("15:04", q.To)
	if err != nil {
		return time.Time{}, false
	}
	from := now.In(zone).Truncate(time.Second)
	for q.hold(from) {
		hour, minute, second := from.Clock()
		left := end.Sub(time.Date(end.Year(), end.Month(), end.Day(), hour, minute, second, 0, time.UTC))
		if left <= 0 { // tomorrow
			left += 24 * time.Hour
		}
		until := from.Add(left)
		_, change := from.ZoneBounds()
		if change.IsZero() || until.Before(change) {
			return until, true
		}
		from = change // where the clock shows another time than it would have
	}
	return from, from.After(now)
}

// hold reports whether a clock shows a time within them.
func (q *QuietHours) hold(local time.Time) bool {
	clock := local.Format("15:04")
	if q.From > q.To { // over midnight
		return clock >= q.From || clock < q.To
	}
	return clock >= q.From && clock < q.To
}
