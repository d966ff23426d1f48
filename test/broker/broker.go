// Package broker runs real Apache Kafka brokers, from the jars that pom.xml
// names, as child processes: in KRaft mode, every node broker and controller,
// on loopback ports that were free.
//
// Invariant: no broker outlives the process that started it, however that ends
// (see internal/child).
//
// A test that cannot have its broker fails with the command that provides it;
// it never skips.
package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/veltrix/veltrix/internal/child"
)

// Bounds of the harness.
const (
	nodesMax       = 5
	heapMiBDefault = 512
	startTimeout   = 90 * time.Second // two cores shared with a whole test run are slow
	stopTimeout    = 15 * time.Second
	startAttempts  = 3 // a port may be taken between its choice and its use
)

// Options says what cluster to start. The zero value is one node.
type Options struct {
	Nodes    int               // default 1, at most 5
	HeapMiB  int               // per node, default 512
	Config   map[string]string // laid over each node's server.properties
	Features map[string]int    // levels to finalise at formatting, as transaction.version

	// Secure gives each node a further listener, at Secured, that speaks SASL_SSL
	// with SCRAM-SHA-512, and has the nodes check rights. Whoever comes by a plain
	// listener may do everything, such as adding users and rights.
	Secure bool

	// Lanes are further listeners of each node. Each leads clients around by
	// the addresses that Advertise returns, as a relay's, given the node (from
	// 1), the lane (from 0) and where the node listens. The nodes themselves
	// use lane 0.
	Lanes     int
	Advertise func(node, lane int, listens string) (advertised string, err error)
}

// Cluster is a running Kafka cluster.
type Cluster struct {
	Dir   string
	Addrs []string // host:port of each node, in the order of their IDs, which count from 1

	java  string
	libs  string
	opts  Options
	mu    sync.Mutex // guards nodes' processes against concurrent Kill and Restart
	nodes []*node
}

type node struct {
	id         int
	dir        string
	broker     int // port
	controller int // port
	secure     int // port; 0: none
	lanes      []lane
	proc       *child.Process
}

type lane struct{ listens, advertised string }

// Start runs a cluster in a directory of the test's own and ends it with the
// test. It fails the test, naming the remedy, where Java or the jars are missing.
func Start(t testing.TB, opts Options) *Cluster {
	t.Helper()
	c, err := StartDir(t.TempDir(), opts)
	if err != nil {
		t.Fatalf("start a real Kafka: %v", err)
	}
	t.Cleanup(c.Stop)
	return c
}

// StartDir runs a cluster whose logs lie in dir, which must be empty. The
// caller ends it with Close or Stop.
func StartDir(dir string, opts Options) (*Cluster, error) {
	java, libs, err := locate()
	if err != nil {
		return nil, err
	}
	if opts.Nodes == 0 {
		opts.Nodes = 1
	}
	if opts.HeapMiB == 0 {
		opts.HeapMiB = heapMiBDefault
	}
	if opts.Nodes < 1 || opts.Nodes > nodesMax {
		return nil, fmt.Errorf("a cluster has 1 to %d nodes, not %d", nodesMax, opts.Nodes)
	}
	var tried []error
	for attempt := range startAttempts {
		c := &Cluster{Dir: filepath.Join(dir, fmt.Sprintf("kafka-%d", attempt+1)), java: java, libs: libs, opts: opts}
		err := c.start()
		if err == nil {
			return c, nil
		}
		tried = append(tried, err)
		c.Stop()
		if !errors.Is(err, errPortTaken) {
			break
		}
	}
	return nil, errors.Join(tried...)
}

func (c *Cluster) start() error {
	each := 2 + c.opts.Lanes
	if c.opts.Secure {
		each++
	}
	ports, err := FreePorts(each * c.opts.Nodes)
	if err != nil {
		return err
	}
	for i := range c.opts.Nodes {
		own := ports[each*i : each*(i+1)]
		n := &node{
			id: i + 1, dir: filepath.Join(c.Dir, fmt.Sprintf("node-%d", i+1)),
			broker: own[0], controller: own[1],
		}
		if c.opts.Secure {
			n.secure, own = own[each-1], own[:each-1]
		}
		for number, port := range own[2:] {
			l := lane{listens: fmt.Sprintf("127.0.0.1:%d", port)}
			if l.advertised, err = c.opts.Advertise(n.id, number, l.listens); err != nil {
				return fmt.Errorf("advertise lane %d of node %d: %w", number, n.id, err)
			}
			n.lanes = append(n.lanes, l)
		}
		c.nodes = append(c.nodes, n)
		c.Addrs = append(c.Addrs, fmt.Sprintf("127.0.0.1:%d", n.broker))
	}
	if err := c.format(); err != nil {
		return err
	}
	for _, n := range c.nodes {
		if err := c.launch(n); err != nil {
			return err
		}
	}
	return c.waitReady(startTimeout)
}

