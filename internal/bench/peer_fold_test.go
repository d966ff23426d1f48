package bench

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/fold"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// small is a workload that has all of its kinds of events, copies and places.
func small(t *testing.T, name string) *Workload {
	t.Helper()
	w, err := NewWorkload(name, 20_000, 100, Structured)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// values are a participant's, as a peer would write them.
func values(t *testing.T, schema *participant.Schema, h *participant.History) []byte {
	t.Helper()
	members := map[string]any{}
	for i, slot := range schema.Slots {
		switch v := h.Head[i]; slot.Kind {
		case participant.KindInt:
			members[slot.Name] = v.Int
		case participant.KindString:
			members[slot.Name] = v.Str
		case participant.KindSet:
			members[slot.Name] = append([]string{}, v.Coll.Keys...)
		case participant.KindTime:
			members[slot.Name] = time.UnixMicro(v.Int).UTC().Format("2006-01-02T15:04:05.000000Z")
		default:
			t.Fatalf("%s is a %s", slot.Name, slot.Kind)
		}
	}
	b, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestArrivalIsTheFoldOfWhatComesInOrder: where nothing comes out of order, and nothing
// twice, the order of arrival is the order in which it happened.
func TestArrivalIsTheFoldOfWhatComesInOrder(t *testing.T) {
	for _, name := range []string{"core", "rules", "fan-out"} {
		w := small(t, name)
		program, err := w.Program()
		if err != nil {
			t.Fatal(err)
		}
		oracle, offset := fold.NewOracle(fold.New(program, 1), 0), int64(-1)
		a, err := newArrival(w, 1)
		if err != nil {
			t.Fatal(err)
		}
		c := check{want: a, once: true}
		err = w.Each(1, func(r *kgo.Record) error {
			offset++
			record := wire.Record{Key: r.Key, Value: r.Value, Offset: offset, Timestamp: time.Now().UnixMicro()}
			for _, h := range r.Headers {
				record.Headers = append(record.Headers, wire.Header{Key: h.Key, Value: h.Value})
			}
			outputs, err := oracle.Feed(&record)
			for _, o := range outputs {
				n, err := wire.DecodeNotification(&wire.Record{Key: o.Key, Value: o.Value, Headers: o.Headers})
				if err != nil {
					return err
				}
				value, _ := json.Marshal(map[string]string{"id": n.Cause.ID, "title": n.Title, "body": n.Body})
				c.output(0, &wire.Record{Key: []byte(n.Participant), Value: value})
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for who := range oracle.States() {
			if err := c.state(who, values(t, program.Schema(), oracle.State(who))); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.end(true); err != nil || a.count < 1500 {
			t.Errorf("%s: %d outputs: %v", name, a.count, err)
		}
	}
}
