package advise_test

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/examples"
	"github.com/veltrix/veltrix/internal/advise"
	"github.com/veltrix/veltrix/internal/fold"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/rules"
	"github.com/veltrix/veltrix/internal/wire"
)

// hunt returns the harbour's events as they were sent, each arriving when its
// gateway would have had it and none of them twice, and its rules with another grace.
func hunt(t *testing.T, grace string) ([]*wire.Record, *rules.Program) {
	t.Helper()
	source, lines, _, err := examples.Open("harbour")
	if err != nil {
		t.Fatal(err)
	}
	defer lines.Close()
	program, err := rules.Load("rules.yaml", bytes.Replace(source, []byte("grace: 30s"), []byte("grace: "+grace), 1))
	if err != nil {
		t.Fatal(err)
	}
	var records []*wire.Record
	scan, now, sent := bufio.NewScanner(lines), int64(0), map[string]bool{}
	for scan.Scan() {
		var ce wire.CloudEvent
		if p := wire.ParseCloudEvent(bytes.Clone(scan.Bytes()), &ce); p != nil {
			t.Fatal(p)
		}
		if sent[ce.Source+ce.ID] {
			continue
		}
		sent[ce.Source+ce.ID] = true
		// Clocks are off by five seconds at most: what arrived before it happened
		// tells when it is.
		now = max(now, ce.Time.UnixMicro()-4_000_000)
		key, value, headers := wire.EventRecord(&ce)
		records = append(records, &wire.Record{Offset: int64(len(records)), Timestamp: now, Key: key, Value: value, Headers: headers})
	}
	return records, program
}

// TestGraceTellsWhatTheFoldDoes holds what the advisor says of each grace
// against the fold with rules that have it.
func TestGraceTellsWhatTheFoldDoes(t *testing.T) {
	records, program := hunt(t, "30s")
	g := advise.NewGrace(program.Schema(), 1)
	for _, r := range records {
		g.Add(r)
	}
	report := g.Report(0)
	if report.OutOfOrder < 900 || len(report.Candidates) < 5 || report.Now.Late != 0 || report.Now.Grace != 30 {
		t.Fatalf("of %d events %d are out of order; the rules' grace: %+v", report.Events, report.OutOfOrder, report.Now)
	}
	decided := 0
	for _, c := range report.Candidates {
		_, other := hunt(t, (time.Duration(c.Grace) * time.Second).String())
		oracle := fold.NewOracle(fold.New(other, 1), 0)
		for _, r := range records {
			if _, err := oracle.Feed(r); err != nil {
				t.Fatal(err)
			}
		}
		if late := oracle.Fates()[participant.Late]; late != c.Late {
			t.Errorf("with %v s, %d events are late, the advisor says %d", c.Grace, late, c.Late)
		}
		if c.Late > 0 {
			decided++
		}
	}
	if decided < 3 {
		t.Errorf("only %d candidates make a difference", decided)
	}
	if a := report.Advised; a == nil || a.Late != 0 || a.Grace != report.Candidates[len(report.Candidates)-1].Grace {
		t.Errorf("%+v is advised of %+v", a, report.Candidates)
	}
	// A wish for less gives a shorter one.
	if a := g.Report(0.01).Advised; a == nil || a.Grace >= report.Advised.Grace || a.Share > 0.01 {
		t.Errorf("for one in a hundred, %+v is advised", a)
	}
}

// TestGraceBySource tells a source with a slow way from one with a fast clock.
func TestGraceBySource(t *testing.T) {
	_, program := hunt(t, "30s")
	g := advise.NewGrace(program.Schema(), 1)
	const second = int64(time.Second / time.Microsecond)
	add := func(source, id string, at, arrival int64) {
		key, value, headers := wire.EventRecord(&wire.CloudEvent{
			ID: id, Source: source, Type: "player.walked", Participant: "ada", Time: time.UnixMicro(at * second), Data: []byte(`{"metres":1}`),
		})
		g.Add(&wire.Record{Timestamp: arrival * second, Key: key, Value: value, Headers: headers})
	}
	add("/good", "1", 100, 101)
	add("/slow", "1", 80, 102)
	add("/slow", "1", 80, 103) // the same again
	add("/fast", "1", 110, 104)
	add("/wrong", "1", 900, 105)
	add("/good", "2", 106, 107)
	g.Add(&wire.Record{Key: []byte("x"), Value: []byte("no event")})
	r := g.Report(0)
	if r.Events != 5 || r.Skipped != 2 || r.OutOfOrder != 2 || r.Participants != 1 {
		t.Errorf("%+v", r)
	}
	of := map[string]advise.SourceLate{}
	for _, s := range r.Sources {
		of[s.Source] = s
	}
	if s := of["/slow"]; s.LateMax != 20 || s.TransitP50 != 22 || r.Sources[0].Source != "/slow" {
		t.Errorf("the slow one: %+v", s)
	}
	if s := of["/fast"]; s.TransitMin != -6 || s.OutOfOrder != 0 {
		t.Errorf("the fast one: %+v", s)
	}
	if s := of["/wrong"]; s.Future != 1 {
		t.Errorf("the wrong one: %+v", s)
	}
	if s := of["/good"]; s.LateMax != 4 || s.Events != 2 {
		t.Errorf("the good one is late for another's clock: %+v", s)
	}
	if tail := r.Now.Tail; tail != 4 || !strings.HasPrefix(program.Schema().Hunt, "harbour") {
		t.Errorf("%d events are within 30 s", tail)
	}
}
