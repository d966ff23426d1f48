package kafkalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/preflight"
	"github.com/veltrix/veltrix/internal/wire"
)

// The sample: the newest records of each partition.
const (
	sampleRecords = 200
	sampleBytes   = 256 << 10              // of one fetch
	sampleFetches = 4                      // of one partition
	sampleTime    = 700 * time.Millisecond // for all of them; what is read by then is the sample
	sampleSide    = 8                      // partitions read side by side
	sourcesNamed  = 5
	sourceNameMax = 60
	keyHiddenMin  = 4 // bytes of a key that is looked for in the name of a source
)

// RecordChecks returns the checks of the newest records in events: what senders do
// is seen in what they sent. Together they read one sample. They need Describe and
// Read on events and the manifest; what is denied is unknown.
//
// They say which sources they found, and never whose the events are.
func RecordChecks(cfg Config) []preflight.Check {
	r := &recordChecks{cfg: cfg}
	check := func(id string, run func(*sample) preflight.Finding) preflight.Check {
		return preflight.New(id, func(ctx context.Context) preflight.Finding {
			s, err := r.seen.look(ctx, func(ctx context.Context) (*sample, error) { return sampleEvents(ctx, cfg) })
			switch {
			case errors.Is(err, ErrNoTopic):
				return preflight.Skipped(cfg.Topic("events") + " does not exist: see K10")
			case err != nil:
				return preflight.NotSeen(err, "grant Read on "+cfg.Topic("events")+" and "+cfg.Topic("manifest"))
			case s.records+s.controls == 0:
				return preflight.Skipped("no events yet")
			}
			return run(s)
		})
	}
	return []preflight.Check{
		check("P01", r.partitioner),
		check("P02", r.keys),
		check("P04", r.idempotence),
		check("P05", r.transactions),
	}
}

type recordChecks struct {
	cfg  Config
	seen once[sample]
}

// sample is what was found in the newest records, by source.
type sample struct {
	partitions int32 // that keys are spread over: the manifest's, or the topic's without one
	read       int   // partitions that were read
	mu         sync.Mutex
	records    int
	controls   int // ends of transactions
	misplaced  found
	keyless    found
	anonymous  found // without a producer's ID
	transacted found
}

// found are the records of a sample that something holds of.
type found struct {
	all    int
	by     map[string]int // source
	newest time.Time
}

func (f *found) add(source string, at time.Time) {
	if f.by == nil {
		f.by = map[string]int{}
	}
	f.all++
	f.by[source]++
	if at.After(f.newest) {
		f.newest = at
	}
}

func (r *recordChecks) partitioner(s *sample) preflight.Finding {
	if s.misplaced.all > 0 {
		return preflight.Failed(s.share(&s.misplaced, "lie on another partition than murmur2 of their key gives"), "every sender spreads keys by murmur2, over the "+strconv.Itoa(int(s.partitions))+" partitions of the manifest",
			"librdkafka: partitioner=murmur2_random; sarama: the hash partitioner of Kafka's; or send by the gateway")
	}
	return preflight.Passed(s.all("lie where murmur2 of their key puts them"))
}

func (r *recordChecks) keys(s *sample) preflight.Finding {
	if s.keyless.all > 0 {
		return preflight.Failed(s.share(&s.keyless, "have no key"), "every record's key is its participant", "key each record by its participant, or send by the gateway")
	}
	return preflight.Passed(s.all("have a key"))
}

func (r *recordChecks) idempotence(s *sample) preflight.Finding {
	if s.anonymous.all > 0 {
		return preflight.Failed(s.share(&s.anonymous, "came from a producer without idempotence"), "a producer's ID in every batch", "enable.idempotence=true and acks=all in these senders")
	}
	return preflight.Passed(s.all("came from idempotent producers"))
}

func (r *recordChecks) transactions(s *sample) preflight.Finding {
	if s.controls > 0 || s.transacted.all > 0 {
		return preflight.Failed(s.share(&s.transacted, "were sent in transactions")+fmt.Sprintf("; %d ends of transactions lie between them", s.controls), "no transaction on events", "send to events without a transactional.id, or by the gateway")
	}
	return preflight.Passed(s.all("were sent without a transaction"))
}

