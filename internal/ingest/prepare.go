package ingest

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// clock gives strictly ascending times, in µs since the Unix epoch.
type clock struct {
	now  func() time.Time
	last atomic.Int64
}

func (c *clock) stamp() int64 {
	now := c.now().UnixMicro()
	for {
		last := c.last.Load()
		next := max(now, last+1)
		if c.last.CompareAndSwap(last, next) {
			return next
		}
	}
}

// preparer makes records of events, and refuses what the processor would.
type preparer struct {
	schema *participant.Schema // nil: only the envelope and the JSON are checked
	clock  *clock
	event  participant.Event // scratch
}

// record checks an event and writes its record. The value is the event's data.
func (p *preparer) record(ce *wire.CloudEvent) (wire.Record, *wire.Problem) {
	if ce.Time.IsZero() {
		ce.Time, ce.Stamped = time.UnixMicro(p.clock.stamp()).UTC(), true
	}
	var r wire.Record
	r.Key, r.Value, r.Headers = wire.EventRecord(ce)
	if bad := wire.CheckEvent(&r, p.schema, &p.event); bad != nil {
		return r, bad
	}
	if p.schema != nil && p.schema.RejectUnknown && p.event.TypeIndex < 0 {
		return r, &wire.Problem{Field: "type", Rejection: participant.Rejection{
			Fate:   participant.SchemaMismatch,
			Reason: "its type " + strconv.QuoteToGraphic(ce.Type) + " is not declared by the rules of " + strconv.QuoteToGraphic(p.schema.Hunt),
		}}
	}
	return r, nil
}
