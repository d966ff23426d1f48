package main_test

import (
	"net"
	"net/http"
	"strings"
	"testing"
)

func unused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestGatewayAnswersBeforeItsBrokers starts a gateway whose brokers are away: it
// must say so to whoever calls, a page in a browser too, and not take events
// before it can.
func TestGatewayAnswersBeforeItsBrokers(t *testing.T) {
	at := unused(t)
	s := newSite(t).with("VELTRIX_KAFKA_BROKERS="+unused(t), "VELTRIX_PRODUCER_LISTEN="+at, "VELTRIX_START_TIMEOUT=60s", "VELTRIX_PRODUCER_CORS_ORIGINS=*")
	_, out := s.start("producer")
	var resp *http.Response
	s.until("it answers", out, func() bool {
		r, err := http.NewRequest(http.MethodPost, "http://"+at+"/v1/events", strings.NewReader(event("1", 1)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/cloudevents+json")
		r.Header.Set("Origin", "https://play.example")
		got, err := http.DefaultClient.Do(r)
		if err == nil {
			got.Body.Close()
			resp = got
		}
		return err == nil
	})
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || resp.Header.Get("Content-Type") != "application/problem+json" || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("it answers %d %v", resp.StatusCode, resp.Header)
	}
	if strings.Contains(out.String(), "taking events") {
		t.Errorf("it says that it takes events:\n%s", out)
	}
}
