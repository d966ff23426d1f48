package bench

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"
)

// RecoveryReport is what a run of Recovery measured, and everything it depends on.
type RecoveryReport struct {
	LoadHead
	Level              int           `json:"percent"` // of the maximum
	Rate               float64       `json:"due_events_per_s"`
	Calm               time.Duration `json:"calm_ns"`
	SessionTimeout     time.Duration `json:"session_timeout_ns"`
	TransactionTimeout time.Duration `json:"transaction_timeout_ns"`
	Killed             []Killed      `json:"killed"`
}

// counted returns the kills that figures are taken from: the quiet ones, or all
// where every one was noisy.
func (k *Killed) counted() (kills []Kill, quiet bool) {
	for _, one := range k.Kills {
		if !one.Noisy {
			kills = append(kills, one)
		}
	}
	if len(kills) == 0 {
		return k.Kills, false
	}
	return kills, true
}

// of returns a time's median and range, in seconds.
func (k *Killed) of(part func(Kill) time.Duration) Spread {
	kills, _ := k.counted()
	values := make([]float64, len(kills))
	for i, one := range kills {
		values[i] = part(one).Seconds()
	}
	return spread(values)
}

// Next is from the kill to the next notification, in seconds.
func (k *Killed) Next() Spread { return k.of(func(k Kill) time.Duration { return k.Next }) }

// Zero is from the kill to zero lag, in seconds.
func (k *Killed) Zero() Spread { return k.of(func(k Kill) time.Duration { return k.Zero }) }

// recoveryFigures are a kind's medians, for machines.
type recoveryFigures struct {
	Killed
	Next     float64 `json:"kill_to_notification_s"`
	NextLow  float64 `json:"kill_to_notification_s_low"`
	NextHigh float64 `json:"kill_to_notification_s_high"`
	Zero     float64 `json:"kill_to_zero_lag_s"`
	ZeroLow  float64 `json:"kill_to_zero_lag_s_low"`
	ZeroHigh float64 `json:"kill_to_zero_lag_s_high"`
	Quiet    bool    `json:"quiet"` // false: every kill was noisy
}

// WriteJSON writes the report for machines.
func (r *RecoveryReport) WriteJSON(w io.Writer) error {
	type plain RecoveryReport
	var all []recoveryFigures
	for i := range r.Killed {
		k := &r.Killed[i]
		next, zero := k.Next(), k.Zero()
		_, quiet := k.counted()
		all = append(all, recoveryFigures{*k, next.Median, next.Low, next.High, zero.Median, zero.Low, zero.High, quiet})
	}
	return writeJSON(w, struct {
		*plain
		Killed []recoveryFigures `json:"killed"`
	}{(*plain)(r), all})
}

// WriteText writes the report for people.
func (r *RecoveryReport) WriteText(w io.Writer) error {
	var b strings.Builder
	r.write(&b)
	fmt.Fprintf(&b, "%s events/s, %d %% of the maximum; SIGKILL after %s of calm; session timeout %s, transaction timeout %s\n\n",
		thousands(r.Rate), r.Level, r.Calm, r.SessionTimeout, r.TransactionTimeout)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "after SIGKILL\tkills\tits partitions\tnext notification after\trange\tno lag after\trange\tother load\t")
	for i := range r.Killed {
		k := &r.Killed[i]
		next, zero := k.Next(), k.Zero()
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t\n", k.Name, len(k.Kills), k.partitions(),
			seconds(next.Median), between(next), seconds(zero.Median), between(zero), k.load())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for i := range r.Killed {
		k := &r.Killed[i]
		fmt.Fprintf(&b, "\n%s: no lag is when notifications of every partition come within %.0f ms again, as 99 %% did before the first kill", k.Name, k.Usual.Seconds()*1000)
	}
	for _, note := range r.notes() {
		fmt.Fprintf(&b, "\n%s", note)
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}

func seconds(s float64) string { return fmt.Sprintf("%.2f s", s) }

func between(s Spread) string { return fmt.Sprintf("%.2f–%.2f", s.Low, s.High) }

// partitions is how many the killed one had.
func (k *Killed) partitions() string {
	low, high := math.MaxInt, 0
	for _, one := range k.Kills {
		low, high = min(low, one.Partitions), max(high, one.Partitions)
	}
	if low >= high {
		return fmt.Sprint(high)
	}
	return fmt.Sprintf("%d–%d", low, high)
}

// load is the range of other load.
func (k *Killed) load() string {
	var rounds []Window
	for _, one := range k.Kills {
		rounds = append(rounds, one.Window)
	}
	return load(&Result{Rounds: rounds})
}

// notes are what a reader has to know beside the figures.
func (r *RecoveryReport) notes() []string {
	notes := r.LoadHead.notes()
	for i := range r.Killed {
		k := &r.Killed[i]
		noisy, blind := 0, 0
		for _, one := range k.Kills {
			noisy += count(one.Noisy)
			blind += count(one.Other < 0)
		}
		if _, quiet := k.counted(); noisy > 0 && quiet {
			notes = append(notes, fmt.Sprintf("%s: %d of %d kills were noisy (other load above %.0f %%) and are left out", k.Name, noisy, len(k.Kills), noisyAbove*100))
		} else if noisy > 0 {
			notes = append(notes, fmt.Sprintf("%s: every kill was noisy (other load above %.0f %%): repeat on a quiet machine", k.Name, noisyAbove*100))
		}
		if blind > 0 {
			notes = append(notes, fmt.Sprintf("%s: other load is not known at %d kills (too short, or a server's process was not found): noise would not be seen", k.Name, blind))
		}
	}
	return notes
}

// WritePage puts the report, with the command that made it, between the page's
// marks.
func (r *RecoveryReport) WritePage(path, command string) error {
	return writePage(path, "bench recovery", command, r.WriteText)
}
