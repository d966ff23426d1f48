package delivery

import (
	"context"
	"testing"
	"time"
)

// phones is a channel of participants' devices.
type phones struct{ Channel }

func (phones) Personal() {}

func endpointsOf(d *Dispatcher) (n int) {
	d.endpoints.Range(func(any, any) bool { n++; return true })
	return n
}

// A device that does not answer is held against itself, and against no device that
// another participant calls by the same name; and what is as new is forgotten.
func TestDevicesOfOneNameAreTold(t *testing.T) {
	d := &Dispatcher{channels: map[string]Channel{"fcm": phones{}, "webhook": nil}, opts: Options{EndpointSlots: 2}}
	of := func(channel, who string) *endpoint {
		return d.endpoint(&task{n: &Notification{Participant: who}, channel: channel, target: "phone"})
	}
	attempt := func(e *endpoint, res Result) *refusal {
		t.Helper()
		n, refused := e.enter(context.Background(), time.Second)
		if refused == nil {
			n.report(res)
		}
		return refused
	}
	for range breakerFailures {
		if refused := attempt(of("fcm", "ada"), Result{Verdict: Unknown}); refused != nil {
			t.Fatalf("refused before its time: %s", refused.reason)
		}
	}
	if refused := attempt(of("fcm", "ada"), Result{Verdict: Accepted}); refused == nil {
		t.Error("a device that does not answer is tried again and again")
	}
	if refused := attempt(of("fcm", "bob"), Result{Verdict: Accepted}); refused != nil {
		t.Errorf("another participant's phone pays for it: %s", refused.reason)
	}
	if n := endpointsOf(d); n != 1 {
		t.Errorf("%d endpoints are kept, want the one that does not answer", n)
	}
	// A webhook's target is everybody's.
	if of("webhook", "ada") != of("webhook", "bob") {
		t.Error("two participants' webhooks are told apart")
	}
}
