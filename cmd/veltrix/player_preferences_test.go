package main

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/service"
	"github.com/veltrix/veltrix/internal/testredis"
)

// TestPlayerPreferences shows and changes preferences as support staff does.
func TestPlayerPreferences(t *testing.T) {
	t.Setenv("VELTRIX_REDIS_ADDRS", testredis.Start(t, nil).Addr)
	is := func(want delivery.Preferences) {
		t.Helper()
		out, code := veltrix(t, "player", "preferences", "ada", "--json")
		var got preferencesDocument
		if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 || got.Participant != "ada" || !reflect.DeepEqual(got.Preferences, want) {
			t.Errorf("%v, %d: %s; want %+v", err, code, out, want)
		}
	}
	says := func(want string, args ...string) {
		t.Helper()
		if out, code := veltrix(t, append([]string{"player", "preferences"}, args...)...); code != 0 || out != want {
			t.Errorf("%v ends with %d and says\n%swant\n%s", args, code, out, want)
		}
	}
	says("ada wants everything at all times\n", "ada")
	is(delivery.Preferences{})
	says("quiet hours  22:00 to 07:00, Europe/Berlin\n", "set", "ada", "--quiet", "22:00-07:00", "--time-zone", "Europe/Berlin")
	const all = "quiet hours  22:00 to 07:00, Europe/Berlin\nclass clue  only webpush, fcm\nclass digest  muted\nclass score  muted\n"
	says(all, "set", "ada", "--mute", "score", "--mute", "digest", "--only", "clue=webpush,fcm")
	says(all, "ada")
	is(delivery.Preferences{
		TimeZone: "Europe/Berlin", QuietHours: &delivery.QuietHours{From: "22:00", To: "07:00"},
		Classes: map[string]delivery.ClassPreference{
			"clue": {Channels: []string{"webpush", "fcm"}}, "digest": {Channels: []string{}}, "score": {Channels: []string{}},
		},
	})
	says("quiet hours  none; the time zone is Europe/Berlin\nclass score  muted\n", "set", "ada", "--quiet", "none", "--unmute", "clue", "--unmute", "digest", "--unmute", "never")
	says("quiet hours  09:00 to 10:00, UTC\n", "set", "ada", "--clear", "--quiet", "09:00-10:00")
	says("ada wants everything at all times\n", "set", "ada", "--clear")
	says("ada wants everything at all times\n", "ada")
	is(delivery.Preferences{})
}

// What cannot be set is refused before anything is read or changed.
func TestPlayerPreferencesRefused(t *testing.T) {
	t.Setenv("VELTRIX_REDIS_ADDRS", "127.0.0.1:1")
	for flags, says := range map[string]string{
		"":                                "say what to change",
		"--quiet 22:00":                   "not like 22:00-07:00",
		"--quiet 22-7":                    "quiet_hours.from",
		"--quiet 07:00-07:00":             "mute the classes instead",
		"--time-zone Berlin":              "write one like Europe/Berlin",
		"--only clue":                     "not like clue=webpush,fcm",
		"--only clue=":                    "there is --mute",
		"--only clue=fcm,":                "cannot be the name of a channel",
		"--mute a:b":                      "cannot be the name of a class",
		"--mute clue --only clue=fcm":     "named twice",
		"--unmute clue --mute clue":       "named twice",
		"--only clue=fcm --only clue=fcm": "named twice",
	} {
		_, err := run(t, append([]string{"player", "preferences", "set", "ada"}, strings.Fields(flags)...)...)
		if service.ExitCode(err) != exitUsage || !strings.Contains(err.Error(), says) {
			t.Errorf("%s gives %v; want %q", flags, err, says)
		}
	}
}
