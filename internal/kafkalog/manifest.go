package kafkalog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/wire"
)

// ManifestLayout is the version of the manifest this binary reads and writes.
const ManifestLayout = 1

// Manifest pins what a deployment must never change by accident. It lies in
// the manifest topic under one key; the newest record holds.
type Manifest struct {
	Layout       int     `json:"layout"`
	ClusterID    string  `json:"cluster_id"`
	Topic        string  `json:"topic"`    // full name of the events topic
	TopicID      string  `json:"topic_id"` // a topic made anew has another
	Generation   int     `json:"generation"`
	Partitions   int32   `json:"partitions"` // of every topic of the pipeline
	Hunt         string  `json:"hunt,omitempty"`
	RulesVersion int     `json:"rules_version,omitempty"`
	RulesDigest  string  `json:"rules_digest,omitempty"`
	Initialized  []int32 `json:"initialized,omitempty"` // partitions that have had a commit, ascending
	// Bases are the beginnings that operators have declared, one a partition.
	Bases []ManifestBase `json:"bases,omitempty"`
	// Operations are what operators did, the newest of them, oldest first.
	Operations []ManifestOperation `json:"operations,omitempty"`
}

const manifestKey = "manifest"

// Bounds of the manifest's reading and writing.
const (
	manifestTxnTimeout = 10 * time.Second
	manifestEndTimeout = 5 * time.Second // for a transaction that was begun
	manifestBackoffMin = 20 * time.Millisecond
	manifestBackoffMax = time.Second
	manifestAttempts   = 50
)

// ReadManifest returns the deployment's manifest, or nil where there is none
// yet. It waits out a writer whose transaction is open.
func ReadManifest(ctx context.Context, cfg Config) (m *Manifest, err error) {
	err = decided(ctx, func() (err error) {
		m, err = readManifest(ctx, cfg)
		return err
	})
	return m, err
}

// decided reads again while what is to be read belongs to an open transaction.
func decided(ctx context.Context, read func() error) error {
	for {
		err := read()
		if !errors.Is(err, ErrUndecided) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("read the manifest: %w: %w", err, ctx.Err())
		case <-time.After(manifestBackoffMin):
		}
	}
}

