package ingest

import (
	"context"
	"errors"
	"time"

	"github.com/veltrix/veltrix/internal/wire"
)

// Position is a record's place in the events topic.
type Position struct {
	Partition int32 `json:"partition"`
	Offset    int64 `json:"offset"`
}

// ErrTooLarge says that the log takes no record of that size, however often it
// is tried.
var ErrTooLarge = errors.New("a record is larger than the brokers take")

// Appender writes to the events topic.
type Appender interface {
	// Append writes each record to its key's partition, in order, and returns
	// the positions once every in-sync replica has all of them. The key,
	// value and headers are used; the call owns them until it returns. After an
	// error some may be in the log all the same; appending them again is
	// harmless, because an event counts by its identity.
	Append(ctx context.Context, records []wire.Record) ([]Position, error)
}

// Participant is what is known of one.
type Participant struct {
	State     map[string]any // by slot, as wire.StateJSON gives it
	Partition int32
	Applied   int64 // the offset after the last record that the partition's state contains
	AsOf      int64 // the offset after the last event that this state contains
	// Floor is the settled time, as wire gives it in JSON: events at or before
	// it are late. Nil: none yet.
	Floor any
}

// StateReader reads the view in Redis.
type StateReader interface {
	// Participant returns nil for one without any events. Errors say that the
	// view cannot be read now.
	Participant(ctx context.Context, id string) (*Participant, error)
}

// Metrics are told what happens. A nil function is not called.
type Metrics struct {
	Accepted func(events int)
	Refused  func(problem string, events int)
	Inflight func(bytes int64) // the new level
	Appended func(took time.Duration)
}

func (m *Metrics) accepted(n int) {
	if m.Accepted != nil {
		m.Accepted(n)
	}
}

func (m *Metrics) refused(problem string, n int) {
	if m.Refused != nil {
		m.Refused(problem, n)
	}
}

func (m *Metrics) inflight(bytes int64) {
	if m.Inflight != nil {
		m.Inflight(bytes)
	}
}

func (m *Metrics) appended(took time.Duration) {
	if m.Appended != nil {
		m.Appended(took)
	}
}
