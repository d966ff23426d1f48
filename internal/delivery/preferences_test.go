package delivery

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func quiet(zone, from, to string) Preferences {
	return Preferences{TimeZone: zone, QuietHours: &QuietHours{From: from, To: to}}
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

func TestQuietHours(t *testing.T) {
	t.Parallel()
	night, noon := quiet("Europe/Berlin", "22:00", "07:00"), quiet("Europe/Berlin", "12:00", "13:30")
	early, york := quiet("Europe/Berlin", "22:00", "02:30"), quiet("America/New_York", "22:00", "02:30")
	for name, x := range map[string]struct {
		p          Preferences
		now, until string // until is empty where it is not quiet
	}{
		"before":                    {night, "2026-05-04T21:59:59+02:00", ""},
		"their beginning":           {night, "2026-05-04T22:00:00+02:00", "2026-05-05T07:00:00+02:00"},
		"the evening":               {night, "2026-05-04T23:30:10+02:00", "2026-05-05T07:00:00+02:00"},
		"midnight":                  {night, "2026-05-05T00:00:00+02:00", "2026-05-05T07:00:00+02:00"},
		"the morning":               {night, "2026-05-05T06:59:59.5+02:00", "2026-05-05T07:00:00+02:00"},
		"their end":                 {night, "2026-05-05T07:00:00+02:00", ""},
		"the last day of a year":    {night, "2026-12-31T23:00:00+01:00", "2027-01-01T07:00:00+01:00"},
		"asked by another clock":    {night, "2026-05-04T20:30:00Z", "2026-05-05T07:00:00+02:00"},
		"within a day":              {noon, "2026-05-04T12:30:00+02:00", "2026-05-04T13:30:00+02:00"},
		"around, within a day":      {noon, "2026-05-04T23:30:00+02:00", ""},
		"no zone is UTC":            {quiet("", "12:00", "13:00"), "2026-05-04T14:30:00+02:00", "2026-05-04T13:00:00Z"},
		"a short night":             {night, "2026-03-28T23:00:00+01:00", "2026-03-29T07:00:00+02:00"},
		"a long night":              {night, "2026-10-24T23:00:00+02:00", "2026-10-25T07:00:00+01:00"},
		"an end that is left out":   {early, "2026-03-29T01:30:00+01:00", "2026-03-29T03:00:00+02:00"},
		"left out, to the west":     {york, "2026-03-08T01:30:00-05:00", "2026-03-08T03:00:00-04:00"},
		"after one that was left":   {early, "2026-03-29T03:00:00+02:00", ""},
		"an end that comes twice":   {early, "2026-10-25T01:00:00+02:00", "2026-10-25T02:30:00+02:00"},
		"between the two":           {early, "2026-10-25T02:45:00+02:00", ""},
		"put back into them":        {early, "2026-10-25T02:10:00+01:00", "2026-10-25T02:30:00+01:00"},
		"a beginning that is twice": {quiet("Europe/Berlin", "02:30", "03:30"), "2026-10-25T02:45:00+02:00", "2026-10-25T02:00:00+01:00"},
		"a zone nobody knows":       {quiet("Mars/Base", "00:00", "23:59"), "2026-05-04T12:00:00Z", ""},
		"none":                      {Preferences{TimeZone: "UTC"}, "2026-05-04T12:00:00Z", ""},
	} {
		until, is := x.p.quietUntil(at(t, x.now))
		if is != (x.until != "") || is && !until.Equal(at(t, x.until)) {
			t.Errorf("%s: quiet until %v (%v), want %q", name, until, is, x.until)
		}
	}
}

// TestQuietHoursByTheMinute compares with a clock that is looked at each minute.
func TestQuietHoursByTheMinute(t *testing.T) {
	t.Parallel()
	zones := []string{
		"", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Chatham", "Africa/Casablanca",
		"America/St_Johns", "Antarctica/Troll", "Asia/Gaza", "Pacific/Apia", // which once left out a day
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(zones).Draw(t, "zone")
		clock := rapid.Custom(func(t *rapid.T) string {
			return fmt.Sprintf("%02d:%02d", rapid.IntRange(0, 23).Draw(t, "h"), rapid.SampledFrom([]int{0, 1, 15, 30, 59}).Draw(t, "m"))
		})
		p := quiet(name, clock.Draw(t, "from"), clock.Draw(t, "to"))
		if p.Check() != nil {
			t.Skip("they end when they begin")
		}
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(rapid.Int64Range(1_300_000_000, 1_900_000_000).Draw(t, "now"), 0)
		if _, change := now.In(zone).ZoneBounds(); !change.IsZero() && rapid.Bool().Draw(t, "near a change") {
			now = change.Add(time.Duration(rapid.IntRange(-26*3600, 26*3600).Draw(t, "off")) * time.Second)
		}
		loud := func(when time.Time) bool {
			c, from, to := when.In(zone).Format("15:04"), p.QuietHours.From, p.QuietHours.To
			if from < to {
				return c < from || c >= to
			}
			return c < from && c >= to
		}
		until, is := p.quietUntil(now)
		if is == loud(now) {
			t.Fatalf("at %v it is quiet: %v", now.In(zone), is)
		}
		if !is {
			return
		}
		want := now.Truncate(time.Minute).Add(time.Minute)
		for !loud(want) {
			want = want.Add(time.Minute)
		}
		if !until.Equal(want) {
			t.Fatalf("at %v it is quiet until %v, want %v", now.In(zone), until.In(zone), want.In(zone))
		}
	})
}

