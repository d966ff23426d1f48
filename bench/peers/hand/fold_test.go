package hand

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/bench"
	"github.com/veltrix/veltrix/internal/fold"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// product is the fold that the processor has, over records that come in order.
type product struct {
	t      *testing.T
	schema *participant.Schema
	oracle *fold.Oracle
	offset int64
}

func newProduct(t *testing.T, w *bench.Workload) *product {
	t.Helper()
	program, err := w.Program()
	if err != nil {
		t.Fatal(err)
	}
	return &product{t: t, schema: program.Schema(), oracle: fold.NewOracle(fold.New(program, 1), 0)}
}

// feed folds a record and returns the notification that it causes, or nil.
func (p *product) feed(r *kgo.Record) *wire.NotificationRecord {
	p.t.Helper()
	record := wire.Record{Key: r.Key, Value: r.Value, Offset: p.offset, Timestamp: time.Now().UnixMicro()}
	for _, h := range r.Headers {
		record.Headers = append(record.Headers, wire.Header{Key: h.Key, Value: h.Value})
	}
	p.offset++
	outputs, err := p.oracle.Feed(&record)
	if err != nil || len(outputs) > 1 {
		p.t.Fatalf("%d outputs of %s: %v", len(outputs), r.Value, err)
	}
	if len(outputs) == 0 {
		return nil
	}
	n, err := wire.DecodeNotification(&wire.Record{Key: outputs[0].Key, Value: outputs[0].Value, Headers: outputs[0].Headers})
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

// state is a participant's values by their names.
func (p *product) state(who string) map[string]any {
	p.t.Helper()
	members, history := map[string]any{}, p.oracle.State(who)
	for i, slot := range p.schema.Slots {
		switch v := history.Head[i]; slot.Kind {
		case participant.KindInt:
			members[slot.Name] = float64(v.Int)
		case participant.KindString:
			members[slot.Name] = v.Str
		case participant.KindTime:
			members[slot.Name] = time.UnixMicro(v.Int).UTC().Format("2006-01-02T15:04:05.000000Z")
		case participant.KindSet:
			set := []any{}
			if v.Coll != nil {
				for _, key := range v.Coll.Keys {
					set = append(set, key)
				}
			}
			members[slot.Name] = set
		default:
			p.t.Fatalf("%s is a %s", slot.Name, slot.Kind)
		}
	}
	return members
}

// TestFoldsAreTheRules: what is written by hand does what the rules say, value by
// value after each event, where events come in order and once.
func TestFoldsAreTheRules(t *testing.T) {
	for workload, name := range map[string]string{"core": "core", "fan-out": "core", "rules": "ten"} {
		t.Run(workload, func(t *testing.T) {
			w, err := bench.NewWorkload(workload, 6_000, 40, bench.Structured)
			if err != nil {
				t.Fatal(err)
			}
			rules, err := RulesFor(name)
			if err != nil {
				t.Fatal(err)
			}
			p, states, notified := newProduct(t, w), map[string]*State{}, 0
			err = w.Each(1, func(r *kgo.Record) error {
				var e Event
				if err := e.Scan(r.Value); err != nil {
					return err
				}
				s := states[string(r.Key)]
				if s == nil {
					s = &State{}
					states[string(r.Key)] = s
				}
				n, notifies := p.feed(r), rules.Apply(s, &e)
				if notifies {
					notified++
				}
				sameOutput(t, n, notifies, rules.Output(nil, &e, s))
				sameState(t, rules, s, p.state(string(r.Key)))
				return nil
			})
			if err != nil || notified < 500 {
				t.Fatalf("%d notifications: %v", notified, err)
			}
		})
	}
}

func sameOutput(t *testing.T, n *wire.NotificationRecord, notifies bool, written []byte) {
	t.Helper()
	if notifies != (n != nil) {
		t.Fatalf("notifies: %t, and the rules say %+v", notifies, n)
	}
	if n == nil {
		return
	}
	var o struct{ ID, Title, Body string }
	if err := json.Unmarshal(written, &o); err != nil {
		t.Fatalf("%v: %s", err, written)
	}
	if o.ID != n.Cause.ID || o.Title != n.Title || o.Body != n.Body {
		t.Fatalf("%s, and the rules say %+v", written, n)
	}
}

// sameState compares a state as it is written, and that it is read again as it was.
func sameState(t *testing.T, rules *Rules, s *State, want map[string]any) {
	t.Helper()
	written := rules.State(nil, s)
	var members map[string]any
	if err := json.Unmarshal(written, &members); err != nil {
		t.Fatalf("%v: %s", err, written)
	}
	if want["last"] == "" || !reflect.DeepEqual(members, want) {
		t.Fatalf("%s, and the rules say %v", written, want)
	}
	again, err := Load(written)
	if err != nil || !bytes.Equal(rules.State(nil, &again), written) {
		t.Fatalf("%s is read as %+v: %v", written, again, err)
	}
}

func TestUnknownRules(t *testing.T) {
	if _, err := RulesFor("eleven"); err == nil {
		t.Error("there are rules named eleven")
	}
}

// TestTextsAreEscaped: a text is JSON whatever is in it.
func TestTextsAreEscaped(t *testing.T) {
	for _, text := range []string{"", "c-1", `"`, `\`, "\n", "\x7f", "é", "\u2028", "日本"} {
		var got string
		if err := json.Unmarshal(appendText(nil, text), &got); err != nil || got != text {
			t.Errorf("%q became %q: %v", text, got, err)
		}
	}
}
