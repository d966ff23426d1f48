package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// PeerReport is what a run of Peers measured.
type PeerReport struct {
	Peers []Peer
	Runs  []*Report // one for each number of clients
}

// Against is the processor beside one peer.
type Against struct {
	Name   string   `json:"name"`
	Ratio  float64  `json:"ratio"`  // the processor's events per second, as a part of the peer's
	CPU    float64  `json:"cpu"`    // the CPU time of an event in all processes, likewise
	Target *float64 `json:"target"` // of Ratio; null: none
}

// against returns the processor beside each peer, in one run.
func (p *PeerReport) against(r *Report) (all []Against) {
	var processor Figures
	figures := r.Figures()
	for _, f := range figures {
		if f.Name == (*pipeline)(nil).Name() {
			processor = f
		}
	}
	for _, f := range figures {
		for _, peer := range p.Peers {
			if peer.Name != f.Name {
				continue
			}
			a := Against{Name: f.Name, Ratio: processor.EventsPerS / f.EventsPerS, CPU: processor.allNanos() / f.allNanos()}
			if peer.Target > 0 {
				a.Target = &peer.Target
			}
			all = append(all, a)
		}
	}
	return all
}

// allNanos is the CPU time of an event in all processes that were measured.
func (f *Figures) allNanos() float64 {
	total := f.OwnNanos
	for _, part := range []*float64{f.BrokerNanos, f.RedisNanos} {
		if part != nil {
			total += *part
		}
	}
	return total
}

// WriteJSON writes the report for machines: a list, one run for each number of clients.
func (p *PeerReport) WriteJSON(w io.Writer) error {
	type plain Report
	type run struct {
		*plain
		Variants []Figures `json:"variants"`
		Against  []Against `json:"processor_against"`
	}
	var runs []run
	for _, r := range p.Runs {
		runs = append(runs, run{(*plain)(r), r.Figures(), p.against(r)})
	}
	return writeJSON(w, runs)
}

// WriteText writes the report for people.
func (p *PeerReport) WriteText(w io.Writer) error {
	var b strings.Builder
	for i, r := range p.Runs {
		if i > 0 {
			b.WriteByte('\n')
		}
		if err := p.writeRun(&b, r); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (p *PeerReport) writeRun(b *strings.Builder, r *Report) error {
	r.writeHead(b)
	// Behind what was compared of the processor, before the blank line.
	head := strings.TrimSuffix(b.String(), "\n")
	b.Reset()
	fmt.Fprintf(b, "%speers      %s, their outputs, and states in Redis, with the fold in the order of arrival: likewise\n\n", head, strings.Join(peerNames(p.Peers), ", "))
	against := map[string]Against{}
	for _, a := range p.against(r) {
		against[a.Name] = a
	}
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "variant\tevents/s\trange\tprocessor is\ttarget\tCPU ns/event: own\tbroker\tRedis\tother load\t")
	for i, f := range r.Figures() {
		ratio, target := "–", "–"
		if a, is := against[f.Name]; is {
			ratio = fmt.Sprintf("%.2f×", a.Ratio)
			if a.Target != nil {
				target = fmt.Sprintf("%.2f×", *a.Target)
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%s–%s\t%s\t%s\t%.0f\t%s\t%s\t%s\t\n", f.Name, thousands(f.EventsPerS), thousands(f.Low), thousands(f.High),
			ratio, target, f.OwnNanos, orNone(f.BrokerNanos), orNone(f.RedisNanos), load(&r.Variants[i]))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, v := range r.Variants {
		repeated := int64(0)
		for _, w := range v.Rounds {
			repeated += w.Repeated
		}
		if repeated > 0 {
			fmt.Fprintf(b, "\n%s: %s outputs were written more than once", v.Name, thousands(float64(repeated)))
		}
	}
	for _, note := range r.notes() {
		fmt.Fprintf(b, "\n%s", note)
	}
	b.WriteByte('\n')
	return nil
}

// WritePage puts the report, with the command that made it, between the page's marks
// of that block; "": of this workload.
func (p *PeerReport) WritePage(path, block, command string) error {
	if block == "" {
		block = p.Runs[0].Workload.Name
	}
	return writePage(path, "peers "+block, command, p.WriteText)
}
