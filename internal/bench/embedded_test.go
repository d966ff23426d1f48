package bench

import (
	"context"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/telemetry"
)

// TestEmbeddedBrokerIsNamed: a bench brings its broker along, says wherever figures
// are that it is no Kafka, and ends it.
func TestEmbeddedBrokerIsNamed(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	given := app.Runtime{Config: config.Default(), Log: log, Metrics: telemetry.New()}
	rt, end, err := Embed(t.Context(), given)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	opts := options(t, Structured)
	opts.Rounds, opts.Warmups = 1, 0
	r, err := Run(ctx, rt, opts)
	if ended := end(); ended != nil {
		t.Error(ended)
	}
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	page, err := r.HTML("veltrix bench --embedded")
	if err != nil {
		t.Fatal(err)
	}
	for _, face := range []string{text.String(), string(page)} {
		if !strings.Contains(face, "no figure here says anything of Kafka") {
			t.Errorf("a face that passes for Kafka: %s", face)
		}
	}
	if conn, err := net.Dial("tcp", rt.Config.Kafka.Brokers[0]); err == nil {
		_ = conn.Close()
		t.Errorf("the broker at %s is still there", rt.Config.Kafka.Brokers[0])
	}
	if socket, is := strings.CutPrefix(rt.Config.Redis.Addrs[0], "unix://"); is {
		if _, err := os.Stat(socket); err == nil {
			t.Errorf("Redis' socket %s is still there", socket)
		}
	}
	if given.Config.Kafka.Brokers[0] == rt.Config.Kafka.Brokers[0] {
		t.Error("the configuration that was given has changed")
	}
}
