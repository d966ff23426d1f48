package chaos

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func inputFaults() []Fault {
	return []Fault{
		{
			Name: "transaction-hang", Ends: endsRefused,
			Does: "A foreign transactional producer writes to events and does not end its transaction, which holds back the last stable offset; then it aborts, which leaves a hole in the log.",
			Params: []Param{
				partition(),
				{Name: "records", Default: 3, Min: 1, Max: 1000, Does: "how many records it writes"},
				lasting("for", 5*time.Second, "until it aborts"),
			},
			do: hangTransaction,
		},
		{
			Name: "poison", Ends: endsClean, Does: "Records that nobody can read are written between the events: no header, no JSON, no participant, a wrong type, no value.",
			Params: []Param{{Name: "records", Default: 20, Min: 1, Max: 1000, Does: "how many, over all partitions"}},
			do: func(ctx context.Context, r *run, f *Fault, p Params) error {
				records := make([]*kgo.Record, p.number("records"))
				for i := range records {
					records[i] = r.poison(i)
				}
				return r.produce(ctx, f, p, records)
			},
		},
		{
			Name: "oversize", Ends: endsClean, Does: "Records are written that are larger than an event may be, up to what the brokers take.",
			Params: []Param{
				{Name: "records", Default: 4, Min: 1, Max: 100, Does: "how many, over all partitions"},
				{Name: "bytes", Default: 1_000_000, Min: 1, Max: 1_040_000, Does: "the size of each value"},
			},
			do: func(ctx context.Context, r *run, f *Fault, p Params) error {
				records := make([]*kgo.Record, p.number("records"))
				for i := range records {
					records[i] = r.foreign(i, []byte(participantName(i)), bytes.Repeat([]byte{byte(i), 0xff}, p.number("bytes")/2+1))
				}
				return r.produce(ctx, f, p, records)
			},
		},
	}
}

// foreign is a record by somebody who does not know this system.
func (r *run) foreign(i int, key, value []byte, headers ...kgo.RecordHeader) *kgo.Record {
	return &kgo.Record{
		Topic: r.kafka.Topic("events"), Partition: int32(i) % r.s.Topology.Partitions, Key: key, Value: value, Headers: headers,
	}
}

func (r *run) poison(i int) *kgo.Record {
	header := kgo.RecordHeader{Key: "content-type", Value: []byte(structured)}
	key := []byte(participantName(i))
	switch i % 6 {
	case 0:
		return r.foreign(i, key, []byte("not an event"))
	case 1:
		return r.foreign(i, key, []byte(`{"specversion":"1.0","id":`), header)
	case 2:
		return r.foreign(i, nil, []byte(`{"specversion":"1.0","id":"x","source":"/chaos","type":"counted","data":{}}`), header)
	case 3:
		return r.foreign(i, key, fmt.Appendf(nil, `{"specversion":"1.0","id":"poison-%d","source":"/chaos","type":"counted","time":"2025-01-01T00:00:00Z","partitionkey":%q,"data":{"n":"one"}}`, i, key), header)
	case 4:
		return r.foreign(i, key, nil, header)
	}
	return r.foreign(i, []byte{0xff, 0xfe}, []byte{0x00, 0xff}, kgo.RecordHeader{Key: "ce_id", Value: []byte{0xff}})
}

func (r *run) produce(ctx context.Context, f *Fault, p Params, records []*kgo.Record) error {
	i := r.inject(f, p)
	defer i.over()
	if err := r.env.client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("write %s records: %w", f.Name, err)
	}
	return nil
}

func hangTransaction(ctx context.Context, r *run, f *Fault, p Params) error {
	cl, err := kgo.NewClient(r.kafka.Options(
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID(r.prefix+".foreign"), kgo.TransactionTimeout(faultLengthMax),
	)...)
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		return err
	}
	for range p.number("records") {
		record := &kgo.Record{Topic: r.kafka.Topic("events"), Partition: int32(p.number("partition")), Key: []byte("k"), Value: []byte("v")}
		if err := cl.ProduceSync(ctx, record).FirstErr(); err != nil {
			return fmt.Errorf("write in a foreign transaction: %w", err)
		}
	}
	i := r.inject(f, p)
	err = sleep(ctx, p.duration("for"))
	if endErr := cl.EndTransaction(context.WithoutCancel(ctx), kgo.TryAbort); endErr != nil {
		return endErr
	}
	i.over()
	return err
}
