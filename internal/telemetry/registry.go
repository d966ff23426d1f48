package telemetry

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Declaration is one metric as the reference page has it.
type Declaration struct {
	Name, Type, Help string
	Labels           []string
}

// declarer makes metrics, registers them and remembers what it made.
type declarer struct {
	registry *prometheus.Registry
	made     []Declaration
	part     string // of the name, behind "veltrix_"
}

func (d *declarer) name(short string) string {
	if d.part == "" {
		return "veltrix_" + short
	}
	return "veltrix_" + d.part + "_" + short
}

func (d *declarer) note(kind, short, help string, labels []string) string {
	name := d.name(short)
	d.made = append(d.made, Declaration{Name: name, Type: kind, Help: help, Labels: labels})
	return name
}

func (d *declarer) counter(short, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: d.note("counter", short, help, nil), Help: help})
	d.registry.MustRegister(c)
	return c
}

func (d *declarer) counters(short, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: d.note("counter", short, help, labels), Help: help}, labels)
	d.registry.MustRegister(c)
	return c
}

func (d *declarer) gauge(short, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: d.note("gauge", short, help, nil), Help: help})
	d.registry.MustRegister(g)
	return g
}

func (d *declarer) gauges(short, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: d.note("gauge", short, help, labels), Help: help}, labels)
	d.registry.MustRegister(g)
	return g
}

func (d *declarer) histogram(short, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: d.note("histogram", short, help, nil), Help: help, Buckets: buckets})
	d.registry.MustRegister(h)
	return h
}

func (d *declarer) histograms(short, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: d.note("histogram", short, help, labels), Help: help, Buckets: buckets}, labels)
	d.registry.MustRegister(h)
	return h
}

var (
	// secondsFast covers what should take milliseconds: 0.5 ms to 8 s.
	secondsFast = prometheus.ExponentialBuckets(0.0005, 2, 15)
	// secondsSlow covers a way through the pipeline: 10 ms to 3 hours.
	secondsSlow = prometheus.ExponentialBuckets(0.01, 4, 11)
	// secondsLate covers what grace may be: 0.1 s to more than a day.
	secondsLate = prometheus.ExponentialBuckets(0.1, 3, 14)
	// records covers a batch: 1 to 65,536.
	records = prometheus.ExponentialBuckets(1, 4, 9)
)

const referenceHead = `# Metrics

<!-- Generated from the declarations in internal/telemetry/metrics.go: go test ./internal/telemetry -rewrite -->

Every process serves its metrics on ` + "`metrics.listen`" + ` under ` + "`/metrics`" + `, for Prometheus or anything that reads its format. Beside them are
` + "`/healthz`" + ` (the process answers), ` + "`/readyz`" + ` (it has been told its partitions, and goes on or is
caught up, and its servers answer; 503 with a sentence otherwise, after twice the session timeout at most) and, with ` + "`metrics.pprof`" + `, ` + "`/debug/pprof/`" + `.
Counters start at 0 with the process. Durations are seconds, sizes bytes. The Go runtime and the process add their own, named ` + "`go_*`" + ` and ` + "`process_*`" + `.

`

// Reference returns the reference page.
func Reference() string {
	var b strings.Builder
	b.WriteString(referenceHead)
	b.WriteString("| metric | type | labels | what it is |\n| --- | --- | --- | --- |\n")
	for _, m := range New().declared {
		labels := ""
		if len(m.Labels) > 0 {
			labels = "`" + strings.Join(m.Labels, "`, `") + "`"
		}
		b.WriteString("| `" + m.Name + "` | " + m.Type + " | " + labels + " | " + m.Help + " |\n")
	}
	return b.String()
}
