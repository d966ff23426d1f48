package client_test

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/veltrix/veltrix/client"
	"github.com/veltrix/veltrix/internal/ingest"
	"github.com/veltrix/veltrix/internal/wire"
)

// BenchmarkEnqueue hands events to the real gateway over a log that keeps
// nothing, in batches as they come to be; BenchmarkSend waits for each.
func BenchmarkEnqueue(b *testing.B) {
	c := bench(b)
	done := func(err error) {
		if err != nil {
			b.Error(err)
		}
	}
	for b.Loop() {
		if err := c.Enqueue(b.Context(), clue("ada", ""), done); err != nil {
			b.Fatal(err)
		}
	}
	if err := c.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkSend(b *testing.B) {
	c := bench(b)
	for b.Loop() {
		if err := c.Send(b.Context(), clue("ada", "")); err != nil {
			b.Fatal(err)
		}
	}
}

// nowhere is a log that keeps nothing.
type nowhere struct{}

// Append is ingest.Appender's.
func (nowhere) Append(_ context.Context, records []wire.Record) ([]ingest.Position, error) {
	return make([]ingest.Position, len(records)), nil
}

func bench(b *testing.B) *client.Client {
	b.Helper()
	s := httptest.NewServer(ingest.New(ingest.Options{
		Appender: nowhere{}, Limits: ingest.Limits{RequestBytesMax: 8 << 20, BatchEventsMax: 10_000}, InflightBytesMax: 64 << 20, Timeout: 30 * time.Second,
	}))
	b.Cleanup(s.Close)
	c, err := client.New(client.Options{URL: s.URL, Source: "/bench"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}
