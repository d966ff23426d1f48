package e2e

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

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
