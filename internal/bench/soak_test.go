package bench

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func soaked() *SoakReport {
	r := &SoakReport{Level: 10, Rate: 1000, For: 5 * time.Second, Budget: 300 << 20, Hits: 75, Misses: 25, Evictions: 7, Cache: 9 << 20}
	for _, mib := range []int64{90, 100, 110, 290, 300, 280} {
		r.Resident = append(r.Resident, mib<<20)
	}
	r.Wall, r.Processors = 10*time.Second, time.Second
	return r
}

// A processor may hold its budget and not a byte more, be it for one second.
func TestSoakVerdict(t *testing.T) {
	r := soaked()
	if err := r.verdict(); err != nil {
		t.Errorf("within its budget: %v", err)
	}
	r.Resident[4]++
	var over *BudgetError
	if err := r.verdict(); !errors.As(err, &over) || !strings.Contains(err.Error(), "300 MiB") {
		t.Errorf("beyond its budget: %v", err)
	}
}

func TestSoakReport(t *testing.T) {
	var b strings.Builder
	if err := soaked().WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"at most 300 MiB, of 300 MiB that are allowed", "the first half 100 MiB, of the second 290 MiB", "75.00 % of 100 lookups", "7 states were dropped", "processor 10 % of one",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, b.String())
		}
	}
}

func TestLookups(t *testing.T) {
	const metrics = "# TYPE veltrix_processor_cache_lookups_total counter\nveltrix_processor_cache_lookups_total{outcome=\"hit\"} 1.25e+06\nveltrix_processor_cache_lookups_total{outcome=\"miss\"} 7\n"
	if hit, miss, none := lookups(metrics, "hit"), lookups(metrics, "miss"), lookups(metrics, "mis"); hit != 1_250_000 || miss != 7 || none != 0 {
		t.Errorf("%d hits, %d misses, %d of what is not there", hit, miss, none)
	}
}

func TestUnusableSoaks(t *testing.T) {
	good := SoakOptions{LoadOptions: LoadOptions{Partitions: 2, Maximum: 100}, Level: 10, For: time.Minute}
	if err := good.check(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*SoakOptions){
		"no level": func(o *SoakOptions) { o.Level = 0 }, "too short": func(o *SoakOptions) { o.For = time.Second },
		"too long": func(o *SoakOptions) { o.For = 25 * time.Hour }, "no partition": func(o *SoakOptions) { o.Partitions = 0 },
	} {
		bad := good
		if spoil(&bad); bad.check() == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
