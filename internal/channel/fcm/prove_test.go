package fcm_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/veltrix/veltrix/internal/channel/channeltest"
)

// TestProve: the credentials are exchanged, and nobody is sent anything.
func TestProve(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		exchange     http.HandlerFunc
		taken, alarm bool
		reason       string
	}{
		"taken": {nil, true, false, ""},
		"refused": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			w.Write([]byte(`{"error": "invalid_grant"}`)) //nolint:errcheck // seen below
		}, false, true, "400 invalid_grant"},
		"down": {channeltest.Status(503), false, false, "503"},
		"cut":  {channeltest.Drop, false, false, "no access token"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, channeltest.Status(200))
			w.Exchange = x.exchange
			res, taken := w.ch.Prove(t.Context())
			if taken != x.taken || res.Alarm != x.alarm || !strings.Contains(res.Reason, x.reason) {
				t.Errorf("taken %v, %+v", taken, res)
			}
			if n := len(w.Messages()); n != 0 || x.taken && len(w.Issued()) != 1 {
				t.Errorf("%d messages, %d tokens", n, len(w.Issued()))
			}
		})
	}
}
