package e2e

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// TestPipelineSurvivesKills runs three processors and two notifiers as
// processes on real servers, under real input with duplicates and disorder, and
// kills one of each with SIGKILL while it demonstrably works. Then everything
// must have counted once, and every inbox must hold what stands, once.
func TestPipelineSurvivesKills(t *testing.T) {
	const (
		kills    = 5
		events   = 20_000
		progress = 150 // records that the victim has committed since it was started
	)
	source, sorted := lines(t, "flights", events)
	sent, repeats := disorderly(t, sorted)
	d := deploy(t, real(t), 6, source)
	for i := range 2 {
		d.start("processor", fmt.Sprint("processor ", i))
	}
	victim := d.start("processor", "the victim")
	d.start("notifier", "notifier 0")
	postman := d.start("notifier", "the other victim")

	portion, underLoad := len(sent)/(kills+1), 0
	for kill := range kills {
		done := victim.sum("veltrix_processor_records_total")
		// A little all the time, so that a transaction is nearly always under way.
		feeder := d.feed(sent[kill*portion:(kill+1)*portion], 15, 20*time.Millisecond)
		victim.works("veltrix_processor_records_total", done+progress)
		if kill == 1 {
			postman.works("veltrix_notifier_notifications_total", progress/10)
			postman.Kill()
			postman = d.start("notifier", "the other victim again")
		}
		time.Sleep(rand.N(50 * time.Millisecond)) // any moment of a transaction
		victim.Kill()
		at := d.look(t.Context())
		t.Logf("kill %d: %s, and %d are yet to be sent", kill+1, at, feeder.left.Load())
		if feeder.left.Load() > 0 || at.committed < at.end {
			underLoad++
		}
		if kill%2 == 1 {
			time.Sleep(sessionTimeout + time.Second) // the others take over, and give back
		}
		victim = d.start("processor", fmt.Sprintf("the victim after kill %d", kill+1))
		feeder.wait()
	}
	if underLoad < 3 {
		t.Errorf("%d of %d kills were under load, want 3 or more", underLoad, kills)
	}
	d.must(d.send(t.Context(), d.client(), sent[kills*portion:]))
	d.delivered()

	report := d.verified(map[string]int64{"applied": int64(len(sorted)), "duplicate": repeats})
	d.sameStates(sent)
	standing := d.inboxes()
	if standing < 1000 || report.Ops["retract"] == 0 {
		t.Errorf("%d notifications stand, the operations were %v: too little to be worth a test", standing, report.Ops)
	}
	t.Logf("%d records, %v, notifications %v, %d in inboxes", report.Records, report.Fates, report.Ops, standing)
}
