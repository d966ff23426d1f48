package main

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/devcluster"
	"github.com/veltrix/veltrix/internal/preflight"
	"github.com/veltrix/veltrix/internal/service"
	"github.com/veltrix/veltrix/internal/testredis"
)

// deployed is a newcomer's deployment: one broker, a real Redis, and the topics.
func deployed(t *testing.T) {
	t.Helper()
	given, err := devcluster.Start(t.Context(), devcluster.Options{NoRedis: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = given.Close() })
	t.Setenv("VELTRIX_KAFKA_BROKERS", given.Brokers[0])
	t.Setenv("VELTRIX_REDIS_ADDRS", testredis.Start(t, nil).Addr)
	if out, code := veltrix(t, "topics", "apply", "--profile", "dev"); code != 0 {
		t.Fatal(out)
	}
}

// reported is what a program reads of --json.
type reported struct {
	Version, Exit int
	Profile       string
	Unreachable   []struct {
		Server string
		Checks []string
	}
	Results []struct {
		ID, State, Observed, Waived string
		Before                      string `json:"before_production"`
		Expired                     string `json:"waiver_expired"`
	}
}

func (r reported) states() map[string]string {
	all := map[string]string{}
	for _, x := range r.Results {
		all[x.ID] = x.State
	}
	return all
}

func diagnosed(t *testing.T, args ...string) (reported, int) {
	t.Helper()
	out, code := veltrix(t, append([]string{"doctor", "--json"}, args...)...)
	var r reported
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v: code %d: %s", err, code, out)
	}
	if r.Version != 1 || r.Exit != code {
		t.Errorf("version %d, exit %d and code %d", r.Version, r.Exit, code)
	}
	return r, code
}

// TestDoctor plays a newcomer on a stock installation, who gets a screen, and an
// operator, who gets what has to change.
func TestDoctor(t *testing.T) {
	deployed(t)
	out, code := veltrix(t, "doctor")
	if code != 0 || strings.Count(out, "\n") > 24 || !strings.Contains(out, "Before production:\n  K02  three brokers") || !strings.Contains(out, "→ exit 0") {
		t.Errorf("a newcomer sees, with %d:\n%s", code, out)
	}
	r, code := diagnosed(t)
	states := r.states()
	nothingYet := []string{"N01", "N05", "R03", "C04", "C08", "C12", "P01", "P02", "P04", "P05"} // no channel, no device, no replica, no processor, no event
	notEmbedded := []string{"K01", "K03", "K04", "K13", "K14", "K16"}                            // what the embedded broker has not
	for _, e := range preflight.Catalogue() {
		want := "pass"
		if slices.Contains(nothingYet, e.ID) || slices.Contains(notEmbedded, e.ID) || e.Probe {
			want = "skip"
		}
		if state, ran := states[e.ID]; ran == e.NotDetected || ran && state != want {
			t.Errorf("%s: ran %v, %s", e.ID, ran, state)
		}
	}
	if code != 0 || r.Profile != "dev" {
		t.Errorf("code %d, profile %s", code, r.Profile)
	}
	out, code = veltrix(t, "doctor", "--profile", "prod")
	if code != 1 || !strings.Contains(out, "✗ K02 ") || !strings.Contains(out, "docs      veltrix doctor explain K02") || strings.Contains(out, "Before production") {
		t.Errorf("an operator sees, with %d:\n%s", code, out)
	}
	if out, code = veltrix(t, "doctor", "--profile", "prod", "--skip", "K02", "--all"); code != 0 || !strings.Contains(out, "✓ K15 ruled out: ") || strings.Contains(out, "K02") {
		t.Errorf("without K02, with %d:\n%s", code, out)
	}
	if r, code = diagnosed(t, "--only", "R,S01", "--producer-listen", ":8080"); code != 2 || len(r.Results) != 7 || r.states()["S01"] != "warn" {
		t.Errorf("an open listener: code %d, %+v", code, r)
	}
}

