package kafkalog

import "context"

// Readings are readings, for the tests outside.
type Readings struct{ *readings[int] }

// NewReadings returns those that nobody asks.
func NewReadings() Readings { return Readings{newReadings[int]()} }

// Ask is readings.ask.
func (s Readings) Ask(ctx context.Context, read func() (int, error)) (int, error) {
	return s.ask(ctx, read)
}
