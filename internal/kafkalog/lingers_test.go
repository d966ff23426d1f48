package kafkalog_test

import (
	"errors"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/kafkalog"
)

// TestN02Lingers: a record stays for the retention and its segment, or for ever.
func TestN02Lingers(t *testing.T) {
	cfg := kafkalog.Config{Brokers: fakeBrokers(t), Prefix: "p", BootID: "b"}
	if _, err := kafkalog.Lingers(withTimeout(t), cfg, "notifications"); !errors.Is(err, kafkalog.ErrNoTopic) {
		t.Errorf("before the topics: %v", err)
	}
	apply(t, cfg, dev)
	lingers := func(want time.Duration) {
		t.Helper()
		if got, err := kafkalog.Lingers(withTimeout(t), cfg, "notifications"); err != nil || got != want {
			t.Errorf("%v, %v, want %v", got, err, want)
		}
	}
	topic := cfg.Topic("notifications")
	lingers(96 * time.Hour)
	alter(t, cfg, topic, "retention.ms", "3600000")
	lingers(25 * time.Hour)
	alter(t, cfg, topic, "segment.ms", "9223372036854775807")
	lingers(kafkalog.Forever)
	alter(t, cfg, topic, "segment.ms", "3600000")
	alter(t, cfg, topic, "retention.ms", "-1")
	lingers(kafkalog.Forever)
}
