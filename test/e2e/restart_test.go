package e2e

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/veltrix/veltrix/internal/wire"
	"github.com/veltrix/veltrix/test/proxy"
)

// TestRow32KilledInsideATransaction kills a processor between the offsets of its
// transaction and the end. Whoever takes its slot next must not wait until the
// broker gives the transaction up: that takes as long as a batch may.
func TestRow32KilledInsideATransaction(t *testing.T) {
	onEach(t, func(t *testing.T, at place) {
		d, sent := flights(t, at, 1, 300)
		const long = time.Minute
		d.rt.Config.Processor.SessionTimeout, d.rt.Config.Processor.TransactionTimeout = long, long-time.Second
		d.env = append(d.env, "VELTRIX_PROCESSOR_INSTANCE=a", "VELTRIX_PROCESSOR_SLOTS=1")
		held := newGate(t)
		onCommit(at.proxy, 1, proxy.Rule{Before: func(req kmsg.Request) kmsg.Response {
			close(held.reached)
			<-held.open
			return req.ResponseKind() // nobody hears it, and the broker never saw the request
		}})
		p := d.start("processor", "the killed processor")
		d.must(d.send(t.Context(), d.client(), sent))
		held.wait(d)
		p.Kill()
		held.opened()
		began := time.Now()
		p = d.start("processor", "its successor")
		p.works("veltrix_processor_records_total", 1)
		if took := time.Since(began); took > long/2 {
			t.Errorf("its successor needed %v: it waited for the transaction to time out", took)
		}
		d.countedOnce(sent)
	})
}

// TestKilledBetweenRerouteAndCommit kills a processor once the records of a batch
// that are on a wrong partition are on the right one too, and before its commit
// could say so. Its successor moves them again, and they count once.
func TestKilledBetweenRerouteAndCommit(t *testing.T) {
	onEach(t, func(t *testing.T, at place) {
		d, sent := flights(t, at, 3, 300)
		d.env = append(d.env, "VELTRIX_PROCESSOR_INSTANCE=a", "VELTRIX_PROCESSOR_SLOTS=1")
		records := make([]*kgo.Record, len(sent))
		for i, line := range sent {
			records[i] = d.event(line)
			records[i].Partition = (records[i].Partition + 1) % d.partitions
		}
		d.must(d.client().ProduceSync(t.Context(), records...).FirstErr())
		moved := func() (n int64) {
			for _, r := range d.read("events") {
				if r.Header(wire.HeaderReroutedFrom) != nil {
					n++
				}
			}
			return n
		}
		held := newGate(t)
		onCommit(at.proxy, 1, proxy.Rule{Before: func(req kmsg.Request) kmsg.Response {
			close(held.reached)
			<-held.open
			return req.ResponseKind() // nobody hears it, and the broker never saw the request
		}})
		p := d.start("processor", "the killed processor")
		held.wait(d)
		before := moved()
		p.Kill()
		held.opened()
		if before == 0 {
			t.Fatal("nothing was moved before the commit: nothing is shown")
		}
		d.start("processor", "its successor")
		d.processed()
		if after := moved(); after != int64(len(sent))+before {
			t.Errorf("%d records were moved, of them %d before the kill; want each of %d once more", after, before, len(sent))
		}
		d.verified(map[string]int64{"applied": int64(len(sent)), "rerouted": int64(len(sent)), "duplicate": before})
		d.sameStates(sent)
	})
}
