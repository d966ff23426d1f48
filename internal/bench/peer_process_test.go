package bench

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shell is a peer in a line.
func shell(script string) *exec.Cmd { return exec.Command("sh", "-c", script) }

// nobody is a meter of this machine, without servers.
func nobody() *Meter {
	return &Meter{Proc: "/proc", Broker: Process{Reason: elsewhere}, Redis: Process{Reason: elsewhere}}
}

const (
	sayReady = `echo '{"event":"ready"}'; `
	sayDone  = `echo '{"event":"done","records":7}'; `
	burn     = `i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; `
)

// TestWindowOfAPeer: it is from "ready" to "done", and the CPU time in it is the peer's
// and its children's, whether they run or have ended, and whether it has ended itself.
func TestWindowOfAPeer(t *testing.T) {
	for name, script := range map[string]string{
		"by itself":            sayReady + burn + sayDone,
		"and does not end yet": sayReady + burn + sayDone + "sleep 0.3",
		"by a child":           sayReady + "(" + burn + "); " + sayDone,
		"by one that runs":     sayReady + "(" + burn + " echo over >&3; sleep 0.4) 3>over & " + "until [ -s over ]; do sleep 0.02; done; " + sayDone + "wait",
		"after another line":   "echo hello; " + sayReady + burn + sayDone,
	} {
		cmd := shell(script)
		cmd.Dir = t.TempDir()
		w, err := watch(t.Context(), cmd, nobody(), 7)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if w.Events != 7 || w.Own < 2*tick || w.Own > w.Wall*2 {
			t.Errorf("%s: %+v", name, w)
		}
	}
	before, err := watch(t.Context(), shell(burn+sayReady+sayDone), nobody(), 7)
	if err != nil || before.Own > 2*tick {
		t.Errorf("what a peer did before it was ready is in its window: %+v, %v", before, err)
	}
}

// TestPeerThatFails says why in each case, and no window.
func TestPeerThatFails(t *testing.T) {
	for name, c := range map[string]struct{ script, says string }{
		"ends before it is ready": {"exec >&-; sleep 0.1; echo no broker >&2; exit 1", "before it was ready: no broker"},
		"ends before it is done":  {sayReady + "echo fenced >&2; exit 1", "before it was done: fenced"},
		"ends badly":              {sayReady + sayDone + "echo lost >&2; exit 3", "exit code 3: lost"},
		"does less":               {sayReady + `echo '{"event":"done","records":6}'`, "6 records of 7"},
		"is done first":           {sayDone, `"done" where "ready" comes next`},
	} {
		if _, err := watch(t.Context(), shell(c.script), nobody(), 7); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := watch(t.Context(), exec.Command(filepath.Join(t.TempDir(), "none")), nobody(), 7); err == nil {
		t.Error("a program that is not there was started")
	}
}

// TestPeerEndsWithTheBench: an interrupted run leaves no process behind.
func TestPeerEndsWithTheBench(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	pid := filepath.Join(t.TempDir(), "pid")
	ended := make(chan error, 1)
	go func() {
		_, err := watch(ctx, shell("echo $$ > "+pid+"; "+sayReady+"exec sleep 60"), nobody(), 7)
		ended <- err
	}()
	var text []byte
	for deadline := time.Now().Add(time.Minute); len(text) == 0 && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		text, _ = os.ReadFile(pid)
	}
	cancel()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat("/proc/" + strings.TrimSpace(string(text))); len(text) == 0 || err == nil {
		t.Errorf("process %s is left", text)
	}
}

func TestParseFamily(t *testing.T) {
	const stat = "12 (a) b) S 7 1 1 0 -1 0 0 0 0 0 100 20 3 4 20 0 1 0"
	parent, spent, err := parseFamily([]byte(stat))
	if err != nil || parent != 7 || spent != 127*tick {
		t.Errorf("parent %d, spent %s, %v", parent, spent, err)
	}
	for _, bad := range []string{"", "12 (a) S 7", strings.Replace(stat, " 7 ", " x ", 1), strings.Replace(stat, " 100 ", " x ", 1)} {
		if _, _, err := parseFamily([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
