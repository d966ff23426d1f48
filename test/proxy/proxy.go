// Package proxy stands between Kafka clients and brokers, and lets a test answer in
// a broker's place, change an answer, hold one back or lose it.
//
// Invariant: what no rule touches passes as it is and in its order, except that
// the brokers' own addresses are replaced by their proxies', so that no client finds
// a way around them.
package proxy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// framesPending bounds the requests of one connection that wait for an answer.
const framesPending = 256

// Rule is what happens to the requests with one key. Its functions run in the
// order of the requests of a connection; those of several connections at the
// same time.
type Rule struct {
	// Before sees a request before the broker does, and may keep it waiting.
	// What it returns is the answer, and the broker never sees the request; nil
	// passes it on.
	Before func(kmsg.Request) kmsg.Response
	// After may change the broker's answer. False loses it: the connection is
	// cut.
	After func(kmsg.Request, kmsg.Response) bool
}

// Proxy is one listening proxy.
type Proxy struct {
	listener net.Listener
	target   string
	cluster  map[string]*Proxy // by the broker's address
	host     string
	port     int32

	mu    sync.Mutex
	rules map[int16]Rule
	conns map[net.Conn]bool
	over  bool
	wait  sync.WaitGroup
}

// Start stands in front of a broker, which must be the only one of its
// cluster, until the test ends.
func Start(t testing.TB, broker string) *Proxy {
	t.Helper()
	return StartCluster(t, []string{broker})[0]
}

// StartCluster stands in front of every broker of a cluster, in their order. The
// brokers' addresses must be those that they advertise.
func StartCluster(t testing.TB, brokers []string) []*Proxy {
	t.Helper()
	var all []*Proxy
	cluster := map[string]*Proxy{}
	for _, broker := range brokers {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		at := l.Addr().(*net.TCPAddr)
		p := &Proxy{
			listener: l, target: broker, cluster: cluster, host: at.IP.String(), port: int32(at.Port), rules: map[int16]Rule{}, conns: map[net.Conn]bool{},
		}
		cluster[broker] = p
		all = append(all, p)
	}
	for _, p := range all {
		p.wait.Go(p.accept)
		t.Cleanup(p.close)
	}
	return all
}

// Addr is where clients reach the proxy.
func (p *Proxy) Addr() string { return net.JoinHostPort(p.host, strconv.Itoa(int(p.port))) }

// On sets the rule for a kind of request, in place of the one before.
func (p *Proxy) On(key kmsg.Key, rule Rule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules[key.Int16()] = rule
}

func (p *Proxy) rule(key int16) Rule {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rules[key]
}

func (p *Proxy) close() {
	p.listener.Close()
	p.mu.Lock()
	p.over = true
	clear(p.rules)
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.wait.Wait()
}

// hold notes a connection to be closed at the end; false: this is the end.
func (p *Proxy) hold(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		c.Close()
		return false
	}
	p.conns[c] = true
	return true
}

func (p *Proxy) drop(c net.Conn) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		if !p.hold(client) {
			return
		}
		p.wait.Go(func() {
			defer p.drop(client)
			broker, err := net.Dial("tcp", p.target)
			if err != nil {
				// Reset, as a broker that is down refuses: a connection that is only
				// closed looks to clients like one that wants TLS.
				_ = client.(*net.TCPConn).SetLinger(0)
				return
			}
			if !p.hold(broker) {
				return
			}
			defer p.drop(broker)
			pending := make(chan *exchange, framesPending)
			p.wait.Go(func() {
				defer client.Close()
				defer broker.Close()
				p.answers(client, broker, pending)
			})
			p.requests(client, broker, pending)
			close(pending)
		})
	}
}

// exchange is one request, with its answer where the proxy gives it.
type exchange struct {
	key, version int16
	correlation  []byte
	request      kmsg.Request // nil where nobody looks at it
	answer       kmsg.Response
}

// requests passes on what the client says, until one side ends.
func (p *Proxy) requests(client, broker net.Conn, pending chan<- *exchange) {
	for {
		frame, err := readFrame(client)
		if err != nil {
			return
		}
		x, err := p.parse(frame)
		if err != nil {
			return
		}
		if before := p.rule(x.key).Before; before != nil && x.request != nil {
			x.answer = before(x.request)
		}
		pending <- x
		if x.answer == nil && writeFrame(broker, frame) != nil {
			return
		}
	}
}

