// Package clients_test runs the example clients against a real veltrix up.
package clients_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/child"
)

// patience bounds what is waited for, on two busy cores.
const patience = 3 * time.Minute

// installed is what test/setup.sh has put into the cache.
func installed(t *testing.T, name string) string {
	t.Helper()
	at, err := filepath.Abs("../../.cache/clients/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(at); err != nil {
		t.Fatalf("what the example needs is not there (%v): run make setup", err)
	}
	return at
}

// environment is the test's own without what would configure Veltrix.
func environment(more ...string) []string {
	own := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "VELTRIX_") })
	return append(own, more...)
}

// up starts veltrix up with the harbour hunt and a key, and returns the
// gateway's address and the key.
func up(t *testing.T) (gateway *url.URL, key string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "vclients-") // a socket in it has a short path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	binary := filepath.Join(dir, "veltrix")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../cmd/veltrix").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	keys := filepath.Join(dir, "keys.yaml")
	add := exec.CommandContext(t.Context(), binary, "keys", "add", "--file", keys, "examples", "--source", "/example/*", "--read")
	add.Env = environment()
	secret, err := add.Output()
	if err != nil {
		t.Fatal(err)
	}
	run := exec.Command(binary, "up", "--example", "harbour", "--data-dir", filepath.Join(dir, "data"))
	run.Env = environment("VELTRIX_PRODUCER_KEYS_FILE="+keys,
		"VELTRIX_PRODUCER_LISTEN=127.0.0.1:0", "VELTRIX_NOTIFIER_LISTEN=127.0.0.1:0", "VELTRIX_METRICS_LISTEN=127.0.0.1:0")
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	run.Stdout, run.Stderr = write, write
	p, err := child.Start(run, syscall.SIGKILL)
	_ = write.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(patience) })
	said := make(chan string, 1)
	go listen(t, read, said)
	select {
	case text := <-said:
		if gateway, err = url.Parse(text); err != nil {
			t.Fatal(err)
		}
	case <-time.After(patience):
		t.Fatal("veltrix up does not say where its gateway is")
	}
	return gateway, strings.TrimSpace(string(secret))
}

// listen finds the gateway's address in what veltrix up says once all of the
// example is applied, and logs the rest. It says nothing where up ends before.
func listen(t *testing.T, out io.ReadCloser, said chan<- string) {
	defer out.Close()
	line := regexp.MustCompile(`a participant +(http://\S+)/v1/participants/`)
	var all bytes.Buffer
	lines := bufio.NewScanner(out)
	found := false
	for lines.Scan() {
		all.WriteString(lines.Text() + "\n")
		if m := line.FindStringSubmatch(lines.Text()); m != nil && !found {
			found = true
			said <- m[1]
		}
	}
	if !found {
		os.Stderr.WriteString(all.String())
		said <- ""
	}
}

// network stands between an example and the gateway. It loses the answer to the
// first request and refuses the second, and counts what comes through.
type network struct {
	mu    sync.Mutex
	posts int
	hints int // events of the type that is sent twice
}

func (n *network) between(t *testing.T, gateway *url.URL) string {
	t.Helper()
	pass := httputil.NewSingleHostReverseProxy(gateway)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			pass.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		n.mu.Lock()
		n.posts++
		post := n.posts
		if post != 2 {
			n.hints += strings.Count(string(body)+r.Header.Get("Ce-Type"), "hint.used")
		}
		n.mu.Unlock()
		switch post {
		case 1:
			heard := httptest.NewRecorder()
			pass.ServeHTTP(heard, r)
			if heard.Code != http.StatusAccepted && heard.Code != http.StatusMultiStatus {
				t.Errorf("the gateway answered %d: %s", heard.Code, heard.Body)
			}
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_ = conn.Close()
			}
		case 2:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			pass.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestExamples runs each example twice, behind a network that loses answers.
// What it prints is the score of a team whose hint, sent twice and more, cost
// its points once.
func TestExamples(t *testing.T) {
	t.Parallel()
	python := filepath.Join(installed(t, "python"), "bin", "python")
	// Modules are found from where the program is.
	script := filepath.Join(t.TempDir(), "send.mjs")
	text, err := os.ReadFile("javascript/send.mjs")
	if err == nil {
		err = os.WriteFile(script, text, 0o600)
	}
	if err == nil {
		err = os.Symlink(filepath.Join(installed(t, "javascript"), "node_modules"), filepath.Join(filepath.Dir(script), "node_modules"))
	}
	if err != nil {
		t.Fatal(err)
	}
	gateway, key := up(t)
	for team, command := range map[string][]string{
		"curl":       {"bash", "curl.sh"},
		"go":         {"go", "run", "-C", "go", "."},
		"go-client":  {"go", "run", "./go-client"},
		"python":     {python, "python/send.py"},
		"javascript": {"node", script},
	} {
		t.Run(team, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(command[0]); err != nil {
				t.Fatalf("%v: run make setup", err)
			}
			var between network
			address := between.between(t, gateway)
			for run := range 2 {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				cmd := exec.CommandContext(ctx, command[0], command[1:]...)
				cmd.Env = environment("VELTRIX_URL="+address, "VELTRIX_KEY="+key)
				var complaints strings.Builder
				cmd.Stderr = &complaints
				out, err := cmd.Output()
				if want := "team-" + team + " has 80 points\n"; err != nil || string(out) != want {
					t.Fatalf("run %d ended with %v and printed\n%s%s\nwant\n%s", run+1, err, out, &complaints, want)
				}
			}
			if between.hints < 4 {
				t.Errorf("the hint was sent %d times in two runs: that it counted once proves nothing", between.hints)
			}
			if between.posts < 4 {
				t.Errorf("%d requests: none was repeated", between.posts)
			}
		})
	}
}

var quoted = regexp.MustCompile("(?ms)^```[a-z]+ (examples/clients/\\S+)\n(.*?)^```$")

// TestDocs holds what docs/clients.md quotes against the programs, and each
// program is quoted.
func TestDocs(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	from := map[string]int{}
	for _, m := range quoted.FindAllSubmatch(page, -1) {
		name := string(m[1])
		from[name]++
		text, err := os.ReadFile("../../" + name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(text, m[2]) {
			t.Errorf("%s does not have what the page quotes:\n%s", name, m[2])
		}
	}
	for _, name := range []string{"curl.sh", "go/main.go", "go-client/main.go", "python/send.py", "javascript/send.mjs"} {
		if from["examples/clients/"+name] == 0 {
			t.Errorf("the page quotes nothing of %s", name)
		}
	}
}
