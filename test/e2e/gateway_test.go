package e2e

import (
	"context"
	"flag"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/veltrix/veltrix/internal/testredis"
	"github.com/veltrix/veltrix/test/broker"
	"github.com/veltrix/veltrix/test/proxy"
)

// loadFor is how long the gateway is under load; make load gives it a minute.
var loadFor = flag.Duration("load", 15*time.Second, "how long TestGatewayUnderLoad sends")

const connections = 1000

// inflightMax is the gateway's room under load: less than what the connections
// have under way while a broker is gone.
const inflightMax = 1 << 20

// memoryMax is what the load may add to the gateway's memory: buffers and
// stacks for each connection, and what is under way as body, record, batch and
// compressed batch; twice, since the collector lets the heap double.
const memoryMax = 2 * (connections*32<<10 + 4*inflightMax)

var loadRules = []byte(`hunt: load
version: 1
events:
  clue.found:
    data:
      points: {type: int, min: 0, max: 1000}
      note: {type: string, max: 4096}
state:
  score: {type: int}
rules:
  - name: found
    on: clue.found
    set: {score: state.score + event.data.points}
`)

// gatewayProcess runs the command, and returns where it takes events.
func (d *deployment) gatewayProcess() (p *process, address string) {
	d.t.Helper()
	p = d.start("producer", "the gateway")
	return p, p.says(p.serves)
}

// TestGatewayUnderLoad has a thousand connections send to a gateway with little
// room, and kills a broker in the middle. Every 202 is in the log, everything
// else was answered with a problem, and what the log has twice counts once.
func TestGatewayUnderLoad(t *testing.T) {
	cluster := broker.Start(t, broker.Options{Nodes: 3, HeapMiB: 320})
	d := deploy(t, place{brokers: cluster.Addrs, redis: testredis.Start(t, nil).Addr, copies: 3, profile: "prod"}, 6, loadRules)
	d.env = []string{
		"VELTRIX_PRODUCER_LISTEN=127.0.0.1:0", "VELTRIX_PRODUCER_REQUEST_TIMEOUT=3s",
		"VELTRIX_PRODUCER_MAX_INFLIGHT_BYTES=1MiB", "VELTRIX_PRODUCER_MAX_REQUEST_BYTES=64KiB",
	}
	gateway, address := d.gatewayProcess()
	idle := gateway.sum("process_resident_memory_bytes")
	all := senders(t, connections, address, strings.Repeat("x", 4000))
	ctx, cancel := context.WithTimeout(t.Context(), *loadFor)
	defer cancel()
	var sending sync.WaitGroup
	for _, s := range all {
		sending.Go(func() { s.run(ctx, time.Second) })
	}
	memory, held := int64(0), int64(0)
	watch := func(until time.Duration) {
		for began := time.Now(); time.Since(began) < until; time.Sleep(100 * time.Millisecond) {
			memory, held = max(memory, gateway.sum("process_resident_memory_bytes")), max(held, gateway.sum("veltrix_producer_inflight_bytes"))
		}
	}
	watch(*loadFor / 4)
	cluster.Kill(2)
	watch(*loadFor / 2)
	d.must(cluster.Restart(2))
	watch(*loadFor / 4)
	sending.Wait()

	f := sum(t, all)
	t.Logf("%d connections for %s, a broker killed: %s; memory %d MiB idle and %d MiB at most, %d KiB of requests in it",
		connections, *loadFor, f, idle>>20, memory>>20, held>>10)
	if f.taken < connections || len(f.refused) == 0 {
		t.Error("too few events were taken, or none was refused: nothing is shown")
	}
	if held > inflightMax || memory > idle+memoryMax {
		t.Errorf("want at most %d KiB of requests, and %d MiB", inflightMax>>10, (idle+memoryMax)>>20)
	}
	d.until(func() (bool, string) {
		return gateway.sum("veltrix_producer_inflight_bytes") == 0, "the gateway still holds requests, and nobody sends"
	})
	records, events := d.holdsTaken(all)
	d.processor()
	d.processed()
	d.verified(map[string]int64{"applied": events, "duplicate": records - events})
}

// TestGatewayDrains sends a thousand requests and SIGTERM before the brokers
// have answered any: each is answered all the same, and is in the log.
func TestGatewayDrains(t *testing.T) {
	p := proxy.Start(t, broker.Shared(t).Addrs[0])
	d := deploy(t, place{brokers: []string{p.Addr()}, redis: testredis.Start(t, nil).Addr, proxy: p}, 4, loadRules)
	d.env = []string{"VELTRIX_PRODUCER_LISTEN=127.0.0.1:0"}
	gateway, address := d.gatewayProcess()
	held := make(chan struct{})
	letGo := sync.OnceFunc(func() { close(held) })
	t.Cleanup(letGo) // before the proxy's, which waits for what is held
	p.On(kmsg.Produce, proxy.Rule{Before: func(kmsg.Request) kmsg.Response { <-held; return nil }})
	all := senders(t, connections, address, "")
	want := int64(0)
	var sending sync.WaitGroup
	for _, s := range all {
		body := s.next()
		want += int64(len(body)) + 1
		sending.Go(func() { s.send(body) })
	}
	d.until(func() (bool, string) {
		return gateway.sum("veltrix_producer_inflight_bytes") == want, "not every request is under way"
	})
	d.must(gateway.Signal(syscall.SIGTERM))
	d.until(func() (bool, string) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err != nil, "the gateway still takes connections after SIGTERM"
	})
	letGo()
	sending.Wait()
	<-gateway.Done()
	if f := sum(t, all); f.taken != connections {
		t.Errorf("%s, want a 202 for each of %d", f, connections)
	}
	if records, events := d.holdsTaken(all); records != connections || events != connections {
		t.Errorf("the log has %d records of %d events, want %d", records, events, connections)
	}
	if !strings.Contains(gateway.log.String(), `"msg":"stopped"`) {
		t.Error("the gateway did not stop in order")
	}
}