// TestDoctorForBuildServers writes the file that they read.
func TestDoctorForBuildServers(t *testing.T) {
	t.Setenv("VELTRIX_PRODUCER_LISTEN", ":8080")
	t.Setenv("VELTRIX_PROFILE", "prod")
	file := filepath.Join(t.TempDir(), "doctor.xml")
	out, code := veltrix(t, "doctor", "--only", "S01,R04", "--junit", file)
	text, err := os.ReadFile(file)
	if err != nil || code != 1 || !strings.Contains(out, "✗ S01") {
		t.Fatalf("%v, code %d: %s", err, code, out)
	}
	printed, _ := veltrix(t, "doctor", "--only", "S01,R04", "--junit", "-")
	for _, text := range []string{string(text), printed} {
		var suites struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
		}
		if err := xml.Unmarshal([]byte(text), &suites); err != nil || suites.Tests != 2 || suites.Failures != 1 {
			t.Errorf("%v: %+v: %s", err, suites, text)
		}
	}
	if _, code := veltrix(t, "doctor", "--only", "R04", "--junit", filepath.Join(file, "gone")); code != 1 {
		t.Errorf("a file that cannot be written: code %d", code)
	}
}

// TestDoctorWithoutServers: nobody at the address, and somebody who never says a
// word. Each is one line, and soon.
func TestDoctorWithoutServers(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // it takes connections, and that is all
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	t.Setenv("VELTRIX_REDIS_ADDRS", "127.0.0.1:1")
	for where, said := range map[string]string{"127.0.0.1:1": "refused", silent.Addr().String(): "no answer within"} {
		t.Setenv("VELTRIX_KAFKA_BROKERS", where)
		start := time.Now()
		out, code := veltrix(t, "doctor", "--timeout", "4s")
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("%s: it took %v", where, took)
		}
		kafka := regexp.MustCompile(`(?m)^\? kafka at .*cannot be reached: .*` + said + `.*\n    checks    K01 .*K15 .*N02 could not look$`)
		if code != 1 || len(kafka.FindAllString(out, -1)) != 1 || strings.Count(out, "cannot be reached") != 2 || strings.Contains(out, "? K02") || !strings.Contains(out, "? redis at 127.0.0.1:1 cannot be reached") {
			t.Errorf("%s: code %d:\n%s", where, code, out)
		}
		r, _ := diagnosed(t, "--timeout", "4s", "--only", "K02,C01")
		if len(r.Unreachable) != 1 || r.states()["K02"] != "unknown" || r.states()["C01"] != "pass" {
			t.Errorf("%s: %+v", where, r)
		}
	}
	if out, code := veltrix(t, "doctor", "--only", "C01,S01"); code != 0 {
		t.Errorf("what needs no server: code %d: %s", code, out)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	cmd := command()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs([]string{"doctor"})
	if err := cmd.ExecuteContext(ended); err == nil {
		t.Error("an interrupted look says that all is well")
	}
}

