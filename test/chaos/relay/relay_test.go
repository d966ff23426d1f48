package relay

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// echo is a server that answers each line with itself, and counts the lines.
func echo(t *testing.T) (addr string, lines chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	lines = make(chan string, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for {
					line, err := in.ReadString('\n')
					if err != nil {
						return
					}
					lines <- line
					if _, err := io.WriteString(c, line); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String(), lines
}

// client is one connection through a relay.
type client struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func connect(t *testing.T, r *Relay) *client {
	t.Helper()
	conn, err := net.Dial("tcp", r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &client{t, conn, bufio.NewReader(conn)}
}

func (c *client) say(line string) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.conn, line); err != nil {
		c.t.Fatal(err)
	}
}

// hear reads one line, waiting at most for so long.
func (c *client) hear(within time.Duration) (string, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		c.t.Fatal(err)
	}
	line, err := c.in.ReadString('\n')
	return strings.TrimSpace(line), err
}

func (c *client) hears(want string) {
	c.t.Helper()
	if got, err := c.hear(10 * time.Second); err != nil || got != want {
		c.t.Fatalf("heard %q, want %q: %v", got, want, err)
	}
}

const short = 100 * time.Millisecond

func start(t *testing.T) (*Relay, chan string) {
	t.Helper()
	addr, lines := echo(t)
	r, err := Start("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r, lines
}

func TestSilentKeepsAndDeliversLater(t *testing.T) {
	r, lines := start(t)
	old := connect(t, r)
	old.say("a")
	old.hears("a")
	<-lines
	r.Set(State{How: Silent})
	fresh := connect(t, r) // it accepts
	old.say("b")
	fresh.say("c")
	for _, c := range []*client{old, fresh} {
		if got, err := c.hear(short); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a silent relay let %q through: %v", got, err)
		}
	}
	if len(lines) > 0 {
		t.Errorf("the server was told %q", <-lines)
	}
	r.Set(State{How: Open})
	old.hears("b")
	fresh.hears("c")
}

func TestDeafKeepsAnswersOnly(t *testing.T) {
	r, lines := start(t)
	c := connect(t, r)
	r.Set(State{How: Deaf})
	c.say("a")
	select {
	case <-lines:
	case <-time.After(10 * time.Second):
		t.Fatal("the request did not pass")
	}
	if got, err := c.hear(short); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the answer %q passed: %v", got, err)
	}
	r.Set(State{How: Open})
	c.hears("a")
}

func TestDelayIsNoLimitOfTheRate(t *testing.T) {
	const delay, n = 50 * time.Millisecond, 40
	r, _ := start(t)
	c := connect(t, r)
	r.Set(State{How: Delay, Delay: delay})
	began := time.Now()
	for i := range n {
		c.say(fmt.Sprint(i))
		time.Sleep(time.Millisecond) // so that they are pieces
	}
	for i := range n {
		c.hears(fmt.Sprint(i))
	}
	if took := time.Since(began); took < 2*delay || took > n*delay {
		t.Errorf("%d lines took %s with %s each way", n, took, delay)
	}
}

func TestCutAndReset(t *testing.T) {
	r, _ := start(t)
	c := connect(t, r)
	c.say("a")
	c.hears("a")
	r.Set(State{How: Cut})
	if _, err := c.hear(10 * time.Second); !errors.Is(err, io.EOF) {
		t.Errorf("the connection was cut: %v", err)
	}
	if _, err := connect(t, r).hear(10 * time.Second); !errors.Is(err, io.EOF) {
		t.Errorf("a new connection lives: %v", err)
	}
	r.Set(State{How: Open})
	c = connect(t, r)
	c.say("b")
	c.hears("b")
	r.Set(State{How: Reset})
	if _, err := c.hear(10 * time.Second); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection was reset: %v", err)
	}
	c = connect(t, r)
	c.say("c")
	c.hears("c")
}

// A half-open connection is one whose other side has gone without a word.
func TestSilentHidesTheOtherSidesEnd(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r, err := Start("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c := connect(t, r)
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	r.Set(State{How: Silent})
	server.Close()
	if _, err := c.hear(short); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the server's end passed: %v", err)
	}
	r.Set(State{How: Open})
	if _, err := c.hear(10 * time.Second); !errors.Is(err, io.EOF) {
		t.Errorf("the server's end did not pass: %v", err)
	}
}
