package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/devcluster"
	"github.com/veltrix/veltrix/internal/kafkalog"
)

const rules = `hunt: harbour
version: 1
events:
  clue.found:
    data:
      clue: {type: string, max: 16}
      points: {type: int, min: 0, max: 1000}
state:
  score: {type: int}
rules:
  - name: found
    on: clue.found
    set: {score: state.score + event.data.points}
`

// binaries is where the commands under test are.
var binaries string

func TestMain(m *testing.M) { os.Exit(build(m)) }

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "veltrix-producer-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binaries = dir
	if out, err := exec.Command("go", "build", "-o", dir, "../producer", "../processor").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// site is a deployment on an embedded cluster, with the binaries under test.
type site struct {
	t     *testing.T
	dir   string
	env   []string
	rules string
}

func newSite(t *testing.T) *site {
	t.Helper()
	cluster, err := devcluster.Start(t.Context(), devcluster.Options{Prefix: "vt", Partitions: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Close() })
	cfg := kafkalog.Config{Brokers: cluster.Brokers, Prefix: "vt", BootID: cluster.BootID}
	if _, err := kafkalog.ApplyTopics(t.Context(), cfg, kafkalog.TopicPlanOptions{Profile: "dev", Partitions: 3}); err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, dir: t.TempDir()}
	s.rules = s.file("hunt.yaml", rules)
	s.env = append(os.Environ(),
		"VELTRIX_PREFIX=vt", "VELTRIX_PROFILE=dev", "VELTRIX_KAFKA_BROKERS="+strings.Join(cluster.Brokers, ","),
		"VELTRIX_REDIS_ADDRS="+cluster.RedisAddr, "VELTRIX_RULES_FILE="+s.rules, "VELTRIX_PRODUCER_LISTEN=127.0.0.1:0",
		"VELTRIX_METRICS_LISTEN=127.0.0.1:0", "VELTRIX_START_TIMEOUT=20s",
	)
	return s
}

