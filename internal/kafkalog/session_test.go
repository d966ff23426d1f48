package kafkalog_test

import (
	"context"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/kafkalog"
)

// TestSessionAbortsWhatWasLeftOpen joins with a slot whose predecessor died
// between its offsets and the end. The committed offset must not have to wait
// until the broker gives that transaction up.
func TestSessionAbortsWhatWasLeftOpen(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		apply(t, cfg, dev)
		positions, err := kafkalog.NewPositions(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(positions.Close)
		begun(t, cfg)
		id := "processor.0"
		if cfg.BootID != "" {
			id += "." + cfg.BootID
		}
		pending(t, cfg, id, 1, 5) // for 40 s, the client's default
		joined(t, cfg)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if c, err := positions.Committed(ctx, 1); err != nil || !c.Absent {
			t.Errorf("the offset reads as %+v, %v", c, err)
		}
	})
}
