package telemetry

import (
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// KafkaHook returns the hook that counts what Kafka clients do. Any number of
// clients may share one: kprom's hook belongs to one client, and two of its
// kind cannot share a registry, while a processor opens a client per session.
func (m *Metrics) KafkaHook() kgo.Hook { return kafkaHook{m.Kafka} }

type kafkaHook struct{ m KafkaMetrics }

var (
	_ kgo.HookBrokerConnect       = kafkaHook{}
	_ kgo.HookBrokerDisconnect    = kafkaHook{}
	_ kgo.HookBrokerE2E           = kafkaHook{}
	_ kgo.HookBrokerThrottle      = kafkaHook{}
	_ kgo.HookProduceBatchWritten = kafkaHook{}
	_ kgo.HookFetchBatchRead      = kafkaHook{}
)

func (h kafkaHook) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	outcome := "ok"
	if err != nil {
		outcome = "error"
	}
	h.m.Connects.WithLabelValues(outcome).Inc()
}

func (h kafkaHook) OnBrokerDisconnect(kgo.BrokerMetadata, net.Conn) { h.m.Disconnects.Inc() }

func (h kafkaHook) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	api := kmsg.NameForKey(key)
	if e2e.Err() != nil {
		h.m.RequestErrors.WithLabelValues(api).Inc()
		return
	}
	h.m.RequestSeconds.WithLabelValues(api).Observe(e2e.DurationE2E().Seconds())
}

func (h kafkaHook) OnBrokerThrottle(_ kgo.BrokerMetadata, interval time.Duration, _ bool) {
	h.m.ThrottledSeconds.Add(interval.Seconds())
}

func (h kafkaHook) OnProduceBatchWritten(_ kgo.BrokerMetadata, topic string, _ int32, b kgo.ProduceBatchMetrics) {
	h.m.WrittenRecords.WithLabelValues(topic).Add(float64(b.NumRecords))
	h.m.WrittenBytes.WithLabelValues(topic).Add(float64(b.CompressedBytes))
}

func (h kafkaHook) OnFetchBatchRead(_ kgo.BrokerMetadata, topic string, _ int32, b kgo.FetchBatchMetrics) {
	h.m.ReadRecords.WithLabelValues(topic).Add(float64(b.NumRecords))
	h.m.ReadBytes.WithLabelValues(topic).Add(float64(b.CompressedBytes))
}
