package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/preflight"
	"github.com/veltrix/veltrix/internal/service"
	"github.com/veltrix/veltrix/internal/testredis"
	"github.com/veltrix/veltrix/test/broker"
)

// probeRules tell of everything that they can: a probe must do none of it.
var probeRules = []byte(`hunt: probed
version: 1
events:
  clue.found:
    data:
      points: {type: int}
state:
  score: {type: int}
leaderboards:
  score: {by: state.score}
rules:
  - name: found
    on: clue.found
    set: {score: state.score + event.data.points}
    notify:
      - {name: found, class: clue, title: "Found"}
classes:
  clue: {channels: [inbox]}
`)

// TestProbeThroughALoadBalancer probes a deployment that plays: two gateways behind
// a load balancer that gives them connections in turns, and an inbox. All is as it
// is promised, and the probe counts for nobody.
func TestProbeThroughALoadBalancer(t *testing.T) {
	d := deploy(t, place{brokers: broker.Shared(t).Addrs, redis: testredis.Start(t, nil).Addr}, 4, probeRules)
	gateway := d.gateway()
	balancer := roundRobin(t, gateway, d.gateway())
	d.processor()
	listener, err := service.Listen(t.Context(), d.rt.Log, "the inbox", "127.0.0.1:0", false)
	d.must(err)
	d.run(app.NewNotifier(d.rt, listener))
	d.until(func() (bool, string) {
		resp, err := http.Get("http://" + listener.Addr().String() + "/v1/inbox")
		if err != nil {
			return false, err.Error()
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusUnauthorized, "the inbox answers " + resp.Status
	})
	cfg := *d.rt.Config
	cfg.Doctor.GatewayURL, cfg.Doctor.InboxURL = "http://"+balancer, "http://"+listener.Addr().String()
	rt := d.rt
	rt.Config = &cfg
	report, err := app.Doctor(t.Context(), rt, app.DoctorOptions{Only: []string{"P03", "N03", "N04", "N06"}, Probe: true, Timeout: stall})
	d.must(err)
	for _, r := range report.Results {
		t.Logf("%s %s in %d ms: %s", r.ID, r.State, r.Millis, r.Observed)
		if r.State != preflight.Pass {
			t.Errorf("%s is %s: %s", r.ID, r.State, r.Observed)
		}
	}
	if p03 := report.Results[0]; strings.Count(p03.Observed, " ×") != 2 {
		t.Errorf("two gateways served, and it says %s", p03.Observed)
	}

	d.processed()
	if fates := d.verified(nil).Fates; len(fates) != 1 || fates["applied"] == 0 {
		t.Errorf("the fates of the probe's events are %v", fates)
	}
	if n, entries := d.leaderboard(gateway, "top=10"); n != 0 || len(entries) != 0 {
		t.Errorf("the probe leads: %+v", entries)
	}
	if told := d.read("notifications"); len(told) != 0 {
		t.Errorf("the probe was notified of %d things", len(told))
	}
	if rejected := d.read("rejected"); len(rejected) != 0 {
		t.Errorf("%d events were rejected", len(rejected))
	}
}
