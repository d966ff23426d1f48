package app

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/config"
)

// upConfig is a configuration that takes free ports.
func upConfig() *config.Config {
	cfg := config.Default()
	cfg.Producer.Listen, cfg.Notifier.Listen, cfg.Metrics.Listen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	cfg.Log.Level, cfg.Log.Format = "warn", "text"
	return cfg
}

// TestUpContinuesALoad interrupts the loading three times. What the example
// comes to in the end is what it comes to without.
func TestUpContinuesALoad(t *testing.T) {
	const partly, whole = 3, "loaded 54383, applied 53317, duplicates 1066, late 0, notified 15167, in inboxes 15167"
	dir := t.TempDir()
	for n := range partly {
		ctx, interrupt := context.WithCancel(t.Context())
		u := &Up{Example: "flights", DataDir: dir, Out: &bytes.Buffer{}}
		ended := make(chan error, 1)
		go func() { ended <- u.Run(ctx, upConfig(), "test") }()
		for u.loaded.Load() == nil {
			select {
			case err := <-ended:
				t.Fatalf("run %d ended by itself: %v", n, err)
			case <-time.After(time.Millisecond):
			}
		}
		interrupt()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if u.allIn.Load() {
			t.Fatalf("run %d loaded all before it was interrupted", n)
		}
	}
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	u := &Up{Example: "flights", DataDir: dir, Out: &out, ExitWhenDone: true}
	if err := u.Run(ctx, upConfig(), "test"); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(out.String(), whole+"\n") || !strings.Contains(out.String(), "loaded    before: ") {
		t.Errorf("it says\n%s\nand not %s", out.String(), whole)
	}
}
