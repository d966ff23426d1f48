package enginetest

import (
	"errors"
	"strings"
)

// Minimise returns the violation with the fewest steps that it finds: first
// those up to the violation, then without ever smaller pieces of them as long
// as the same invariant breaks. The result carries a trace.
func Minimise(v *Violation) *Violation {
	kind := kindOf(v)
	best := v
	try := func(cfg Config) bool {
		var got *Violation
		_, err := Run(cfg)
		if !errors.As(err, &got) {
			return false
		}
		if kindOf(got) != kind {
			return false
		}
		best = got
		return true
	}
	cfg := v.Config
	cfg.Trace = false
	if v.Step < cfg.Steps {
		cfg.Steps = v.Step + 1
	}
	if !try(cfg) {
		return v
	}
	for size := max(1, cfg.Steps/2); ; size /= 2 {
		for from := 0; from < cfg.Steps; from += size {
			next := cfg
			next.Without = map[int]bool{}
			for k := range cfg.Without {
				next.Without[k] = true
			}
			for k := from; k < min(from+size, cfg.Steps); k++ {
				next.Without[k] = true
			}
			if len(next.Without) > len(cfg.Without) && try(next) {
				cfg = next
			}
		}
		if size <= 1 {
			break
		}
	}
	cfg.Trace = true
	try(cfg)
	return best
}

// Kept returns how many steps are left of how many.
func (v *Violation) Kept() (kept, of int) {
	return v.Config.Steps - len(v.Config.Without), v.Config.Steps
}

// Traced plays a run as Run does, and returns what happened in it too.
func Traced(cfg Config) (Result, []string, error) {
	cfg.Trace = true
	return run(cfg)
}

// kindOf is the invariant, with the reason of a refusal.
func kindOf(v *Violation) string {
	parts := strings.SplitN(v.Err.Error(), ":", 4)
	if parts[0] == "I7" && len(parts) > 2 {
		return strings.Join(parts[:3], ":")
	}
	return parts[0]
}
