package main

import (
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/trail"
)

func TestTrailInWords(t *testing.T) {
	at := func(second int) time.Time { return time.Date(2026, 5, 1, 12, 0, second, 0, time.UTC) }
	sent := at(9)
	var out strings.Builder
	err := printTrail(&out, &trail.Trail{Participant: "ada", Partition: 3, From: 2, Before: 90, Committed: 80, Entries: []trail.Entry{
		{
			Offset: 7, Arrived: at(5), Status: trail.Applied, SequenceBreak: "gap", MovedFrom: "1/4",
			Event: trail.Event{Source: "/phone/7", ID: "7-1", Type: "clue.found", Time: at(1), Sequence: "3"},
			Notifications: []trail.Notification{{Op: "update", Rule: "clue", Name: "next", Revision: 2, Title: "Anchor\nfound", Channels: []trail.Delivery{
				{Channel: "inbox", Outcome: "sent", Attempts: 1, At: &sent},
				{Channel: "webhook", Target: "https://a", Outcome: "dead", Attempts: 3, At: &sent, Reason: "410 Gone"},
				{Channel: "fcm", Outcome: trail.Pending},
			}}},
		},
		{Offset: 8, Arrived: at(6), Status: trail.Rejected, Reason: "malformed", Sentence: "its data cannot be read", Event: trail.Event{Time: at(6)}},
	}})
	want := `ada: partition 3, offsets 2 to 90; the processors have committed 80

2026-05-01 12:00:01.000  clue.found  applied
    7-1 of /phone/7, offset 7, arrived 2026-05-01 12:00:05.000, sequence 3 (gap), moved from 1/4
    update clue/next, revision 2: "Anchor\nfound"
        inbox: sent 2026-05-01 12:00:09.000
        webhook https://a: dead 2026-05-01 12:00:09.000, attempt 3, 410 Gone
        fcm: pending

2026-05-01 12:00:06.000  (unreadable)  rejected: malformed
    its data cannot be read
    (unreadable) of (unreadable), offset 8, arrived 2026-05-01 12:00:06.000
`
	if err != nil || out.String() != want {
		t.Errorf("%v\ngot\n%s\nwant\n%s", err, out.String(), want)
	}
	out.Reset()
	if err := printTrail(&out, &trail.Trail{Participant: "nobody"}); err != nil || !strings.Contains(out.String(), "no events: nothing of this participant arrived") {
		t.Errorf("of nobody: %v %s", err, out.String())
	}
}
