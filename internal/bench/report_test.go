package bench

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Spread
	}{
		{[]float64{3}, Spread{3, 3, 3}},
		{[]float64{9, 1, 4}, Spread{4, 1, 9}},
		{[]float64{8, 2, 4, 100}, Spread{6, 2, 100}},
	} {
		if got := spread(c.values); got != c.want {
			t.Errorf("%v: %v, want %v", c.values, got, c.want)
		}
	}
	if got := spread(nil); !math.IsNaN(got.Median) {
		t.Errorf("the median of nothing is %v", got.Median)
	}
}

func window(events int64, wall time.Duration, noisy bool) Window {
	w := Window{Events: events, Wall: wall, Own: wall / 2, Broker: wall / 4, Redis: wall / 10, Other: 0.01, Noisy: noisy}
	if noisy {
		w.Other = 0.5
	}
	return w
}

func report() *Report {
	return &Report{
		Workload: Workload{Name: "core", Events: 1000, Participants: 20, Encoding: Structured, EventBytes: 283, Notify: 10},
		Rounds:   3, Reference: "loop", Verified: Verified{Rounds: 3, Events: 1000, Outputs: 100, States: 20},
		Machine: Machine{CPUs: 2, Kafka: "v4.3", Redis: "7.0.15"},
		Variants: []Result{
			{Name: "loop", Rounds: []Window{window(1000, time.Second, false), window(1000, 2*time.Second, false), window(1000, 4*time.Second, false)}},
			{Name: "processor", Rounds: []Window{window(1000, 100*time.Second, true), window(1000, 4*time.Second, false), window(1000, 8*time.Second, false)}},
		},
	}
}

// TestFiguresLeaveNoiseOut: a noisy round is kept and shown, and no figure is
// taken from it; where all are noisy there is nothing better, and it is said.
func TestFiguresLeaveNoiseOut(t *testing.T) {
	r := report()
	f := r.Figures()
	if f[0].EventsPerS != 500 || f[0].Low != 250 || f[0].High != 1000 || f[0].Ratio != 1 {
		t.Errorf("the reference: %+v", f[0])
	}
	if f[1].EventsPerS != (250.0+125)/2 || f[1].Ratio != f[1].EventsPerS/500 || !f[1].Quiet || len(f[1].Rounds) != 3 {
		t.Errorf("the processor: %+v", f[1])
	}
	if want := 6e6 / 2; math.Abs(f[1].OwnNanos-want) > 1 { // 4 s and 8 s for 1,000 events, half of them spent
		t.Errorf("own CPU %f ns an event, want %f", f[1].OwnNanos, want)
	}
	for i := range r.Variants[1].Rounds {
		r.Variants[1].Rounds[i].Noisy = true
	}
	if f := r.Figures()[1]; f.Quiet || f.EventsPerS != 125 {
		t.Errorf("all rounds noisy: %+v", f)
	}
	if notes := strings.Join(r.notes(), "\n"); !strings.Contains(notes, "processor: every round was noisy") {
		t.Errorf("notes: %s", notes)
	}
}

func TestReportForPeople(t *testing.T) {
	r := report()
	r.Redis = Process{Reason: elsewhere}
	r.Variants[0].Rounds[0].WithStart = true
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"1,000 events of 283 B (structured)", "2 CPUs", "Kafka v4.3; Redis 7.0.15",
		"3 rounds of 1,000 events, 100 outputs, 20 states",
		"Redis: not measured (on another machine)",
		"processor: 1 of 3 rounds were noisy (other load above 10 %) and are left out",
		"loop: in 1 rounds the start took half of the events",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, b.String())
		}
	}
}

// TestReportForMachines: what was not measured is null, never 0.
func TestReportForMachines(t *testing.T) {
	r := report()
	r.Redis = Process{Reason: notFound}
	var b strings.Builder
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Verified Verified
		Variants []map[string]any
	}
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
		t.Fatal(err)
	}
	v := got.Variants[1]
	if got.Verified.Outputs != 100 || v["redis_cpu_ns_per_event"] != nil || v["broker_cpu_ns_per_event"] == nil || v["ratio"] != 0.375 {
		t.Errorf("verified %+v, processor %v", got.Verified, v)
	}
}

func TestThousands(t *testing.T) {
	for f, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 1234567.6: "1,234,568"} {
		if got := thousands(f); got != want {
			t.Errorf("%f: %s, want %s", f, got, want)
		}
	}
}
