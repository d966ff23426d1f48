package bench

import (
	"math"
	"testing"
	"time"
)

// TestFit holds the line through points against one worked out by hand.
func TestFit(t *testing.T) {
	l, ok := fit([]float64{1, 2, 3}, []float64{1, 2, 4})
	near := func(got, want float64) bool { return math.Abs(got-want) < 1e-9 }
	if !ok || !near(l.Nanos, 1.5) || !near(l.at0, -2.0/3) || !near(l.left, 1.0/6) || !near(l.r2, 27.0/28) || l.Error == nil || !near(*l.Error, math.Sqrt(1.0/12)) {
		t.Errorf("%+v, %t", l, ok)
	}
	if l, ok := fit([]float64{1, 2}, []float64{1, 2}); !ok || !near(l.Nanos, 1) || l.Error != nil {
		t.Errorf("two points: %+v, %t: their line has no error", l, ok)
	}
	if l, ok := fit([]float64{1, 2, 4}, []float64{7, 7, 7}); !ok || !near(l.Nanos, 0) || l.seen() || l.r2 != 0 {
		t.Errorf("a level line: %+v, %t", l, ok)
	}
	for _, x := range [][]float64{nil, {1}, {2, 2, 2}} {
		if _, ok := fit(x, x); ok {
			t.Errorf("there is a line through %v", x)
		}
	}
}

// made are rounds whose parts cost so much at each place, with as much noise.
func made(places []float64, noise float64, own, broker, redis func(x float64) float64) (r rounds) {
	const events = 1000
	for _, x := range places {
		for _, off := range []float64{-noise, 0, noise} {
			r.along = append(r.along, x)
			r.windows = append(r.windows, Window{
				Events: events, Own: time.Duration(events * (own(x) + off)),
				Broker: time.Duration(events * broker(x)), Redis: time.Duration(events * redis(x)),
			})
		}
	}
	return r
}

// TestSlopeSaysWhichIsApt: by doublings where a doubling costs the same each time, by
// units where a unit does, and the parts by the line of their sum.
func TestSlopeSaysWhichIsApt(t *testing.T) {
	level := func(of float64) func(float64) float64 { return func(float64) float64 { return of } }
	places := []float64{10_000, 100_000, 1_000_000}
	s := made(places, 10, func(x float64) float64 { return 8000 + 50*math.Log2(x) }, level(1500), func(x float64) float64 { return 20 * math.Log2(x) }).slope(true, true)
	if s.Per != perDoubling || math.Abs(s.Together.Nanos-70) > 0.01 || math.Abs(s.Own.Nanos-50) > 0.01 || math.Abs(s.Broker.Nanos) > 0.01 || math.Abs(s.Redis.Nanos-20) > 0.01 {
		t.Errorf("by doublings: %+v", s)
	}
	if s.Apt < 0.99 || s.Other >= s.Apt || !s.Together.seen() {
		t.Errorf("by doublings: R² %f and %f, %+v", s.Apt, s.Other, s)
	}
	s = made([]float64{2, 16, 128}, 10, func(x float64) float64 { return 8000 + 40*x }, level(0), level(0)).slope(false, true)
	if s.Per != perUnit || math.Abs(s.Together.Nanos-40) > 0.01 || s.Broker != nil || s.Redis == nil || s.Apt < 0.99 || s.Other >= s.Apt {
		t.Errorf("by units: %+v", s)
	}
	if math.Abs(s.at0-8000) > 0.1 {
		t.Errorf("the line begins at %f", s.at0)
	}
	if s := made([]float64{4, 32, 256}, 100, level(8000), level(0), level(0)).slope(true, true); s.Together.seen() {
		t.Errorf("of noise alone: %+v", s.Together)
	}
	if s := made([]float64{4}, 100, level(8000), level(0), level(0)).slope(true, true); s != nil {
		t.Errorf("of one point: %+v", s)
	}
}

// TestRiseToldFromNone: more than two of its standard errors, up or down.
func TestRiseToldFromNone(t *testing.T) {
	for r, want := range map[Rise]bool{
		{10, new(6.0)}: false, {13, new(6.0)}: true, {-13, new(6.0)}: true, {-10, new(6.0)}: false, {10, nil}: false, {0, new(0.0)}: false,
	} {
		if r.seen() != want {
			t.Errorf("%s is told from none: %t", r.text(), !want)
		}
	}
}

func TestRiseInWords(t *testing.T) {
	for want, r := range map[string]Rise{
		"+312 ± 20":          {312.4, new(20.2)},
		"-1842":              {-1842, nil},
		"+3.50 ± 0.25":       {3.5, new(0.25)},
		"+0.00031 ± 0.00001": {0.00031, new(0.00001)},
		"-0 ± 311":           {-0.2, new(310.9)},
	} {
		if got := r.text(); got != want {
			t.Errorf("%+v reads %q, want %q", r, got, want)
		}
	}
}
