package ingest

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// badShown bounds the bad lines that are shown one by one.
const badShown = 20

// Progress shows how a load goes: one line that is written over on a terminal,
// and JSON lines anywhere else.
type Progress struct {
	to       io.Writer
	terminal bool
	name     string
	read     func() int64
	size     int64 // bytes of the file as stored; 0: not known
	bad      int
	width    int // of the line shown
}

// NewProgress shows the load of the file name on to. read and size are those
// of Open.
func NewProgress(to io.Writer, name string, read func() int64, size int64) *Progress {
	p := &Progress{to: to, name: name, read: read, size: size}
	if file, ok := to.(*os.File); ok {
		info, err := file.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// progressLine is one JSON line.
type progressLine struct {
	Message string `json:"msg"`
	File    string `json:"file"`
	LoadResult
	Rate    int64  `json:"events_per_second"`
	Percent *int64 `json:"percent,omitempty"`
	Eta     string `json:"eta,omitempty"`
}

// badLine is the JSON line of a line that was left out.
type badLine struct {
	Message string `json:"msg"`
	File    string `json:"file"`
	Fault   Fault  `json:"bad_line"`
}

// Bad shows a line that was left out; the first few, the rest is counted.
func (p *Progress) Bad(f Fault) {
	p.bad++
	switch {
	case p.bad > badShown:
	case p.terminal:
		p.clear()
		_, _ = fmt.Fprintf(p.to, "%s:%d: %s\n", p.name, f.Line, f.Reason)
		if p.bad == badShown {
			_, _ = fmt.Fprintln(p.to, "further bad lines are only counted")
		}
	default:
		p.json(badLine{Message: "bad line", File: p.name, Fault: f})
	}
}

// Update shows how far the load is.
func (p *Progress) Update(r LoadResult) {
	rate, percent, eta := p.figures(r)
	if !p.terminal {
		p.json(progressLine{Message: "loading", File: p.name, LoadResult: r, Rate: rate, Percent: percent, Eta: eta})
		return
	}
	line := fmt.Sprintf("%s: %d events, %d/s", p.name, r.Loaded, rate)
	if percent != nil {
		line = fmt.Sprintf("%s, %d %%, %s to go", line, *percent, eta)
	}
	pad := max(p.width-len(line), 0)
	p.width = len(line)
	_, _ = fmt.Fprint(p.to, "\r", line, strings.Repeat(" ", pad))
}

// Done shows the counts.
func (p *Progress) Done(r LoadResult) {
	rate, _, _ := p.figures(r)
	if !p.terminal {
		p.json(progressLine{Message: "loaded", File: p.name, LoadResult: r, Rate: rate})
		return
	}
	p.clear()
	_, _ = fmt.Fprintf(p.to, "%s: %d events loaded of %d lines, %d bad, in %s (%d/s)\n",
		p.name, r.Loaded, r.Lines, r.Bad, r.Elapsed.Round(10*time.Millisecond), rate)
}

func (p *Progress) figures(r LoadResult) (rate int64, percent *int64, eta string) {
	seconds := max(r.Elapsed.Seconds(), 1e-3)
	rate = int64(float64(r.Loaded) / seconds)
	if read := p.read(); p.size > 0 && read > 0 {
		done := min(100*read/p.size, 100)
		left := seconds * float64(max(p.size-read, 0)) / float64(read)
		return rate, &done, time.Duration(left * float64(time.Second)).Round(time.Second).String()
	}
	return rate, nil, ""
}

func (p *Progress) clear() {
	if p.width > 0 {
		_, _ = fmt.Fprint(p.to, "\r", strings.Repeat(" ", p.width), "\r")
		p.width = 0
	}
}

func (p *Progress) json(line any) {
	b, err := json.Marshal(line)
	if err != nil {
		panic("ingest: encode progress: " + err.Error())
	}
	_, _ = p.to.Write(append(b, '\n'))
}
