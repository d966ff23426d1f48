package bench

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"
)

func TestStatOfAProcess(t *testing.T) {
	// The command holds what would break a naive split.
	stat := []byte("42 (a) b (c) S 1 42 42 0 -1 4194560 1 2 3 4 250 50 7 8 20 0 1 0 100 0 0\n")
	got, err := parseStat(stat)
	if err != nil || got != 3*time.Second {
		t.Errorf("parsed %v, %v; want 3s", got, err)
	}
	if _, err := parseStat([]byte("42 (x) S 1 2")); err == nil {
		t.Error("a line without the times was parsed")
	}
}

func TestBusyOfTheMachine(t *testing.T) {
	// Idle and waiting for a disk are not busy; the guests are in user already.
	got, err := parseBusy([]byte("cpu  100 20 30 9000 8000 4 5 6 70 80\ncpu0 1 1 1 1 1 1 1 1 1 1\n"))
	if want := 165 * tick; err != nil || got != want {
		t.Errorf("parsed %v, %v; want %v", got, err, want)
	}
	for _, bad := range []string{"", "cpu0 1 2 3 4 5 6 7 8", "cpu 1 2 x 4 5 6 7 8"} {
		if _, err := parseBusy([]byte(bad)); err == nil {
			t.Errorf("%q was parsed", bad)
		}
	}
}

func TestOtherLoadIsWhatIsLeft(t *testing.T) {
	each := func(d time.Duration) time.Duration { return d * time.Duration(runtime.NumCPU()) } // processor
	at := time.Now()
	from := Reading{At: at}
	to := Reading{At: at.Add(time.Second), Own: each(300 * time.Millisecond), Broker: each(200 * time.Millisecond), Redis: each(100 * time.Millisecond)}
	for _, c := range []struct {
		busy  time.Duration // of a second of each processor
		other float64
		noisy bool
	}{
		{600 * time.Millisecond, 0, false},
		{590 * time.Millisecond, 0, false}, // the two clocks tick apart
		{690 * time.Millisecond, 0.09, false},
		{710 * time.Millisecond, 0.11, true},
	} {
		to.Busy = each(c.busy)
		w := (&Meter{}).Between(from, to, 1000)
		if w.Noisy != c.noisy || w.Other < c.other-1e-9 || w.Other > c.other+1e-9 {
			t.Errorf("busy %v: other load %.3f, noisy %t; want %.3f, %t", c.busy, w.Other, w.Noisy, c.other, c.noisy)
		}
		if w.Rate() != 1000 {
			t.Errorf("rate %f", w.Rate())
		}
	}
	blind := &Meter{Broker: Process{Reason: notFound}}
	if w := blind.Between(from, to, 1); w.Other >= 0 || w.Noisy {
		t.Errorf("other load %f although the broker's is unknown", w.Other)
	}
	away := &Meter{Broker: Process{Reason: elsewhere}}
	if w := away.Between(from, to, 1); w.Other < 0 {
		t.Error("other load unknown although the broker is on another machine")
	}
}

// TestMeterSeesWhatIsSpent burns some CPU time and looks for it.
func TestMeterSeesWhatIsSpent(t *testing.T) {
	m := &Meter{Proc: "/proc", Redis: Process{PIDs: []int{os.Getpid()}}} // stands in for a server
	from, err := m.Read()
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		for range 1_000_000 {
			touched.Add(1)
		}
		to, err := m.Read()
		if err != nil {
			t.Fatal(err)
		}
		w := m.Between(from, to, 1)
		if w.Own >= 200*time.Millisecond && w.Redis >= 150*time.Millisecond && to.Busy-from.Busy >= 150*time.Millisecond {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after a busy loop: own %v, as a server %v, machine %v", w.Own, w.Redis, to.Busy-from.Busy)
		}
	}
}

func TestListenerIsFoundByItsPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	if got := listener("/proc", uint16(port)); got != os.Getpid() {
		t.Errorf("port %d belongs to process %d, not %d", port, got, os.Getpid())
	}
	if got := listeners("/proc", []string{l.Addr().String()}); got.Reason != inProcess {
		t.Errorf("a listener of this process: %+v", got)
	}
	if got := listeners("/proc", []string{"192.0.2.1:9092"}); got.Reason != elsewhere {
		t.Errorf("an address of another machine: %+v", got)
	}
	l.Close()
	if got := listeners("/proc", []string{l.Addr().String()}); got.Reason != notFound {
		t.Errorf("a port that nobody listens on: %+v", got)
	}
}

func TestRedisIsBelievedOnlyByItsName(t *testing.T) {
	proc := t.TempDir()
	for pid, name := range map[int]string{7: "redis-server\n", 8: "bash\n"} {
		dir := filepath.Join(proc, strconv.Itoa(pid))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "comm"), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ addr, pid, want string }{
		{"127.0.0.1:6379", "7", ""},
		{"unix:///run/redis.sock", "7", ""},
		{"127.0.0.1:6379", "8", notFound}, // its number in a container is another's here
		{"127.0.0.1:6379", "", notFound},
		{"redis.internal:6379", "7", elsewhere},
	} {
		got := redisProcess(proc, []string{c.addr}, map[string]string{"process_id": c.pid})
		if got.Reason != c.want || got.measured() && got.PIDs[0] != 7 {
			t.Errorf("%s, process %q: %+v; want %q", c.addr, c.pid, got, c.want)
		}
	}
}