func (s *site) file(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// run runs a command to its end and returns what it wrote, and its exit code.
func (s *site) run(stdin string, env []string, args ...string) (string, int) {
	s.t.Helper()
	cmd := exec.Command(filepath.Join(binaries, "producer"), args...)
	cmd.Env, cmd.Stdin = append(s.env, env...), strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// output is what a process wrote so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// start starts a process that is killed when the test ends.
func (s *site) start(name string) (*exec.Cmd, *output) {
	s.t.Helper()
	cmd, out := exec.Command(filepath.Join(binaries, name)), &output{}
	cmd.Env, cmd.Stdout, cmd.Stderr = s.env, out, out
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd, out
}

func (s *site) until(what string, out *output, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(60 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("after 60 s still not: %s\n%s", what, out)
		}
	}
}

var address = regexp.MustCompile(`"taking events","address":"([^"]+)"`)

func (s *site) gateway() (*exec.Cmd, string, *output) {
	s.t.Helper()
	cmd, out := s.start("producer")
	at := ""
	s.until("the gateway listens", out, func() bool {
		if m := address.FindStringSubmatch(out.String()); m != nil {
			at = "http://" + m[1]
		}
		return at != ""
	})
	return cmd, at, out
}

func event(id string, points int) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"/test","type":"clue.found","time":"2026-05-01T12:00:00Z","partitionkey":"ada","data":{"clue":"anchor","points":%d}}`, id, points)
}

func get(url string) (int, string) {
	resp, err := http.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(body)
}

// with returns the site with more of an environment.
func (s *site) with(env ...string) *site {
	next := *s
	next.env = append(append([]string(nil), s.env...), env...)
	return &next
}

// TestGatewayFromEventToState sends by HTTP and by file, and reads the state
// that a processor made of it.
func TestGatewayFromEventToState(t *testing.T) {
	s := newSite(t)
	cmd, at, out := s.gateway()
	resp, err := http.Post(at+"/v1/events", "application/cloudevents+json", strings.NewReader(event("1", 50)))
	if err != nil || resp.StatusCode != 202 {
		t.Fatal(resp, err, out)
	}
	_ = resp.Body.Close()
	if code, body := get(at + resp.Header.Get("Location")); code != 200 || !strings.Contains(body, `"status":"accepted"`) {
		t.Errorf("the event's status before any processor: %d %s", code, body)
	}
	const location = "/v1/participants/ada"
	if code, body := get(at + location); code != 404 || !strings.Contains(body, "unknown-participant") {
		t.Errorf("before any processor: %d %s", code, body)
	}
	events := s.file("events.ndjson", event("1", 50)+"\n"+event("2", 7)+"\nno event\n")
	for range 2 {
		if text, code := s.run("", nil, "load", events); code != 0 || !strings.Contains(text, `"loaded":2`) || !strings.Contains(text, `"bad":1`) {
			t.Errorf("load: %d\n%s", code, text)
		}
	}
	_, processed := s.start("processor")
	var view struct {
		State    struct{ Score int }
		Position struct{ Applied int64 }
		Floor    string
	}
	s.until("all is applied", processed, func() bool {
		code, body := get(at + location)
		return code == 200 && json.Unmarshal([]byte(body), &view) == nil && view.Position.Applied >= 5
	})
	if view.State.Score != 57 || view.Floor != "2026-05-01T11:59:30Z" {
		t.Errorf("the state is %+v, want the score of two events, each counted once", view)
	}
	// States of another layout would be read wrongly: they are not shown.
	_, other, _ := s.with("VELTRIX_PROCESSOR_BUCKETS=8").gateway()
	s.until("states of another layout are refused", out, func() bool {
		code, body := get(other + location)
		return code == 503 && strings.Contains(body, "cannot be read now")
	})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, out)
	}
}

// TestGatewayWithoutRedis takes events although states cannot be read.
func TestGatewayWithoutRedis(t *testing.T) {
	_, at, out := newSite(t).with("VELTRIX_REDIS_ADDRS=127.0.0.1:1").gateway()
	resp, err := http.Post(at+"/v1/events", "application/cloudevents+json", strings.NewReader(event("1", 50)))
	if err != nil || resp.StatusCode != 202 {
		t.Fatal(resp, err, out)
	}
	_ = resp.Body.Close()
	if code, body := get(at + "/v1/participants/ada"); code != 503 || !strings.Contains(body, "urn:veltrix:problem:unavailable") {
		t.Errorf("got %d %s", code, body)
	}
}

func TestCommandLine(t *testing.T) {
	s := newSite(t)
	other := s.file("other.yaml", strings.Replace(rules, "version: 1", "version: 2", 1))
	good := event("1", 1)
	for _, c := range []struct {
		name, stdin string
		env, args   []string
		code        int
		want        string
	}{
		{"version", "", nil, []string{"version"}, 0, "producer "},
		{"help", "", nil, []string{"--help"}, 0, "producer load"},
		{"load help", "", nil, []string{"load", "--help"}, 0, "--strict"},
		{"load from stdin", good, nil, []string{"load", "-"}, 0, `"loaded":1`},
		{"load without rules", good, []string{"VELTRIX_RULES_FILE="}, []string{"load", "-"}, 0, `"loaded":1`},
		{"strict", good + "\nno", nil, []string{"load", "--strict", "-"}, 1, "line 2: "},
		{"no good line", "a,b\n1,2\n", nil, []string{"load", "-"}, 1, "no line is an acceptable event: all 2 are bad; line 1: "},
		{"no line", "", nil, []string{"load", "-"}, 0, `"loaded":0`},
		{"no file", "", nil, []string{"load", "none.ndjson"}, 1, "none.ndjson"},
		{"no argument", "", nil, []string{"load"}, 1, "requires at least 1 arg"},
		{"no topics", good, []string{"VELTRIX_PREFIX=other"}, []string{"load", "-"}, 1, "run veltrix topics apply"},
		{"no brokers", good, []string{"VELTRIX_KAFKA_BROKERS=127.0.0.1:1", "VELTRIX_START_TIMEOUT=1s"}, []string{"load", "-"}, 1, "kafka at 127.0.0.1:1"},
		{"no rules file", "", []string{"VELTRIX_RULES_FILE=none.yaml"}, nil, 78, "none.yaml"},
		{"unknown flag", "", nil, []string{"--port", "1"}, 1, "--port"},
	} {
		if text, code := s.run(c.stdin, c.env, c.args...); code != c.code || !strings.Contains(text, c.want) {
			t.Errorf("%s: exit code %d, want %d with %q; it wrote:\n%s", c.name, code, c.code, c.want, text)
		}
	}
	// Once a processor has pinned the rules, others are refused.
	_, processed := s.start("processor")
	s.until("other rules are refused", processed, func() bool {
		text, code := s.run(good, []string{"VELTRIX_RULES_FILE=" + other}, "load", "-")
		return code == 1 && strings.Contains(text, "start with the rules that it runs")
	})
}

// TestLoadMapped loads a CSV file by its mapping, twice: the second time what
// the log has is left out, and what was added to the file is loaded.
func TestLoadMapped(t *testing.T) {
	s := newSite(t)
	const mapped = "type: clue.found\nsource: /import\nid: {column: nr}\nparticipant: {column: team}\n" +
		"time: {column: at}\ndata: {clue: {column: clue}, points: {column: points}}\n"
	mapping := s.file("mapping.yaml", mapped)
	rows := "nr,team,at,clue,points\n1,owls,2026-05-01T12:00:00Z,mast,50\n2,newts,2026-05-01T12:00:30Z,bell,many\n3,newts,2026-05-01T12:01:00Z,bell,70\n"
	file := s.file("results.csv", rows)
	load := func(want ...string) {
		t.Helper()
		out, code := s.run("", nil, "load", "--resume", "--speed", "600x", "--mapping", mapping, file)
		for _, w := range want {
			if code != 0 || !strings.Contains(out, w) {
				t.Errorf("exit code %d, it does not say %s:\n%s", code, w, out)
			}
		}
	}
	load(`"line":3`, "data.points", `"loaded":2`)
	load(`"loaded":0`, `"before":2`)
	s.file("mapping.yaml", strings.Replace(mapped, "{column: points}", "'60'", 1))
	load(`"loaded":3`) // the row that was bad is good now, and lies before one that was loaded
	s.file("mapping.yaml", mapped)
	s.file("results.csv", rows+"4,owls,2026-05-01T12:02:00Z,anchor,10\n") // another content is another file
	load(`"loaded":3`)
	for args, want := range map[string]string{
		"--speed fast " + file:                   "--speed is how many times as fast",
		"--mapping " + mapping + ".gone " + file: "mapping.yaml.gone",
		"--resume -":                             "stdin cannot be resumed",
		"--mapping " + mapping + " " + s.rules:   "the mapping names a column",
	} {
		if out, code := s.run("", nil, append([]string{"load"}, strings.Fields(args)...)...); code == 0 || !strings.Contains(out, want) {
			t.Errorf("%s: exit code %d, it does not say %q:\n%s", args, code, want, out)
		}
	}
}

// TestLoadStopped: Ctrl-C says what was loaded and what to do, also where stdin
// is a pipe that nothing comes from.
func TestLoadStopped(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct{ name, stdin, until string }{
		{"while it loads", strings.Repeat(event("1", 1)+"\n", 2000), `"msg":"loading"`},
		{"while it waits for more", event("1", 1) + "\n", ""},
	} {
		out := &output{}
		cmd := exec.Command(filepath.Join(binaries, "producer"), "load", "--rate", "100", "-")
		cmd.Env, cmd.Stdout, cmd.Stderr = s.env, out, out
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.WriteString(stdin, c.stdin) }() // and it stays open
		if c.until == "" {
			time.Sleep(time.Second)
		}
		s.until("it loads", out, func() bool { return strings.Contains(out.String(), c.until) })
		killed := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		killed.Stop()
		text := out.String()
		if code := cmd.ProcessState.ExitCode(); code != 1 || !stoppedAfter.MatchString(text) || strings.Contains(text, "context canceled") {
			t.Errorf("%s: exit code %d, it wrote:\n%s", c.name, code, text)
		}
	}
}

var stoppedAfter = regexp.MustCompile(`(?m)^producer: load -: stopped after [0-9]+ events were loaded: load it again from its beginning`)