func readManifest(ctx context.Context, cfg Config) (*Manifest, error) {
	topic := cfg.Topic("manifest")
	all, err := Bounds(ctx, cfg, topic)
	if errors.Is(err, ErrNoTopic) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	if len(all) != 1 {
		return nil, fmt.Errorf("read the manifest: %s has %d partitions, it must have 1: find out who made it, and give this deployment another prefix", topic, len(all))
	}
	var newest []byte
	// Up to the end, not to the last stable offset: an open transaction may be
	// a writer that is about to have committed.
	err = ReadPartition(ctx, cfg, topic, 0, all[0].Start, all[0].End, true, func(chunk []wire.Record) error {
		for i := range chunk {
			if string(chunk[i].Key) == manifestKey {
				newest = chunk[i].Value
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	if newest == nil {
		return nil, nil
	}
	return decodeManifest(newest)
}

func decodeManifest(text []byte) (*Manifest, error) {
	var layout struct {
		Layout int `json:"layout"`
	}
	if err := json.Unmarshal(text, &layout); err != nil {
		return nil, fmt.Errorf("decode the manifest: %w", err)
	}
	if layout.Layout != ManifestLayout {
		return nil, fmt.Errorf("the manifest has layout %d, this binary knows %d: run the version that wrote it", layout.Layout, ManifestLayout)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields() // within a layout: what this binary would drop when it writes, it must not read
	var m Manifest
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("decode the manifest: %w", err)
	}
	return &m, nil
}

// UpdateManifest replaces the manifest by what change makes of it, and returns
// what holds then. change gets nil where there is no manifest yet, and a copy
// of its own otherwise; it may be called several times, each time with what
// holds then, and must have no other effect. What it returns unchanged is not
// written; its error ends the update.
//
// The update is linearizable. Taking the transactional ID fences every other
// writer and decides its transaction; what is read after that can only be
// replaced by whoever takes the ID next, which fails our commit.
func UpdateManifest(ctx context.Context, cfg Config, change func(old *Manifest) (*Manifest, error)) (*Manifest, error) {
	var last error
	backoff := manifestBackoffMin
	for range manifestAttempts {
		m, again, err := tryUpdateManifest(ctx, cfg, change)
		if !again {
			return m, err
		}
		last = err
		wait := backoff/2 + rand.N(backoff) // writers that fence each other must not stay in step
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("update the manifest: %w: %w", ctx.Err(), last)
		case <-time.After(wait):
		}
		backoff = min(2*backoff, manifestBackoffMax)
	}
	return nil, fmt.Errorf("update the manifest: tried %d times, and another writer or the brokers never rest: %w", manifestAttempts, last)
}

// tryUpdateManifest makes one attempt; again says that it lost to another writer,
// met a broker that went away or does not know its outcome, and may be repeated.
func tryUpdateManifest(ctx context.Context, cfg Config, change func(*Manifest) (*Manifest, error)) (_ *Manifest, again bool, _ error) {
	cl, err := kgo.NewClient(cfg.Options(
		kgo.TransactionalID(cfg.transactionalID("manifest")), kgo.TransactionTimeout(manifestTxnTimeout),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
	)...)
	if err != nil {
		return nil, false, fmt.Errorf("create the client that writes the manifest: %w", err)
	}
	defer cl.Close()
	if _, _, err := cl.ProducerID(ctx); err != nil { // fences; returns once the predecessor's transaction is decided
		return nil, fenced(err) || passing(err), fmt.Errorf("take the manifest's transactional ID: %w", err)
	}
	old, err := ReadManifest(ctx, cfg)
	if err != nil {
		return nil, passing(err), err // a broker that dies just now must not end a process that starts
	}
	next, err := change(old.clone())
	if err != nil {
		return nil, false, err
	}
	if next == nil || reflect.DeepEqual(old, next) {
		return old, false, nil
	}
	written := *next
	written.Layout = ManifestLayout
	at, err := writeManifest(ctx, cl, cfg.Topic("manifest"), &written)
	if err == nil {
		err = committed(ctx, cfg, at)
	}
	if err != nil {
		// Where the commit's outcome is unknown, the next attempt reads it.
		return nil, ctx.Err() == nil && !errors.Is(err, kerr.TopicAuthorizationFailed), err
	}
	return &written, false, nil
}

// writeManifest returns the offset of what it wrote. A transaction that was begun is
// ended even where ctx ends meanwhile, as when a process stops: whoever reads the
// manifest, the processor that comes next too, would wait until the brokers abort it.
func writeManifest(ctx context.Context, cl *kgo.Client, topic string, m *Manifest) (int64, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return 0, fmt.Errorf("encode the manifest: %w", err)
	}
	if err := cl.BeginTransaction(); err != nil {
		return 0, fmt.Errorf("begin the manifest's transaction: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), manifestEndTimeout)
	defer cancel()
	record := &kgo.Record{Topic: topic, Partition: 0, Key: []byte(manifestKey), Value: text}
	if err := cl.ProduceSync(ctx, record).FirstErr(); err != nil {
		// Its error adds nothing: whoever takes the ID next aborts the transaction.
		_ = cl.EndTransaction(ctx, kgo.TryAbort)
		return 0, fmt.Errorf("write the manifest: %w", err)
	}
	if err := cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return 0, fmt.Errorf("commit the manifest: %w", err)
	}
	return record.Offset, nil
}

// committed fails where the record at an offset was aborted. The client's word
// is not enough: it turns a commit into an abort, and reports success, where it
// has not yet noted that a topic which is new to it took a record. Every writer
// is new, and the answer may come before the note.
func committed(ctx context.Context, cfg Config, offset int64) error {
	return decided(ctx, func() error {
		kept := false
		err := ReadPartition(ctx, cfg, cfg.Topic("manifest"), 0, offset, offset+1, true, func(records []wire.Record) error {
			kept = len(records) > 0
			return nil
		})
		if err == nil && !kept {
			err = fmt.Errorf("commit the manifest: the client reported a commit, and the transaction at offset %d was aborted", offset)
		}
		return err
	})
}

func fenced(err error) bool {
	return errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch) ||
		errors.Is(err, kerr.ConcurrentTransactions) || errors.Is(err, kerr.InvalidTxnState)
}

func (m *Manifest) clone() *Manifest {
	if m == nil {
		return nil
	}
	c := *m
	c.Initialized = append([]int32(nil), m.Initialized...)
	c.Bases = append([]ManifestBase(nil), m.Bases...)
	c.Operations = append([]ManifestOperation(nil), m.Operations...)
	return &c
}
