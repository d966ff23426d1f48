package e2e

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/veltrix/veltrix/test/proxy"
)

// TestRow31BatchesFitIntoATransaction lets the broker take so long for what a
// transaction produces that the backlog in one of them would be aborted for its
// age, and the next attempt as well. Batches have a limit, and so come through.
func TestRow31BatchesFitIntoATransaction(t *testing.T) {
	t.Parallel()
	const perRecord = 15 * time.Millisecond
	at := fake(t)
	d, sent := flights(t, at, 1, 1_200)
	d.must(d.send(t.Context(), d.client(), sent))
	d.rt.Config.Processor.CommitRecords = 100
	var whole atomic.Int64
	at.proxy.On(kmsg.Produce, proxy.Rule{After: func(req kmsg.Request, _ kmsg.Response) bool {
		produce := req.(*kmsg.ProduceRequest)
		if produce.TransactionID == nil || !isProcessor(*produce.TransactionID) {
			return true
		}
		slow := time.Duration(recordsIn(produce)) * perRecord
		whole.Add(int64(slow))
		time.Sleep(slow) // the transaction is open at the broker meanwhile
		return true
	}})
	d.processor()
	d.countedOnce(sent)
	if took := time.Duration(whole.Load()); took < 2*transactionTimeout {
		t.Errorf("all of it took the broker %v: a single transaction would have come through too", took)
	}
}

// recordsIn counts the records of a request.
func recordsIn(req *kmsg.ProduceRequest) (n int32) {
	for _, topic := range req.Topics {
		for _, p := range topic.Partitions {
			var batch kmsg.RecordBatch
			if batch.ReadFrom(p.Records) == nil {
				n += batch.NumRecords
			}
		}
	}
	return n
}
