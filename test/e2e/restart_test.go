package e2e

import (
	"sync"
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
		reached, killed := make(chan struct{}), make(chan struct{})
		var first sync.Once
		release := sync.OnceFunc(func() { close(killed) })
		t.Cleanup(release)
		at.proxy.On(kmsg.EndTxn, proxy.Rule{Before: func(req kmsg.Request) kmsg.Response {
			if end := req.(*kmsg.EndTxnRequest); !isProcessor(end.TransactionalID) {
				return nil
			}
			held := false
			first.Do(func() { held = true })
			if !held {
				return nil
			}
			close(reached)
			<-killed
			return req.ResponseKind() // nobody hears it, and the broker never saw the request
		}})
		p := d.start("processor", "the killed processor")
		d.must(d.send(t.Context(), d.client(), sent))
		select {
		case <-reached:
		case <-p.Done():
			t.Fatal("it ended by itself")
		case <-time.After(stall):
			t.Fatal("no transaction came to its end")
		}
		p.Kill()
		release()
		began := time.Now()
		p = d.start("processor", "its successor")
		p.works("veltrix_processor_records_total", 1)
		if took := time.Since(began); took > long/2 {
			t.Errorf("its successor needed %v: it waited for the transaction to time out", took)
		}
		d.countedOnce(sent)
	})
}
