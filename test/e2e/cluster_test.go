package e2e

import (
	"context"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/testredis"
	"github.com/veltrix/veltrix/test/broker"
)

const clusterSlots = 16_384

// node is a master of a Redis Cluster.
type node struct {
	*redis.Client
	id, host, port, bus string
}

// cluster starts a Redis Cluster of two masters with half of the slots each.
func cluster(t *testing.T) (nodes [2]*node) {
	t.Helper()
	ports, err := broker.FreePorts(2 * len(nodes))
	if err != nil {
		t.Fatal(err)
	}
	for i := range nodes {
		port, bus := strconv.Itoa(ports[2*i]), strconv.Itoa(ports[2*i+1])
		server := testredis.Start(t, map[string]string{
			"port": port, "bind": "127.0.0.1", "cluster-enabled": "yes", "cluster-port": bus, "cluster-announce-ip": "127.0.0.1",
		})
		n := &node{host: "127.0.0.1", port: port, bus: bus, Client: redis.NewClient(&redis.Options{
			Network: "unix", Addr: strings.TrimPrefix(server.Addr, "unix://"),
		})}
		t.Cleanup(func() { n.Close() })
		n.id = n.must(t, "cluster", "myid").(string)
		half := clusterSlots / len(nodes)
		n.must(t, "cluster", "addslotsrange", i*half, (i+1)*half-1)
		if i > 0 {
			n.must(t, "cluster", "meet", nodes[0].host, nodes[0].port, nodes[0].bus)
		}
		nodes[i] = n
	}
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		whole := 0
		for _, n := range nodes {
			said := n.must(t, "cluster", "info").(string)
			if strings.Contains(said, "cluster_state:ok") && strings.Contains(said, "cluster_slots_ok:"+strconv.Itoa(clusterSlots)) {
				whole++
			}
		}
		if whole == len(nodes) {
			return nodes
		}
		if time.Since(began) > stall {
			t.Fatalf("%d of %d nodes see a whole cluster", whole, len(nodes))
		}
	}
}

func (n *node) must(t *testing.T, args ...any) any {
	t.Helper()
	answer, err := n.Do(context.Background(), args...).Result()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return answer
}

// used returns the slots in which the node has keys.
func (n *node) used(t *testing.T) map[int64]bool {
	t.Helper()
	slots := map[int64]bool{}
	keys := n.Scan(context.Background(), 0, "", 1000).Iterator()
	for keys.Next(context.Background()) {
		slots[n.must(t, "cluster", "keyslot", keys.Val()).(int64)] = true
	}
	if err := keys.Err(); err != nil {
		t.Fatal(err)
	}
	return slots
}

// move gives a slot to another node, key by key, as an operator's resharding
// does; between two keys a script that needs both is answered TRYAGAIN.
func (n *node) move(t *testing.T, slot int64, to *node) {
	t.Helper()
	to.must(t, "cluster", "setslot", slot, "importing", n.id)
	n.must(t, "cluster", "setslot", slot, "migrating", to.id)
	for {
		keys := n.must(t, "cluster", "getkeysinslot", slot, 1).([]any)
		if len(keys) == 0 {
			break
		}
		n.must(t, "migrate", to.host, to.port, "", 0, 5000, "keys", keys[0])
		time.Sleep(time.Millisecond)
	}
	to.must(t, "cluster", "setslot", slot, "node", to.id)
	n.must(t, "cluster", "setslot", slot, "node", to.id)
}

// agreed waits until the nodes know the same of each other. A slot that is moved
// back before its last owner has heard of the first move may be claimed by an old
// message, and then each node says that the other has it, for ever.
func agreed(t *testing.T, nodes [2]*node) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		first, second := nodes[0].view(t), nodes[1].view(t)
		if first == second {
			return
		}
		if time.Since(began) > stall {
			t.Fatalf("the nodes do not agree:\n%s\n\n%s", first, second)
		}
	}
}

// view is what a node knows of its cluster: each node's epoch and slots.
func (n *node) view(t *testing.T) string {
	t.Helper()
	var known []string
	for line := range strings.Lines(n.must(t, "cluster", "nodes").(string)) {
		if fields := strings.Fields(line); len(fields) >= 8 {
			known = append(known, strings.Join(append([]string{fields[0], fields[6]}, fields[8:]...), " "))
		}
	}
	slices.Sort(known)
	return strings.Join(known, "\n")
}

var errorStat = regexp.MustCompile(`errorstat_([A-Z]+):count=(\d+)`)

// TestRow20ClusterSlotMoves moves every slot of a Redis Cluster that has keys
// back and forth between two masters while events are counted and delivered. The
// scripts are answered with redirections and with TRYAGAIN, and every move of a
// partition has to come through as one, once.
func TestRow20ClusterSlotMoves(t *testing.T) {
	t.Parallel()
	nodes := cluster(t)
	at := real(t)
	at.redis, at.cluster = net.JoinHostPort(nodes[0].host, nodes[0].port), true
	d, sent := flights(t, at, 4, 4_000)
	d.processor()
	d.notifier()
	f := d.feed(sent, 20, 20*time.Millisecond)
	moved := 0
	for f.left.Load() > 0 {
		for i, n := range nodes {
			agreed(t, nodes)
			for slot := range n.used(t) {
				n.move(t, slot, nodes[1-i])
				moved++
			}
		}
	}
	f.wait()
	d.countedOnce(sent)
	d.delivered()
	d.inboxes()
	met := map[string]int{}
	for _, n := range nodes {
		for _, stat := range errorStat.FindAllStringSubmatch(n.must(t, "info", "errorstats").(string), -1) {
			count, err := strconv.Atoi(stat[2])
			d.must(err)
			met[stat[1]] += count
		}
	}
	t.Logf("%d slots moved; answered with %v", moved, met)
	for _, kind := range []string{"MOVED", "ASK", "TRYAGAIN"} {
		if met[kind] == 0 {
			t.Errorf("nothing was answered with %s: %v", kind, met)
		}
	}
}
