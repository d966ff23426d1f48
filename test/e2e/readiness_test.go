package e2e

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/testredis"
	"github.com/veltrix/veltrix/test/broker"
)

// readiness is what a process answers to its prober, or why it does not answer.
func (p *process) readiness() (int, string) {
	if p.address == "" {
		select {
		case p.address = <-p.metrics:
		case <-time.After(20 * time.Second):
			p.t.Fatalf("%s does not say where its metrics are", p.name)
		}
	}
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get("http://" + p.address + "/readyz")
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

func (p *process) becomes(status int, why string) {
	p.t.Helper()
	var got int
	var body string
	for began := time.Now(); time.Since(began) < stall; time.Sleep(200 * time.Millisecond) {
		if got, body = p.readiness(); got == status && strings.Contains(body, why) {
			return
		}
	}
	p.t.Fatalf("%s answers %d %s, want %d %s", p.name, got, body, status, why)
}

// TestReadinessTellsTheTruth stops a broker and then Redis, without ending
// either: whoever asks must learn that nothing goes on, and when it does again.
func TestReadinessTellsTheTruth(t *testing.T) {
	cluster := broker.Start(t, broker.Options{})
	redis := testredis.Start(t, nil)
	source, sent := lines(t, "flights", 400)
	d := deploy(t, place{brokers: cluster.Addrs, redis: redis.Addr}, 2, source)
	d.must(d.send(t.Context(), d.client(), sent[:200]))
	processor, notifier := d.start("processor", "the processor"), d.start("notifier", "the notifier")
	processor.becomes(http.StatusOK, "")
	notifier.becomes(http.StatusOK, "")
	d.delivered()

	d.must(cluster.Pause(1))
	processor.becomes(http.StatusServiceUnavailable, "the brokers have not answered")
	notifier.becomes(http.StatusServiceUnavailable, "the brokers have not answered")
	d.must(cluster.Resume(1))
	processor.becomes(http.StatusOK, "")
	notifier.becomes(http.StatusOK, "")

	d.must(d.send(t.Context(), d.client(), sent[200:]))
	d.delivered()
	d.verified(nil)
}