// answers writes the answers in the order of their requests.
func (p *Proxy) answers(client, broker net.Conn, pending <-chan *exchange) {
	for x := range pending {
		if x.answer != nil {
			if writeFrame(client, x.encode(x.answer)) != nil {
				break
			}
			continue
		}
		frame, err := readFrame(broker)
		if err != nil {
			break
		}
		if x.request != nil {
			resp, err := x.decode(frame)
			if err != nil {
				break
			}
			p.hide(resp)
			if after := p.rule(x.key).After; after != nil && !after(x.request, resp) {
				break
			}
			frame = x.encode(resp)
		}
		if writeFrame(client, frame) != nil {
			break
		}
	}
	client.Close()
	broker.Close()
	for range pending { // the requests' end closes it
	}
}

func readFrame(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > 100<<20 {
		return nil, fmt.Errorf("a frame of %d bytes", n)
	}
	frame := make([]byte, n)
	_, err := io.ReadFull(r, frame)
	return frame, err
}

func writeFrame(w io.Writer, frame []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(frame)), uint32(len(frame))), frame...))
	return err
}

var errFrame = errors.New("a frame that is no Kafka request")

// parse reads a request's header, and its body where somebody wants to see it.
func (p *Proxy) parse(frame []byte) (*exchange, error) {
	if len(frame) < 10 {
		return nil, errFrame
	}
	x := &exchange{
		key: int16(binary.BigEndian.Uint16(frame)), version: int16(binary.BigEndian.Uint16(frame[2:])), correlation: frame[4:8],
	}
	rule := p.rule(x.key)
	names := x.key == kmsg.Metadata.Int16() || x.key == kmsg.FindCoordinator.Int16() || x.key == kmsg.DescribeCluster.Int16()
	if !names && rule.Before == nil && rule.After == nil {
		return x, nil
	}
	body := frame[8:]
	client := int16(binary.BigEndian.Uint16(body)) // −1: none
	body = body[2:]
	if client > 0 {
		if len(body) < int(client) {
			return nil, errFrame
		}
		body = body[client:]
	}
	req := kmsg.RequestForKey(x.key)
	req.SetVersion(x.version)
	if req.IsFlexible() {
		if len(body) == 0 || body[0] != 0 {
			return nil, errFrame // no client of ours tags its header
		}
		body = body[1:]
	}
	if err := req.ReadFrom(body); err != nil {
		return nil, err
	}
	x.request = req
	return x, nil
}

func (x *exchange) decode(frame []byte) (kmsg.Response, error) {
	resp := x.request.ResponseKind()
	resp.SetVersion(x.version)
	body := frame[min(4, len(frame)):]
	if resp.IsFlexible() && x.key != kmsg.ApiVersions.Int16() {
		if len(body) == 0 || body[0] != 0 {
			return nil, errFrame
		}
		body = body[1:]
	}
	return resp, resp.ReadFrom(body)
}

func (x *exchange) encode(resp kmsg.Response) []byte {
	resp.SetVersion(x.version)
	frame := append([]byte(nil), x.correlation...)
	if resp.IsFlexible() && x.key != kmsg.ApiVersions.Int16() {
		frame = append(frame, 0)
	}
	return resp.AppendTo(frame)
}

// hide puts the proxies' addresses where the broker names its cluster's.
func (p *Proxy) hide(resp kmsg.Response) {
	switch resp := resp.(type) {
	case *kmsg.MetadataResponse:
		for i := range resp.Brokers {
			p.replace(&resp.Brokers[i].Host, &resp.Brokers[i].Port)
		}
	case *kmsg.DescribeClusterResponse:
		for i := range resp.Brokers {
			p.replace(&resp.Brokers[i].Host, &resp.Brokers[i].Port)
		}
	case *kmsg.FindCoordinatorResponse:
		if resp.ErrorCode == 0 {
			p.replace(&resp.Host, &resp.Port)
		}
		for i := range resp.Coordinators {
			if c := &resp.Coordinators[i]; c.ErrorCode == 0 {
				p.replace(&c.Host, &c.Port)
			}
		}
	}
}

// replace leads to the proxy of the broker with this address. Whoever has no proxy
// is the only broker, under another of its names.
func (p *Proxy) replace(host *string, port *int32) {
	front, ok := p.cluster[net.JoinHostPort(*host, strconv.Itoa(int(*port)))]
	if !ok {
		front = p
	}
	*host, *port = front.host, front.port
}
