package bench

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// Plots are inline SVG whose colours are the page's: the classes s0, s1 … are series,
// grid is what is behind them. The same input makes the same bytes.

// Layout, in units of the view box, which is as wide as a plot.
const (
	plotWidth   = 760
	plotLeft    = 190.0 // of what is to the right of the labels
	plotRight   = 640.0 // and where the room for a bar's text begins
	plotTop     = 44.0  // below the legend
	barStep     = 34.0
	barThick    = 18.0
	lineHeight  = 240.0
	ticksMost   = 6
	letterWidth = 7.2 // about, for the legend
)

// svg is a plot that is being drawn.
type svg struct{ strings.Builder }

// number renders a coordinate.
func number(f float64) string {
	return strconv.FormatFloat(math.Round(f*10)/10, 'f', -1, 64)
}

// draw appends markup: %s is a text, which is escaped, %v a coordinate.
func (s *svg) draw(format string, args ...any) {
	for i, a := range args {
		switch a := a.(type) {
		case string:
			args[i] = html.EscapeString(a)
		case float64:
			args[i] = number(a)
		}
	}
	fmt.Fprintf(&s.Builder, format+"\n", args...)
}

// open begins a plot with the words that a reader who does not see it hears.
func (s *svg) open(id, title, desc string, height float64) {
	s.draw(`<svg viewBox="0 0 %d %v" role="img" aria-labelledby="%s-title %s-desc" xmlns="http://www.w3.org/2000/svg">`, plotWidth, height, id, id)
	s.draw(`<title id="%s-title">%s</title>`, id, title)
	s.draw(`<desc id="%s-desc">%s</desc>`, id, desc)
}

func (s *svg) close() template.HTML {
	s.WriteString("</svg>\n")
	return template.HTML(s.String()) // every text in it was escaped
}

// legend names the series, each with the shape that it is drawn with; those without a
// name are left out.
func (s *svg) legend(names []string, shape func(series int, x, y float64)) {
	x := plotLeft
	for i, name := range names {
		if name == "" {
			continue
		}
		shape(i, x, 16)
		s.draw(`<text x="%v" y="20">%s</text>`, x+12, name)
		x += 34 + letterWidth*float64(len([]rune(name)))
	}
}

// roundTicks are round numbers from 0 to the first one at or above the largest value.
func roundTicks(largest float64) []float64 {
	if !(largest > 0) {
		largest = 1
	}
	step := math.Pow(10, math.Floor(math.Log10(largest/ticksMost)))
	for _, f := range []float64{2, 2.5, 2} { // 1, 2, 5, 10
		if largest/step <= ticksMost {
			break
		}
		step *= f
	}
	all := []float64{0}
	for i := 1; all[len(all)-1] < largest; i++ {
		all = append(all, float64(i)*step)
	}
	return all
}

// bar is a row of a plot: parts behind each other.
type bar struct {
	Label     string
	Parts     []float64
	Low, High float64 // the range of their sum; both 0: none is shown
	Text      string  // the figure, behind the bar
}

// barPlot draws bars from left to right, one below the other; parts are of the series
// that names name; a single one needs no legend.
func barPlot(id, title, desc string, names []string, bars []bar) template.HTML {
	largest := 0.0
	for _, b := range bars {
		largest = max(largest, b.High, total(b.Parts))
	}
	ticks := roundTicks(largest)
	at := func(v float64) float64 { return plotLeft + v/ticks[len(ticks)-1]*(plotRight-plotLeft) }
	bottom := plotTop + barStep*float64(len(bars))
	var s svg
	s.open(id, title, desc, bottom+24)
	for _, t := range ticks {
		s.draw(`<path class="grid" d="M%v %vV%v"/>`, at(t), plotTop-6, bottom)
		s.draw(`<text class="tick" x="%v" y="%v" text-anchor="middle">%s</text>`, at(t), bottom+16, thousands(t))
	}
	if len(names) > 1 {
		s.legend(names, func(i int, x, y float64) {
			s.draw(`<rect class="s%d" x="%v" y="%v" width="9" height="9"/>`, i, x, y-5)
		})
	}
	for i, b := range bars {
		y, x := plotTop+barStep*float64(i), 0.0
		s.draw(`<text x="%v" y="%v" text-anchor="end">%s</text>`, plotLeft-8, y+13, b.Label)
		for k, p := range b.Parts {
			s.draw(`<rect class="s%d" x="%v" y="%v" width="%v" height="%v"/>`, k, at(x), y, at(p)-at(0), barThick)
			x += p
		}
		if b.High > 0 {
			mid := y + barThick/2
			s.draw(`<path class="range" d="M%v %vH%vM%v %vv8M%v %vv8"/>`, at(b.Low), mid, at(b.High), at(b.Low), mid-4, at(b.High), mid-4)
		}
		s.draw(`<text x="%v" y="%v">%s</text>`, max(at(x), at(b.High))+6, y+13, b.Text)
	}
	return s.close()
}