func (s *sample) all(what string) string {
	return fmt.Sprintf("the newest %d records of %d partitions %s", s.records, s.read, what)
}

// share says how many records something holds of, from which sources they are, and
// when the newest came: a sender that was mended is in the log for a while.
func (s *sample) share(f *found, what string) string {
	text := fmt.Sprintf("%d of the newest %d records of %d partitions %s", f.all, s.records, s.read, what)
	if f.all == 0 {
		return text
	}
	names := slices.SortedFunc(maps.Keys(f.by), func(a, b string) int { return cmp.Or(f.by[b]-f.by[a], strings.Compare(a, b)) })
	var of []string
	for i, name := range names {
		if i == sourcesNamed {
			of = append(of, fmt.Sprintf("%d more", len(names)-i))
			break
		}
		of = append(of, fmt.Sprintf("%s: %d", name, f.by[name]))
	}
	return text + " (" + strings.Join(of, ", ") + "), the newest at " + f.newest.UTC().Format(time.RFC3339)
}

// sampleEvents reads the newest records of each partition, decided or not.
func sampleEvents(ctx context.Context, cfg Config) (*sample, error) {
	r, err := NewReader(cfg)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	topic := cfg.Topic("events")
	all, err := r.Bounds(ctx, topic)
	if err != nil {
		return nil, err
	}
	manifest, err := ReadManifest(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s := &sample{partitions: int32(len(all))} // as senders see it, where nothing pins another count
	if manifest != nil {
		s.partitions = manifest.Partitions
	}
	until := time.Now().Add(sampleTime)
	var g errgroup.Group
	g.SetLimit(sampleSide)
	for _, b := range all {
		g.Go(func() error { return s.readNewest(ctx, r.cl, topic, b, until) })
	}
	return s, g.Wait()
}

// readNewest fetches a few times at most. A partition that lost its leader, or its
// records to the retention, just now is left out.
func (s *sample) readNewest(ctx context.Context, cl *kgo.Client, topic string, b PartitionBounds, until time.Time) error {
	f := &reader{
		cl: cl, topic: topic, partition: b.Partition, next: max(b.Start, b.End-sampleRecords), isolation: kgo.ReadUncommitted(),
		decompressor: kgo.DefaultDecompressor(), bytesMax: sampleBytes, control: true,
	}
	if b.End > b.Start {
		s.mu.Lock()
		s.read++
		s.mu.Unlock()
	}
	for range sampleFetches {
		if f.next >= b.End || time.Now().After(until) {
			return nil
		}
		records, err := f.fetch(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && passing(err), errors.Is(err, kerr.OffsetOutOfRange):
			return nil
		case err != nil:
			return fmt.Errorf("read %s/%d: %w", topic, b.Partition, err)
		}
		s.add(records)
	}
	return nil
}

func (s *sample) add(records []*kgo.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range records {
		if k.Attrs.IsControl() {
			s.controls++
			continue
		}
		s.records++
		source := sourceOf(k)
		if len(k.Key) == 0 {
			s.keyless.add(source, k.Timestamp)
		} else if wire.PartitionFor(k.Key, s.partitions) != k.Partition {
			s.misplaced.add(source, k.Timestamp)
		}
		if k.ProducerID < 0 {
			s.anonymous.add(source, k.Timestamp)
		}
		if k.Attrs.IsTransactional() {
			s.transacted.add(source, k.Timestamp)
		}
	}
}

// sourceOf names the source that an event gives, as far as it can be read. Where
// the source holds the participant's key, that part is left out.
func sourceOf(k *kgo.Record) string {
	var e participant.Event
	_ = wire.CheckEvent(&Records([]*kgo.Record{k})[0], nil, &e) // what is wrong with it is the fold's to say
	source := e.Source
	if source == "" {
		return "no source"
	}
	if len(k.Key) >= keyHiddenMin {
		source = strings.ReplaceAll(source, string(k.Key), "…")
	}
	if len(source) > sourceNameMax {
		source = source[:sourceNameMax] + "…"
	}
	return strconv.Quote(source)
}
