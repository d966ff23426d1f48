package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/veltrix/veltrix/internal/testredis"
)

// call is one of the ledger's two scripts.
type call string

const (
	claims call = "claim"
	marks  call = "mark"
)

// ledgerGate stands between the notifiers and Redis and can hold one kind of the
// ledger's calls: before Redis has it, or after Redis did it and before anybody
// knows. Everything else passes as it is.
//
// Invariant: what is held never reaches the other side, also later. Its
// connection ends when the gate is opened: those who waited are dead by then.
type ledgerGate struct {
	addr, target string

	mu     sync.Mutex
	what   call
	done   bool // Redis does what is held
	held   map[string]bool
	opened chan struct{}
	ended  chan struct{}
}

// newLedgerGate stands in front of a Redis of the test's own.
func newLedgerGate(t *testing.T) *ledgerGate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := testredis.Start(t, nil)
	g := &ledgerGate{
		addr: l.Addr().String(), target: strings.TrimPrefix(server.Addr, "unix://"),
		held: map[string]bool{}, opened: make(chan struct{}), ended: make(chan struct{}),
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { g.serve(client) })
		}
	})
	t.Cleanup(func() {
		close(g.ended)
		l.Close()
		serving.Wait()
	})
	return g
}

// hold holds these calls from now on; done says on which side of Redis.
func (g *ledgerGate) hold(what call, done bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.what, g.done = what, done
}

// count returns how many entries of the ledger are held.
func (g *ledgerGate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.held)
}

// open lets everything pass that comes from now on.
func (g *ledgerGate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.what = ""
	close(g.opened)
}

// holds says whether a command is held, and how.
func (g *ledgerGate) holds(args []string) (key string, held, done bool) {
	// EVALSHA sha 1 key owner …: a claim has six arguments, a mark eight.
	if len(args) < 4 || !strings.HasPrefix(strings.ToUpper(args[0]), "EVAL") || !strings.Contains(args[3], ":ledger:") {
		return "", false, false
	}
	of := claims
	if len(args) == 4+8 {
		of = marks
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return args[3], g.what == of, g.done
}

func (g *ledgerGate) caught(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held[key] = true
}

func (g *ledgerGate) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("unix", g.target)
	if err != nil {
		return
	}
	defer server.Close()
	over := make(chan struct{})
	defer close(over)
	go func() { // the test's end ends every connection
		select {
		case <-g.ended:
			client.Close()
			server.Close()
		case <-over:
		}
	}()
	var mu sync.Mutex
	swallow := "" // the key whose answer is held
	var answering sync.WaitGroup
	defer answering.Wait()
	defer server.Close() // first
	answering.Go(func() {
		defer client.Close()
		b := make([]byte, 32<<10)
		for {
			n, err := server.Read(b)
			if err != nil {
				return
			}
			mu.Lock()
			key := swallow
			mu.Unlock()
			if key != "" && !bytes.HasPrefix(b[:n], []byte("-NOSCRIPT")) { // that one did nothing
				g.caught(key)
				g.wait()
				return
			}
			if _, err := client.Write(b[:n]); err != nil {
				return
			}
		}
	})
	in := bufio.NewReader(client)
	for {
		raw, args, err := readCommand(in)
		if err != nil {
			return
		}
		key, held, done := g.holds(args)
		mu.Lock()
		swallow = ""
		if held && done {
			swallow = key
		}
		mu.Unlock()
		if held && !done {
			g.caught(key)
			g.wait()
			return
		}
		if _, err := server.Write(raw); err != nil {
			return
		}
	}
}

func (g *ledgerGate) wait() {
	select {
	case <-g.opened:
	case <-g.ended:
	}
}

// readCommand reads one command, as bytes and as its words.
func readCommand(in *bufio.Reader) (raw []byte, args []string, err error) {
	count := func(kind byte) (int, error) {
		line, err := in.ReadBytes('\n')
		raw = append(raw, line...)
		if err != nil {
			return 0, err
		}
		if line[0] != kind {
			return 0, fmt.Errorf("%q where %q is to be", line, kind)
		}
		return strconv.Atoi(strings.TrimSpace(string(line[1:])))
	}
	words, err := count('*')
	if err != nil {
		return nil, nil, err
	}
	for range words {
		size, err := count('$')
		if err != nil {
			return nil, nil, err
		}
		word := make([]byte, size+2)
		if _, err := io.ReadFull(in, word); err != nil {
			return nil, nil, err
		}
		raw = append(raw, word...)
		args = append(args, string(word[:size]))
	}
	return raw, args, nil
}
