package preflight

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the generated page and the golden files")

// current holds a file against what it should be, or rewrites it.
func current(t *testing.T, path, want string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not current; run go test ./internal/preflight -rewrite and look at the difference. It should be\n%s", path, want)
	}
}

func TestPageIsCurrent(t *testing.T) {
	current(t, filepath.Join("..", "..", "docs", "doctor.md"), Page())
}

// sick is a deployment where everything that a report can say is said.
func sick(t *testing.T) Report {
	t.Helper()
	now := time.Date(2026, 9, 18, 12, 0, 0, 0, time.UTC)
	checks := []Check{
		check("K02", Critical, Finding{State: Pass, Observed: "1 replica", Production: "3 replicas; here 1"}),
		check("K05", Critical, Failed("cleanup.policy=compact <topic>", "delete", "veltrix topics apply")),
		check("K09", Medium, Failed("CreateTime", "LogAppendTime", "veltrix topics apply")),
		check("K10", Critical, Failed("has 5 instead of 3", "3", "move")),
		check("N01", High, Skipped("the webpush channel is off")),
		check("R01", Critical, NotSeen(errors.New("CONFIG and INFO denied"), "grant +info")),
		check("R02", Critical, Finding{State: Warn, Observed: "appendonly=no", Fix: "CONFIG SET", Production: "appendonly=yes"}),
		check("S01", High, Passed("nothing is open")),
	}
	checks = append(checks, Needing("moon", check("C01", High, Passed("")), check("C02", High, Passed("")))...)
	r := Run(t.Context(), checks, Options{
		Profile: "dev", Now: now,
		Waivers: []Waiver{
			{ID: "K09", Reason: "until the move", Expires: now.AddDate(0, 0, 3)},
			{ID: "K10", Reason: "until August", Expires: time.Date(2026, 8, 31, 0, 0, 0, 0, time.UTC)},
			{ID: "C01", Reason: "nobody accepted that it is down", Expires: now.AddDate(1, 0, 0)},
		},
		Reach: map[string]Reach{"moon": {Where: "the moon at 1:1", Fix: "wait", Ask: func(context.Context) error { return errors.New("too far") }}},
	})
	for i := range r.Results {
		r.Results[i].Millis = 7
	}
	return r
}

func TestFaces(t *testing.T) {
	r := sick(t)
	for name, write := range map[string]func(*bytes.Buffer) error{
		"report.txt":     func(b *bytes.Buffer) error { return r.WriteText(b, false) },
		"report_all.txt": func(b *bytes.Buffer) error { return r.WriteText(b, true) },
		"report.json":    func(b *bytes.Buffer) error { return r.WriteJSON(b) },
		"report.xml":     func(b *bytes.Buffer) error { return r.WriteJUnit(b) },
	} {
		var out bytes.Buffer
		if err := write(&out); err != nil {
			t.Fatal(err)
		}
		current(t, filepath.Join("testdata", name), out.String())
	}
	if err := r.StartError(); err == nil || !strings.Contains(err.Error(), "K05") || !strings.Contains(err.Error(), "veltrix topics apply") || !strings.Contains(err.Error(), "expired on 2026-08-30") || strings.Contains(err.Error(), "K09") {
		t.Errorf("start: %v", err)
	}
}