func total(parts []float64) (sum float64) {
	for _, p := range parts {
		sum += p
	}
	return sum
}

// mark is a point of a curve, with its range.
type mark struct{ Y, Low, High float64 }

// curve is one mark for each of a plot's places; without marks it is not there, and
// the ones behind it keep their colours and shapes.
type curve struct {
	Name  string
	Marks []mark
}

// linePlot draws curves over places, evenly by doublings or by units; labels name the
// places. straight, where it is not nil, is a line from the first place to the last.
func linePlot(id, title, desc string, places []float64, labels []string, doubling bool, curves []curve, straight []float64) template.HTML {
	largest, across := 0.0, func(x float64) float64 { return x }
	if doubling {
		across = math.Log2
	}
	for _, c := range curves {
		for _, m := range c.Marks {
			largest = max(largest, m.High)
		}
	}
	ticks := roundTicks(largest)
	first, last := across(places[0]), across(places[len(places)-1])
	at := func(x float64) float64 {
		return plotLeft + 20 + (across(x)-first)/max(last-first, 1e-9)*(plotRight-plotLeft-40)
	}
	high := func(y float64) float64 { return plotTop + lineHeight*(1-y/ticks[len(ticks)-1]) }
	var s svg
	s.open(id, title, desc, plotTop+lineHeight+28)
	for _, t := range ticks {
		s.draw(`<path class="grid" d="M%v %vH%v"/>`, plotLeft, high(t), plotRight)
		s.draw(`<text class="tick" x="%v" y="%v" text-anchor="end">%s</text>`, plotLeft-8, high(t)+4, thousands(t))
	}
	for i, x := range places {
		s.draw(`<text class="tick" x="%v" y="%v" text-anchor="middle">%s</text>`, at(x), plotTop+lineHeight+18, labels[i])
	}
	if len(straight) == 2 {
		s.draw(`<path class="straight" d="M%v %vL%v %v"/>`, at(places[0]), high(straight[0]), at(places[len(places)-1]), high(straight[1]))
	}
	var names []string
	for i, c := range curves {
		names = append(names, c.Name)
		path := ""
		for k, m := range c.Marks {
			x := at(places[k])
			path += map[bool]string{true: "M", false: "L"}[k == 0] + number(x) + " " + number(high(m.Y))
			s.draw(`<path class="range" d="M%v %vV%v"/>`, x, high(m.Low), high(m.High))
		}
		if path != "" {
			s.draw(`<path class="curve s%d" d="%s"/>`, i, path)
		}
		for k, m := range c.Marks {
			s.dot(i, at(places[k]), high(m.Y))
		}
	}
	s.legend(names, s.dot)
	return s.close()
}

// dot draws a series' mark: a shape of its own, so that nobody has to tell colours.
func (s *svg) dot(series int, x, y float64) {
	shapes := []string{"m-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z", "m-4 -4h8v8h-8z", "m0 -5l5 9h-10z", "m0 -5l5 5l-5 5l-5 -5z"}
	s.draw(`<path class="s%d" d="M%v %v%s"/>`, series, x, y, shapes[series%len(shapes)])
}
