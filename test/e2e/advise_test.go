package e2e

import (
	"strings"
	"testing"

	"github.com/veltrix/veltrix/examples"
	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/testredis"
	"github.com/veltrix/veltrix/test/broker"
)

// TestAdviseGrace asks which grace a hunt needs, of the events in its log, sends
// it through rules with half a grace less, and finds as many late.
func TestAdviseGrace(t *testing.T) {
	source, events, _, err := examples.Open("harbour")
	if err != nil {
		t.Fatal(err)
	}
	events.Close()
	_, sent := lines(t, "harbour", 6_000)
	short := strings.Replace(string(source), "grace: 30s", "grace: 2s", 1)
	d := deploy(t, place{brokers: broker.Shared(t).Addrs, redis: testredis.Start(t, nil).Addr}, 4, []byte(short))
	d.must(d.send(t.Context(), d.client(), sent))
	read := int64(0)
	g, err := app.AdviseGrace(t.Context(), d.rt, d.program, 0, func(_ int32, n int64) { read = n })
	d.must(err)
	report := g.Report(0)
	if read == 0 || report.Now.Late < 20 || report.Now.Grace != 2 || report.Advised == nil || report.Advised.Late != 0 {
		t.Fatalf("with the rules' grace: %+v, advised: %+v", report.Now, report.Advised)
	}
	d.processor()
	d.processed()
	late := d.verified(nil).Fates["late"]
	// A copy of a late event is late once more.
	if late < report.Now.Late || late > report.Now.Late*5/4 {
		t.Errorf("%d events are late, the advisor says %d", late, report.Now.Late)
	}
	if some, err := app.AdviseGrace(t.Context(), d.rt, d.program, 1_000, func(int32, int64) {}); err != nil || some.Events+some.Skipped > 1_000 || some.Events < 800 {
		t.Errorf("of the newest 1,000 records it reads %d, %v", some.Events+some.Skipped, err)
	}
}
