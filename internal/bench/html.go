package bench

import (
	"bytes"
	_ "embed" // the page
	"fmt"
	"html/template"
	"math"
	"strings"
	"time"
)

//go:embed html.tmpl
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// page is a report as one HTML file, which needs nothing beside it.
type page struct {
	Title    string
	Command  string // that made it
	Facts    []fact
	Sections []section
	Notes    []string
}

// fact is something that the figures depend on.
type fact struct{ Name, Text string }

// section is a table and what is plotted of it.
type section struct {
	Title   string
	Caption string
	Table   [][]string // the columns' names first
	Words   []string
	Plots   []figure
}

type figure struct {
	Title string
	SVG   template.HTML
}

func (p *page) render() ([]byte, error) {
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, p); err != nil {
		return nil, fmt.Errorf("write the report as HTML: %w", err)
	}
	return b.Bytes(), nil
}

// factsOf reads the head of a report for people: in each line a name and a text.
func factsOf(writeHead func(*strings.Builder)) (facts []fact) {
	var head strings.Builder
	writeHead(&head)
	for line := range strings.Lines(head.String()) {
		if name, text, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			facts = append(facts, fact{name, strings.TrimSpace(text)})
		}
	}
	return facts
}

// HTML returns the report as a page, with the command that made it.
func (r *Report) HTML(command string) ([]byte, error) {
	figures := r.Figures()
	p := page{
		Title: "veltrix bench: " + r.Workload.Name, Command: command, Facts: factsOf(r.writeHead), Notes: r.notes(),
		Sections: []section{{
			Title: "Figures", Caption: "Medians of the rounds; the ratio is to the first row. – is what was not measured.", Table: r.table(),
			Plots: []figure{ratePlot("bench", figures), r.cpuPlot("bench", figures)},
		}},
	}
	return p.render()
}

// ratePlot draws events a second with the range of the rounds.
func ratePlot(id string, figures []Figures) figure {
	var bars []bar
	said := ""
	for _, f := range figures {
		bars = append(bars, bar{Label: f.Name, Parts: []float64{f.EventsPerS}, Low: f.Low, High: f.High, Text: thousands(f.EventsPerS)})
		said += fmt.Sprintf("%s: %s, from %s to %s. ", f.Name, thousands(f.EventsPerS), thousands(f.Low), thousands(f.High))
	}
	const title = "Events a second: median, and range of the rounds"
	return figure{title, barPlot(id+"-rate", title, strings.TrimSpace(said), []string{"events/s"}, bars)}
}

// cpuPlot draws CPU time for an event, by process.
func (r *Report) cpuPlot(id string, figures []Figures) figure {
	var bars []bar
	said := ""
	for _, f := range figures {
		parts := []float64{f.OwnNanos, orZero(f.BrokerNanos), orZero(f.RedisNanos)}
		sum := total(parts)
		bars = append(bars, bar{Label: f.Name, Parts: parts, Text: thousands(sum)})
		said += fmt.Sprintf("%s: own %s, broker %s, Redis %s. ", f.Name, thousands(f.OwnNanos), orNone(f.BrokerNanos), orNone(f.RedisNanos))
	}
	const title = "CPU time for an event, ns, by process"
	return figure{title, barPlot(id+"-cpu", title, strings.TrimSpace(said), r.processes(), bars)}
}

// processes are the names of what is accounted for, in the order of a bar's parts.
func (r *Report) processes() []string {
	names := []string{"this process", "broker", "Redis"}
	if !r.Broker.measured() {
		names[1] += " (not measured)"
	}
	if !r.Redis.measured() {
		names[2] += " (not measured)"
	}
	return names
}

func orZero(f *float64) float64 {
	if f == nil {
		return 0
	}
	return *f
}

// HTML returns the report as a page, with the command that made it.
func (r *GrowthReport) HTML(command string) ([]byte, error) {
	p := page{Title: "veltrix bench growth", Command: command, Facts: factsOf(r.writeHead), Notes: r.notes()}
	for _, g := range r.Dimensions {
		figures, slope := r.Figures(g)
		var plain []Figures
		for _, f := range figures {
			plain = append(plain, f.Figures)
		}
		plots := []figure{ratePlot(g.Name, plain), r.rounds(g.Points...).cpuPlot(g.Name, plain)}
		if slope != nil {
			plots = append(plots, r.linePlot(g, slope))
		}
		p.Sections = append(p.Sections, section{
			Title: strings.ToUpper(g.Name[:1]) + g.Name[1:], Caption: "Medians of the rounds, and the slope. – is what was not measured.",
			Table: r.table(g), Words: slope.words(g), Plots: plots,
		})
	}
	return p.render()
}

// linePlot draws CPU time for an event along a dimension, so that the slope is a
// straight line.
func (r *GrowthReport) linePlot(g *Grown, slope *Slope) figure {
	parts := []struct {
		name string
		of   func(Window) time.Duration
		is   bool
	}{
		{"this process", func(w Window) time.Duration { return w.Own }, true},
		{"broker", func(w Window) time.Duration { return w.Broker }, r.Broker.measured()},
		{"Redis", func(w Window) time.Duration { return w.Redis }, r.Redis.measured()},
		{"together", func(w Window) time.Duration { return w.Own + w.Broker + w.Redis }, r.Broker.measured() || r.Redis.measured()},
	}
	var curves []curve
	said := ""
	for _, part := range parts {
		if !part.is {
			curves = append(curves, curve{})
			continue
		}
		c := curve{Name: part.name}
		said += part.name + ":"
		for _, p := range g.Points {
			s := p.perEvent(part.of)
			c.Marks = append(c.Marks, mark{s.Median, s.Low, s.High})
			said += fmt.Sprintf(" %s at %s,", thousands(s.Median), thousands(float64(p.At)))
		}
		said = strings.TrimSuffix(said, ",") + ". "
		curves = append(curves, c)
	}
	var places []float64
	var labels []string
	for _, p := range g.Points {
		places, labels = append(places, p.Along), append(labels, thousands(float64(p.At)))
	}
	straight := make([]float64, 2)
	for i, x := range []float64{places[0], places[len(places)-1]} {
		if slope.Per == perDoubling {
			x = math.Log2(x)
		}
		straight[i] = slope.at0 + slope.Together.Nanos*x
	}
	title := fmt.Sprintf("CPU time for an event, ns, along %s by %ss; dashed: the slope", g.Name, slope.Per)
	return figure{title, linePlot(g.Name+"-growth", title, strings.TrimSpace(said), places, labels, slope.Per == perDoubling, curves, straight)}
}
