package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/app"
)

func lagged() *app.LagReport {
	at, second := int64(90), 1.25
	none := int32(1)
	some := &app.LagBehind{Records: 8, AtLeast: 8, Seconds: &second}
	return &app.LagReport{
		Version: 1, At: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Prefix: "hunt",
		Groups: []app.LagGroup{{
			Reader: "processor", Group: "hunt.processor", Topic: "hunt.events", CommittedKnown: true,
			Partitions: []app.LagPartition{
				{Committed: &at, Stable: 100, End: 104, Undecided: 4, Lag: some, Headroom: &app.LagHeadroom{Offsets: 90, Seconds: &second}},
				{Partition: 1, Lag: nil},
				{Partition: 2, Committed: &at, Stable: 400, End: 400, Lag: &app.LagBehind{Records: 310, AtLeast: 20}, Headroom: &app.LagHeadroom{Offsets: 90}},
			},
			Total: app.LagTotal{Lag: &app.LagBehind{Records: 318, AtLeast: 28}, Undecided: 4},
		}},
		Alarms:  []app.LagAlarm{{Kind: "hung", Reader: "processor", Text: "hunt.events/0: 4 offsets are held back by x"}},
		Unknown: []app.LagUnknown{{Reader: "processor", Partition: &none, Text: "redis is away"}},
	}
}

const laggedTable = `hunt at 2026-03-01T12:00:00Z

processor: group hunt.processor on hunt.events
  partition  committed  LSO  end  held back    lag  seconds  R  lag of R  seconds  headroom
          0         90  100  104          4      8      1.2  ?         ?        ?    90, 1s
          1          –    0    0          0      –        –  ?         ?        ?         –
          2         90  400  400          0  ≤ 310        ?  ?         ?        ?        90
      total                               4   ≥ 28        ?            ?        ?          

✗ processor: hunt.events/0: 4 offsets are held back by x
? processor: partition 1: redis is away
`

func TestLagTable(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := printLag(&out, lagged()); err != nil || out.String() != laggedTable {
		t.Errorf("%v:\n%s\nwant\n%s", err, out.String(), laggedTable)
	}
}

// A watch goes on where a look fails, says each of them below the one before where
// nobody watches a terminal, and ends well when it is told to.
func TestLagIsWatched(t *testing.T) {
	t.Parallel()
	for _, asJSON := range []bool{false, true} {
		var out, errs bytes.Buffer
		ctx, cancel := context.WithCancel(t.Context())
		f := lagFlags{asJSON: asJSON, watch: true, every: time.Millisecond, out: &out, errs: &errs}
		looks := 0
		err := f.follow(ctx, func(context.Context) (*app.LagReport, error) {
			switch looks++; looks {
			case 2:
				return nil, errors.New("kafka is away")
			case 4:
				cancel()
				return nil, context.Canceled
			}
			return lagged(), nil
		})
		if err != nil || looks != 4 || strings.Count(errs.String(), "kafka is away") != 1 || strings.Contains(errs.String(), "canceled") || strings.Contains(out.String(), "\x1b") {
			t.Errorf("after %d looks it ended with %v, said %q and %q", looks, err, errs.String(), out.String())
		}
		if !asJSON && out.String() != laggedTable+laggedTable {
			t.Errorf("it showed\n%s", out.String())
		}
		for line := range strings.Lines(out.String()) {
			var r app.LagReport
			if asJSON && (json.Unmarshal([]byte(line), &r) != nil || r.Prefix != "hunt") {
				t.Errorf("a line is no report: %s", line)
			}
		}
	}
}

func TestLagCommandLine(t *testing.T) {
	for _, wrong := range [][]string{
		{"--group", "scores"}, {"--every", "0s"}, {"--timeout", "-1s"}, {"--count", "-1"}, {"--max-records", "-2"}, {"--max-seconds", "-0.5"}, {"--max-seconds", "NaN"},
	} {
		if out, code := veltrix(t, append([]string{"lag"}, wrong...)...); code != 78 {
			t.Errorf("%v ends with %d: %s", wrong, code, out)
		}
	}
}

// The page shows what the command prints.
func TestLagPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/lag.md")
	if err != nil {
		t.Fatal(err)
	}
	report, at, id, behind := lagged(), time.Now(), int32(1), &app.LagBehind{}
	g := &report.Groups[0]
	g.Foreign, g.RetentionUnknown, g.Total.ViewLag = []int32{1}, "denied", behind
	g.Partitions[0].Applied, g.Partitions[0].ViewLag, g.Partitions[0].Unnamed = g.Partitions[0].Committed, behind, true
	open := []app.LagTransaction{{ID: "x", State: "Ongoing", Since: &at, Timeout: 1}}
	g.Partitions[0].Hung, g.Partitions[0].Running, report.Alarms[0].Partition = open, open, &id
	text, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	var fields func(any)
	fields = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, inner := range v {
				if !strings.Contains(string(page), "`"+name+"`") {
					t.Errorf("the page does not explain %s", name)
				}
				fields(inner)
			}
		case []any:
			for _, inner := range v {
				fields(inner)
			}
		}
	}
	var all any
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	fields(all)
}
