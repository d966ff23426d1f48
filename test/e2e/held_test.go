package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestRow30TransactionThatNobodyEnds lets a foreign producer leave a transaction
// open on the events topic. The lag is 0 and nothing moves: how many records it
// holds back has to be measured, and it has to be named.
func TestRow30TransactionThatNobodyEnds(t *testing.T) {
	onEach(t, func(t *testing.T, at place) {
		d, sent := flights(t, at, 1, 300)
		cl := d.client()
		d.must(d.send(t.Context(), cl, sent[:100]))
		d.processor()
		d.processed()
		id := d.kafka.Prefix + "-foreign"
		foreign, err := kgo.NewClient(d.kafka.Options(kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
		d.must(err)
		t.Cleanup(foreign.Close)
		d.must(foreign.BeginTransaction())
		d.must(foreign.ProduceSync(t.Context(), &kgo.Record{Topic: d.kafka.Topic("events"), Value: []byte("x")}).FirstErr())
		d.must(d.send(t.Context(), cl, sent[100:]))
		metrics, want := &d.rt.Metrics.Processor, float64(1+len(sent)-100)
		held := func() float64 { return testutil.ToFloat64(metrics.HeldBack.WithLabelValues("0")) }
		d.until(func() (bool, string) {
			said := strings.Contains(d.log.String(), `"transactional_id":"`+id+`"`)
			return held() == want && said, fmt.Sprintf("%v records are measured as held back, want %v; the transaction is named: %t", held(), want, said)
		})
		if lag := testutil.ToFloat64(metrics.LagRecords.WithLabelValues("0")); lag != 0 {
			t.Errorf("the lag is %v: nobody needs to measure more", lag)
		}
		d.must(foreign.EndTransaction(t.Context(), kgo.TryCommit))
		d.until(func() (bool, string) { return held() == 0, "after its end it is held back still" })
	})
}
