package bench

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// TestFollow plays what comes behind a kill of the processor that had partition 1.
func TestFollow(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Time { return time.Unix(int64(1000+s), 0) }
	seen := func(partition int32, offset int64, late time.Duration, s int) notified {
		return notified{partition, offset, late, at(s)}
	}
	const usual, much = time.Second, time.Minute
	for name, c := range map[string]struct {
		come       []notified
		next, zero time.Time
		ok         bool
	}{
		"nothing yet":                     {},
		"only what was committed before":  {come: []notified{seen(0, 9, 0, 1), seen(1, 19, 0, 1)}},
		"the other one's go on":           {come: []notified{seen(0, 10, 0, 1)}},
		"its own go on, late":             {come: []notified{seen(0, 10, 0, 1), seen(1, 20, much, 2)}, next: at(2)},
		"its own are back":                {come: []notified{seen(0, 10, 0, 1), seen(1, 20, much, 2), seen(1, 21, usual, 3), seen(1, 22, 0, 4)}, next: at(2), zero: at(3), ok: true},
		"the other one's are behind":      {come: []notified{seen(0, 10, much, 1), seen(1, 20, 0, 2)}, next: at(2)},
		"the other one's are back last":   {come: []notified{seen(0, 10, much, 1), seen(1, 20, 0, 2), seen(0, 11, 0, 5)}, next: at(2), zero: at(5), ok: true},
		"a late one behind is no relapse": {come: []notified{seen(1, 20, 0, 1), seen(0, 10, 0, 2), seen(1, 21, much, 3)}, next: at(1), zero: at(2), ok: true},
	} {
		f := &follow{usual: usual}
		f.look([]int64{10, 20}, []bool{false, true})
		for _, n := range c.come {
			f.see(n)
		}
		if next, zero, ok := f.at(); !next.Equal(c.next) || !zero.Equal(c.zero) || ok != c.ok {
			t.Errorf("%s: next %s, zero %s, %t; want %s, %s, %t", name, next, zero, ok, c.next, c.zero, c.ok)
		}
	}
	f := &follow{usual: usual}
	f.look([]int64{10, 20}, []bool{false, false})
	f.see(seen(0, 10, 0, 1))
	f.see(seen(1, 20, 0, 2))
	if _, zero, ok := f.at(); !ok || !zero.Equal(at(2)) {
		t.Errorf("nobody was killed: zero %s, %t", zero, ok)
	}
}

// TestUsual is learned from what comes in calm, and not from what came before.
func TestUsual(t *testing.T) {
	t.Parallel()
	f := &follow{}
	f.see(notified{late: time.Hour})
	f.forget()
	if got := f.learn(); got != 0 {
		t.Errorf("nothing has come, and usual is %s", got)
	}
	for i := range 200 {
		f.see(notified{late: time.Duration(i) * time.Millisecond})
	}
	if got := f.learn(); got != 198*time.Millisecond {
		t.Errorf("99 %% of 0 to 199 ms are within %s", got)
	}
	f.see(notified{late: time.Hour})
	if len(f.times) > 0 {
		t.Error("it goes on to learn")
	}
}

func kills() *RecoveryReport {
	kill := func(next, zero time.Duration, noisy bool) Kill {
		return Kill{Partitions: 4, Next: next, Zero: zero, LoadWindow: LoadWindow{Window: window(100, zero, noisy)}}
	}
	return &RecoveryReport{
		LoadHead: LoadHead{Maximum: Maximum{EventsPerS: 4000, Quiet: true}, Redis: Process{Reason: elsewhere}},
		Level:    50, Rate: 2000, Calm: time.Second,
		Killed: []Killed{
			{Name: "started again at once", Kills: []Kill{kill(time.Second, 2*time.Second, false), kill(time.Minute, time.Minute, true), kill(3*time.Second, 6*time.Second, false)}},
			{Name: "another takes over", Kills: []Kill{kill(10*time.Second, 11*time.Second, true)}},
		},
	}
}

// TestRecoveryReport: no figure is taken from a noisy kill, unless all were.
func TestRecoveryReport(t *testing.T) {
	t.Parallel()
	r := kills()
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"2,000 events/s, 50 % of the maximum", "2.00 s", "1.00–3.00", "4.00 s", "2.00–6.00", "10.00 s",
		"started again at once: 1 of 3 kills were noisy", "another takes over: every kill was noisy", "Redis: CPU time not measured (on another machine)",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, text.String())
		}
	}
	var b strings.Builder
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Killed []struct {
			Next  float64 `json:"kill_to_notification_s"`
			High  float64 `json:"kill_to_zero_lag_s_high"`
			Quiet bool
			Kills []Kill
		}
	}
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
		t.Fatal(err)
	}
	if k := got.Killed; len(k) != 2 || k[0].Next != 2 || k[0].High != 6 || !k[0].Quiet || k[1].Quiet || k[1].Next != 10 || len(k[0].Kills) != 3 {
		t.Errorf("%+v of %s", got, b.String())
	}
}

// TestLatencyReport: it says which level was more than the machine could carry.
func TestLatencyReport(t *testing.T) {
	t.Parallel()
	r := &LatencyReport{
		LoadHead: LoadHead{Machine: Machine{CPUs: 2}, Maximum: Maximum{EventsPerS: 4000, Given: true}, Broker: Process{Reason: inProcess}},
		Levels: []Level{
			{Percent: 10, Rate: 400, Notifications: 1234, Times: Quantiles{1.234, 12.34, 123.4, 1234, 12345}, KeptUp: true, LoadWindow: LoadWindow{Window: window(100, time.Second, false)}},
			{Percent: 90, Rate: 3600, Left: 7 * time.Second, LoadWindow: LoadWindow{Window: window(100, time.Second, true)}},
		},
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"4,000 events/s of the processor, as it was given", "10 % 400 1,234 1.23 12.3 123 1,234 12,345",
		"90 %: it did not keep up, the last notification came 7.0 s after it was due", "90 %: noisy", "broker: CPU time not measured (in this process)",
	} {
		if !strings.Contains(strings.Join(strings.Fields(text.String()), " "), want) {
			t.Errorf("the report lacks %q:\n%s", want, text.String())
		}
	}
	if strings.Contains(text.String(), "10 %: ") {
		t.Errorf("the level that was kept up is complained of:\n%s", text.String())
	}
}
