package bench

import (
	"strings"
	"testing"
	"time"
)

func TestUnusableIdles(t *testing.T) {
	good := IdleOptions{Points: []int{8, 1000}, Rounds: 1, For: time.Minute}
	if err := good.check(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*IdleOptions){
		"no point": func(o *IdleOptions) { o.Points = nil }, "no partition": func(o *IdleOptions) { o.Points = []int{0} },
		"too many": func(o *IdleOptions) { o.Points = []int{partitionsMost + 1} }, "no round": func(o *IdleOptions) { o.Rounds = 0 },
		"too short": func(o *IdleOptions) { o.For = time.Millisecond }, "too long": func(o *IdleOptions) { o.For = 2 * time.Hour },
	} {
		o := good
		if spoil(&o); o.check() == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
}

func TestIdleReport(t *testing.T) {
	r := &IdleReport{For: 10 * time.Second, Points: []IdlePoint{{Partitions: 1000}}}
	for _, ms := range []int{100, 300, 200} {
		w := LoadWindow{Processors: time.Duration(ms) * time.Millisecond}
		w.Wall, w.Broker = 10*time.Second, time.Second
		r.Points[0].Rounds = append(r.Points[0].Rounds, w)
	}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(strings.Fields(b.String()), " "), "1000 2.0 1.0–3.0 10.0 0.0 0 %") {
		t.Errorf("the report is\n%s", b.String())
	}
}
