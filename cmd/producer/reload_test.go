package main_test

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// TestGatewayReloads: on SIGHUP a running gateway takes over what it may, says what
// needs a restart, and stays as it was where the file is wrong.
func TestGatewayReloads(t *testing.T) {
	s := newSite(t)
	configure := func(most, timeout string) string {
		return s.file("veltrix.yaml", fmt.Sprintf("producer: {max_batch_events: %s, request_timeout: %s}\n", most, timeout))
	}
	process, at, out := s.with("VELTRIX_CONFIG=" + configure("1", "30s")).gateway()
	two := func() int {
		resp, err := http.Post(at+"/v1/events", "application/cloudevents-batch+json", strings.NewReader("["+event("1", 1)+","+event("2", 2)+"]"))
		if err != nil {
			return 0
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	hangup := func(says string) {
		t.Helper()
		if err := process.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		s.until("it says "+says, out, func() bool { return strings.Contains(out.String(), says) })
	}
	if code := two(); code != http.StatusRequestEntityTooLarge {
		t.Fatalf("%d for two events where one is the most", code)
	}
	configure("2", "40s")
	hangup(`"configuration changed: restart required","key":"producer.request_timeout","before":"30s","after":"40s"`)
	if code := two(); code != http.StatusAccepted {
		t.Errorf("%d after two were allowed:\n%s", code, out)
	}
	configure("1", "5")
	hangup(`configuration refused: everything stays as it was`)
	if code := two(); code != http.StatusAccepted || !strings.Contains(out.String(), "veltrix.yaml:1") {
		t.Errorf("%d after a file with a mistake:\n%s", code, out)
	}
	metrics := probes.FindStringSubmatch(out.String())
	if metrics == nil {
		t.Fatalf("it does not say where its metrics are:\n%s", out)
	}
	_, body := get("http://" + metrics[1] + "/metrics")
	for _, result := range []string{"taken", "refused"} {
		if want := fmt.Sprintf("veltrix_config_reloads_total{result=%q} 1\n", result); !strings.Contains(body, want) {
			t.Errorf("the metrics do not have %s", want)
		}
	}
}
