// Package relay stands between a client and a server on loopback and makes
// their connections slow, silent, half-open or broken.
//
// Invariant: whatever the relay does, each direction of a connection delivers a
// prefix of what was sent, in order and unchanged. It is a bad network, and not
// a liar.
package relay

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// How says what a relay does to its connections.
type How string

// What a relay can do. Reset happens once; the others last until the next Set.
const (
	Open   How = "open"   // everything passes
	Delay  How = "delay"  // everything passes, later
	Silent How = "silent" // accepts, takes, and keeps everything to itself
	Deaf   How = "deaf"   // requests pass; the answers are kept
	Cut    How = "cut"    // connections end, and new ones end at once
	Reset  How = "reset"  // connections are reset; new ones pass
)

// Bounds of one direction of one connection.
const (
	chunkBytes   = 32 << 10
	chunksQueued = 64 // beyond, the sender waits, as with a full socket
)

// State is what a relay does at present.
type State struct {
	How   How
	Delay time.Duration // of each piece, each way, with Delay
}

// Relay accepts connections on an address of its own and connects each to its
// target.
type Relay struct {
	Addr string // 127.0.0.1:port

	network, target string
	listener        net.Listener
	wait            sync.WaitGroup

	mu      sync.Mutex
	state   State
	changed chan struct{} // closed by the next change
	pairs   map[*pair]bool
	closed  bool
}

// pair is one relayed connection.
type pair struct {
	client, server net.Conn
	once           sync.Once
	ended          chan struct{}
}

// Start relays to a target, which need not be there yet.
func Start(network, target string) (*Relay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for a relay to %s: %w", target, err)
	}
	r := &Relay{
		Addr: l.Addr().String(), network: network, target: target, listener: l,
		state: State{How: Open}, changed: make(chan struct{}), pairs: map[*pair]bool{},
	}
	r.wait.Go(r.accept)
	return r, nil
}

// Set changes what the relay does, also to the connections that it has. What
// it kept is delivered once it is open again, to those who still wait for it.
func (r *Relay) Set(s State) {
	r.mu.Lock()
	var hit []*pair
	if s.How == Cut || s.How == Reset {
		for p := range r.pairs {
			hit = append(hit, p)
		}
	}
	hard := s.How == Reset
	if hard {
		s = State{How: Open}
	}
	r.state = s
	close(r.changed)
	r.changed = make(chan struct{})
	r.mu.Unlock()
	for _, p := range hit {
		p.end(hard)
	}
}

// Close ends the relay and its connections, and waits until nothing of it runs.
func (r *Relay) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.listener.Close()
	r.Set(State{How: Cut})
	r.wait.Wait()
}

func (r *Relay) accept() {
	for {
		conn, err := r.listener.Accept()
		if err != nil {
			return // closed
		}
		r.wait.Go(func() { r.serve(conn) })
	}
}

// serve relays one connection until one of its sides ends it.
func (r *Relay) serve(client net.Conn) {
	p := &pair{client: client, ended: make(chan struct{})}
	defer p.end(false)
	// A silent network does not even connect to the server, and the client
	// cannot know: its own connection stands.
	if !r.pass(p, false) {
		return
	}
	server, err := net.DialTimeout(r.network, r.target, 10*time.Second)
	if err != nil {
		return
	}
	p.server = server
	r.mu.Lock()
	if r.closed || r.state.How == Cut {
		r.mu.Unlock()
		server.Close()
		return
	}
	r.pairs[p] = true
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.pairs, p)
		r.mu.Unlock()
	}()
	var both sync.WaitGroup
	both.Go(func() { r.pump(p, server, client, false) })
	both.Go(func() { r.pump(p, client, server, true) })
	both.Wait()
}

// piece is what was read at once, and when it may go on.
type piece struct {
	due  time.Time
	data []byte
}

// pump carries one direction. Reading goes on while writing waits, so that a
// delay is a delay and no limit of the rate.
func (r *Relay) pump(p *pair, to, from net.Conn, answers bool) {
	queue := make(chan piece, chunksQueued)
	var writing sync.WaitGroup
	writing.Go(func() {
		defer p.end(false) // also after the other side's end has been passed on
		for c := range queue {
			select {
			case <-time.After(time.Until(c.due)):
			case <-p.ended:
			}
			if !r.pass(p, answers) {
				return
			}
			if _, err := to.Write(c.data); err != nil {
				return
			}
		}
		r.pass(p, answers) // nor does a silent network tell that a side has ended
	})
	for {
		b := make([]byte, chunkBytes)
		n, err := from.Read(b)
		if n > 0 {
			select {
			case queue <- piece{time.Now().Add(r.delay()), b[:n]}:
			case <-p.ended:
				err = errors.New("ended")
			}
		}
		if err != nil {
			break
		}
	}
	close(queue)
	writing.Wait()
}

func (r *Relay) delay() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state.How == Delay {
		return r.state.Delay
	}
	return 0
}

// pass waits until the relay lets a direction through; false: never again.
func (r *Relay) pass(p *pair, answers bool) bool {
	for {
		r.mu.Lock()
		how, changed, closed := r.state.How, r.changed, r.closed
		r.mu.Unlock()
		if closed || how == Cut {
			return false
		}
		if how != Silent && (how != Deaf || !answers) {
			return true
		}
		select {
		case <-changed:
		case <-p.ended:
			return false
		}
	}
}

// end closes both sides; hard resets them, so that what is under way is lost
// and the sides are told so.
func (p *pair) end(hard bool) {
	p.once.Do(func() {
		close(p.ended)
		for _, c := range []io.Closer{p.client, p.server} {
			if tcp, ok := c.(*net.TCPConn); ok && hard && tcp != nil {
				_ = tcp.SetLinger(0) // without it, it is an orderly end
			}
		}
		p.client.Close()
		if p.server != nil {
			p.server.Close()
		}
	})
}
