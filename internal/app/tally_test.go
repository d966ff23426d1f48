package app

import (
	"testing"

	"github.com/veltrix/veltrix/internal/delivery"
)

func TestCompareInbox(t *testing.T) {
	standing := map[string]bool{"a": true, "b": true, "gone": false}
	entry := func(id string, op delivery.Op) delivery.Entry { return delivery.Entry{Notification: id, Op: op} }
	for name, c := range map[string]struct {
		entries      []delivery.Entry
		shown, wrong int64
	}{
		"each once":             {[]delivery.Entry{entry("b", delivery.Update), entry("a", delivery.Send), entry("gone", delivery.Retract)}, 2, 0},
		"one twice, one lost":   {[]delivery.Entry{entry("a", delivery.Send), entry("a", delivery.Send)}, 2, 2},
		"one that is retracted": {[]delivery.Entry{entry("a", delivery.Send), entry("b", delivery.Send), entry("gone", delivery.Send)}, 3, 1},
		"none":                  {nil, 0, 2},
	} {
		if shown, wrong := compareInbox(standing, c.entries); shown != c.shown || wrong != c.wrong {
			t.Errorf("%s: shows %d, %d wrong, want %d and %d", name, shown, wrong, c.shown, c.wrong)
		}
	}
}