// A build server reads the counts and the cases of the file.
func TestJUnitIsRead(t *testing.T) {
	var out bytes.Buffer
	if err := sick(t).WriteJUnit(&out); err != nil {
		t.Fatal(err)
	}
	var read struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Suites   []struct {
			Skipped int `xml:"skipped,attr"`
			Cases   []struct {
				Name    string    `xml:"name,attr"`
				Failure *struct{} `xml:"failure"`
				Error   *struct{} `xml:"error"`
				Skipped *struct{} `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(out.Bytes(), &read); err != nil {
		t.Fatal(err)
	}
	var failures, errs, skipped int
	for _, c := range read.Suites[0].Cases {
		if c.Failure != nil {
			failures++
		}
		if c.Error != nil {
			errs++
		}
		if c.Skipped != nil {
			skipped++
		}
	}
	if read.Tests != 10 || len(read.Suites[0].Cases) != 10 || read.Failures != 2 || failures != 2 || read.Errors != 3 || errs != 3 || read.Suites[0].Skipped != 2 || skipped != 2 {
		t.Errorf("read %+v: %d failures, %d errors, %d skipped", read, failures, errs, skipped)
	}
}

// What nobody answers is said once, whatever the number of checks, and soon.
func TestUnreachableIsOneLine(t *testing.T) {
	never := make(chan struct{})
	defer close(never)
	var checks []Check
	for _, id := range []string{"K02", "K05", "K09"} {
		checks = append(checks, Check{ID: id, Severity: Critical, Needs: "kafka", Run: func(context.Context) Finding {
			t.Error("a check asks a server that is known not to answer")
			return Passed("")
		}})
	}
	start := time.Now()
	r := Run(t.Context(), append(checks, check("S01", High, Passed("x"))), Options{Deadline: 400 * time.Millisecond, Reach: map[string]Reach{
		"kafka":  {Where: "kafka at k:1", Fix: "start it", Ask: func(context.Context) error { <-never; return nil }},
		"nobody": {Where: "what no check needs", Ask: func(context.Context) error { t.Error("asked for nothing"); return nil }},
	}})
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	var out strings.Builder
	if err := r.WriteText(&out, false); err != nil {
		t.Fatal(err)
	}
	if strings.Count(out.String(), "cannot be reached") != 1 || !strings.Contains(out.String(), "K02 K05 K09 could not look") || r.Exit() != ExitFail || !strings.Contains(out.String(), "1 pass · 3 unknown") {
		t.Errorf("exit %d, it says\n%s", r.Exit(), out.String())
	}
	if few := (Report{Unreachable: []Unreachable{{Server: "redis"}}, Results: []Result{{State: Unknown, Severity: Medium}}}); few.Exit() != ExitFail {
		t.Error("a server that is down is a warning where only lesser checks need it")
	}
}

// One broker of several is said once too, and what is wrong with the others stands.
func TestOneOfSeveralServersAway(t *testing.T) {
	third := []Unreachable{{Server: "broker 3", Where: "broker 3 at k:3", Error: "refused", Fix: "start it"}}
	unseen, failed := NotSeen(errors.New("broker 3 did not answer"), "start it"), Failed("true at broker 1", "false", "set it")
	unseen.Away, failed.Away = third, third
	r := Run(t.Context(), []Check{check("K01", Critical, unseen), check("K04", High, failed), check("K13", High, unseen), check("K05", Critical, Passed("x"))}, Options{})
	var out strings.Builder
	if err := r.WriteText(&out, false); err != nil {
		t.Fatal(err)
	}
	if len(r.Unreachable) != 1 || strings.Join(r.Unreachable[0].Checks, " ") != "K01 K04 K13" || r.Results[0].Missing != "broker 3" || r.Results[1].Missing != "" || r.Exit() != ExitFail || r.StartError() != nil {
		t.Errorf("%+v", r)
	}
	if strings.Count(out.String(), "broker 3") != 1 || !strings.Contains(out.String(), "✗ K04") {
		t.Errorf("it says\n%s", out.String())
	}
	if len(third[0].Checks) != 0 {
		t.Error("what the checks share is written to")
	}
}

// A check that needs two servers is not tried where either is away.
func TestACheckThatNeedsTwoServers(t *testing.T) {
	both := Needing("kafka redis", Check{ID: "K08", Run: func(context.Context) Finding { return Passed("") }})
	for _, gone := range []string{"kafka", "redis", ""} {
		answer := func(server string) Reach {
			return Reach{Where: server, Fix: "start it", Ask: func(context.Context) error {
				if server == gone {
					return errors.New("refused")
				}
				return nil
			}}
		}
		r := Run(t.Context(), both, Options{Reach: map[string]Reach{"kafka": answer("kafka"), "redis": answer("redis")}})
		if x := r.Results[0]; x.Missing != gone || (x.State == Pass) != (gone == "") {
			t.Errorf("without %q: %+v", gone, x)
		}
	}
}
