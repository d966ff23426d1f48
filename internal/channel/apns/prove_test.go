package apns_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/channel/channeltest"
)

// TestProve: a push to a device that cannot be, which APNs refuses for the device
// where it takes the token.
func TestProve(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		answer       http.HandlerFunc
		taken, alarm bool
		reason       string
	}{
		"taken":                 {channeltest.APNsReason(400, "BadDeviceToken"), true, false, ""},
		"no such device":        {channeltest.APNsReason(410, "Unregistered", time.Now()), true, false, ""},
		"another team's":        {channeltest.APNsReason(403, "InvalidProviderToken"), false, true, "403 InvalidProviderToken"},
		"the clocks differ":     {channeltest.APNsReason(403, "ExpiredProviderToken"), false, true, "403 ExpiredProviderToken"},
		"not the app's topic":   {channeltest.APNsReason(400, "TopicDisallowed"), false, true, "400 TopicDisallowed"},
		"another bad request":   {channeltest.APNsReason(400, "BadPriority"), false, false, "400 BadPriority"},
		"down":                  {channeltest.APNsReason(503, "ServiceUnavailable"), false, false, "503"},
		"a cut":                 {channeltest.Drop, false, false, ""},
		"nobody at the address": {nil, false, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, x.answer)
			res, taken := w.ch.Prove(t.Context())
			if taken != x.taken || res.Alarm != x.alarm || !strings.Contains(res.Reason, x.reason) {
				t.Errorf("taken %v, %+v", taken, res)
			}
			if x.answer == nil {
				return
			}
			if pushes := w.Pushes(); len(pushes) != 1 || strings.Trim(strings.TrimPrefix(pushes[0].Path, "/3/device/"), "0") != "" {
				t.Errorf("it pushed %+v", pushes)
			}
		})
	}
}