func TestPreferencesChecked(t *testing.T) {
	t.Parallel()
	class := func(name string, channels ...string) Preferences {
		return Preferences{Classes: map[string]ClassPreference{name: {Channels: append([]string{}, channels...)}}}
	}
	many, most := map[string]ClassPreference{}, map[string]ClassPreference{}
	for i := range preferenceClassesMax + 1 {
		many[fmt.Sprint("c", i)] = ClassPreference{Channels: []string{}}
	}
	maps.Copy(most, many)
	delete(most, "c0")
	for name, x := range map[string]struct {
		p    Preferences
		says string // empty where they are right
	}{
		"nothing":                   {Preferences{}, ""},
		"all":                       {quiet("Europe/Berlin", "22:00", "07:00"), ""},
		"UTC":                       {Preferences{TimeZone: "UTC"}, ""},
		"the notifier's own zone":   {Preferences{TimeZone: "Local"}, "time_zone"},
		"its file":                  {Preferences{TimeZone: "localtime"}, "time_zone"},
		"no zone":                   {Preferences{TimeZone: "Berlin"}, "time_zone"},
		"a path":                    {Preferences{TimeZone: "../../etc/passwd"}, "time_zone"},
		"another path":              {Preferences{TimeZone: "/etc/localtime"}, "time_zone"},
		"a long zone":               {Preferences{TimeZone: strings.Repeat("x", 9000)}, "time_zone"},
		"no beginning":              {quiet("", "", "07:00"), "quiet_hours.from"},
		"a 24th hour":               {quiet("", "24:00", "07:00"), "quiet_hours.from"},
		"one digit":                 {quiet("", "9:00", "07:00"), "quiet_hours.from"},
		"a second line":             {quiet("", "22:00\n", "07:00"), "quiet_hours.from"},
		"other digits":              {quiet("", "22:00", "٠٧:٠٠"), "quiet_hours.to"},
		"a 60th minute":             {quiet("", "22:00", "06:60"), "quiet_hours.to"},
		"a whole day":               {quiet("", "07:00", "07:00"), "mute the classes instead"},
		"a mute":                    {class("clue"), ""},
		"a class":                   {class("clue", "fcm", "webpush"), ""},
		"a class of no name":        {class(""), "cannot be the name of a class"},
		"a class in two words":      {class("a b"), "cannot be the name of a class"},
		"a channel of no name":      {class("clue", ""), "cannot be the name of a channel"},
		"a class without channels":  {Preferences{Classes: map[string]ClassPreference{"clue": {}}}, `"channels": []`},
		"as many classes as may be": {Preferences{Classes: most}, ""},
		"more":                      {Preferences{Classes: many}, "at most 200"},
		"many channels":             {class("clue", strings.Split(strings.Repeat("c,", channelsMax)+"c", ",")...), "at most 16"},
	} {
		err := x.p.Check()
		if x.says == "" && err != nil || x.says != "" && (err == nil || !strings.Contains(err.Error(), x.says) || len(err.Error()) > 250) {
			t.Errorf("%s: %v, want %q", name, err, x.says)
		}
	}
}

func TestPreferencesAllow(t *testing.T) {
	t.Parallel()
	p := Preferences{Classes: map[string]ClassPreference{"clue": {Channels: []string{}}, "score": {Channels: []string{"fcm"}}, DigestClass: {}}}
	for pair, want := range map[[2]string]bool{
		{"clue", "fcm"}: false, {"clue", "webpush"}: false, {"score", "fcm"}: true, {"score", "webpush"}: false,
		{"other", "fcm"}: true, {DigestClass, "fcm"}: false,
	} {
		if got := p.allows(pair[0], pair[1]); got != want {
			t.Errorf("%v is allowed: %v", pair, got)
		}
	}
	var none Preferences
	if !none.allows("clue", "fcm") || !none.IsZero() || p.IsZero() {
		t.Error("preferences that say nothing do not want all")
	}
}
