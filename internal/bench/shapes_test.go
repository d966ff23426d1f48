package bench

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/fold"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// measured is what a workload's records are, by counting.
type measured struct {
	records, copies, behind, notifies int
	busiest                           float64 // the busiest participant's part
	participants                      int
	fates                             [participant.FateCount]int64
}

func measure(t *testing.T, w *Workload) measured {
	t.Helper()
	program, err := w.Program()
	if err != nil {
		t.Fatal(err)
	}
	f := fold.New(program, 1)
	states, newest, of, seen := map[string]engine.State{}, map[string]string{}, map[string]int{}, map[string]bool{}
	var m measured
	err = w.Each(1, func(r *kgo.Record) error {
		value, who := string(r.Value), string(r.Key)
		_, at, _ := strings.Cut(value, `"time":"`)
		at, _, _ = strings.Cut(at, `"`)
		switch {
		case seen[value]:
			m.copies++
		case at < newest[who]:
			m.behind++
		}
		if strings.Contains(value, "clue.found") && !seen[value] {
			m.notifies++
		}
		seen[value], newest[who] = true, max(newest[who], at)
		of[who]++
		record := engine.Record{Key: r.Key, Value: r.Value, Offset: int64(m.records), Timestamp: time.Now().UnixMicro()}
		for _, h := range r.Headers {
			record.Headers = append(record.Headers, wire.Header{Key: h.Key, Value: h.Value})
		}
		m.records++
		if states[who] == nil {
			states[who] = f.New()
		}
		var out engine.Outputs
		f.Apply(states[who], &record, &out)
		for i, n := range out.Fates {
			m.fates[i] += n
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range of {
		m.busiest = max(m.busiest, float64(n)/float64(m.records))
	}
	m.participants = len(of)
	return m
}

// TestShapes holds each workload against what its name promises, and its events
// against the fold: what is no copy is applied.
func TestShapes(t *testing.T) {
	const events = 50_000
	share := func(n int) float64 { return float64(n) / events }
	for _, name := range Workloads() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, err := NewWorkload(name, events, 2000, Structured)
			if err != nil {
				t.Fatal(err)
			}
			m := measure(t, w)
			if m.records != events {
				t.Errorf("%d records", m.records)
			}
			disorder := name == "disorder"
			if c := share(m.copies); disorder != (c > 0.08 && c < 0.12) || !disorder && c > 0 {
				t.Errorf("%.3f are copies", c)
			}
			if b := share(m.behind); disorder != (b > 0.07 && b < 0.1) || !disorder && b > 0 {
				t.Errorf("%.3f are behind", b)
			}
			if b := m.busiest; (name == "hot") != (b > 0.05) {
				t.Errorf("the busiest participant has %.3f", b)
			}
			want := 0.1
			if name == "fan-out" {
				want = 1
			}
			if n := share(m.notifies + m.copies/10); n < want-0.01 || n > want+0.01 {
				t.Errorf("%.3f notify, want %.2f", n, want)
			}
			if got := m.fates[participant.Applied]; got != int64(events-m.copies) {
				t.Errorf("%d of %d are applied: %v", got, events-m.copies, m.fates)
			}
		})
	}
	if _, err := NewWorkload("narrow", 1, 1, Structured); err == nil || !strings.Contains(err.Error(), "core, disorder, fan-out, hot, rules, wide") {
		t.Errorf("error %v", err)
	}
}

// TestEachWorkloadEndToEnd: every one is compared with its fold.
func TestEachWorkloadEndToEnd(t *testing.T) {
	for _, name := range Workloads() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rt, redis, adm := world(t)
			w, err := NewWorkload(name, 2000, 50, Structured)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			report, err := Run(ctx, rt, Options{Workload: w, Partitions: 3, Rounds: 1, Progress: t.Logf})
			if err != nil {
				t.Fatal(err)
			}
			if v := report.Verified; v.Events != 2000 || v.Outputs < 150 || v.States < 40 {
				t.Errorf("compared %+v", v)
			}
			if n := len(report.Variants); n != map[bool]int{true: 3, false: 2}[w.once] {
				t.Errorf("%d variants", n)
			}
			if err := report.WriteText(io.Discard); err != nil {
				t.Error(err)
			}
			empty(t, redis, adm)
		})
	}
}
