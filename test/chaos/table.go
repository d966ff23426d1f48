package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// FaultSummary is what one fault did over a campaign.
type FaultSummary struct {
	Fault      string  `json:"fault"`
	Schedules  int     `json:"schedules"`
	Injections int     `json:"injections"`
	Failed     int     `json:"failed"` // schedules that did not end as expected
	Lost       int64   `json:"lost"`
	Duplicated int64   `json:"duplicated"`
	Wrong      int64   `json:"wrong"`
	Stuck      int64   `json:"stuck"`
	Measured   int     `json:"measured"` // injections whose recovery was measured
	MedianS    float64 `json:"recovery_median_seconds"`
	P95S       float64 `json:"recovery_p95_seconds"`
}

// Summary is a campaign's results.
type Summary struct {
	Schedules int            `json:"schedules"`
	Passed    int            `json:"passed"`
	Events    int64          `json:"events"` // that had to count, where all partitions were compared
	Faults    []FaultSummary `json:"faults"`
}

// Summarise adds results up for each fault. What a schedule lost counts for all
// faults that it had.
func Summarise(results []*Result) *Summary {
	sum := &Summary{Schedules: len(results)}
	faults := map[string]*FaultSummary{}
	recoveries := map[string][]float64{}
	for _, r := range results {
		if r.Passed {
			sum.Passed++
		}
		sum.Events += r.Events
		seen := map[string]bool{}
		for _, i := range r.Injected {
			f := faults[i.Fault]
			if f == nil {
				f = &FaultSummary{Fault: i.Fault}
				faults[i.Fault] = f
			}
			f.Injections++
			if i.Measured {
				recoveries[i.Fault] = append(recoveries[i.Fault], i.RecoverySeconds)
			}
			if !seen[i.Fault] {
				seen[i.Fault] = true
				f.count(r)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		f := faults[name]
		all := recoveries[name]
		slices.Sort(all)
		f.Measured, f.MedianS, f.P95S = len(all), quantile(all, 0.5), quantile(all, 0.95)
		sum.Faults = append(sum.Faults, *f)
	}
	return sum
}

func (f *FaultSummary) count(r *Result) {
	f.Schedules++
	if !r.Passed {
		f.Failed++
	}
	f.Lost += r.Lost
	f.Duplicated += r.Duplicated
	f.Wrong += r.Wrong
	f.Stuck += r.Stuck
}

// quantile is the smallest value that a share q of the sorted ones does not
// exceed; 0 where there are none.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := int(q*float64(len(sorted))+0.999999) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

// Table is the summary as a page shows it.
func (s *Summary) Table() string {
	var b strings.Builder
	b.WriteString("| fault | schedules | injected | lost | duplicated | wrong | stuck | otherwise than expected | recovery, median | p95 |\n")
	b.WriteString("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, f := range s.Faults {
		median, p95 := "–", "–"
		if f.Measured > 0 {
			median, p95 = fmt.Sprintf("%.1f s", f.MedianS), fmt.Sprintf("%.1f s", f.P95S)
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %d | %d | %s | %s |\n",
			f.Fault, f.Schedules, f.Injections, f.Lost, f.Duplicated, f.Wrong, f.Stuck, f.Failed, median, p95)
	}
	return b.String()
}
