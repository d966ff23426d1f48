package fold_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/fold"
	"github.com/veltrix/veltrix/internal/participant"
	hunt "github.com/veltrix/veltrix/internal/participant/participanttest"
	"github.com/veltrix/veltrix/internal/wire"
)

const (
	second     = int64(1_000_000)
	start      = 1_735_689_600 * second // 2025-01-01T00:00:00Z
	partitions = 8
)

// home is where the events of the test's player belong.
var home = wire.PartitionFor([]byte(hunt.Player), partitions)

func newFold(order participant.Order) *fold.Fold { return fold.New(hunt.New(order), partitions) }

// record returns an event's record in binary mode, on the player's partition,
// with a time of so many µs after start, which is also its arrival.
func record(offset int64, id, kind string, at int64, data string) *wire.Record {
	header := func(key, value string) wire.Header { return wire.Header{Key: key, Value: []byte(value)} }
	return &wire.Record{
		Partition: home,
		Offset:    offset,
		Timestamp: start + at,
		Key:       []byte(hunt.Player),
		Value:     []byte(data),
		Headers: []wire.Header{
			header("ce_specversion", "1.0"),
			header("ce_id", id),
			header("ce_source", "/test"),
			header("ce_type", kind),
			header("ce_partitionkey", hunt.Player),
			header("ce_time", time.UnixMicro(start+at).UTC().Format(time.RFC3339Nano)),
			header("content-type", "application/json"),
		},
	}
}

func finding(offset int64, id string, at int64, clue string, points int) *wire.Record {
	return record(offset, id, "find", at, fmt.Sprintf(`{"clue":%q,"points":%d}`, clue, points))
}

// set replaces a header, or removes it where value is empty.
func set(r *wire.Record, key, value string) *wire.Record {
	kept := r.Headers[:0:0]
	for _, h := range r.Headers {
		if h.Key != key {
			kept = append(kept, h)
		}
	}
	if value != "" {
		kept = append(kept, wire.Header{Key: key, Value: []byte(value)})
	}
	r.Headers = kept
	return r
}

// step folds one record as the engine does, and returns its fate.
func step(t testing.TB, f *fold.Fold, s engine.State, r *wire.Record, out *engine.Outputs) participant.Fate {
	t.Helper()
	before := out.Fates
	if f.Key(r) == nil {
		s = nil // the fold must not need it
	}
	f.Apply(s, r, out)
	fate := participant.FateCount
	for i := range out.Fates {
		switch out.Fates[i] - before[i] {
		case 0:
		case 1:
			if fate != participant.FateCount {
				t.Fatalf("offset %d has the fates %s and %s", r.Offset, fate, participant.Fate(i))
			}
			fate = participant.Fate(i)
		default:
			t.Fatalf("offset %d counts %s more than once", r.Offset, participant.Fate(i))
		}
	}
	if fate == participant.FateCount {
		t.Fatalf("offset %d has no fate", r.Offset)
	}
	return fate
}

// notice is what a player is shown, out of a notification's record.
type notice struct{ Rule, Name, Title, Body, EventTime string }

// fataler is a testing.T or a rapid.T.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// show applies the notifications among outputs to what stands, by ID.
func show(t fataler, shown map[string]notice, revisions map[string]int, outputs []engine.Output) {
	t.Helper()
	for _, o := range outputs {
		if o.Topic != engine.Notifications {
			continue
		}
		var n struct {
			Notification string `json:"notification"`
			Revision     int    `json:"revision"`
			Op           string `json:"op"`
			Rule         string `json:"rule"`
			Name         string `json:"name"`
			Title        string `json:"title"`
			Body         string `json:"body"`
			EventTime    string `json:"event_time"`
		}
		if err := json.Unmarshal(o.Value, &n); err != nil {
			t.Fatalf("notification %s: %v", o.Value, err)
		}
		revisions[n.Notification]++
		if n.Revision != revisions[n.Notification] {
			t.Fatalf("revision %d, want %d: %s", n.Revision, revisions[n.Notification], o.Value)
		}
		if n.Op == "retract" {
			delete(shown, n.Notification)
			continue
		}
		shown[n.Notification] = notice{n.Rule, n.Name, n.Title, n.Body, n.EventTime}
	}
}

func headerOf(o *engine.Output, key string) string {
	r := wire.Record{Headers: o.Headers}
	return string(r.Header(key))
}
