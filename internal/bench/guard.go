package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Guarded is what one event costs, in the only unit that other machines share: the
// bare consume loop of the same run.
type Guarded struct {
	Ratio     float64 `json:"ratio"`            // the processor's CPU for an event to that of the loop
	Processor float64 `json:"processor_cpu_ns"` // an event, of this process only
	Loop      float64 `json:"loop_cpu_ns"`      // the same of the bare consume loop
	Rounds    int     `json:"rounds"`
	Machine   string  `json:"machine"`
}

// Guards are what was recorded, by workload and number of events: a short run holds
// more of the start, and is compared with a short run.
type Guards map[string]Guarded

// RegressionError says that an event costs more than it did.
type RegressionError struct {
	Key           string
	Was, Is       Guarded
	Tolerance     float64 // a share of what was recorded
	RecordCommand string
}

func (e *RegressionError) Error() string {
	return fmt.Sprintf("an event of %s takes %.1f times the CPU of the bare consume loop, which is %.0f %% more than the %.1f that are recorded (%s); %.0f %% are allowed."+
		" Profile it (veltrix bench --cpuprofile), or where the price is right, record it: %s",
		e.Key, e.Is.Ratio, (e.Is.Ratio/e.Was.Ratio-1)*100, e.Was.Ratio, e.Was.Machine, e.Tolerance*100, e.RecordCommand)
}

// Guarded returns the report's key among guards, and what it says of an event's cost.
func (r *Report) Guarded() (key string, g Guarded, err error) {
	key = fmt.Sprintf("%s/%d", r.Workload.Name, r.Workload.Events)
	g = Guarded{Rounds: r.Rounds, Machine: fmt.Sprintf("%d CPUs (%s), %s, Go %s", r.Machine.CPUs, orUnknown(r.Machine.Model), r.Machine.System, r.Machine.Go)}
	for _, f := range r.Figures() {
		switch f.Name {
		case r.Reference:
			g.Loop = f.OwnNanos
		case (*pipeline)(nil).Name():
			g.Processor = f.OwnNanos
		}
	}
	if !(g.Loop > 0) || !(g.Processor > 0) {
		return key, g, errors.New("the run has no CPU time of the bare consume loop or of the processor: give more --events")
	}
	g.Ratio = g.Processor / g.Loop
	return key, g, nil
}

// Check holds what was measured against what is recorded under the key.
func (g Guards) Check(key string, is Guarded, tolerance float64, record string) error {
	was, ok := g[key]
	if !ok {
		return fmt.Errorf("nothing is recorded of %s: %s", key, record)
	}
	if is.Ratio > was.Ratio*(1+tolerance) {
		return &RegressionError{key, was, is, tolerance, record}
	}
	return nil
}

// ReadGuards reads a file of guards; one that is not there holds none.
func ReadGuards(path string) (Guards, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Guards{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the recorded costs: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var g Guards
	if err := decoder.Decode(&g); err != nil {
		return nil, fmt.Errorf("read the recorded costs in %s: %w", path, err)
	}
	for key, was := range g {
		if !(was.Ratio > 0) {
			return nil, fmt.Errorf("read the recorded costs in %s: %s has no ratio: record it again", path, key)
		}
	}
	return g, nil
}

// Write writes the file.
func (g Guards) Write(path string) error {
	text, err := json.MarshalIndent(g, "", "  ")
	if err != nil {
		return fmt.Errorf("write the recorded costs: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the recorded costs: %w", err)
	}
	return nil
}