// Lane returns the addresses that lane number leads clients around by, in the
// order of the nodes' IDs.
func (c *Cluster) Lane(number int) (addrs []string) {
	for _, n := range c.nodes {
		addrs = append(addrs, n.lanes[number].advertised)
	}
	return addrs
}

// Kill ends node id (from 1) with SIGKILL, as a crash would, and waits for its end.
func (c *Cluster) Kill(id int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.nodes[id-1]; n.proc != nil {
		n.proc.Kill()
		n.proc = nil
	}
}

// Pause stops node id with SIGSTOP: its connections stay open and nothing answers.
func (c *Cluster) Pause(id int) error { return c.signal(id, syscall.SIGSTOP) }

// Resume lets a paused node go on.
func (c *Cluster) Resume(id int) error { return c.signal(id, syscall.SIGCONT) }

func (c *Cluster) signal(id int, sig syscall.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.nodes[id-1]
	if n.proc == nil {
		return fmt.Errorf("signal node %d: it is not running", id)
	}
	return n.proc.Signal(sig)
}

// Restart starts node id again on its old ports and data, after ending it if
// it still runs, and waits until every running node knows it.
func (c *Cluster) Restart(id int) error {
	c.mu.Lock()
	n := c.nodes[id-1]
	if n.proc != nil {
		n.proc.Kill()
	}
	err := c.launch(n)
	c.mu.Unlock()
	if err != nil {
		return fmt.Errorf("restart node %d: %w", id, err)
	}
	return c.waitReady(startTimeout)
}

// Close ends every node as an orderly shutdown does, and kills what does not
// end in time. The data stays.
func (c *Cluster) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var wg sync.WaitGroup
	for _, n := range c.nodes {
		if n.proc == nil {
			continue
		}
		wg.Go(func() { n.proc.Stop(stopTimeout) })
	}
	wg.Wait()
	for _, n := range c.nodes {
		n.proc = nil
	}
	return nil
}

// Stop kills every node: for tests, whose data nobody reads again.
func (c *Cluster) Stop() {
	for _, n := range c.nodes {
		c.Kill(n.id)
	}
}

// waitReady waits until each running node names every running node in its
// metadata, and a controller.
func (c *Cluster) waitReady(timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	c.mu.Lock()
	var running []*node
	for _, n := range c.nodes {
		if n.proc != nil {
			running = append(running, n)
		}
	}
	c.mu.Unlock()
	for _, n := range running {
		if err := n.waitReady(ctx, len(running)); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) waitReady(ctx context.Context, brokers int) error {
	var last error
	for {
		select {
		case <-n.proc.Done():
			return n.ended()
		case <-ctx.Done():
			return fmt.Errorf("wait for node %d: %w; last: %w; its log is %s", n.id, ctx.Err(), last, n.logPath())
		case <-time.After(100 * time.Millisecond):
		}
		seen, err := n.sees(ctx)
		if err == nil && seen >= brokers {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("sees %d of %d brokers", seen, brokers)
		}
		last = err
	}
}

// sees asks this node, and no other, how many brokers it knows.
func (n *node) sees(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(fmt.Sprintf("127.0.0.1:%d", n.broker)), kgo.RequestRetries(0))
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{} // none: nil would mean all
	resp, err := cl.SeedBrokers()[0].Request(ctx, req)
	if err != nil {
		return 0, err
	}
	meta := resp.(*kmsg.MetadataResponse)
	if meta.ControllerID < 0 {
		return 0, errors.New("no controller yet")
	}
	return len(meta.Brokers), nil
}

var errPortTaken = errors.New("a port was taken by another process")

// ended says why a node that should be running is not.
func (n *node) ended() error {
	log, _ := os.ReadFile(n.logPath()) // an absent log leaves the tail empty, which is what we say
	tail := bytes.TrimSpace(log)
	if len(tail) > 4096 {
		tail = tail[len(tail)-4096:]
	}
	err := fmt.Errorf("node %d ended while starting; end of %s:\n%s", n.id, n.logPath(), tail)
	if strings.Contains(string(tail), "Address already in use") {
		return errors.Join(errPortTaken, err)
	}
	return err
}

func (n *node) logPath() string { return filepath.Join(n.dir, "server.log") }
