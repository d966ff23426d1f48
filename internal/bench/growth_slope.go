package bench

import (
	"math"
	"slices"
)

// Slope is how an event's cost grows along a dimension: straight lines through the
// measured rounds by least squares, in nanoseconds of CPU an event.
type Slope struct {
	// Per says what a figure is for: twice as much of the dimension, or one unit
	// more of it; whichever line leaves less of the sum of all processes unexplained.
	Per string `json:"per"`
	// Apt and Other are how much of the sum's variance that line explains, and the
	// other one: R², from 0 to 1.
	Apt      float64 `json:"r2"`
	Other    float64 `json:"r2_of_the_other"`
	Together Rise    `json:"together"`
	Own      Rise    `json:"own"`
	Broker   *Rise   `json:"broker"` // null: not measured
	Redis    *Rise   `json:"redis"`  // null: not measured

	at0 float64 // the height of the line of all together at 0
}

// What a slope is for.
const (
	perDoubling = "doubling"
	perUnit     = "unit"
)

// Rise is a slope with its standard error.
type Rise struct {
	Nanos float64  `json:"ns_per_event"`
	Error *float64 `json:"standard_error"` // null: of too few rounds to say
}

// seen says that a rise is told from none: it is more than two of its standard errors.
func (r Rise) seen() bool { return r.Error != nil && math.Abs(r.Nanos) > 2**r.Error }

// line is a straight line through points by least squares.
type line struct {
	Rise
	at0  float64 // its height at 0
	left float64 // the sum of squares that it leaves
	r2   float64
}

// fit returns the line through points, and whether there is one: not through points
// that stand above each other.
func fit(x, y []float64) (line, bool) {
	if len(slices.Compact(slices.Sorted(slices.Values(x)))) < 2 {
		return line{}, false
	}
	n := float64(len(x))
	var mx, my float64
	for i := range x {
		mx, my = mx+x[i]/n, my+y[i]/n
	}
	var sxx, sxy, syy float64
	for i := range x {
		dx, dy := x[i]-mx, y[i]-my
		sxx, sxy, syy = sxx+dx*dx, sxy+dx*dy, syy+dy*dy
	}
	l := line{Rise: Rise{Nanos: sxy / sxx}}
	l.at0 = my - l.Nanos*mx
	for i := range x {
		off := y[i] - l.at0 - l.Nanos*x[i]
		l.left += off * off
	}
	if syy > 0 {
		l.r2 = max(0, 1-l.left/syy)
	}
	if n > 2 {
		l.Error = new(math.Sqrt(l.left / (n - 2) / sxx))
	}
	return l, true
}

// rounds are the counted rounds of some points: where each lies, and its window.
type rounds struct {
	along   []float64
	windows []Window
}

// fit returns the line of a part's time per event, over doublings or units.
func (r rounds) fit(per string, part func(Window) float64) (line, bool) {
	x, y := make([]float64, len(r.along)), make([]float64, len(r.along))
	for i, along := range r.along {
		if x[i] = along; per == perDoubling {
			x[i] = math.Log2(along)
		}
		y[i] = part(r.windows[i]) / float64(r.windows[i].Events)
	}
	return fit(x, y)
}

// slope returns how the cost grows over the rounds, or nil where all are of one point.
// Parts that are not measured are 0 in the windows, and so add nothing to the sum.
func (r rounds) slope(broker, redis bool) *Slope {
	together := func(w Window) float64 { return float64(w.Own + w.Broker + w.Redis) }
	doubling, ok := r.fit(perDoubling, together)
	if !ok {
		return nil
	}
	unit, _ := r.fit(perUnit, together)
	// Through two points both lines are the same.
	s := &Slope{Per: perDoubling, Apt: doubling.r2, Other: unit.r2, Together: doubling.Rise, at0: doubling.at0}
	if unit.left < doubling.left*(1-1e-9) {
		s.Per, s.Apt, s.Other, s.Together, s.at0 = perUnit, unit.r2, doubling.r2, unit.Rise, unit.at0
	}
	part := func(of func(Window) float64) *Rise {
		l, _ := r.fit(s.Per, of)
		return &l.Rise
	}
	s.Own = *part(func(w Window) float64 { return float64(w.Own) })
	if broker {
		s.Broker = part(func(w Window) float64 { return float64(w.Broker) })
	}
	if redis {
		s.Redis = part(func(w Window) float64 { return float64(w.Redis) })
	}
	return s
}
