// Package same is for experiments, and no peer: it takes the loop of one, and the
// product's decoder or its whole fold in place of what is written by hand. What is
// left of a difference to the processor is then not theirs.
package same

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/bench/peers/franz"
	"github.com/veltrix/veltrix/bench/peers/hand"
	"github.com/veltrix/veltrix/bench/peers/task"
	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/bench"
	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/fold"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// EOSDecoder is franz.EOS with the product's decoder: the whole envelope is read and
// checked, the data by the schema, and the identity is known. The fold is by hand.
func EOSDecoder(ctx context.Context, t *task.Task, c *task.Course, partitions int) error {
	program, err := prepared(t)
	if err != nil {
		return err
	}
	return franz.EOSBy(ctx, t, c, hand.NewStore(partitions), func() franz.Fold[hand.State] {
		return franz.ByHand(t.Rules, newDecoder(program.Schema(), false).scan)
	})
}

// ALODecoder is franz.ALO with the product's decoder, likewise.
func ALODecoder(ctx context.Context, t *task.Task, c *task.Course, _ int) error {
	program, err := prepared(t)
	if err != nil {
		return err
	}
	return franz.ALOBy(ctx, t, c, franz.KeptByHand(t.Rules, func() franz.Scan {
		return newDecoder(program.Schema(), true).scan
	}))
}

// prepared compiles the rules, and has garbage collected as the processor does.
func prepared(t *task.Task) (participant.Program, error) {
	app.BoundMemory(config.Default())
	return bench.Rules(t.RulesName)
}

// decoder turns what the product reads of an event into what the folds by hand need.
type decoder struct {
	schema *participant.Schema
	timed  bool // a time is written as text again: states have it where they are written
	event  participant.Event
	texts  []byte
	fields [][]field // by type, by the place of the schema's field
}

// field is where a value goes.
type field func(e *hand.Event, v *participant.Value, texts []byte) []byte

// textsUsual is room for an event's texts.
const textsUsual = 512

func newDecoder(schema *participant.Schema, timed bool) *decoder {
	number := func(at func(*hand.Event) *int64) field {
		return func(e *hand.Event, v *participant.Value, texts []byte) []byte { *at(e) = v.Int; return texts }
	}
	text := func(at func(*hand.Event) *[]byte) field {
		return func(e *hand.Event, v *participant.Value, texts []byte) []byte {
			from := len(texts)
			texts = append(texts, v.Str...)
			*at(e) = texts[from:]
			return texts
		}
	}
	known := map[string]field{
		"metres": number(func(e *hand.Event) *int64 { return &e.Metres }),
		"points": number(func(e *hand.Event) *int64 { return &e.Points }),
		"clue":   text(func(e *hand.Event) *[]byte { return &e.Clue }),
		"zone":   text(func(e *hand.Event) *[]byte { return &e.Zone }),
		"device": text(func(e *hand.Event) *[]byte { return &e.Device }),
	}
	d := &decoder{schema: schema, timed: timed, event: participant.Event{Texts: make([]byte, 0, textsUsual)}}
	for _, is := range schema.Types {
		fields := make([]field, len(is.Fields))
		for i, f := range is.Fields {
			fields[i] = known[f.Name] // nil: no rule by hand needs it
		}
		d.fields = append(d.fields, fields)
	}
	return d
}

// scan is a franz.Scan.
func (d *decoder) scan(e *hand.Event, r *kgo.Record) error {
	record := kafkalog.Records([]*kgo.Record{r})
	if rejection := wire.DecodeEvent(&record[0], d.schema, &d.event); rejection != nil {
		return fmt.Errorf("decode an event: %w", rejection)
	}
	*e = hand.Event{}
	d.texts = append(append(d.texts[:0], d.event.ID...), d.event.Type...)
	id, end := len(d.event.ID), len(d.texts)
	if d.timed {
		d.texts = time.UnixMicro(d.event.Time).UTC().AppendFormat(d.texts, "2006-01-02T15:04:05.000000Z")
	}
	e.ID, e.Type, e.Time = d.texts[:id:id], d.texts[id:end:end], d.texts[end:]
	for i := range d.event.Fields {
		if into := d.fields[d.event.TypeIndex][i]; into != nil {
			d.texts = into(e, &d.event.Fields[i], d.texts)
		}
	}
	return nil
}

// EOSFold is franz.EOS with the product's fold: identities, order, rules as data, and
// notifications as the processor writes them. States are in memory alone.
func EOSFold(ctx context.Context, t *task.Task, c *task.Course, partitions int) error {
	program, err := prepared(t)
	if err != nil {
		return err
	}
	f := fold.New(program, int32(partitions))
	store := hand.StoreOf(partitions, f.New, func(s engine.State) engine.State { return f.Clone(s, nil) })
	return franz.EOSBy(ctx, t, c, store, func() franz.Fold[engine.State] { return folding(f) })
}

// ALOFold is franz.ALO with the product's fold, and its states in Redis as the
// processor encodes them.
func ALOFold(ctx context.Context, t *task.Task, c *task.Course, partitions int) error {
	program, err := prepared(t)
	if err != nil {
		return err
	}
	f := fold.New(program, int32(partitions))
	return franz.ALOBy(ctx, t, c, franz.Kept[engine.State]{
		Fresh: f.New, Load: f.Load, Append: func(b []byte, s *engine.State) []byte { return f.Encode(b, *s) },
		Fold: func() franz.Fold[engine.State] { return folding(f) },
	})
}

// folding is the product's fold of one record at a time.
func folding(f *fold.Fold) franz.Fold[engine.State] {
	var out engine.Outputs
	return func(state *engine.State, r *kgo.Record, write func(*kgo.Record)) error {
		record := kafkalog.Records([]*kgo.Record{r})
		out.Reset()
		f.Apply(*state, &record[0], &out)
		for i := range out.List {
			o := &out.List[i]
			if o.Topic != engine.Notifications {
				return fmt.Errorf("the fold did not take it: %v", out.Fates)
			}
			headers := make([]kgo.RecordHeader, len(o.Headers))
			for j, h := range o.Headers {
				headers[j] = kgo.RecordHeader{Key: h.Key, Value: h.Value}
			}
			write(&kgo.Record{Partition: o.Partition, Key: o.Key, Value: o.Value, Headers: headers})
		}
		return nil
	}
}