// TestDoctorWaivers: what is waived does not fail, until it expires.
func TestDoctorWaivers(t *testing.T) {
	t.Setenv("VELTRIX_PRODUCER_LISTEN", ":8080")
	t.Setenv("VELTRIX_PROFILE", "prod")
	file := filepath.Join(t.TempDir(), "waivers.yaml")
	t.Setenv("VELTRIX_DOCTOR_WAIVERS_FILE", file)
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("- {id: S01, reason: the ingress speaks TLS, expires: 2999-12-31}\n")
	out, code := veltrix(t, "doctor", "--only", "S")
	if code != 0 || !strings.Contains(out, "~ S01 ") || !strings.Contains(out, "waived until 2999-12-31, the ingress speaks TLS") || !strings.Contains(out, "1 waived → exit 0") {
		t.Errorf("waived: code %d: %s", code, out)
	}
	write("- {id: S01, reason: the ingress speaks TLS, expires: 2020-12-31}\n")
	if out, code = veltrix(t, "doctor", "--only", "S"); code != 1 || !strings.Contains(out, "waiver    expired on 2020-12-31: the ingress speaks TLS") {
		t.Errorf("expired: code %d: %s", code, out)
	}
	write("- {id: S99, reason: r, expires: 2999-12-31}\n")
	for _, args := range [][]string{{"doctor"}, {"config", "check"}} {
		if _, err := run(t, args...); service.ExitCode(err) != service.ExitConfig || !strings.Contains(err.Error(), "waivers.yaml:1: no check has the ID \"S99\"") {
			t.Errorf("%v with a waiver of nothing: %v", args, err)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, code = veltrix(t, "doctor"); code != service.ExitConfig {
		t.Errorf("a file that is not there: code %d", code)
	}
}

// TestDoctorProbes: without a URL nothing is sent, and it says which is missing;
// with one, it is asked.
func TestDoctorProbes(t *testing.T) {
	deployed(t)
	r, code := diagnosed(t, "--probe", "--only", "P03,N03,N04,N06")
	for i, key := range []string{"doctor.gateway_url", "doctor.inbox_url", "doctor.inbox_url", "on: inbox"} {
		if x := r.Results[i]; !strings.Contains(x.Observed, key) || x.State != map[bool]string{true: "skip", false: "pass"}[i < 3] {
			t.Errorf("%+v, want %s", x, key)
		}
	}
	if code != 0 {
		t.Errorf("code %d", code)
	}
	if out, code := veltrix(t, "doctor", "--only", "P03"); code != service.ExitConfig || strings.Contains(out, "exit 0") {
		t.Errorf("P03 without --probe: code %d: %s", code, out)
	}
	if _, err := run(t, "doctor", "--only", "P03"); err == nil || !strings.Contains(err.Error(), "veltrix doctor --probe --only P03") {
		t.Errorf("P03 without --probe: %v", err)
	}
	t.Setenv("VELTRIX_DOCTOR_GATEWAY_URL", "http://127.0.0.1:1")
	if r, code = diagnosed(t, "--probe", "--only", "P03,N03", "--doctor-inbox-url", "http://127.0.0.1:1"); code != 1 || r.states()["P03"] != "unknown" || r.states()["N03"] != "unknown" {
		t.Errorf("nobody at the URLs: code %d, %+v", code, r)
	}
	if r, code = diagnosed(t); code != 0 || r.states()["P03"] != "skip" {
		t.Errorf("an ordinary look: code %d, %+v", code, r)
	}
}

func TestDoctorExplains(t *testing.T) {
	for _, e := range preflight.Catalogue() {
		out, code := veltrix(t, "doctor", "explain", strings.ToLower(e.ID))
		if code != 0 || !strings.Contains(out, e.Players) || strings.Contains(out, "not detected yet") != e.NotDetected {
			t.Errorf("%s: code %d: %s", e.ID, code, out)
		}
	}
	out, code := veltrix(t, "doctor", "list")
	if code != 0 || strings.Count(out, "\n") != len(preflight.Catalogue())+1 || !strings.Contains(out, "  P01  critical  senders choose") {
		t.Errorf("code %d: %s", code, out)
	}
	var list []preflight.Entry
	if out, _ = veltrix(t, "doctor", "list", "--json"); json.Unmarshal([]byte(out), &list) != nil || len(list) != len(preflight.Catalogue()) {
		t.Errorf("as JSON: %s", out)
	}
	var one preflight.Entry
	if out, _ = veltrix(t, "doctor", "explain", "K02", "--json"); json.Unmarshal([]byte(out), &one) != nil || one.ID != "K02" {
		t.Errorf("as JSON: %s", out)
	}
	if out, code = veltrix(t, "doctor", "list"); !strings.Contains(out, "  P03  critical  order is lost between the public URL and the log  (probe)\n") || !strings.Contains(out, "3 of them (probe) with --probe alone") {
		t.Errorf("code %d: %s", code, out)
	}
	if out, _ = veltrix(t, "doctor", "explain", "N03"); !strings.Contains(out, "veltrix doctor --probe looks for it") {
		t.Errorf("N03 is explained as %s", out)
	}
	for _, args := range []string{"--only P03", "--only N03,n04", "--probe --doctor-gateway-url events.example", "--probe --doctor-inbox-url https://a.example/?b", "--probe --timeout 0s", "explain K99", "--only K99", "--only S01 --skip S", "--timeout 0s", "--json --junit -", "--profile none"} {
		if _, code := veltrix(t, append([]string{"doctor"}, strings.Fields(args)...)...); code != service.ExitConfig {
			t.Errorf("doctor %s: code %d", args, code)
		}
	}
}
